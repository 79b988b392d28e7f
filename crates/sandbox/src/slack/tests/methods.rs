//! What SDKs call and the bot does not.

use super::*;

#[tokio::test]
async fn channels_are_renamed_and_people_leave_them() {
    let sandbox = start().await;
    let channel = room(&sandbox);
    let rename = json!({"channel": channel, "name": "inc-1-closed"});
    let answer = call(&sandbox, "conversations.rename", rename).await;
    assert_eq!(answer["channel"]["name"], "inc-1-closed");
    let ana = json!({"channel": channel, "user": "U0ANA00001"});
    let kicked = call(&sandbox, "conversations.kick", ana.clone()).await;
    assert_eq!(kicked["ok"], true);
    let again = call(&sandbox, "conversations.kick", ana).await;
    assert_eq!(again["error"], "not_in_channel");
    let mark = json!({"channel": channel, "ts": "1.0"});
    assert_eq!(call(&sandbox, "conversations.mark", mark).await["ok"], true);
}

#[tokio::test]
async fn a_stream_grows_until_it_is_stopped() {
    let sandbox = start().await;
    let channel = room(&sandbox);
    let root = post(&sandbox, json!({"text": "what happened?"})).await;
    let begin = json!({"channel": channel, "thread_ts": root, "recipient_user_id": "U0ANA00001"});
    let answer = call(&sandbox, "chat.startStream", begin.clone()).await;
    assert_eq!(answer["error"], "missing_recipient_team_id");
    let mut begin = begin;
    begin["recipient_team_id"] = json!("T0TREASURY");
    let ts = call(&sandbox, "chat.startStream", begin).await["ts"].clone();
    for part in ["**Two**", " things"] {
        let more = json!({"channel": channel, "ts": ts, "markdown_text": part});
        let answer = call(&sandbox, "chat.appendStream", more).await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
    let stop = json!({"channel": channel, "ts": ts});
    let answer = call(&sandbox, "chat.stopStream", stop.clone()).await;
    assert_eq!(answer["message"]["text"], "**Two** things");
    let late = call(&sandbox, "chat.stopStream", stop).await;
    assert_eq!(late["error"], "message_not_in_streaming_state");
    let status = json!({"channel_id": channel, "thread_ts": root, "status": "thinks"});
    let answer = call(&sandbox, "assistant.threads.setStatus", status).await;
    assert_eq!(answer["ok"], true);
}

#[tokio::test]
async fn bots_emoji_and_bookmarks_are_told() {
    let sandbox = start().await;
    let bot = call(&sandbox, "bots.info", json!({"bot": "BTREASURY"})).await;
    assert_eq!(bot["bot"]["user_id"], "UTREASURYBOT");
    let stranger = call(&sandbox, "bots.info", json!({"bot": "B0"})).await;
    assert_eq!(stranger["error"], "bot_not_found");
    let emoji = call(&sandbox, "emoji.list", json!({})).await;
    assert!(emoji["emoji"].is_object());

    let channel = room(&sandbox);
    let ts = post(&sandbox, json!({"text": "hi"})).await;
    let reaction = json!({"channel": channel, "timestamp": ts, "name": "no_such_emoji"});
    let answer = call(&sandbox, "reactions.add", reaction).await;
    assert_eq!(answer["error"], "invalid_name");

    let link =
        json!({"channel_id": channel, "title": "a", "type": "link", "link": "https://a.example"});
    let made = call(&sandbox, "bookmarks.add", link).await;
    let edit = json!({
        "channel_id": channel, "bookmark_id": made["bookmark"]["id"], "title": "b",
    });
    let answer = call(&sandbox, "bookmarks.edit", edit).await;
    assert_eq!(
        (&answer["bookmark"]["title"], &answer["bookmark"]["link"]),
        (&json!("b"), &json!("https://a.example"))
    );
}
