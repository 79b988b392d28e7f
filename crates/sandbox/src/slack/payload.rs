//! What Slack sends to an app: slash commands, interactions, events. The shapes are Slack's.

use serde_json::{Map, Value, json};

use super::config::Person;
use super::controls::{self, Control};
use super::grants::Target;
use super::shapes;
use super::workspace::{Channel, ChannelKind, Message, View, Workspace, unix_seconds};

/// The deprecated verification token every payload still carries.
const TOKEN: &str = "sandbox-verification-token";

/// A slash command; all fields are strings, as it is a form.
pub(super) fn command(
    world: &mut Workspace,
    person: &Person,
    channel: &str,
    command: &str,
    text: &str,
) -> Value {
    let channel_name = world
        .channels
        .get(channel)
        .map_or(String::new(), display_name);
    let target = Target {
        channel: channel.to_string(),
        user: person.id.clone(),
        source: None,
        thread_ts: None,
    };
    json!({
        "token": TOKEN,
        "team_id": world.team_id,
        "team_domain": world.team_domain,
        "channel_id": channel,
        "channel_name": channel_name,
        "user_id": person.id,
        "user_name": person.name,
        "command": command,
        "text": text,
        "api_app_id": world.bot.app_id,
        "is_enterprise_install": "false",
        "response_url": world.grant_response_url("commands", target),
        "trigger_id": world.grant_trigger(&person.id),
    })
}

/// What payloads call a channel: direct ones have no name of their own.
fn display_name(channel: &Channel) -> String {
    match channel.kind {
        ChannelKind::Direct => "directmessage".to_string(),
        ChannelKind::Private => "privategroup".to_string(),
        ChannelKind::Public => channel.name.clone(),
    }
}

fn interaction(world: &mut Workspace, kind: &str, person: &Person) -> Map<String, Value> {
    let out = json!({
        "type": kind,
        "user": {
            "id": person.id,
            "username": person.name,
            "name": person.name,
            "team_id": world.team_id,
        },
        "api_app_id": world.bot.app_id,
        "token": TOKEN,
        "team": {"id": world.team_id, "domain": world.team_domain},
        "enterprise": null,
        "is_enterprise_install": false,
    });
    out.as_object().cloned().unwrap_or_default()
}

/// The `actions` entry of a control that was used.
fn action(world: &mut Workspace, control: &Control, chosen: &Map<String, Value>) -> Value {
    let mut out = chosen.clone();
    let element = &control.element;
    for key in ["type", "action_id", "text", "value", "style", "placeholder"] {
        // Of buttons all is sent back, of menus only what they are and what was chosen.
        if let Some(value) = element.get(key) {
            out.entry(key).or_insert_with(|| value.clone());
        }
    }
    out.insert("block_id".to_string(), json!(control.block_id));
    out.insert("action_ts".to_string(), json!(world.next_ts()));
    Value::Object(out)
}

/// A `block_actions` payload from a message.
pub(super) fn action_in_message(
    world: &mut Workspace,
    person: &Person,
    message: &Message,
    control: &Control,
    chosen: &Map<String, Value>,
) -> Value {
    let mut out = interaction(world, "block_actions", person);
    let ephemeral = message.visible_to.is_some();
    let mut container = json!({
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": ephemeral,
    });
    if let Some(attachment) = control.attachment {
        container["type"] = json!("message_attachment");
        container["attachment_id"] = json!(attachment + 1);
        container["is_app_unfurl"] = json!(false);
    }
    if message.is_reply() {
        container["thread_ts"] = json!(message.thread_ts);
    }
    let target = Target {
        channel: message.channel.clone(),
        user: person.id.clone(),
        source: Some(message.ts.clone()),
        thread_ts: message.thread_ts.clone().filter(|_| message.is_reply()),
    };
    let response_url = world.grant_response_url("actions", target);
    let channel = world.channels.get(&message.channel);
    let name = channel.map_or(String::new(), display_name);
    // Slack does not keep ephemeral messages, so it cannot send them back.
    if let Some(channel) = channel.filter(|_| !ephemeral) {
        out.insert(
            "message".into(),
            shapes::message(world, channel, message, true),
        );
    }
    let values = controls::message_state(message, &person.id);
    out.insert("container".into(), container);
    out.insert("trigger_id".into(), json!(world.grant_trigger(&person.id)));
    out.insert(
        "channel".into(),
        json!({"id": message.channel, "name": name}),
    );
    out.insert("state".into(), json!({"values": values}));
    out.insert("response_url".into(), json!(response_url));
    out.insert("actions".into(), json!([action(world, control, chosen)]));
    Value::Object(out)
}

/// A `block_actions` payload from a modal or home tab.
pub(super) fn action_in_view(
    world: &mut Workspace,
    person: &Person,
    view: &View,
    control: &Control,
    chosen: &Map<String, Value>,
) -> Value {
    let mut out = interaction(world, "block_actions", person);
    out.insert(
        "container".into(),
        json!({"type": "view", "view_id": view.id}),
    );
    out.insert("trigger_id".into(), json!(world.grant_trigger(&person.id)));
    out.insert("view".into(), shapes::view(world, view));
    out.insert("actions".into(), json!([action(world, control, chosen)]));
    Value::Object(out)
}

/// A `view_submission` payload.
pub(super) fn view_submission(world: &mut Workspace, person: &Person, view: &View) -> Value {
    let mut out = interaction(world, "view_submission", person);
    out.insert("trigger_id".into(), json!(world.grant_trigger(&person.id)));
    out.insert("view".into(), shapes::view(world, view));
    out.insert("response_urls".into(), json!([]));
    Value::Object(out)
}

/// A `view_closed` payload; `cleared` when the whole stack was closed.
pub(super) fn view_closed(
    world: &mut Workspace,
    person: &Person,
    view: &View,
    cleared: bool,
) -> Value {
    let mut out = interaction(world, "view_closed", person);
    out.insert("view".into(), shapes::view(world, view));
    out.insert("is_cleared".into(), json!(cleared));
    Value::Object(out)
}

/// An `event_callback` around an event.
pub(super) fn event(world: &mut Workspace, event: Value) -> Value {
    json!({
        "token": TOKEN,
        "team_id": world.team_id,
        "context_team_id": world.team_id,
        "api_app_id": world.bot.app_id,
        "type": "event_callback",
        "event_id": world.next_id('E').replacen('E', "Ev", 1),
        "event_time": unix_seconds(),
        "event": event,
        "event_context": format!("4-sandbox-{}", world.next_number()),
        "is_ext_shared_channel": false,
        "authorizations": [{
            "enterprise_id": null,
            "team_id": world.team_id,
            "user_id": world.bot.user_id,
            "is_bot": true,
            "is_enterprise_install": false,
        }],
    })
}

/// The `event` of something said, as `app_mention` or `message`.
pub(super) fn said(world: &Workspace, kind: &str, message: &Message) -> Value {
    let channel = world.channels.get(&message.channel);
    let mut out = json!({
        "type": kind,
        "user": message.user,
        "text": message.text,
        "ts": message.ts,
        "team": world.team_id,
        "channel": message.channel,
        "event_ts": message.ts,
        "blocks": message.blocks,
        "client_msg_id": super::workspace::uuid(),
    });
    if kind == "message" {
        out["channel_type"] = json!(match channel.map(|c| c.kind) {
            Some(ChannelKind::Direct) => "im",
            Some(ChannelKind::Private) => "group",
            _ => "channel",
        });
    }
    if let Some(root) = &message.thread_ts {
        out["thread_ts"] = json!(root);
        let root = channel.and_then(|c| c.message(root));
        out["parent_user_id"] = json!(root.map(|m| &m.user));
    }
    out
}
