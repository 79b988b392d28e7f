//! `conversations.history` and `conversations.replies`

use serde_json::{Value, json};

use super::request::{ApiError, Args, Outcome, Page};
use crate::slack::shapes;
use crate::slack::workspace::{Channel, ChannelKind, Message, Workspace};

/// A channel the bot may read.
pub(super) fn readable<'a>(world: &'a Workspace, args: &Args) -> Result<&'a Channel, ApiError> {
    let wanted = args.text("channel").ok_or("channel_not_found")?;
    let channel = world.channels.get(&wanted).ok_or("channel_not_found")?;
    match (channel.members.contains(&world.bot.user_id), channel.kind) {
        (true, _) => Ok(channel),
        (false, ChannelKind::Public) => Err("not_in_channel".into()),
        (false, _) => Err("channel_not_found".into()),
    }
}

/// Between `oldest` and `latest`, both left out unless `inclusive`.
fn within(args: &Args) -> Result<impl Fn(&Message) -> bool, ApiError> {
    let bound = |key| -> Result<Option<String>, ApiError> {
        let Some(given) = args.text(key) else {
            return Ok(None);
        };
        let error = if key == "oldest" {
            "invalid_ts_oldest"
        } else {
            "invalid_ts_latest"
        };
        let (seconds, micros) = given.split_once('.').unwrap_or((&given, "0"));
        let seconds: u64 = seconds.parse().map_err(|_| ApiError::from(error))?;
        Ok(Some(format!("{seconds:010}.{micros:0<6}")))
    };
    let (oldest, latest, inclusive) = (bound("oldest")?, bound("latest")?, args.flag("inclusive"));
    Ok(move |m: &Message| {
        let after = oldest
            .as_ref()
            .is_none_or(|b| m.ts > *b || (inclusive && m.ts == *b));
        let before = latest
            .as_ref()
            .is_none_or(|b| m.ts < *b || (inclusive && m.ts == *b));
        after && before
    })
}

fn answer(
    world: &Workspace,
    channel: &Channel,
    page: &[&Message],
    next: &str,
    args: &Args,
) -> Value {
    let metadata = args.flag("include_all_metadata");
    let messages = page
        .iter()
        .map(|m| shapes::message(world, channel, m, metadata));
    let mut out = json!({"messages": messages.collect::<Vec<_>>(), "has_more": !next.is_empty()});
    if !next.is_empty() {
        out["response_metadata"] = json!({"next_cursor": next});
    }
    out
}

/// `conversations.history`: newest first, replies only when they were broadcast.
pub(super) fn history(world: &Workspace, args: &Args) -> Outcome {
    let channel = readable(world, args)?;
    let page = Page::of(args, 100, 999)?;
    let within = within(args)?;
    let shown = |m: &&Message| m.is_public() && (!m.is_reply() || m.broadcast) && within(m);
    let (page, next) = page.cut(channel.messages.iter().rev().filter(shown));
    let mut out = answer(world, channel, &page, &next, args);
    out["pin_count"] = json!(channel.pins.len());
    Ok(out)
}

/// `conversations.replies`: the root, then the replies, oldest first.
pub(super) fn replies(world: &Workspace, args: &Args) -> Outcome {
    let channel = readable(world, args)?;
    let ts = args.required("ts")?;
    let asked = channel
        .message(&ts)
        .filter(|m| m.is_public())
        .ok_or("thread_not_found")?;
    // Asked by a reply's ts, Slack gives that reply alone.
    if asked.is_reply() {
        return Ok(answer(world, channel, &[asked], "", args));
    }
    let page = Page::of(args, 1_000, 1_000)?;
    let within = within(args)?;
    let replies = channel.replies(&ts).filter(|m| within(m));
    let (page, next) = page.cut(std::iter::once(asked).chain(replies));
    Ok(answer(world, channel, &page, &next, args))
}
