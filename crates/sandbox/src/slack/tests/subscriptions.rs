//! Events beyond mentions, and views beyond the first.

use std::collections::BTreeSet;

use slack_morphism::prelude::*;

use super::*;

#[tokio::test]
async fn subscribed_events_arrive_each_in_its_shape() {
    let events = ["message.channels", "message.im", "reaction_added"].map(str::to_string);
    let config = SandboxConfig {
        events: BTreeSet::from(events),
        ..Default::default()
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    let mut heard = bot(&sandbox, |_| None).await;
    let ana = sandbox.person("ana");
    let said = ana.says(ROOM, "hello", None).await.unwrap();
    ana.says("@treasury", "just us", None).await.unwrap();
    ana.reacts(ROOM, &said.ts, "eyes").await.unwrap();
    let mut event = async || {
        let payload = heard.recv().await.unwrap()["payload"].take();
        serde_json::from_value::<SlackPushEventCallback>(payload)
            .unwrap()
            .event
    };
    let SlackEventCallbackBody::Message(public) = event().await else {
        panic!()
    };
    assert_eq!(public.origin.channel_type.unwrap().to_string(), "channel");
    let SlackEventCallbackBody::Message(direct) = event().await else {
        panic!()
    };
    assert_eq!(direct.origin.channel_type.unwrap().to_string(), "im");
    assert!(direct.origin.channel.unwrap().to_string().starts_with('D'));
    let SlackEventCallbackBody::ReactionAdded(reaction) = event().await else {
        panic!()
    };
    assert_eq!(reaction.reaction.to_string(), "eyes");
    assert_eq!(sandbox.messages(ROOM)[0].reactions[0].users, ["U0ANA00001"]);
}

#[tokio::test]
async fn views_are_pushed_updated_and_published() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| None).await;
    let ana = sandbox.person("ana");
    let button =
        json!({"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}});
    let view = |kind: &str| {
        json!({"type": kind, "title": {"type": "plain_text", "text": "T"},
               "blocks": [{"type": "actions", "elements": [button]}]})
    };
    ana.types(ROOM, "/treasury help").await.unwrap();
    let trigger = heard.recv().await.unwrap()["payload"]["trigger_id"].take();
    let body = json!({"trigger_id": trigger, "view": view("modal")});
    let opened = call(&sandbox, "views.open", body).await["view"].take();
    for error in [Value::Null, Value::Null, json!("push_limit_reached")] {
        ana.clicks_in_view(&ana.view().unwrap().id, "go")
            .await
            .unwrap();
        let payload = heard.recv().await.unwrap()["payload"].take();
        let event = serde_json::from_value::<SlackInteractionEvent>(payload.clone()).unwrap();
        assert!(matches!(event, SlackInteractionEvent::BlockActions(_)));
        let body = json!({"trigger_id": payload["trigger_id"], "view": view("modal")});
        assert_eq!(call(&sandbox, "views.push", body).await["error"], error);
    }
    assert_eq!(sandbox.views("ana").len(), 3);
    let update =
        |hash: &Value| json!({"view_id": opened["id"], "hash": hash, "view": view("modal")});
    assert_eq!(
        call(&sandbox, "views.update", update(&opened["hash"])).await["ok"],
        true
    );
    let stale = call(&sandbox, "views.update", update(&opened["hash"])).await;
    assert_eq!(stale["error"], "hash_conflict");

    let home = json!({"user_id": "U0ANA00001", "view": view("home")});
    assert_eq!(call(&sandbox, "views.publish", home).await["ok"], true);
    let home = sandbox.home("ana").unwrap();
    assert!(ana.clicks_in_view(&home.id, "Go").await.unwrap().acked);
}
