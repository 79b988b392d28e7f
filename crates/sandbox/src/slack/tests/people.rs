//! People act, a bot on a socket hears of it in Slack's shapes.

use slack_morphism::prelude::*;

use super::*;
use crate::slack::CannotAct;

#[tokio::test]
async fn a_command_arrives_in_slacks_shape_and_the_answer_is_shown_to_the_asker_only() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| Some(json!({"text": "restarting"}))).await;
    let ana = sandbox.person("ana");
    let receipt = ana
        .types(ROOM, "/treasury restart frontend --reason a&b")
        .await
        .unwrap();
    assert!(receipt.acked);
    let envelope = heard.recv().await.unwrap();
    assert_eq!(envelope["type"], "slash_commands");
    assert_eq!(envelope["accepts_response_payload"], true);
    assert_eq!(
        envelope["payload"]["text"],
        "restart frontend --reason a&amp;b"
    );
    assert_eq!(envelope["payload"]["is_enterprise_install"], "false");
    let event: SlackCommandEvent = serde_json::from_value(envelope["payload"].clone()).unwrap();
    assert_eq!(event.command.to_string(), "/treasury");
    assert_eq!(event.user_id.to_string(), ana.id());

    assert_eq!(ana.sees(ROOM).last().unwrap().text, "restarting");
    assert!(sandbox.person("ben").sees(ROOM).is_empty());

    for status in [200, 200, 200, 200, 200, 404] {
        let body = json!({"text": "done", "response_type": "in_channel"});
        let request = reqwest::Client::new()
            .post(event.response_url.0.as_str())
            .json(&body);
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    assert_eq!(sandbox.person("ben").sees(ROOM).len(), 5);
}

#[tokio::test]
async fn nobody_at_the_other_end_is_told_to_the_person() {
    let sandbox = start().await;
    let receipt = sandbox
        .person("ana")
        .types(ROOM, "/treasury status")
        .await
        .unwrap();
    assert_eq!(receipt.error.as_deref(), Some("dispatch_failed"));
    let shown = sandbox.person("ana").sees(ROOM).pop().unwrap().text;
    assert_eq!(shown, "/treasury failed with the error \"dispatch_failed\"");
    let other = sandbox
        .person("ana")
        .types(ROOM, "/giphy cat")
        .await
        .unwrap();
    assert!(!other.acked);
    let stranger = sandbox
        .person("mallory")
        .types(ROOM, "/treasury status")
        .await;
    assert_eq!(stranger.unwrap_err(), CannotAct::Stranger("mallory".into()));
}

#[tokio::test]
async fn an_acknowledgement_that_comes_too_late_is_a_timeout() {
    let config = SandboxConfig {
        ack_timeout: Duration::from_millis(50),
        ..Default::default()
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    let mut silent = connect(&sandbox).await;
    let mut other = connect(&sandbox).await;
    next(&mut silent).await.unwrap();
    next(&mut other).await.unwrap();
    let receipt = sandbox
        .person("ana")
        .types(ROOM, "/treasury status")
        .await
        .unwrap();
    assert_eq!(receipt.error.as_deref(), Some("operation_timeout"));
    // The other connection gets the same envelope.
    let (first, second) = (
        next(&mut silent).await.unwrap(),
        next(&mut other).await.unwrap(),
    );
    assert_eq!(first, second);
}

#[tokio::test]
async fn the_same_command_can_be_delivered_twice() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| None).await;
    let receipts = sandbox
        .person("ana")
        .types_times(ROOM, "/treasury status", 2)
        .await
        .unwrap();
    assert!(receipts.iter().all(|r| r.acked));
    let (a, b) = (heard.recv().await.unwrap(), heard.recv().await.unwrap());
    assert_ne!(a["envelope_id"], b["envelope_id"]);
    assert_eq!(a["payload"]["trigger_id"], b["payload"]["trigger_id"]);
}

#[tokio::test]
async fn a_mention_is_an_event_where_the_bot_is_and_nothing_where_it_is_not() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| None).await;
    let ben = sandbox.person("ben");
    let root = post(&sandbox, json!({"text": "an incident"})).await;
    assert!(
        ben.says("#general", "@treasury hi", None)
            .await
            .unwrap()
            .receipts
            .is_empty()
    );
    assert!(
        ben.says(ROOM, "just talking", None)
            .await
            .unwrap()
            .receipts
            .is_empty()
    );
    let said = ben
        .says(ROOM, "@treasury status", Some(&root))
        .await
        .unwrap();
    assert!(said.receipts[0].acked);
    let envelope = heard.recv().await.unwrap();
    assert_eq!(envelope["retry_attempt"], 0);
    let event: SlackPushEventCallback =
        serde_json::from_value(envelope["payload"].clone()).unwrap();
    let SlackEventCallbackBody::AppMention(mention) = event.event else {
        panic!("{envelope}")
    };
    assert_eq!(
        mention.content.text.as_deref(),
        Some("<@UTREASURYBOT> status")
    );
    assert_eq!(mention.origin.thread_ts.unwrap().to_string(), root);
    assert_eq!(sandbox.thread(ROOM, &root).len(), 1);
}

fn question() -> Value {
    json!({"text": "restart?", "blocks": [
        {"type": "section", "text": {"type": "mrkdwn", "text": "Restart `frontend`?"},
         "accessory": {"type": "overflow", "action_id": "more", "options": [
            {"text": {"type": "plain_text", "text": "Logs"}, "value": "logs frontend"}]}},
        {"type": "actions", "block_id": "ask", "elements": [
            {"type": "button", "action_id": "yes", "style": "danger", "value": "restart frontend",
             "text": {"type": "plain_text", "text": "Restart"}},
            {"type": "static_select", "action_id": "severity", "options": [
                {"text": {"type": "plain_text", "text": "Severe"}, "value": "SEV1"},
                {"text": {"type": "plain_text", "text": "Minor"}, "value": "SEV4"}]}]},
    ]})
}

#[tokio::test]
async fn clicks_and_choices_arrive_in_slacks_shape() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| None).await;
    let ts = post(&sandbox, question()).await;
    let ana = sandbox.person("ana");
    for control in ["yes", "Restart", "restart frontend"] {
        ana.clicks(ROOM, &ts, control).await.unwrap();
        let payload = heard.recv().await.unwrap()["payload"].take();
        let action = &payload["actions"][0];
        assert_eq!(action["block_id"], "ask");
        assert_eq!(action["style"], "danger");
        assert_eq!(action["value"], "restart frontend");
        let event: SlackInteractionEvent = serde_json::from_value(payload.clone()).unwrap();
        let SlackInteractionEvent::BlockActions(event) = event else {
            panic!("{payload}")
        };
        assert_eq!(event.message.unwrap().origin.ts.to_string(), ts);
    }
    ana.selects(ROOM, &ts, "severity", "Severe").await.unwrap();
    let payload = heard.recv().await.unwrap()["payload"].take();
    assert_eq!(payload["actions"][0]["selected_option"]["value"], "SEV1");
    assert_eq!(
        payload["state"]["values"]["ask"]["severity"]["selected_option"]["value"],
        "SEV1"
    );
    let event: SlackInteractionEvent = serde_json::from_value(payload).unwrap();
    assert!(matches!(event, SlackInteractionEvent::BlockActions(_)));
    ana.selects(ROOM, &ts, "more", "logs frontend")
        .await
        .unwrap();
    assert_eq!(
        heard.recv().await.unwrap()["payload"]["actions"][0]["type"],
        "overflow"
    );
    let missing = ana.clicks(ROOM, &ts, "no").await.unwrap_err();
    assert!(matches!(missing, CannotAct::NoControl { .. }), "{missing}");
}

#[tokio::test]
async fn a_double_click_is_two_interactions() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| None).await;
    let ts = post(&sandbox, question()).await;
    sandbox
        .person("ana")
        .clicks_times(ROOM, &ts, "yes", 2)
        .await
        .unwrap();
    let (a, b) = (heard.recv().await.unwrap(), heard.recv().await.unwrap());
    assert_ne!(a["payload"]["trigger_id"], b["payload"]["trigger_id"]);
    assert_ne!(
        a["payload"]["actions"][0]["action_ts"],
        b["payload"]["actions"][0]["action_ts"]
    );
}

#[tokio::test]
async fn an_ephemeral_message_is_replaced_by_its_response_url_only() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| None).await;
    let mut body = question();
    body["channel"] = json!(room(&sandbox));
    body["user"] = json!("U0ANA00001");
    let answer = call(&sandbox, "chat.postEphemeral", body).await;
    let ts = answer["message_ts"].as_str().unwrap();
    assert!(sandbox.person("ben").clicks(ROOM, ts, "yes").await.is_err());
    sandbox.person("ana").clicks(ROOM, ts, "yes").await.unwrap();
    let payload = heard.recv().await.unwrap()["payload"].take();
    assert_eq!(payload["container"]["is_ephemeral"], true);
    assert!(payload.get("message").is_none());
    let update = json!({"channel": room(&sandbox), "ts": ts, "text": "done"});
    assert_eq!(
        call(&sandbox, "chat.update", update).await["error"],
        "message_not_found"
    );
    let url = payload["response_url"].as_str().unwrap();
    let body = json!({"replace_original": true, "text": "done"});
    let answer: Value = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer, json!({"ok": true}));
    assert_eq!(sandbox.person("ana").sees(ROOM)[0].text, "done");
    assert_eq!(
        sandbox.person("ana").sees(ROOM)[0].blocks,
        Vec::<Value>::new()
    );
}

fn modal() -> Value {
    json!({
        "type": "modal",
        "callback_id": "declare",
        "title": {"type": "plain_text", "text": "Declare"},
        "submit": {"type": "plain_text", "text": "Go"},
        "notify_on_close": true,
        "blocks": [
            {"type": "input", "block_id": "title", "label": {"type": "plain_text", "text": "Title"},
             "element": {"type": "plain_text_input", "action_id": "text"}},
            {"type": "input", "block_id": "who", "optional": true,
             "label": {"type": "plain_text", "text": "Commander"},
             "element": {"type": "users_select", "action_id": "user"}},
        ],
    })
}

#[tokio::test]
async fn a_modal_is_opened_filled_in_refused_and_accepted() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |envelope| {
        let title = &envelope["payload"]["view"]["state"]["values"]["title"]["text"]["value"];
        (title == "x")
            .then(|| json!({"response_action": "errors", "errors": {"title": "say more"}}))
    })
    .await;
    let ana = sandbox.person("ana");
    ana.types(ROOM, "/treasury incident declare").await.unwrap();
    let trigger = heard.recv().await.unwrap()["payload"]["trigger_id"].take();
    let open = json!({"trigger_id": trigger, "view": modal()});
    assert_eq!(call(&sandbox, "views.open", open.clone()).await["ok"], true);
    assert_eq!(
        call(&sandbox, "views.open", open).await["error"],
        "exchanged_trigger_id"
    );
    let view = ana.view().unwrap();

    let empty = ana.submits(&view.id, json!({})).await.unwrap_err();
    assert_eq!(empty, CannotAct::Incomplete("Title".into()));
    ana.submits(&view.id, json!({"title": "x", "Commander": "@ben"}))
        .await
        .unwrap();
    let payload = heard.recv().await.unwrap()["payload"].take();
    let user = &payload["view"]["state"]["values"]["who"]["user"]["selected_user"];
    assert_eq!(user, "U0BEN00001");
    let event: SlackInteractionEvent = serde_json::from_value(payload).unwrap();
    assert!(matches!(event, SlackInteractionEvent::ViewSubmission(_)));
    assert_eq!(ana.view().unwrap().errors["title"], "say more");

    ana.submits(&view.id, json!({"text": "frontend down"}))
        .await
        .unwrap();
    assert_eq!(ana.view(), None);
}

#[tokio::test]
async fn closing_a_modal_is_told_when_asked_for() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| None).await;
    let ana = sandbox.person("ana");
    ana.types(ROOM, "/treasury incident declare").await.unwrap();
    let trigger = heard.recv().await.unwrap()["payload"]["trigger_id"].take();
    call(
        &sandbox,
        "views.open",
        json!({"trigger_id": trigger, "view": modal()}),
    )
    .await;
    ana.closes(&ana.view().unwrap().id).await.unwrap();
    let payload = heard.recv().await.unwrap()["payload"].take();
    let event: SlackInteractionEvent = serde_json::from_value(payload).unwrap();
    assert!(matches!(event, SlackInteractionEvent::ViewClosed(_)));
    assert_eq!(ana.view(), None);
}
