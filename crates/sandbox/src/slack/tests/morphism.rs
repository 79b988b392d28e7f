//! slack-morphism's own client against the Web API.

use slack_morphism::prelude::*;

use super::*;

fn client(sandbox: &Sandbox) -> SlackHyperClient {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()
        .unwrap()
        .https_or_http()
        .enable_http1()
        .build();
    let connector: SlackClientHyperHttpsConnector =
        SlackClientHyperConnector::from(https).with_slack_api_url(&sandbox.api_url());
    SlackClient::new(connector)
}

fn token(sandbox: &Sandbox) -> SlackApiToken {
    SlackApiToken::new(sandbox.bot_token().into())
}

#[tokio::test]
async fn a_thread_is_written_edited_and_read_back() {
    let sandbox = start().await;
    let (client, token) = (client(&sandbox), token(&sandbox));
    let session = client.open_session(&token);
    assert_eq!(
        session.auth_test().await.unwrap().user_id.to_string(),
        "UTREASURYBOT"
    );

    let channel: SlackChannelId = room(&sandbox).into();
    let content = SlackMessageContent::new().with_text("hello".into());
    let blocks = slack_blocks![some_into(
        SlackSectionBlock::new().with_text(md!("*hello*"))
    )];
    let request =
        SlackApiChatPostMessageRequest::new(channel.clone(), content.clone().with_blocks(blocks));
    let root = session.chat_post_message(&request).await.unwrap();
    let reply = SlackApiChatPostMessageRequest::new(channel.clone(), content)
        .with_thread_ts(root.ts.clone());
    let reply = session.chat_post_message(&reply).await.unwrap();

    let edited = SlackMessageContent::new().with_text("goodbye".into());
    let update = SlackApiChatUpdateRequest::new(channel.clone(), edited, root.ts.clone());
    session.chat_update(&update).await.unwrap();

    let thread = SlackApiConversationsRepliesRequest::new(channel.clone(), root.ts.clone());
    let thread = session
        .conversations_replies(&thread)
        .await
        .unwrap()
        .messages;
    assert_eq!(thread.len(), 2);
    assert_eq!(thread[0].content.text.as_deref(), Some("goodbye"));
    assert_eq!(
        thread[0].content.blocks, None,
        "a text without blocks removes them"
    );
    assert_eq!(thread[1].origin.ts, reply.ts);
    let history = SlackApiConversationsHistoryRequest::new().with_channel(channel.clone());
    let history = session
        .conversations_history(&history)
        .await
        .unwrap()
        .messages;
    assert_eq!(history.len(), 1, "replies are not in the history");

    let link = SlackApiChatGetPermalinkRequest::new(channel.clone(), reply.ts.clone());
    let link = session.chat_get_permalink(&link).await.unwrap().permalink;
    assert!(link.as_str().contains("thread_ts="));
    let delete = SlackApiChatDeleteRequest::new(channel, reply.ts);
    session.chat_delete(&delete).await.unwrap();
    assert!(sandbox.thread(ROOM, root.ts.as_ref()).is_empty());
}

#[tokio::test]
async fn channels_and_people_are_found() {
    let sandbox = start().await;
    let (client, token) = (client(&sandbox), token(&sandbox));
    let session = client.open_session(&token);
    let create = SlackApiConversationsCreateRequest::new("inc-1-frontend".into());
    let channel = session.conversations_create(&create).await.unwrap().channel;
    let users = vec!["U0ANA00001".into(), "U0BEN00001".into()];
    let invite = SlackApiConversationsInviteRequest::new(channel.id.clone(), users);
    session.conversations_invite(&invite).await.unwrap();
    let topic = SlackApiConversationsSetTopicRequest::new(channel.id.clone(), "SEV1".into());
    session.conversations_set_topic(&topic).await.unwrap();
    let members = SlackApiConversationsMembersRequest::new().with_channel(channel.id.clone());
    assert_eq!(
        session
            .conversations_members(&members)
            .await
            .unwrap()
            .members
            .len(),
        3
    );
    let info = SlackApiConversationsInfoRequest::new(channel.id.clone());
    let info = session.conversations_info(&info).await.unwrap().channel;
    assert_eq!(info.topic.unwrap().value, "SEV1");

    let mut names = Vec::new();
    let mut page = SlackApiConversationsListRequest::new().with_limit(1);
    loop {
        let answer = session.conversations_list(&page).await.unwrap();
        names.extend(answer.channels.into_iter().filter_map(|c| c.name));
        match answer.response_metadata.and_then(|m| m.next_cursor) {
            Some(cursor) if !cursor.to_string().is_empty() => page = page.with_cursor(cursor),
            _ => break,
        }
    }
    assert_eq!(names, ["treasury-incidents", "general", "inc-1-frontend"]);

    let ana = SlackApiUsersInfoRequest::new("U0ANA00001".into());
    let ana = session.users_info(&ana).await.unwrap().user;
    assert_eq!(ana.real_name.as_deref(), Some("Ana Silva"));
    let archive = SlackApiConversationsArchiveRequest::new(channel.id);
    session.conversations_archive(&archive).await.unwrap();
}

#[tokio::test]
async fn a_file_is_uploaded_into_a_thread() {
    let sandbox = start().await;
    let (client, token) = (client(&sandbox), token(&sandbox));
    let session = client.open_session(&token);
    let root = post(&sandbox, json!({"text": "the export"})).await;
    let ask = SlackApiFilesGetUploadUrlExternalRequest::new("timeline.md".into(), 5);
    let place = session.get_upload_url_external(&ask).await.unwrap();
    let short = reqwest::Client::new()
        .post(place.upload_url.value().as_str())
        .body("1234");
    assert_eq!(
        short.send().await.unwrap().status(),
        400,
        "sizes must match"
    );
    let upload = SlackApiFilesUploadViaUrlRequest::new(
        place.upload_url,
        b"12345".to_vec(),
        "text/markdown".to_string(),
    );
    session.files_upload_via_url(&upload).await.unwrap();
    let file = SlackApiFilesComplete::new(place.file_id).with_title("Timeline".into());
    let complete = SlackApiFilesCompleteUploadExternalRequest::new(vec![file])
        .with_channel_id(room(&sandbox).into())
        .with_thread_ts(root.clone().into());
    session
        .files_complete_upload_external(&complete)
        .await
        .unwrap();
    let files = sandbox.files();
    assert_eq!(
        (files[0].title.as_str(), files[0].content.as_slice()),
        ("Timeline", &b"12345"[..])
    );
    assert_eq!(sandbox.thread(ROOM, &root)[0].files, [files[0].id.clone()]);
}

/// Each call fails with this error.
async fn fail(sandbox: &Sandbox, calls: impl IntoIterator<Item = (&str, Value, &str)>) {
    for (method, body, error) in calls {
        let answer = call(sandbox, method, body).await;
        assert_eq!(
            (&answer["ok"], &answer["error"]),
            (&json!(false), &json!(error)),
            "{method}"
        );
    }
}

/// So many sections of 3,000 characters.
fn sections(count: usize) -> Value {
    let text = "x".repeat(3_000);
    json!(vec![
        json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
        count
    ])
}

#[tokio::test]
async fn errors_about_messages_are_slacks() {
    let sandbox = start().await;
    let here = room(&sandbox);
    let own = post(&sandbox, json!({"text": "x".repeat(40_001)})).await;
    let kept = sandbox.messages(ROOM)[0].text.chars().count();
    assert_eq!(kept, 40_000, "a post is cut, an edit refused");
    let edit = json!({"channel": here, "ts": own, "text": "&".repeat(800)});
    assert_eq!(call(&sandbox, "chat.update", edit).await["ok"], true);
    let four = json!({"channel": here, "blocks": sections(4)});
    assert_eq!(call(&sandbox, "chat.postMessage", four).await["ok"], true);
    let said = sandbox
        .person("ana")
        .says(ROOM, "hello", None)
        .await
        .unwrap()
        .ts;
    let calls = [
        (
            "chat.postMessage",
            json!({"channel": "C0", "text": "hi"}),
            "channel_not_found",
        ),
        (
            "chat.postMessage",
            json!({"channel": here, "blocks": sections(5)}),
            "msg_blocks_too_long",
        ),
        ("chat.postMessage", json!({"channel": here}), "no_text"),
        (
            "chat.update",
            json!({"channel": here, "ts": own, "text": "&".repeat(801)}),
            "msg_too_long",
        ),
        (
            "chat.postMessage",
            json!({"channel": here, "blocks": [{"type": "x"}]}),
            "invalid_blocks",
        ),
        (
            "chat.postMessage",
            json!({"channel": here, "blocks": "{"}),
            "invalid_blocks_format",
        ),
        (
            "chat.postMessage",
            json!({"channel": here, "text": "a", "thread_ts": "1.0"}),
            "thread_not_found",
        ),
        (
            "chat.postMessage",
            json!({"channel": here, "text": "a", "metadata": {}}),
            "invalid_metadata_format",
        ),
        (
            "chat.postEphemeral",
            json!({"channel": here, "text": "a", "user": "U0"}),
            "user_not_in_channel",
        ),
        (
            "chat.update",
            json!({"channel": here, "ts": "1.0", "text": "a"}),
            "message_not_found",
        ),
        (
            "chat.update",
            json!({"channel": here, "ts": said, "text": "a"}),
            "cant_update_message",
        ),
    ];
    fail(&sandbox, calls).await;
}

#[tokio::test]
async fn errors_about_everything_else_are_slacks() {
    let sandbox = start().await;
    let here = room(&sandbox);
    let general = sandbox.look(|w| w.channel("general").unwrap().id.clone());
    let ts = post(&sandbox, json!({"text": "hi"})).await;
    let calls = [
        (
            "conversations.create",
            json!({"name": "general"}),
            "name_taken",
        ),
        (
            "conversations.create",
            json!({"name": "Inc 1"}),
            "invalid_name_specials",
        ),
        (
            "conversations.create",
            json!({"name": "x".repeat(81)}),
            "invalid_name_maxlength",
        ),
        (
            "conversations.invite",
            json!({"channel": here, "users": "U0ANA00001"}),
            "already_in_channel",
        ),
        (
            "conversations.history",
            json!({"channel": general}),
            "not_in_channel",
        ),
        ("users.info", json!({"user": "U0"}), "user_not_found"),
        (
            "views.open",
            json!({"trigger_id": "1.2.3", "view": {"type": "modal"}}),
            "invalid_arguments",
        ),
        ("users.admin.setRich", json!({}), "unknown_method"),
    ];
    fail(&sandbox, calls).await;
    let pin = json!({"channel": here, "timestamp": ts});
    assert_eq!(call(&sandbox, "pins.add", pin.clone()).await["ok"], true);
    assert_eq!(
        call(&sandbox, "pins.add", pin).await["error"],
        "already_pinned"
    );
    let eyes = json!({"channel": here, "timestamp": ts, "name": "eyes"});
    assert_eq!(
        call(&sandbox, "reactions.add", eyes.clone()).await["ok"],
        true
    );
    assert_eq!(
        call(&sandbox, "reactions.add", eyes).await["error"],
        "already_reacted"
    );
    assert_eq!(
        call(&sandbox, "conversations.archive", json!({"channel": here})).await["ok"],
        true
    );
    let late = json!({"channel": here, "text": "late"});
    assert_eq!(
        call(&sandbox, "chat.postMessage", late).await["error"],
        "is_archived"
    );
}

#[tokio::test]
async fn tokens_are_checked() {
    let sandbox = start().await;
    let client = reqwest::Client::new();
    let ask = |method: &str, token: Option<&str>| {
        let mut request = client.post(format!("{}/{method}", sandbox.api_url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        async { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let (bot, app) = (sandbox.bot_token(), sandbox.app_token());
    assert_eq!(ask("auth.test", None).await["error"], "not_authed");
    assert_eq!(
        ask("auth.test", Some("xoxb-guess")).await["error"],
        "invalid_auth"
    );
    assert_eq!(
        ask("auth.test", Some(app)).await["error"],
        "not_allowed_token_type"
    );
    assert_eq!(
        ask("apps.connections.open", Some(bot)).await["error"],
        "not_allowed_token_type"
    );
    assert_eq!(ask("api.test", None).await["ok"], true);
    let form = client
        .post(format!("{}/auth.test", sandbox.api_url()))
        .form(&[("token", bot)]);
    assert_eq!(
        form.send().await.unwrap().json::<Value>().await.unwrap()["ok"],
        true
    );
}
