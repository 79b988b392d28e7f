use proptest::prelude::*;
use serde_json::json;

use super::*;

fn reader() -> Reader {
    Reader {
        api_url: Url::parse("http://127.0.0.1:4000/api").ok(),
        bot_user: Some("UBOT".into()),
    }
}

fn command() -> Value {
    json!({
        "command": "/treasury", "text": "restart frontend", "user_id": "U0ANA", "user_name": "ana",
        "channel_id": "C1", "trigger_id": "1.2.abc",
        "response_url": "https://hooks.slack.com/commands/T/1/x",
    })
}

fn press(action: Value) -> Value {
    json!({
        "type": "block_actions",
        "user": {"id": "U0ANA", "username": "ana"},
        "channel": {"id": "C1"},
        "container": {"type": "message", "message_ts": "10.5", "channel_id": "C1",
                      "is_ephemeral": false, "thread_ts": "10.1"},
        "trigger_id": "9.9",
        "response_url": "http://127.0.0.1:4000/response/x",
        "actions": [action],
    })
}

fn mention() -> Value {
    json!({
        "type": "event_callback", "event_id": "Ev1",
        "event": {"type": "app_mention", "user": "U0ANA", "text": "<@UBOT> mitigate",
                  "channel": "C1", "ts": "11.1", "thread_ts": "10.1"},
    })
}

#[test]
fn a_command_is_a_request() {
    let request = reader().read(Kind::Command, &command()).unwrap();
    assert_eq!(request.text, "restart frontend");
    assert_eq!(
        request.person,
        Person {
            id: "U0ANA".into(),
            name: "ana".into()
        }
    );
    assert_eq!(request.place, Place::channel("C1"));
    assert!(request.reply.response_url.is_some());
    // The same again has the same key; another press of return has another.
    let again = reader().read(Kind::Command, &command()).unwrap();
    assert_eq!(again.key, request.key);
    let mut other = command();
    other["trigger_id"] = json!("1.2.abd");
    assert_ne!(
        reader().read(Kind::Command, &other).unwrap().key,
        request.key
    );
    // Without a trigger the whole form counts.
    let mut bare = command();
    bare.as_object_mut().unwrap().remove("trigger_id");
    let key = reader().read(Kind::Command, &bare).unwrap().key;
    bare["text"] = json!("status");
    assert_ne!(reader().read(Kind::Command, &bare).unwrap().key, key);
}

#[test]
fn answers_go_to_slack_only() {
    for (url, kept) in [
        ("https://hooks.slack.com/commands/x", true),
        ("http://127.0.0.1:4000/response/1", true),
        ("http://hooks.slack.com/x", false),
        ("https://hooks.slack.com.evil.example/x", false),
        ("https://hooks.slack.com@evil.example/", false),
        ("https://u@hooks.slack.com/", false),
        ("https://hooks.slack.com:8443/", false),
        ("http://127.0.0.1:4001/", false),
        ("http://169.254.169.254/latest", false),
        ("file:///etc/passwd", false),
        ("", false),
    ] {
        let mut form = command();
        form["response_url"] = json!(url);
        let request = reader().read(Kind::Command, &form).unwrap();
        assert_eq!(request.reply.response_url.is_some(), kept, "{url}");
    }
}

#[test]
fn a_button_says_its_sentence_word_for_word() {
    let says = "restart 'front end' --reason \"a — “b” &lt; c\"";
    let payload = press(json!({"type": "button", "action_id": "say:3.0", "value": says}));
    let request = reader().read(Kind::Interaction, &payload).unwrap();
    assert_eq!(request.text, says);
    assert_eq!(request.door, Door::Button);
    assert_eq!(request.place.thread.as_deref(), Some("10.1"));
    assert_eq!(request.reply.message.as_deref(), Some("10.5"));
    // A second press has another trigger and is another request.
    let mut second = payload.clone();
    second["trigger_id"] = json!("9.10");
    assert_ne!(
        reader().read(Kind::Interaction, &second).unwrap().key,
        request.key
    );
}

#[test]
fn a_menu_puts_the_choice_into_its_sentence_quoted() {
    let pick = |value: &str| {
        press(
            json!({"type": "static_select", "action_id": "pick:2:logs {} --since 10m",
                     "selected_option": {"value": value}}),
        )
    };
    let said = |value| {
        reader()
            .read(Kind::Interaction, &pick(value))
            .map(|r| r.text)
    };
    assert_eq!(said("api").as_deref(), Some("logs api --since 10m"));
    assert_eq!(
        said("a b; rm {}").as_deref(),
        Some("logs \"a b; rm {}\" --since 10m")
    );
    assert_eq!(
        said("--follow").as_deref(),
        Some("logs \"--follow\" --since 10m")
    );
    // Whatever is picked, the grammar reads it as that one word.
    for choice in ["a b; rm {}", "it's", "'", "\"", "a\\ \"b\" 'c'", "--follow"] {
        let words = crate::command::words::split(&said(choice).unwrap());
        assert_eq!(words, ["logs", choice, "--since", "10m"]);
    }
    assert_eq!(said("nul\0"), None);
}

#[test]
fn a_mention_is_a_request_in_its_thread() {
    let request = reader().read(Kind::Event, &mention()).unwrap();
    assert_eq!(request.text, "mitigate");
    assert_eq!(request.key, "mention:C1:11.1");
    assert_eq!(request.place.thread.as_deref(), Some("10.1"));
}

#[test]
fn what_is_not_for_the_bot_is_left() {
    let without = |patch: fn(&mut Value)| {
        let mut payload = mention();
        patch(&mut payload);
        reader().read(Kind::Event, &payload)
    };
    assert!(without(|p| p["event"]["bot_id"] = json!("B1")).is_none());
    assert!(without(|p| p["event"]["user"] = json!("UBOT")).is_none());
    assert!(without(|p| p["event"]["edited"] = json!({"ts": "1.1"})).is_none());
    assert!(without(|p| p["event"]["subtype"] = json!("bot_message")).is_none());
    assert!(without(|p| p["event"]["type"] = json!("message")).is_none());
    let others = press(json!({"type": "button", "action_id": "approve", "value": "x"}));
    assert!(reader().read(Kind::Interaction, &others).is_none());
    assert!(
        reader()
            .read(Kind::Interaction, &json!({"type": "view_submission"}))
            .is_none()
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        ".{0,12}",
        Just("app_mention".to_owned()),
        Just("block_actions".to_owned()),
        Just("U0ANA".to_owned()),
        Just("pick:1:a {}".to_owned()),
        Just("<@UBOT> x".to_owned()),
    ];
    let field = prop::sample::select(vec![
        "type",
        "event",
        "user",
        "user_id",
        "channel",
        "channel_id",
        "text",
        "actions",
        "action_id",
        "value",
        "selected_option",
        "id",
        "container",
        "message",
        "ts",
        "response_url",
        "authorizations",
        "thread_ts",
        "name",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(field.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_that_can_be_sent_panics(payload in any_json()) {
        for kind in [Kind::Command, Kind::Interaction, Kind::Event] {
            let _ = reader().read(kind, &payload);
            let _ = Reader::default().read(kind, &payload);
        }
    }

    #[test]
    fn no_text_panics_and_all_are_bounded(text in "(<@UBOT>|[<>&|@#!—“’]|&lt;|\\PC| ){0,60}") {
        let mut form = command();
        form["text"] = json!(text);
        let request = reader().read(Kind::Command, &form).unwrap();
        prop_assert!(!request.text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        let mut event = mention();
        event["event"]["text"] = json!(text);
        prop_assert!(reader().read(Kind::Event, &event).is_some());
    }

    #[test]
    fn a_choice_is_always_one_word(value in "[^\0]{1,40}") {
        let payload = press(json!({"action_id": "pick:0:logs {}", "selected_option": {"value": value}}));
        let said = reader().read(Kind::Interaction, &payload).unwrap().text;
        prop_assert_eq!(crate::command::words::split(&said), vec!["logs".to_owned(), value]);
    }
}
