use super::*;

fn text(length: usize) -> Value {
    json!({"type": "mrkdwn", "text": "x".repeat(length)})
}

fn plain(length: usize) -> Value {
    json!({"type": "plain_text", "text": "x".repeat(length)})
}

fn button() -> Value {
    json!({"type": "button", "action_id": "go", "text": plain(75), "value": "x".repeat(2000)})
}

fn options(count: usize) -> Vec<Value> {
    (0..count)
        .map(|i| json!({"text": plain(75), "value": format!("{i:0>150}")}))
        .collect()
}

fn one(block: Value) -> Vec<String> {
    check_message(&[block])
}

fn actions(element: Value) -> Value {
    json!({"type": "actions", "elements": [element]})
}

/// The same value with one part changed, by JSON pointer.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    if let Some(slot) = value.pointer_mut(pointer) {
        *slot = new;
    } else {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap()[key] = new;
    }
    value
}

#[test]
fn what_is_at_the_limit_passes() {
    let confirm =
        json!({"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)});
    let good = vec![
        json!({"type": "section", "text": text(3000), "block_id": "b".repeat(255)}),
        json!({"type": "section", "fields": vec![text(2000); 10]}),
        json!({"type": "section", "text": text(1), "accessory": button()}),
        json!({"type": "header", "text": plain(150)}),
        json!({"type": "divider"}),
        json!({"type": "context", "elements": vec![text(1); 10]}),
        json!({"type": "actions", "elements": [with(button(), "/confirm", confirm)]}),
        json!({"type": "image", "image_url": "https://a.example/x.png", "alt_text": "a chart"}),
        json!({"type": "markdown", "text": "x".repeat(12_000)}),
        json!({"type": "rich_text", "elements": [
            {"type": "rich_text_section", "elements": [{"type": "text", "text": "hi"}]},
        ]}),
        json!({"type": "table", "rows": vec![vec![json!({"type": "raw_text", "text": "1"}); 20]; 100]}),
        json!({
            "type": "video", "title": plain(200), "alt_text": "a film",
            "thumbnail_url": "https://a.example/x.png", "video_url": "https://a.example/x",
        }),
        json!({"type": "context_actions", "elements": [
            {"type": "icon_button", "icon": "trash", "text": plain(75)},
            {"type": "feedback_buttons", "positive_button": {"text": plain(1)}, "negative_button": {"text": plain(1)}},
        ]}),
        actions(json!({
            "type": "workflow_button", "text": plain(75), "workflow": {"trigger": {"url": "https://slack.example/t"}},
        })),
        actions(json!({"type": "static_select", "action_id": "s", "options": options(100)})),
        actions(json!({"type": "overflow", "action_id": "o", "options": options(5)})),
        actions(json!({"type": "users_select", "action_id": "u", "placeholder": plain(150)})),
        actions(json!({"type": "datepicker", "action_id": "d", "initial_date": "2026-11-23"})),
        actions(json!({"type": "radio_buttons", "action_id": "r", "options": options(10)})),
    ];
    assert_eq!(check_message(&good), Vec::<String>::new());
}

#[test]
fn a_long_text_is_told_in_slacks_words() {
    assert_eq!(
        one(json!({"type": "section", "text": text(3001)})),
        ["must be less than 3001 characters [json-pointer:/blocks/0/text/text]"]
    );
}

/// Each block has one fault, at this place.
fn fail_at(cases: impl IntoIterator<Item = (Value, &'static str)>) {
    for (block, pointer) in cases {
        let found = one(block.clone());
        assert_eq!(found.len(), 1, "{block} gave {found:?}");
        assert!(
            found[0].ends_with(&format!("[json-pointer:{pointer}]")),
            "{found:?} not at {pointer}"
        );
    }
}

#[test]
fn what_is_beyond_a_limit_of_a_block_fails_where_it_is() {
    fail_at([
        (
            json!({"type": "section", "text": text(0)}),
            "/blocks/0/text/text",
        ),
        (json!({"type": "section"}), "/blocks/0"),
        (json!({"type": "table", "rows": [[]]}), "/blocks/0/rows/0"),
        (
            json!({"type": "table", "rows": [[{"type": "mrkdwn", "text": "1"}]]}),
            "/blocks/0/rows/0/0/type",
        ),
        (
            json!({"type": "context_actions", "elements": [button()]}),
            "/blocks/0/elements/0/type",
        ),
        (
            actions(json!({"type": "workflow_button", "text": plain(75)})),
            "/blocks/0/elements/0",
        ),
        (
            json!({"type": "section", "fields": vec![text(1); 11]}),
            "/blocks/0/fields",
        ),
        (
            json!({"type": "section", "fields": [text(2001)]}),
            "/blocks/0/fields/0/text",
        ),
        (
            json!({"type": "header", "text": plain(151)}),
            "/blocks/0/text/text",
        ),
        (
            json!({"type": "header", "text": text(1)}),
            "/blocks/0/text/type",
        ),
        (
            json!({"type": "context", "elements": vec![text(1); 11]}),
            "/blocks/0/elements",
        ),
        (
            json!({"type": "context", "elements": []}),
            "/blocks/0/elements",
        ),
        (
            json!({"type": "actions", "elements": []}),
            "/blocks/0/elements",
        ),
        (
            json!({"type": "image", "image_url": "https://a.example"}),
            "/blocks/0",
        ),
        (
            json!({"type": "markdown", "text": "x".repeat(12_001)}),
            "/blocks/0/text",
        ),
        (json!({"type": "carousel"}), "/blocks/0/type"),
        (json!({}), "/blocks/0/type"),
        (
            json!({"type": "divider", "block_id": "b".repeat(256)}),
            "/blocks/0/block_id",
        ),
    ]);
}

#[test]
fn what_is_beyond_a_limit_of_an_element_fails_where_it_is() {
    let select =
        |n| actions(json!({"type": "static_select", "action_id": "s", "options": options(n)}));
    fail_at([
        (
            actions(with(button(), "/text", plain(76))),
            "/blocks/0/elements/0/text/text",
        ),
        (
            actions(with(button(), "/text", text(5))),
            "/blocks/0/elements/0/text/type",
        ),
        (
            actions(with(button(), "/value", json!("x".repeat(2001)))),
            "/blocks/0/elements/0/value",
        ),
        (
            actions(with(button(), "/style", json!("default"))),
            "/blocks/0/elements/0/style",
        ),
        (
            actions(with(button(), "/action_id", json!("x".repeat(256)))),
            "/blocks/0/elements/0/action_id",
        ),
        (
            actions(with(button(), "/url", json!("x".repeat(3001)))),
            "/blocks/0/elements/0/url",
        ),
        (
            actions(with(
                button(),
                "/confirm",
                json!({"title": plain(1), "text": text(301),
            "confirm": plain(1), "deny": plain(1)}),
            )),
            "/blocks/0/elements/0/confirm/text/text",
        ),
        (
            actions(with(
                button(),
                "/confirm",
                json!({"title": plain(101), "text": text(1),
            "confirm": plain(1), "deny": plain(1)}),
            )),
            "/blocks/0/elements/0/confirm/title/text",
        ),
        (
            actions(with(
                button(),
                "/confirm",
                json!({"title": plain(1), "text": text(1),
            "confirm": plain(31), "deny": plain(1)}),
            )),
            "/blocks/0/elements/0/confirm/confirm/text",
        ),
        (select(101), "/blocks/0/elements/0/options"),
        (select(0), "/blocks/0/elements/0/options"),
        (
            with(
                select(1),
                "/elements/0/options/0/value",
                json!("x".repeat(151)),
            ),
            "/blocks/0/elements/0/options/0/value",
        ),
        (
            with(select(1), "/elements/0/options/0/text", plain(76)),
            "/blocks/0/elements/0/options/0/text/text",
        ),
        (
            with(
                select(1),
                "/elements/0/initial_option",
                json!({"text": plain(1), "value": "no"}),
            ),
            "/blocks/0/elements/0/initial_option",
        ),
        (
            actions(json!({"type": "overflow", "options": options(6)})),
            "/blocks/0/elements/0/options",
        ),
        (
            actions(json!({"type": "plain_text_input"})),
            "/blocks/0/elements/0/type",
        ),
        (
            actions(json!({"type": "datepicker", "initial_date": "tomorrow"})),
            "/blocks/0/elements/0/initial_date",
        ),
    ]);
}

#[test]
fn ids_are_unique_and_blocks_are_counted() {
    let twice = vec![json!({"type": "divider", "block_id": "a"}); 2];
    assert_eq!(
        check_message(&twice),
        ["`block_id` already exists [json-pointer:/blocks/1/block_id]"]
    );
    let buttons = json!({"type": "actions", "elements": [button(), button()]});
    assert_eq!(one(buttons).len(), 1);
    assert!(check_message(&vec![json!({"type": "divider"}); 50]).is_empty());
    assert_eq!(
        check_message(&vec![json!({"type": "divider"}); 51]),
        ["no more than 50 items allowed [json-pointer:/blocks]"]
    );
}

fn modal() -> Value {
    json!({
        "type": "modal",
        "title": plain(24),
        "submit": plain(24),
        "close": plain(24),
        "private_metadata": "x".repeat(3000),
        "blocks": [{
            "type": "input",
            "label": plain(10),
            "element": {"type": "plain_text_input", "action_id": "why", "max_length": 3000},
        }],
    })
}

#[test]
fn modals_have_limits_of_their_own() {
    assert!(check_view(&modal()).is_empty());
    let input = modal()["blocks"][0].clone();
    for (view, pointer) in [
        (with(modal(), "/title", plain(25)), "/view/title/text"),
        (with(modal(), "/title", Value::Null), "/view"),
        (with(modal(), "/submit", plain(25)), "/view/submit/text"),
        (with(modal(), "/submit", Value::Null), "/view"),
        (with(modal(), "/close", plain(25)), "/view/close/text"),
        (
            with(modal(), "/private_metadata", json!("x".repeat(3001))),
            "/view/private_metadata",
        ),
        (
            with(
                modal(),
                "/blocks",
                json!(vec![json!({"type": "divider"}); 101]),
            ),
            "/view/blocks",
        ),
        (with(modal(), "/blocks", Value::Null), "/view"),
        (
            with(modal(), "/blocks/0/label", Value::Null),
            "/view/blocks/0",
        ),
        (
            with(modal(), "/blocks/0/element", button()),
            "/view/blocks/0/element/type",
        ),
        (with(modal(), "/type", json!("dialog")), "/view/type"),
    ] {
        let found = check_view(&view);
        assert_eq!(found.len(), 1, "{found:?} for {pointer}");
        assert!(
            found[0].ends_with(&format!("[json-pointer:{pointer}]")),
            "{found:?} not at {pointer}"
        );
    }
    assert!(
        check_message(&[input]).is_empty(),
        "inputs are allowed in messages, too"
    );
}

#[test]
fn ids_are_given_where_there_are_none() {
    let mut blocks = vec![
        json!({"type": "section", "text": text(1), "accessory": {"type": "button", "text": plain(1)}}),
        json!({"type": "actions", "block_id": "mine", "elements": [button()]}),
        json!({"type": "context", "elements": [text(1)]}),
    ];
    let mut n = 0;
    give_ids(&mut blocks, &mut || {
        n += 1;
        n
    });
    assert_eq!(blocks[0]["block_id"], "b1");
    assert_eq!(blocks[0]["accessory"]["action_id"], "a2");
    assert_eq!(blocks[1]["block_id"], "mine");
    assert_eq!(blocks[1]["elements"][0]["action_id"], "go");
    assert!(blocks[2]["elements"][0].get("action_id").is_none());
}
