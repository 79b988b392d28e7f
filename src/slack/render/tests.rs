use insta::assert_snapshot;
use jiff::Timestamp;
use proptest::prelude::*;
use slack_morphism::prelude::SlackBlock;

use super::*;
use crate::domain::{Person, Span};

/// The blocks as a person would read them, one line each.
fn outline(message: &Message) -> String {
    let rendered = render(message);
    check(&rendered);
    let mut out = format!("text: {}\n", rendered.text);
    for block in &rendered.blocks {
        let kind = block["type"].as_str().unwrap();
        match kind {
            "section" if block["fields"].is_array() => {
                for field in block["fields"].as_array().unwrap() {
                    out.push_str(&format!("field: {:?}\n", field["text"].as_str().unwrap()));
                }
            }
            "section" => out.push_str(&format!(
                "section: {}\n",
                block["text"]["text"].as_str().unwrap()
            )),
            "context" => {
                let text = block["elements"][0]["text"].as_str().unwrap();
                out.push_str(&format!("context: {text}\n"));
            }
            "actions" => {
                for element in block["elements"].as_array().unwrap() {
                    out.push_str(&format!("{element}\n"));
                }
            }
            other => out.push_str(&format!("{other}\n")),
        }
    }
    out
}

/// All that Slack refuses, and all that a user must not be able to do.
fn check(rendered: &Rendered) {
    let blocks = &rendered.blocks;
    assert!(!rendered.text.trim().is_empty());
    assert!(size(&rendered.text) <= TEXT);
    assert_harmless(&rendered.text, false);
    assert!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
    let mut ids = std::collections::HashSet::new();
    let mut total = 0;
    for block in blocks {
        let id = block["block_id"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()) && id.len() <= 255);
        let mut texts = vec![];
        match block["type"].as_str().unwrap() {
            "divider" => {}
            "section" => match block["fields"].as_array() {
                Some(fields) => {
                    assert!((1..=10).contains(&fields.len()));
                    texts.extend(fields.iter().map(|f| (f, 2_000)));
                }
                None => texts.push((&block["text"], 3_000)),
            },
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()));
                texts.extend(elements.iter().map(|e| (e, 3_000)));
            }
            "actions" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=5).contains(&elements.len()));
                for element in elements {
                    let id = element["action_id"].as_str().unwrap();
                    assert!(ids.insert(id.to_owned()) && size(id) <= 255, "{id}");
                    if element["type"] == "button" {
                        texts.push((&element["text"], 75));
                        let value = element["value"].as_str().unwrap();
                        assert!((1..=2_000).contains(&size(value)));
                    } else {
                        texts.push((&element["placeholder"], 150));
                        let options = element["options"].as_array().unwrap();
                        assert!((1..=100).contains(&options.len()));
                        for option in options {
                            let text = option["text"]["text"].as_str().unwrap();
                            assert!((1..=75).contains(&size(text)));
                            assert_harmless(text, false);
                            assert!((1..=150).contains(&size(option["value"].as_str().unwrap())));
                        }
                    }
                }
            }
            other => panic!("{other}"),
        }
        for (object, max) in texts {
            let text = object["text"].as_str().unwrap();
            assert!((1..=max).contains(&size(text)), "{} of {max}", size(text));
            total += size(text);
            let is_mrkdwn = object["type"] == "mrkdwn";
            assert_eq!(is_mrkdwn, object["verbatim"] == true);
            assert_harmless(text, is_mrkdwn);
        }
    }
    assert!(total <= 12_000, "{total} characters");
    // slack-morphism's models know these blocks.
    let known: Vec<SlackBlock> = serde_json::from_value(json!(blocks)).unwrap();
    assert_eq!(known.len(), blocks.len());
}

/// Only entities and our own references have `&`, `<` and `>`.
fn assert_harmless(text: &str, may_refer: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(['<', '>', '&']) {
        rest = &rest[at..];
        if let Some(entity) = ["&amp;", "&lt;", "&gt;"]
            .iter()
            .find(|e| rest.starts_with(**e))
        {
            rest = &rest[entity.len()..];
            continue;
        }
        assert!(
            may_refer && rest.starts_with('<'),
            "raw `{}` in {text:?}",
            &rest[..1]
        );
        let end = rest.find('>').expect("an open reference");
        let inner = &rest[1..end];
        let ours = inner == "@U0ANA"
            || inner == "#C1"
            || inner.starts_with("!date^")
            || inner.starts_with("https://a.example/");
        assert!(ours, "forged: <{inner}>");
        rest = &rest[end + 1..];
    }
}

fn ana() -> Person {
    Person {
        id: "U0ANA".into(),
        name: "ana".into(),
    }
}

#[test]
fn a_message_reads_well() {
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    let message = Message::new(
        Tone::Good,
        Line::new().code("frontend").text(" restarted in 8 s"),
    )
    .text(
        Line::new()
            .text("asked by ")
            .person(&ana())
            .text(" at ")
            .time(at)
            .text(" in ")
            .channel("C1"),
    )
    .part(Part::Fields(vec![
        ("Before".into(), "1/1 since 3d".into()),
        ("After".into(), Line::new().bold("1/1").text(" healthy")),
    ]))
    .code("GET / 200\nGET /<x> 502")
    .part(Part::Divider)
    .buttons(vec![
        Button::new("Logs", "logs frontend"),
        Button::new("Undo & back", "rollback frontend").style(Style::Danger),
    ])
    .part(Part::Menu {
        placeholder: "Another service".into(),
        sentence: "restart {}".into(),
        choices: vec![("api".into(), "API".into())],
    })
    .footer(Line::new().text("request ").code("r-1"))
    .footer("figures 3 s old");
    assert_snapshot!(outline(&message), @r###"
    text: ✅ frontend restarted in 8 s
    section: ✅ *`frontend` restarted in 8 s*
    section: asked by <@U0ANA> at <!date^1700000000^{date_short_pretty} {time_secs}|2023-11-14 22:13:20 UTC> in <#C1>
    field: "*Before*\n1/1 since 3d"
    field: "*After*\n*1/1* healthy"
    section: ```
    GET / 200
    GET /&lt;x&gt; 502
    ```
    divider
    {"action_id":"say:5.0","text":{"emoji":true,"text":"Logs","type":"plain_text"},"type":"button","value":"logs frontend"}
    {"action_id":"say:5.1","style":"danger","text":{"emoji":true,"text":"Undo &amp; back","type":"plain_text"},"type":"button","value":"rollback frontend"}
    {"action_id":"pick:6:restart {}","options":[{"text":{"emoji":true,"text":"API","type":"plain_text"},"value":"api"}],"placeholder":{"emoji":true,"text":"Another service","type":"plain_text"},"type":"static_select"}
    context: request `r-1` · figures 3 s old
    "###);
}

#[test]
fn what_users_type_can_do_nothing() {
    let evil = "<!channel> <@U0BEN> & <https://evil.example|click> *b* `c`";
    let message = Message::new(Tone::Bad, evil)
        .text(Line::new().code(evil).bold(evil))
        .text(Line(vec![
            Span::Link {
                url: "javascript:alert(1)".into(),
                text: "x".into(),
            },
            Span::Link {
                url: "https://a.example/?a=1&b=<2>|3".into(),
                text: "a|b>c".into(),
            },
            Span::Person(Person {
                id: "U1> <!here".into(),
                name: "<!here>".into(),
            }),
            Span::Channel("C1> <!here".into()),
        ]))
        .code("a ```\n<!channel> \u{1b}[31mred\u{1b}[0m");
    assert_snapshot!(outline(&message), @r###"
    text: ❌ &lt;!channel&gt; &lt;@U0BEN&gt; &amp; &lt;https://evil.example|click&gt; *b* `c`
    section: ❌ &lt;!channel&gt; &lt;@U0BEN&gt; &amp; &lt;https://evil.example|click&gt; *b* `c`
    section: `&lt;!channel&gt; &lt;@U0BEN&gt; &amp; &lt;https://evil.example|click&gt; *b* ˋcˋ`*&lt;!channel&gt; &lt;@U0BEN&gt; &amp; &lt;https://evil.example|click&gt; ∗b∗ `c`*
    section: x<https://a.example/?a=1&amp;b=%3C2%3E%7C3|a b&gt;c>&lt;!here&gt;C1&gt; &lt;!here
    section: ```
    a ˋˋˋ
    &lt;!channel&gt; red
    ```
    "###);
}

#[test]
fn what_does_not_fit_is_left_out_and_said() {
    let lines: Vec<String> = (0..400)
        .map(|n| format!("{n} {}\n", "x".repeat(60)))
        .collect();
    let log = lines.concat();
    let fields = (0..32)
        .map(|n| (format!("f{n}"), Line::from("v")))
        .collect();
    let buttons = (0..27)
        .map(|n| Button::new(format!("b{n}"), "status"))
        .collect();
    let message = Message::new(Tone::Plain, "Logs")
        .part(Part::Fields(fields))
        .code(log)
        .buttons(buttons)
        .buttons(vec![Button::new("long", "x".repeat(2_001))]);
    let rendered = render(&message);
    check(&rendered);
    let text = json!(rendered.blocks).to_string();
    for said in [
        "… 12 more fields left out",
        "older lines left out",
        "… 2 more buttons left out",
        "… 1 more button left out",
    ] {
        assert!(text.contains(said), "{said}");
    }
    assert!(text.contains("399 xxx"), "the newest line is there");
    assert!(!text.contains("\\n1 xxx"), "the oldest are not");
}

#[test]
fn nothing_at_all_is_still_something() {
    for tone in [Tone::Plain, Tone::Progress] {
        let message = Message::new(tone, "")
            .text("")
            .code("\n\n")
            .footer("")
            .buttons(vec![Button::new("", "x")]);
        check(&render(&message));
        assert!(!plain(&message).trim().is_empty());
    }
}

#[test]
fn the_same_message_has_the_same_ids_and_an_edited_one_others() {
    let message = |text: &str| {
        render(&Message::new(Tone::Plain, text).buttons(vec![Button::new("a", "status")])).blocks
    };
    assert_eq!(message("a"), message("a"));
    assert_ne!(message("a")[0]["block_id"], message("b")[0]["block_id"]);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "([<>&*`|\n\t@#!-]|&amp;|<@U1>|```|😀|ä|\u{1b}\\[1m){0,30}",
        ("[<&a]", 0..9_000usize).prop_map(|(c, n)| c.repeat(n)),
    ]
}

fn any_line() -> impl Strategy<Value = Line> {
    let span = prop_oneof![
        any_text().prop_map(Span::Plain),
        any_text().prop_map(Span::Code),
        any_text().prop_map(Span::Bold),
        any_text().prop_map(|name| Span::Person(Person {
            id: name.clone(),
            name
        })),
        Just(Span::Person(ana())),
        Just(Span::Channel("C1".into())),
        (-1_000_000_000i64..4_000_000_000)
            .prop_map(|s| Span::Time(Timestamp::from_second(s).unwrap())),
        (any_text(), any_text()).prop_map(|(path, text)| Span::Link {
            url: format!("https://a.example/{path}"),
            text
        }),
    ];
    prop::collection::vec(span, 0..5).prop_map(Line)
}

fn any_part() -> impl Strategy<Value = Part> {
    let button =
        (any_text(), any_text()).prop_map(|(label, sentence)| Button::new(label, sentence));
    prop_oneof![
        any_line().prop_map(Part::Text),
        prop::collection::vec((any_text(), any_line()), 0..25).prop_map(Part::Fields),
        any_text().prop_map(Part::Code),
        prop::collection::vec(any_text(), 0..200).prop_map(|lines| Part::Code(lines.join("\n"))),
        prop::collection::vec(button, 0..30).prop_map(Part::Buttons),
        (
            any_text(),
            any_text(),
            prop::collection::vec((any_text(), any_text()), 0..110)
        )
            .prop_map(|(placeholder, sentence, choices)| Part::Menu {
                placeholder,
                sentence,
                choices
            }),
        Just(Part::Divider),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let parts = prop_oneof![
        prop::collection::vec(any_part(), 0..6),
        prop::collection::vec(Just(Part::Divider), 45..60),
    ];
    (any_line(), parts, prop::collection::vec(any_line(), 0..4)).prop_map(
        |(title, parts, footer)| Message {
            tone: Tone::Warning,
            title,
            parts,
            footer,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_message_is_within_all_limits_and_harmless(message in any_message()) {
        check(&render(&message));
        let text = plain(&message);
        prop_assert!(!text.trim().is_empty() && size(&text) <= TEXT);
        assert_harmless(&text, true);
    }
}
