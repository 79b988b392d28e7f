use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::source::Finding;
use crate::types::Type;

fn values() -> Values {
    let Value::Object(names) = json!({
        "params": {"limit": 90, "service": "api", "image": null},
        "steps": {
            "stats": {
                "worst": "api-2",
                "memory_percent": 93.5,
                "replicas": [
                    {"name": "api-1", "memory_percent": 41.25, "limit_bytes": 536_870_912, "up": true},
                    {"name": "api-2", "memory_percent": 93.5, "limit_bytes": null, "up": true},
                    {"name": "api-3", "memory_percent": null, "limit_bytes": null, "up": false},
                ],
                "age_ms": 400_000,
            },
        },
    }) else {
        panic!("a record");
    };
    Values {
        names,
        states: [
            ("stats".to_owned(), "succeeded"),
            ("logs".to_owned(), "skipped"),
        ]
        .into(),
        cut: ["stats".to_owned()].into(),
    }
}

fn scope() -> Scope {
    let replica = Type::record([
        ("name".to_owned(), Type::Text),
        ("memory_percent".to_owned(), Type::Number.optional()),
        ("limit_bytes".to_owned(), Type::Number.optional()),
        ("up".to_owned(), Type::Bool),
    ]);
    let stats = Type::record([
        ("worst".to_owned(), Type::Text.optional()),
        ("memory_percent".to_owned(), Type::Number.optional()),
        ("replicas".to_owned(), Type::List(Box::new(replica))),
        ("age_ms".to_owned(), Type::Number),
    ]);
    let lines = Type::record([("count".to_owned(), Type::Number)]);
    let names = [
        (
            "params".to_owned(),
            Type::record([
                ("limit".to_owned(), Type::Number),
                ("service".to_owned(), Type::Text),
                ("image".to_owned(), Type::Text.optional()),
            ]),
        ),
        (
            "steps".to_owned(),
            Type::record([
                ("stats".to_owned(), stats),
                ("logs".to_owned(), lines.optional()),
            ]),
        ),
    ];
    Scope {
        names: names.into(),
        absent: ["restart".to_owned()].into(),
        ..Scope::default()
    }
}

fn findings(text: &str) -> Vec<Finding> {
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    check(&expr, &scope(), &mut findings);
    findings
}

fn told(text: &str) -> String {
    let all: Vec<String> = findings(text)
        .into_iter()
        .map(|finding| {
            let help = finding.help.map(|help| format!(" ({help})"));
            format!("{}{}", finding.message, help.unwrap_or_default())
        })
        .collect();
    all.join("; ")
}

#[test]
fn good_expressions_are_typed_and_have_values() {
    for (text, value) in [
        (
            "max(steps.stats.replicas[*].memory_percent, 0) > params.limit",
            json!(true),
        ),
        ("default(steps.stats.memory_percent, 0) > 90%", json!(true)),
        (
            "steps.stats.memory_percent != null and steps.stats.memory_percent < 50",
            json!(false),
        ),
        ("steps.stats.replicas[? up].name", json!(["api-1", "api-2"])),
        (
            "steps.stats.replicas[? default(memory_percent, 0) > params.limit].name",
            json!(["api-2"]),
        ),
        ("len(steps.stats.replicas[? not up])", json!(1)),
        ("steps.stats.replicas[-1].name", json!("api-3")),
        (
            "default(max_by(steps.stats.replicas, 'memory_percent').name, '?')",
            json!("api-2"),
        ),
        (
            "steps.stats.age_ms > 5m and steps.stats.age_ms < 1h",
            json!(true),
        ),
        (
            "default(steps.stats.replicas[0].limit_bytes, 0) == 512MiB",
            json!(true),
        ),
        (
            "bytes(512MiB) + ' and ' + duration(90s)",
            json!("512 MiB and 1m 30s"),
        ),
        ("'api' in ['web', params.service]", json!(true)),
        (
            "'pi' in params.service and 'x' not in params.service",
            json!(true),
        ),
        (
            "succeeded('stats') and not succeeded('logs') and skipped('logs')",
            json!(true),
        ),
        ("cut('stats') and not cut('logs')", json!(true)),
        ("1 + 2 * 3 - -4 % 3", json!(8)),
        ("7 / 2", json!(3.5)),
        ("(1 + 2) * 3 == 9 or false", json!(true)),
        ("default(steps.logs.count, 7)", json!(7)),
        ("params.image == null", json!(true)),
        ("round(93.456, 1)", json!(93.5)),
        ("join(unique(['a', 'b', 'a']), '+')", json!("a+b")),
        ("avg([1, 2, 6]) != null", json!(true)),
        (
            "all(steps.stats.replicas[*].up) or any(steps.stats.replicas[*].up)",
            json!(true),
        ),
        ("at_most(params.limit + 20, 100)", json!(100)),
        ("text(91.256) + '%'", json!("91.26%")),
        ("not 1 > 2", json!(true)),
        ("lower('ÄB')", json!("äb")),
    ] {
        assert_eq!(told(text), "", "{text}");
        let result = eval(&parse(text).unwrap(), &values()).map_err(|e| e.to_string());
        let result = match result {
            // `logs` was skipped: it has no result.
            Err(error) => panic!("{text}: {error}"),
            Ok(result) => result,
        };
        assert_eq!(result, value, "{text}");
    }
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    for (text, words) in [
        (
            "'9' > 10",
            "different types (a number is written without quotes)",
        ),
        ("steps.stats.age_ms == '5'", "different types"),
        ("stats.age_ms", "`steps.stats`"),
        ("limit > 1", "`params.limit`"),
        ("param.limit > 1", "did you mean `params`?"),
        (
            "steps.stats.memory_procent > 1",
            "did you mean `memory_percent`?",
        ),
        ("steps.restart.ok", "no result yet"),
        ("steps.nope.ok", "there is no `nope`"),
        ("steps.logs.count > 1", "may have been skipped"),
        ("steps.stats.memory_percent > 90", "may be null"),
        ("steps.stats.replicas.name", "`[*].name`"),
        (
            "max(steps.stats.replicas[*].memory_percent) > 90",
            "may be null",
        ),
        ("max(steps.stats.replicas[*].name)", "the items are a text"),
        (
            "steps.stats.replicas[? naem == 'x']",
            "did you mean `name`?",
        ),
        ("maxx([1])", "did you mean `max`?"),
        ("max()", "another number of arguments"),
        ("params.limit and true", "true or false is needed"),
        ("params.service > 3", "different types"),
        ("not params.limit", "true or false is needed"),
        ("'a' + 1", "a text is needed"),
        ("1 < 2 < 3", "chained"),
        ("a = 1", "`==`"),
        ("a && b", "write `and`"),
        ("!a", "write `not`"),
        ("steps.stats |length", "no filters"),
        ("5x", "not a unit"),
        ("'abc", "not closed"),
        ("", "missing"),
        ("1 +", "a value is missing"),
        ("(1", "`)` is missing"),
        ("1 2", "should end here"),
        ("params.", "after the point"),
        ("succeeded('nope')", "no step `nope`"),
        ("succeeded(params.service)", "in quotes"),
        ("${{ 1 }}", "without"),
        ("1 in 2", "a list or a text is needed"),
        ("[1] > [2]", "no order"),
        ("default(params.limit, 'x')", "different types"),
    ] {
        let found = told(text);
        assert!(found.contains(words), "{text}: {found:?} lacks {words:?}");
    }
}

#[test]
fn a_mistake_is_marked_where_it_is() {
    let text = "params.limit > 1 and steps.stats.memory_procent > 1";
    let finding = findings(text).remove(0);
    assert_eq!(
        &text[finding.span.start..finding.span.end],
        "memory_procent"
    );
}

#[test]
fn what_shows_only_at_run_time_is_an_error_then() {
    let mut values = values();
    values
        .names
        .insert("any".into(), json!({"x": "9", "n": null, "l": []}));
    for (text, words) in [
        ("any.x > 10", "different types"),
        ("any.x == 9", "different types"),
        ("any.n > 10", "different types"),
        ("any.y", "no `y`"),
        ("any.l[0]", "no item 0"),
        ("1 / 0", "not a number"),
        ("number('x')", "not a number"),
        ("any.x and true", "true or false is needed"),
        ("sum([any.x])", "a number is needed"),
        ("nope", "not known"),
    ] {
        let error = eval(&parse(text).unwrap(), &values).unwrap_err();
        assert!(error.message.contains(words), "{text}: {error}");
    }
}

#[test]
fn nothing_costs_without_bound() {
    let mut values = Values::default();
    let list: Vec<u32> = (0..2_000).collect();
    values.names.insert(
        "l".into(),
        json!(list.iter().map(|n| json!({"n": n})).collect::<Vec<_>>()),
    );
    let error = eval(&parse("len(l[? len(l[? n > 1]) > 3])").unwrap(), &values).unwrap_err();
    assert!(error.message.contains("costs too much"), "{error}");
    let mut text = "'xxxxxxxxxxxxxxxx'".to_owned();
    for _ in 0..7 {
        text = format!("({text} + {text})");
    }
    assert!(parse(&text).is_err());
    assert!(
        parse(&"(".repeat(1_500))
            .unwrap_err()
            .message
            .contains("nested")
    );
    assert!(
        parse(&"-".repeat(1_500))
            .unwrap_err()
            .message
            .contains("nested")
    );
    assert!(parse(&"not ".repeat(400)).is_err());
    assert!(
        parse(&format!("1{}", "+1".repeat(900)))
            .unwrap_err()
            .message
            .contains("parts")
    );
    assert!(
        parse(&format!("a{}", ".a".repeat(900)))
            .unwrap_err()
            .message
            .contains("parts")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_it_panic(text in "([a-z0-9 .,()\\[\\]*?<>=!'+/%-]|and|or|not|in|max|default|steps|params|ä){0,40}") {
        if let Ok(expr) = parse(&text) {
            let mut findings = Vec::new();
            check(&expr, &scope(), &mut findings);
            let _ = eval(&expr, &values());
        }
    }

    /// What the checker lets through with known types never fails for its types.
    #[test]
    fn what_is_checked_does_not_fail_for_its_types(
        a in prop::sample::select(vec!["params.limit", "steps.stats.age_ms", "3", "len(steps.stats.replicas)", "'x'", "params.service", "true", "steps.stats.memory_percent", "default(steps.stats.memory_percent, 0)", "params.image"]),
        b in prop::sample::select(vec!["params.limit", "'y'", "2", "false", "null", "['x']", "steps.stats.replicas[*].up", "default(params.image, 'z')"]),
        op in prop::sample::select(vec!["==", "!=", "<", ">=", "in", "+", "-", "and", "or"]),
    ) {
        let text = format!("{a} {op} {b}");
        if findings(&text).is_empty() {
            let result = eval(&parse(&text).unwrap(), &values());
            prop_assert!(result.is_ok(), "{}: {:?}", text, result);
        }
    }
}
