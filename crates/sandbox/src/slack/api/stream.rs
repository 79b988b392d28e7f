//! `chat.startStream`, `chat.appendStream`, `chat.stopStream`: a message that grows while it is written,
//! and what assistants say of a thread.

use serde_json::{Value, json};

use super::chat::{self, characters, public, replace, writable};
use super::request::{ApiError, Args, Outcome};
use crate::slack::shapes;
use crate::slack::workspace::Workspace;

/// As in one `markdown` block.
const MARKDOWN: usize = 12_000;

/// `chat.startStream`
pub(super) fn start(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = writable(world, args)?;
    if !channel.starts_with('D') {
        for key in ["recipient_user_id", "recipient_team_id"] {
            let code = format!("missing_{key}");
            args.text(key).ok_or_else(|| ApiError::new(&code))?;
        }
    }
    // A message has to say something.
    let begun = args.text("markdown_text").unwrap_or_else(|| " ".to_owned());
    let content = json!({
        "channel": channel,
        "thread_ts": args.text("thread_ts"),
        "text": begun,
        "blocks": [{"type": "markdown", "text": begun}],
    });
    let said = chat::post_message(world, &Args::from_json(content))?;
    let ts = said["ts"].as_str().unwrap_or_default();
    let found = world.channels.get_mut(&channel);
    if let Some(message) = found.and_then(|channel| channel.message_mut(ts)) {
        message.streaming = true;
    }
    Ok(json!({"channel": channel, "ts": ts}))
}

/// `chat.appendStream` and, where it is `over`, `chat.stopStream`.
pub(super) fn append(world: &mut Workspace, args: &Args, over: bool) -> Outcome {
    let channel = writable(world, args)?;
    let ts = args.text("ts").ok_or("message_not_found")?;
    let mut new = public(world, &channel, &ts)?;
    if !new.streaming {
        return Err("message_not_in_streaming_state".into());
    }
    let more = args.text("markdown_text").unwrap_or_default();
    if more.is_empty() && !over {
        return Err("no_text".into());
    }
    new.text = format!("{}{more}", new.text.trim_start());
    new.blocks = vec![json!({"type": "markdown", "text": new.text})];
    if let (true, Ok(Some(Value::Array(last)))) = (over, args.json("blocks")) {
        new.blocks.extend(last);
    }
    if new.blocks.iter().map(characters).sum::<usize>() > MARKDOWN {
        return Err("msg_too_long".into());
    }
    let now = world.next_ts();
    let found = world.channels.get_mut(&channel);
    let message = found.and_then(|channel| channel.message_mut(&ts));
    let message = message.ok_or("message_not_found")?;
    replace(message, new, now);
    // Nobody calls it edited.
    message.edited = None;
    message.streaming = !over;
    let message = message.clone();
    let mut out = json!({"channel": channel, "ts": ts});
    if over && let Some(channel) = world.channels.get(&message.channel) {
        out["message"] = shapes::message(world, channel, &message, true);
    }
    Ok(out)
}

/// `assistant.threads.*`: they leave nothing in the channel.
pub(super) fn in_thread(world: &Workspace, args: &Args) -> Outcome {
    let channel = args.required("channel_id")?;
    let root = args.required("thread_ts")?;
    if !world.channels.contains_key(&channel) {
        return Err("channel_not_found".into());
    }
    public(world, &channel, &root).map_err(|_| ApiError::from("invalid_thread_ts"))?;
    Ok(json!({}))
}
