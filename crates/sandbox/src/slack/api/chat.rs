//! `chat.*`

use serde_json::{Value, json};

use super::request::{ApiError, Args, Outcome};
use crate::slack::escape::stored_bytes;
use crate::slack::workspace::{ChannelKind, Message, Workspace};
use crate::slack::{blocks, shapes};

/// What is longer is cut (docs.slack.dev/reference/methods/chat.postMessage).
const TEXT: usize = 40_000;
/// An edit with a longer text is refused, bytes as Slack keeps them.
const EDITED_TEXT: usize = 4_000;
/// Slack refuses somewhere between this and 13,300 characters, by what else the blocks hold
/// (slackapi/bolt-js#2509, #2867).
const BLOCKS_TEXT: usize = 12_000;
const MARKDOWN_TEXT: usize = 12_000;
const ATTACHMENTS: usize = 100;
const METADATA: usize = 16 * 1024;

/// What is said, checked, with ids given to all blocks; the rest of the message is empty.
pub(super) fn content(world: &mut Workspace, args: &Args) -> Result<Message, ApiError> {
    let mut text = args.text("text").unwrap_or_default();
    if let Some((end, _)) = text.char_indices().nth(TEXT) {
        text.truncate(end);
    }
    let mut blocks = array(args, "blocks", "invalid_blocks_format")?;
    let wrong = blocks::check_message(&blocks);
    if !wrong.is_empty() {
        return Err(ApiError::explained("invalid_blocks", wrong));
    }
    if blocks.iter().map(characters).sum::<usize>() > BLOCKS_TEXT {
        return Err("msg_blocks_too_long".into());
    }
    if let Some(markdown) = args.text("markdown_text") {
        if !text.is_empty() || !blocks.is_empty() {
            return Err("markdown_text_conflict".into());
        }
        if markdown.chars().count() > MARKDOWN_TEXT {
            return Err("msg_too_long".into());
        }
        blocks = vec![json!({"type": "markdown", "text": markdown})];
        text = markdown;
    }
    let mut attachments = array(args, "attachments", "invalid_attachments")?;
    if attachments.len() > ATTACHMENTS {
        return Err("too_many_attachments".into());
    }
    blocks::give_ids(&mut blocks, &mut || world.next_number());
    for (at, attachment) in attachments.iter_mut().enumerate() {
        if !attachment.is_object() {
            return Err("invalid_attachments".into());
        }
        if let Some(inner) = attachment["blocks"].as_array_mut() {
            let wrong = blocks::check_attachment(inner, at);
            if !wrong.is_empty() {
                return Err(ApiError::explained("invalid_attachments", wrong));
            }
            blocks::give_ids(inner, &mut || world.next_number());
        }
        attachment["id"] = json!(at + 1);
    }
    if text.is_empty() && blocks.is_empty() && attachments.is_empty() {
        return Err("no_text".into());
    }
    Ok(Message {
        text,
        blocks,
        attachments,
        metadata: metadata(args)?,
        ..Message::default()
    })
}

/// The characters of all texts of a block.
pub(super) fn characters(part: &Value) -> usize {
    match part {
        Value::Object(fields) => fields.iter().fold(0, |sum, (key, value)| {
            sum + match value {
                Value::String(text) if key == "text" => text.chars().count(),
                Value::String(_) => 0,
                inner => characters(inner),
            }
        }),
        Value::Array(parts) => parts.iter().map(characters).sum(),
        _ => 0,
    }
}

fn array(args: &Args, key: &str, error: &str) -> Result<Vec<Value>, ApiError> {
    match args.json(key) {
        Ok(Some(Value::Array(items))) => Ok(items),
        Ok(None) => Ok(Vec::new()),
        _ => Err(error.into()),
    }
}

fn metadata(args: &Args) -> Result<Option<Value>, ApiError> {
    let given = args
        .json("metadata")
        .map_err(|()| ApiError::from("invalid_metadata_format"))?;
    let Some(given) = given else { return Ok(None) };
    if !given["event_type"].is_string() || !given["event_payload"].is_object() {
        return Err("invalid_metadata_format".into());
    }
    if given.to_string().len() > METADATA {
        return Err("metadata_too_large".into());
    }
    Ok(Some(given))
}

/// Puts new content into a message; the old one is remembered.
pub(super) fn replace(message: &mut Message, content: Message, now: String) {
    message.remember();
    message.text = content.text;
    message.blocks = content.blocks;
    message.attachments = content.attachments;
    message.metadata = content.metadata.or_else(|| message.metadata.take());
    message.edited = Some(now);
    message.chosen.clear();
}

/// Where a new message goes: beside an id, Slack takes a `#name`, or a person's id for the direct
/// conversation.
fn addressed(world: &mut Workspace, args: &Args) -> Result<String, ApiError> {
    let wanted = args.text("channel").ok_or("channel_not_found")?;
    if world.people.iter().any(|p| p.id == wanted) {
        return Ok(world.direct(&wanted));
    }
    let id = world
        .channel(&wanted)
        .ok_or("channel_not_found")?
        .id
        .clone();
    writable(world, &Args::from_json(json!({"channel": id})))
}

/// A channel the bot may write to, by id.
pub(super) fn writable(world: &Workspace, args: &Args) -> Result<String, ApiError> {
    let wanted = args.text("channel").ok_or("channel_not_found")?;
    let channel = world.channels.get(&wanted).ok_or("channel_not_found")?;
    let inside = channel.members.contains(&world.bot.user_id);
    match (inside, channel.kind) {
        (false, ChannelKind::Public) if !world.writes_public => Err("not_in_channel".into()),
        (false, ChannelKind::Direct | ChannelKind::Private) => Err("channel_not_found".into()),
        _ if channel.archived => Err("is_archived".into()),
        _ => Ok(channel.id.clone()),
    }
}

/// The root a reply is meant for.
fn thread(world: &Workspace, channel: &str, args: &Args) -> Result<Option<String>, ApiError> {
    let Some(root) = args.text("thread_ts") else {
        return Ok(None);
    };
    let found = world.channels.get(channel).and_then(|c| c.message(&root));
    match found {
        Some(message) if message.is_reply() => Err("cannot_reply_to_message".into()),
        Some(message) if message.is_public() => Ok(Some(root)),
        _ => Err("thread_not_found".into()),
    }
}

fn by_bot(world: &Workspace, channel: String, content: Message) -> Message {
    Message {
        channel,
        user: world.bot.user_id.clone(),
        by_bot: true,
        ..content
    }
}

/// `chat.postMessage`
pub(super) fn post_message(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = addressed(world, args)?;
    let thread_ts = thread(world, &channel, args)?;
    let broadcast = thread_ts.is_some() && args.flag("reply_broadcast");
    let content = content(world, args)?;
    let message = Message {
        thread_ts,
        broadcast,
        subtype: broadcast.then(|| "thread_broadcast".to_string()),
        ..by_bot(world, channel, content)
    };
    let message = world.post(message);
    Ok(json!({
        "channel": message.channel,
        "ts": message.ts,
        "message": shown(world, &message),
    }))
}

fn shown(world: &Workspace, message: &Message) -> Value {
    let channel = world.channels.get(&message.channel);
    channel.map_or(Value::Null, |c| shapes::message(world, c, message, true))
}

/// `chat.postEphemeral`
pub(super) fn post_ephemeral(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = addressed(world, args)?;
    let user = args.required("user")?;
    let inside = world
        .channels
        .get(&channel)
        .is_some_and(|c| c.members.contains(&user));
    if !world.is_user(&user) || !inside {
        return Err("user_not_in_channel".into());
    }
    let thread_ts = thread(world, &channel, args)?;
    let content = content(world, args)?;
    let message = by_bot(world, channel, content);
    let message = world.post(Message {
        thread_ts,
        visible_to: Some(user),
        ..message
    });
    Ok(json!({"message_ts": message.ts}))
}

/// `chat.update`
pub(super) fn update(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = writable(world, args)?;
    let ts = args.text("ts").ok_or("message_not_found")?;
    let old = public(world, &channel, &ts)?;
    if !old.by_bot {
        return Err("cant_update_message".into());
    }
    let text = args.text("text").unwrap_or_default();
    if stored_bytes(&text) > EDITED_TEXT {
        return Err("msg_too_long".into());
    }
    let mut content = content(world, args)?;
    // Blocks stay only when neither text nor blocks are given; attachments until they are replaced,
    // by an empty list if need be.
    if args.raw("text").is_none() && args.raw("blocks").is_none() {
        content.blocks.clone_from(&old.blocks);
        content.text.clone_from(&old.text);
    }
    if args.raw("attachments").is_none() {
        content.attachments.clone_from(&old.attachments);
    }
    let now = world.next_ts();
    let message = world
        .channels
        .get_mut(&channel)
        .and_then(|c| c.message_mut(&ts));
    let message = message.ok_or("message_not_found")?;
    replace(message, content, now);
    let message = message.clone();
    Ok(json!({
        "channel": channel,
        "ts": ts,
        "text": message.text,
        "message": shown(world, &message),
    }))
}

/// A message the API can see: ephemeral ones it cannot.
pub(super) fn public(world: &Workspace, channel: &str, ts: &str) -> Result<Message, ApiError> {
    let found = world.channels.get(channel).and_then(|c| c.message(ts));
    Ok(found
        .filter(|m| m.is_public())
        .ok_or("message_not_found")?
        .clone())
}

/// `chat.delete`
pub(super) fn delete(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = writable(world, args)?;
    let ts = args.text("ts").ok_or("message_not_found")?;
    if !public(world, &channel, &ts)?.by_bot {
        return Err("cant_delete_message".into());
    }
    if let Some(channel) = world.channels.get_mut(&channel) {
        channel.pins.retain(|pin| pin.ts != ts);
        if let Some(message) = channel.message_mut(&ts) {
            message.deleted = true;
        }
    }
    Ok(json!({"channel": channel, "ts": ts}))
}

/// `chat.getPermalink`
pub(super) fn permalink(world: &mut Workspace, args: &Args) -> Outcome {
    let wanted = args.text("channel").ok_or("channel_not_found")?;
    let channel = world
        .channels
        .get(&wanted)
        .ok_or("channel_not_found")?
        .id
        .clone();
    let ts = args.text("message_ts").ok_or("message_not_found")?;
    let message = public(world, &channel, &ts)?;
    let mut link = format!(
        "{}/archives/{channel}/p{}",
        world.base_url,
        ts.replace('.', "")
    );
    if let Some(root) = message.thread_ts.filter(|root| *root != ts) {
        link.push_str(&format!("?thread_ts={root}&cid={channel}"));
    }
    Ok(json!({"channel": channel, "permalink": link}))
}
