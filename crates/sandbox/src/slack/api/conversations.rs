//! `conversations.*`, but for reading messages.

use serde_json::json;

use super::history::readable;
use super::request::{ApiError, Args, Outcome, Page};
use crate::slack::shapes;
use crate::slack::workspace::{Channel, ChannelKind, Message, Workspace};

const NAME: usize = 80;
const TOPIC: usize = 250;
/// Channels of the workspace; Slack's own limit is far away, memory is not.
const CHANNELS: usize = 2_000;

/// `conversations.create`
pub(super) fn create(world: &mut Workspace, args: &Args) -> Outcome {
    let name = args.text("name").ok_or("invalid_name_required")?;
    check_name(&name)?;
    if world.channels.values().any(|c| c.name == name) {
        return Err("name_taken".into());
    }
    if world.channels.len() >= CHANNELS {
        return Err("restricted_action".into());
    }
    let kind = if args.flag("is_private") {
        ChannelKind::Private
    } else {
        ChannelKind::Public
    };
    let bot = world.bot.user_id.clone();
    let id = world.open_channel(&name, kind, &bot);
    notice(
        world,
        &id,
        &bot,
        "channel_join",
        &format!("<@{bot}> has joined the channel"),
    );
    shown(world, &id)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.chars().count() > NAME {
        return Err("invalid_name_maxlength".into());
    }
    if name.chars().all(|c| c.is_ascii_punctuation()) {
        return Err("invalid_name_punctuation".into());
    }
    let fits = |c: char| !c.is_whitespace() && (c.is_alphanumeric() || c == '-' || c == '_');
    if !name.chars().all(|c| fits(c) && !c.is_uppercase()) {
        return Err("invalid_name_specials".into());
    }
    Ok(())
}

fn shown(world: &Workspace, id: &str) -> Outcome {
    let channel = world.channels.get(id).ok_or("channel_not_found")?;
    Ok(json!({"channel": shapes::channel(world, channel)}))
}

/// What Slack itself notes in a channel.
fn notice(world: &mut Workspace, channel: &str, user: &str, subtype: &str, text: &str) {
    world.post(Message {
        channel: channel.to_string(),
        user: user.to_string(),
        subtype: Some(subtype.to_string()),
        text: text.to_string(),
        ..Message::default()
    });
}

/// `conversations.list`
pub(super) fn list(world: &Workspace, args: &Args) -> Outcome {
    let mut types = args.list("types");
    if types.is_empty() {
        types.push("public_channel".to_string());
    }
    if let Some(wrong) = types
        .iter()
        .find(|t| !["public_channel", "private_channel", "im", "mpim"].contains(&t.as_str()))
    {
        let why = format!("unknown type: {wrong}");
        return Err(ApiError::explained("invalid_types", vec![why]));
    }
    let wanted = |c: &&Channel| {
        let member = c.members.contains(&world.bot.user_id);
        let (kind, visible) = match c.kind {
            ChannelKind::Public => ("public_channel", true),
            ChannelKind::Private => ("private_channel", member),
            ChannelKind::Direct => ("im", member),
        };
        visible && types.iter().any(|t| t == kind) && !(c.archived && args.flag("exclude_archived"))
    };
    let (page, next) = Page::of(args, 100, 1_000)?.cut(world.channels.values().filter(wanted));
    let channels: Vec<_> = page.iter().map(|c| shapes::channel(world, c)).collect();
    Ok(json!({"channels": channels, "response_metadata": {"next_cursor": next}}))
}

/// Any channel the bot may know of.
fn known<'a>(world: &'a Workspace, args: &Args) -> Result<&'a Channel, ApiError> {
    let wanted = args.text("channel").ok_or("channel_not_found")?;
    let channel = world.channels.get(&wanted).ok_or("channel_not_found")?;
    let visible =
        channel.kind == ChannelKind::Public || channel.members.contains(&world.bot.user_id);
    if visible {
        Ok(channel)
    } else {
        Err("channel_not_found".into())
    }
}

/// `conversations.info`
pub(super) fn info(world: &Workspace, args: &Args) -> Outcome {
    let channel = known(world, args)?;
    shown(world, &channel.id)
}

/// `conversations.join`
pub(super) fn join(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = known(world, args)?;
    match channel.kind {
        _ if channel.archived => return Err("is_archived".into()),
        ChannelKind::Public => {}
        _ => return Err("method_not_supported_for_channel_type".into()),
    }
    let (id, bot) = (channel.id.clone(), world.bot.user_id.clone());
    if enter(world, &id, &bot) {
        return shown(world, &id);
    }
    let mut out = shown(world, &id)?;
    out["warning"] = json!("already_in_channel");
    out["response_metadata"] = json!({"warnings": ["already_in_channel"]});
    Ok(out)
}

/// Makes somebody a member; `false` when they were one.
fn enter(world: &mut Workspace, channel: &str, user: &str) -> bool {
    let new = world
        .channels
        .get_mut(channel)
        .is_some_and(|c| c.members.insert(user.to_string()));
    if new {
        notice(
            world,
            channel,
            user,
            "channel_join",
            &format!("<@{user}> has joined the channel"),
        );
    }
    new
}

/// `conversations.invite`: all or nobody, unless `force`.
pub(super) fn invite(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = readable(world, args)?;
    if channel.archived {
        return Err("is_archived".into());
    }
    let users = args.list("users");
    if users.is_empty() {
        return Err("no_user".into());
    }
    let mut errors = Vec::new();
    for user in &users {
        let error = match () {
            () if *user == world.bot.user_id => "cant_invite_self",
            () if !world.is_user(user) => "user_not_found",
            () if channel.members.contains(user) => "already_in_channel",
            () => continue,
        };
        errors.push(json!({"user": user, "ok": false, "error": error}));
    }
    let id = channel.id.clone();
    if let Some(first) = errors.first().filter(|_| !args.flag("force")) {
        let code = first["error"].as_str().unwrap_or_default().to_string();
        return Err(ApiError::new(&code).with("errors", json!(errors)));
    }
    for user in users
        .iter()
        .filter(|u| world.people.iter().any(|p| p.id == **u))
        .cloned()
        .collect::<Vec<_>>()
    {
        enter(world, &id, &user);
    }
    shown(world, &id)
}

/// `conversations.setTopic`
pub(super) fn set_topic(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = readable(world, args)?;
    if channel.archived {
        return Err("is_archived".into());
    }
    let text = args.text("topic").unwrap_or_default();
    if text.chars().count() > TOPIC {
        return Err("too_long".into());
    }
    let (id, bot) = (channel.id.clone(), world.bot.user_id.clone());
    if let Some(channel) = world.channels.get_mut(&id) {
        channel.topic.clone_from(&text);
    }
    let text = format!("<@{bot}> set the channel topic to \"{text}\"");
    notice(world, &id, &bot, "channel_topic", &text);
    shown(world, &id)
}

/// `conversations.members`
pub(super) fn members(world: &Workspace, args: &Args) -> Outcome {
    let channel = known(world, args)?;
    let (page, next) = Page::of(args, 100, 1_000)?.cut(channel.members.iter());
    Ok(json!({"members": page, "response_metadata": {"next_cursor": next}}))
}

/// `conversations.open`: the direct conversation with one person.
pub(super) fn open(world: &mut Workspace, args: &Args) -> Outcome {
    let id = match (args.text("channel"), args.list("users").as_slice()) {
        (Some(channel), _) => {
            let channel = world.channels.get(&channel).ok_or("channel_not_found")?;
            channel.id.clone()
        }
        (None, []) => return Err("users_list_not_supplied".into()),
        (None, [user]) if world.people.iter().any(|p| p.id == *user) => world.direct(user),
        (None, [_]) => return Err("user_not_found".into()),
        (None, _) => return Err("method_not_supported_for_channel_type".into()),
    };
    if args.flag("return_im") {
        return shown(world, &id);
    }
    Ok(json!({"channel": {"id": id}}))
}

/// `conversations.archive`
pub(super) fn archive(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = readable(world, args)?;
    let error = match channel.kind {
        _ if channel.archived => Some("already_archived"),
        _ if channel.name == "general" => Some("cant_archive_general"),
        ChannelKind::Direct => Some("method_not_supported_for_channel_type"),
        _ => None,
    };
    if let Some(error) = error {
        return Err(error.into());
    }
    let id = channel.id.clone();
    if let Some(channel) = world.channels.get_mut(&id) {
        channel.archived = true;
    }
    Ok(json!({}))
}

/// `conversations.rename`
pub(super) fn rename(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = readable(world, args)?;
    if channel.archived {
        return Err("is_archived".into());
    }
    let (id, bot) = (channel.id.clone(), world.bot.user_id.clone());
    let name = args.text("name").ok_or("invalid_name_required")?;
    check_name(&name)?;
    if world
        .channels
        .values()
        .any(|c| c.name == name && c.id != id)
    {
        return Err("name_taken".into());
    }
    if let Some(channel) = world.channels.get_mut(&id) {
        channel.name.clone_from(&name);
    }
    let text = format!("<@{bot}> has renamed the channel to \"{name}\"");
    notice(world, &id, &bot, "channel_name", &text);
    shown(world, &id)
}

/// `conversations.kick`
pub(super) fn kick(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = readable(world, args)?;
    let user = args.text("user").ok_or("user_not_found")?;
    let error = match () {
        () if user == world.bot.user_id => Some("cant_kick_self"),
        () if channel.name == "general" => Some("cant_kick_from_general"),
        () if !world.is_user(&user) => Some("user_not_found"),
        () if !channel.members.contains(&user) => Some("not_in_channel"),
        () => None,
    };
    if let Some(error) = error {
        return Err(error.into());
    }
    let id = channel.id.clone();
    if let Some(channel) = world.channels.get_mut(&id) {
        channel.members.remove(&user);
    }
    let bot = world.bot.user_id.clone();
    let text = format!("<@{bot}> removed <@{user}> from the channel");
    notice(world, &id, &bot, "channel_leave", &text);
    Ok(json!({"errors": {}}))
}

/// `conversations.mark`: what an app has read shows nowhere.
pub(super) fn mark(world: &Workspace, args: &Args) -> Outcome {
    readable(world, args)?;
    args.text("ts").ok_or("invalid_timestamp")?;
    Ok(json!({}))
}
