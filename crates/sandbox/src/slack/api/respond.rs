//! Answers to an interaction: by `response_url`, or with the acknowledgement of a slash command.

use serde_json::Value;

use super::chat;
use super::request::{ApiError, Args};
use crate::slack::grants::Target;
use crate::slack::workspace::{Message, Workspace};

/// Whether there is anything to show: a bare acknowledgement is `{}`.
pub(crate) fn has_content(body: &Value) -> bool {
    ["text", "blocks", "attachments"]
        .iter()
        .any(|key| body.get(key).is_some_and(|v| !v.is_null()))
}

/// Carries an answer out: a new message (for the asker only, unless `in_channel`), or the source
/// message replaced or deleted.
pub(crate) fn answer(world: &mut Workspace, target: &Target, body: &Value) -> Result<(), ApiError> {
    let is = |key: &str| body[key] == true || body[key] == "true";
    let source = target.source.as_deref();
    if is("delete_original") {
        let ts = source.ok_or("message_not_found")?;
        return change(world, target, ts, |m| m.deleted = true);
    }
    let args = Args::from_json(body.clone());
    let content = chat::content(world, &args)?;
    if is("replace_original") {
        let ts = source.ok_or("message_not_found")?;
        let now = world.next_ts();
        return change(world, target, ts, |m| chat::replace(m, content, now));
    }
    let everybody = body["response_type"] == "in_channel";
    let thread = args.text("thread_ts").or_else(|| target.thread_ts.clone());
    world.post(Message {
        channel: target.channel.clone(),
        user: world.bot.user_id.clone(),
        by_bot: true,
        visible_to: (!everybody).then(|| target.user.clone()),
        thread_ts: thread,
        ..content
    });
    Ok(())
}

fn change(
    world: &mut Workspace,
    target: &Target,
    ts: &str,
    edit: impl FnOnce(&mut Message),
) -> Result<(), ApiError> {
    let channel = world
        .channels
        .get_mut(&target.channel)
        .ok_or("channel_not_found")?;
    let message = channel
        .message_mut(ts)
        .filter(|m| m.by_bot)
        .ok_or("message_not_found")?;
    edit(message);
    Ok(())
}
