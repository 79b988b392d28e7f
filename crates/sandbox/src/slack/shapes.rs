//! The model in Slack's own JSON, as the Web API and the payloads show it.

use serde_json::{Map, Value, json};

use super::config::Person;
use super::workspace::{Channel, ChannelKind, File, Message, SLACKBOT, View, Workspace};

/// A message object. Metadata are shown only to those who ask for them.
pub(super) fn message(world: &Workspace, channel: &Channel, m: &Message, metadata: bool) -> Value {
    let mut out = json!({
        "type": "message",
        "user": m.user,
        "text": m.text,
        "ts": m.ts,
        "team": world.team_id,
    });
    let mut put = |key: &str, value: Value| out[key] = value;
    if m.by_bot {
        put("bot_id", json!(world.bot.bot_id));
        put("app_id", json!(world.bot.app_id));
        put("bot_profile", bot_profile(world));
    }
    if let Some(subtype) = &m.subtype {
        put("subtype", json!(subtype));
    }
    if !m.blocks.is_empty() {
        put("blocks", json!(m.blocks));
    }
    if !m.attachments.is_empty() {
        put("attachments", json!(m.attachments));
    }
    // Slack marks an edit only where the text is what is shown.
    if let Some(at) = m.edited.as_ref().filter(|_| m.blocks.is_empty()) {
        put("edited", json!({"user": m.user, "ts": at}));
    }
    if let Some(given) = m.metadata.as_ref().filter(|_| metadata) {
        put("metadata", given.clone());
    }
    if !m.files.is_empty() {
        let files = world.files.iter().filter(|f| m.files.contains(&f.id));
        put("files", files.map(|f| file(world, f)).collect());
        put("upload", json!(false));
    }
    if !m.reactions.is_empty() {
        put("reactions", reactions(m));
    }
    if channel.pins.iter().any(|pin| pin.ts == m.ts) {
        put("pinned_to", json!([channel.id]));
    }
    if let Some(root) = &m.thread_ts {
        put("thread_ts", json!(root));
        if *root == m.ts {
            let replies: Vec<_> = channel.replies(root).collect();
            let mut users: Vec<_> = replies.iter().map(|r| r.user.as_str()).collect();
            users.sort_unstable();
            users.dedup();
            put("reply_count", json!(replies.len()));
            put("reply_users_count", json!(users.len()));
            put("reply_users", json!(users));
            put(
                "latest_reply",
                json!(replies.last().map_or(&m.ts, |r| &r.ts)),
            );
            put("is_locked", json!(false));
            put("subscribed", json!(false));
        } else if let Some(root) = channel.message(root) {
            put("parent_user_id", json!(root.user));
        }
    }
    out
}

/// The `reactions` of a message.
pub(super) fn reactions(m: &Message) -> Value {
    let one = |r: &super::workspace::Reaction| json!({"name": r.name, "users": r.users, "count": r.users.len()});
    m.reactions.iter().map(one).collect()
}

fn bot_profile(world: &Workspace) -> Value {
    json!({
        "id": world.bot.bot_id,
        "app_id": world.bot.app_id,
        "name": world.bot.name,
        "team_id": world.team_id,
        "deleted": false,
        "updated": 1_700_000_000,
    })
}

/// A conversation object.
pub(super) fn channel(world: &Workspace, c: &Channel) -> Value {
    if c.kind == ChannelKind::Direct {
        let user = c.members.iter().find(|m| **m != world.bot.user_id);
        return json!({
            "id": c.id,
            "created": c.created,
            "is_im": true,
            "is_archived": c.archived,
            "is_org_shared": false,
            "user": user,
            "is_user_deleted": false,
            "is_open": true,
        });
    }
    let private = c.kind == ChannelKind::Private;
    let described = |text: &str| json!({"value": text, "creator": "", "last_set": 0});
    json!({
        "id": c.id,
        "name": c.name,
        "name_normalized": c.name,
        "created": c.created,
        "creator": c.creator,
        "is_channel": !private,
        "is_group": private,
        "is_im": false,
        "is_mpim": false,
        "is_private": private,
        "is_archived": c.archived,
        "is_general": c.name == "general",
        "is_shared": false,
        "is_org_shared": false,
        "is_member": c.members.contains(&world.bot.user_id),
        "unlinked": 0,
        "topic": described(&c.topic),
        "purpose": described(""),
        "previous_names": [],
        "num_members": c.members.len(),
    })
}

/// A user object.
pub(super) fn user(world: &Workspace, p: &Person) -> Value {
    json!({
        "id": p.id,
        "team_id": world.team_id,
        "name": p.name,
        "real_name": p.real_name,
        "deleted": world.deactivated.contains(&p.id),
        "is_bot": false,
        "is_app_user": false,
        "is_admin": false,
        "is_owner": false,
        "tz": "Europe/Lisbon",
        "tz_label": "Western European Time",
        "tz_offset": 0,
        "updated": 1_700_000_000,
        "profile": {
            "real_name": p.real_name,
            "real_name_normalized": p.real_name,
            "display_name": p.name,
            "display_name_normalized": p.name,
            "title": p.title,
            "email": p.email,
            "team": world.team_id,
        },
    })
}

/// The bot's own user object, or Slackbot's.
pub(super) fn robot(world: &Workspace, id: &str) -> Value {
    let name = if id == SLACKBOT {
        "slackbot"
    } else {
        &world.bot.name
    };
    json!({
        "id": id,
        "team_id": world.team_id,
        "name": name,
        "real_name": name,
        "deleted": false,
        "is_bot": id != SLACKBOT,
        "is_app_user": false,
        "updated": 1_700_000_000,
        "profile": {
            "real_name": name,
            "display_name": name,
            "team": world.team_id,
            "api_app_id": world.bot.app_id,
            "bot_id": world.bot.bot_id,
        },
    })
}

/// A view object: what the app sent, with the state of its inputs.
pub(super) fn view(world: &Workspace, v: &View) -> Value {
    let mut out: Map<String, Value> = v.body.as_object().cloned().unwrap_or_default();
    for (key, default) in [
        ("private_metadata", ""),
        ("callback_id", ""),
        ("external_id", ""),
    ] {
        out.entry(key).or_insert_with(|| json!(default));
    }
    for key in ["clear_on_close", "notify_on_close"] {
        out.entry(key).or_insert_with(|| json!(false));
    }
    for key in ["submit", "close"] {
        out.entry(key).or_insert(Value::Null);
    }
    let own = json!({
        "id": v.id,
        "team_id": world.team_id,
        "state": {"values": v.values},
        "hash": v.hash,
        "root_view_id": v.root_id,
        "previous_view_id": v.previous_id,
        "app_id": world.bot.app_id,
        "app_installed_team_id": world.team_id,
        "bot_id": world.bot.bot_id,
    });
    out.extend(own.as_object().cloned().unwrap_or_default());
    Value::Object(out)
}

/// A file object.
pub(super) fn file(world: &Workspace, f: &File) -> Value {
    let extension = f.name.rsplit_once('.').map_or("text", |(_, e)| e);
    json!({
        "id": f.id,
        "created": f.created,
        "timestamp": f.created,
        "name": f.name,
        "title": f.title,
        "alt_txt": f.alt_txt,
        "mimetype": f.media_type(),
        "filetype": extension,
        "pretty_type": extension.to_uppercase(),
        "user": f.user,
        "user_team": world.team_id,
        "size": f.size,
        "mode": "hosted",
        "is_external": false,
        "is_public": true,
        "channels": f.channels,
        "groups": [],
        "ims": [],
        "url_private": format!("{}/sandbox/files/{}", world.base_url, f.id),
        "url_private_download": format!("{}/sandbox/files/{}", world.base_url, f.id),
        "permalink": format!("{}/sandbox/files/{}", world.base_url, f.id),
    })
}
