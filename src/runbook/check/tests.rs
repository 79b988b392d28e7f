use std::collections::BTreeMap;

use serde_json::json;

use super::check;
use crate::runbook::source::Source;
use crate::runbook::types::Type;
use crate::runbook::vocabulary::{Callable, Vocabulary};

fn vocabulary() -> Vocabulary {
    let result = json!({
        "type": "object",
        "properties": {
            "well": {"type": "boolean"},
            "percent": {"type": ["number", "null"]},
            "names": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["well", "names"],
    });
    let callable = |changes| Callable {
        summary: String::new(),
        changes,
        params: json!({
            "type": "object",
            "properties": {"service": {"type": "string", "format": "service"}},
            "required": ["service"],
        }),
        result: Type::of_schema(&result),
    };
    let names = [("look", false), ("change", true)];
    Vocabulary {
        callables: names
            .into_iter()
            .map(|(name, changes)| (name.to_owned(), callable(changes)))
            .collect(),
        services: None,
        runbooks: BTreeMap::new(),
    }
}

/// What is found in these steps, messages only.
fn found(steps: &str) -> Vec<String> {
    let text = format!(
        "name: x\nparams:\n  p: {{type: text, default: a}}\nsteps:\n  - note: '${{{{ params.p }}}}'\n{steps}"
    );
    let source = Source::new("x.yml", &text);
    match crate::runbook::read(&source) {
        Ok(runbook) => check(&runbook, &vocabulary())
            .into_iter()
            .map(|finding| finding.message)
            .collect(),
        Err(findings) => findings.into_iter().map(|f| f.message).collect(),
    }
}

#[test]
fn a_step_sees_what_stands_before_it_and_around_it() {
    let good = "  - id: a
    uses: look
    with: {service: s}
  - id: par
    parallel:
      - id: b
        uses: look
        with: {service: '${{ steps.a.names[0] }}'}
      - id: c
        uses: look
        with: {service: s}
  - id: loop
    for_each: steps.a.names
    steps:
      - id: d
        uses: look
        with: {service: '${{ item }}'}
      - note: '${{ index }} ${{ steps.d.well }} ${{ steps.b.well and steps.c.well }}'
  - note: '${{ all(steps.loop[*].d.well) }}'
";
    assert_eq!(found(good), [""; 0]);
}

#[test]
fn parallel_steps_do_not_see_each_other_and_turns_of_a_loop_are_not_seen_outside() {
    let steps = "  - parallel:
      - id: b
        uses: look
        with: {service: s}
      - id: c
        uses: look
        with: {service: '${{ steps.b.names[0] }}'}
  - id: loop
    for_each: '[1]'
    steps:
      - id: d
        uses: look
        with: {service: s}
  - note: '${{ steps.d.well }}'
  - note: '${{ item }}'
";
    assert_eq!(
        found(steps),
        [
            "step `b` has no result yet here",
            "step `d` has no result yet here",
            "`item` is not known here"
        ]
    );
}

#[test]
fn what_may_be_left_out_has_to_be_asked_for_and_asking_is_enough() {
    let step = |more: &str| {
        format!(
            "  - id: a\n    uses: look\n    with: {{service: s}}\n    when: params.p == 'x'\n{more}"
        )
    };
    assert_eq!(
        found(&step("  - note: '${{ steps.a.well }}'\n")),
        ["step `a` may have been skipped"]
    );
    for good in [
        "  - note: \"${{ default(steps.a.well, false) }}\"\n",
        "  - when: succeeded('a')\n    note: '${{ steps.a.well }}'\n",
        "  - when: succeeded('a') and steps.a.well\n    note: x\n",
        "  - when: succeeded('a')\n    steps:\n      - note: '${{ steps.a.well }}'\n",
        "  - when: steps.a.percent != null\n    note: '${{ steps.a.percent > 1 }}'\n",
    ] {
        assert_eq!(found(&step(good)), [""; 0], "{good}");
    }
}

#[test]
fn what_a_goto_may_jump_over_is_not_sure() {
    let steps = "  - id: a
    uses: look
    with: {service: s}
    on_failure: {goto: c}
  - id: b
    uses: look
    with: {service: s}
  - id: c
    note: '${{ steps.b.well }}'
";
    assert_eq!(found(steps), ["step `b` may have been skipped"]);
}

#[test]
fn changes_of_one_service_beside_each_other_are_warned_of() {
    let steps = "  - parallel:
      - uses: change
        with: {service: s}
      - uses: change
        with: {service: s}
";
    assert_eq!(
        found(steps),
        ["another step beside this one changes `s` as well: they take turns"]
    );
}
