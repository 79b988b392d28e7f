mod part;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::check;
use crate::source::{Severity, Source};
use crate::types::Type;
use crate::vocabulary::{Callable, Signature, Vocabulary};

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
        needs: treasury_domain::Role::Responder,
        params: json!({
            "type": "object",
            "properties": {"service": {"type": "string", "format": "service"}},
            "required": ["service"],
        }),
        result: Type::of_schema(&result),
    };
    let names = [("look", false), ("change", true)];
    let isolate = Callable {
        needs: treasury_domain::Role::Commander,
        ..callable(true)
    };
    Vocabulary {
        callables: names
            .into_iter()
            .map(|(name, changes)| (name.to_owned(), callable(changes)))
            .chain([("isolate".to_owned(), isolate)])
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
    match crate::read(&source) {
        Ok(runbook) => check(&runbook, &vocabulary())
            .into_iter()
            .map(|finding| finding.message)
            .collect(),
        Err(findings) => findings.into_iter().map(|f| f.message).collect(),
    }
}

#[test]
fn what_needs_a_commander_is_told_unless_one_approves_before() {
    let isolate = "  - uses: isolate\n    with: {service: api}\n    timeout: 1m\n";
    assert_eq!(
        found(isolate),
        ["`isolate` needs a commander: a run waits here for one"]
    );
    let approved = "  - approve: {text: 'cut?', by: commander, timeout: 1m}\n";
    assert_eq!(found(&format!("{approved}{isolate}")), [""; 0]);
    let weaker = "  - approve: {text: 'cut?', timeout: 1m}\n";
    assert_eq!(found(&format!("{weaker}{isolate}")).len(), 1);
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

/// Runs the checker over a whole runbook: `LINE:COLUMN message`, `!` before a warning.
fn told(text: &str) -> Vec<String> {
    let source = Source::new("x.yml", text);
    let findings = match crate::read(&source) {
        Ok(runbook) => check(&runbook, &known()),
        Err(findings) => findings,
    };
    findings
        .iter()
        .map(|finding| {
            let told = source.explain(finding);
            let mark = match told.severity {
                Severity::Error => "",
                Severity::Warning => "!",
            };
            format!("{mark}{}:{} {}", told.line, told.column, told.message)
        })
        .collect()
}

/// The vocabulary with services and another runbook.
fn known() -> Vocabulary {
    let other = "name: other\nparams:\n  to: {type: service}\n  for: {type: duration, default: 5m, max: 1h}\nsteps:\n  - note: '${{ params.to }} ${{ params.for }}'\n";
    let other = crate::read(&Source::new("other.yml", other)).unwrap();
    let signature = Signature {
        params: other.params,
        calls: BTreeSet::new(),
    };
    Vocabulary {
        services: Some(["s".to_owned(), "t".to_owned()].into()),
        runbooks: [("other".to_owned(), signature)].into(),
        ..vocabulary()
    }
}

#[test]
fn a_step_that_gives_up_is_no_mistake_but_what_nothing_leads_to_is() {
    let give_up = "name: x
steps:
  - id: a
    uses: look
    with: {service: s}
  - when: not steps.a.well
    assert: false
    message: It is not well
  - note: well
";
    assert_eq!(told(give_up), [""; 0]);
    let dead = "name: x
steps:
  - id: a
    uses: look
    with: {service: s}
    on_failure: {goto: c}
  - id: b
    assert: false
  - id: lost
    note: x
  - id: c
    note: x
  - id: d
    note: x
  - steps:
      - assert: 1 > 2
  - note: x
";
    assert_eq!(
        told(dead),
        [
            "9:5 this step is never reached: `b` before it always fails",
            "17:5 this step is never reached: `step_6` before it always fails",
        ]
    );
}

#[test]
fn a_condition_that_decides_nothing_is_told_however_it_is_written() {
    let text = "name: x
steps:
  - note: x
    when: not (1 > 2)
  - note: x
    when: len([1, 2]) == 3 and true
  - note: x
    when: succeeded('step_1')
  - uses: look
    with: {service: s}
    wait: {until: true, timeout: 1m}
  - assert: 1 == 1
";
    assert_eq!(
        told(text),
        [
            "!4:11 this always holds: leave it out",
            "6:11 this never holds: the step is never reached",
            "11:19 this always holds",
            "!12:13 this always holds: leave it out",
        ]
    );
}

#[test]
fn the_steps_at_the_end_are_all_done_so_none_is_sure_of_another() {
    let text = "name: x
steps:
  - id: a
    uses: look
    with: {service: s}
finally:
  - id: b
    uses: look
    with: {service: s}
    on_failure: {goto: c}
  - id: c
    note: '${{ verdict }} ${{ steps.b.well }} ${{ steps.a.well }}'
  - steps:
      - id: d
        uses: look
        with: {service: s}
      - note: '${{ steps.d.well }}'
";
    assert_eq!(
        told(text),
        [
            "10:24 all steps at the end are done, whatever fails",
            "12:31 step `b` may have been skipped",
            "12:51 step `a` may have been skipped",
        ]
    );
    let outside = "name: x\nsteps:\n  - note: '${{ verdict }}'\n";
    assert_eq!(told(outside), ["3:16 `verdict` is not known here"]);
}

#[test]
fn what_is_known_of_the_item_of_one_loop_is_not_known_of_anothers() {
    let text = "name: x
steps:
  - for_each: '[1, null]'
    steps:
      - when: item != null
        note: '${{ item + 1 }}'
      - when: item != null
        for_each: '[2, null]'
        note: '${{ item + 1 }}'
";
    assert_eq!(told(text), ["9:20 this may be null; a number is needed"]);
}

#[test]
fn one_branch_may_change_a_service_twice() {
    let text = "name: x
steps:
  - parallel:
      - steps:
          - uses: change
            with: {service: s}
          - uses: change
            with: {service: s}
      - uses: change
        with: {service: t}
";
    assert_eq!(told(text), [""; 0]);
}

#[test]
fn calls_of_runbooks_are_checked_like_calls_of_actions() {
    let text = "name: x
steps:
  - runbook: other
    with: {to: s, for: 10m}
  - runbook: other
    with: {to: tt, for: 2h, more: 1}
  - runbook: other
  - runbook: othr
  - runbook: x
";
    assert_eq!(
        told(text),
        [
            "6:16 `to`: there is no service `tt` here",
            "6:25 `for`: it is at most 3600000",
            "6:29 `other` has no parameter `more`",
            "7:14 `other` needs the parameter `to`",
            "8:14 there is no runbook `othr`",
            "9:14 `x` calls itself: it would never end",
            "9:14 there is no runbook `x`",
        ]
    );
}

#[test]
fn times_that_cannot_be_or_mean_nothing_are_told() {
    let text = "name: x
timeout: 1h
steps:
  - wait: 2h
  - uses: look
    with: {service: s}
    wait: {until: result.well, every: 5m, timeout: 1m}
  - timeout: 5m
    parallel:
      - note: x
  - retry: 3
    note: x
  - approve: {text: x}
finally:
  - ask: {text: x, choices: [a, b], timeout: 1m}
";
    assert_eq!(
        told(text),
        [
            "4:5 this takes up to 2h, but the whole run only 1h",
            "!7:19 it is asked every 5m, but for 1m at most: only once",
            "!8:5 `timeout` means nothing to `parallel`",
            "11:5 `note` can't be tried again by itself",
            "13:5 people are waited for without a time-out",
            "!15:5 the steps at the end should not wait for people",
        ]
    );
}

#[test]
fn loops_go_over_lists_and_not_too_deep() {
    let text = "name: x
params:
  p: {type: text, optional: true}
steps:
  - for_each: params.p
    note: x
  - id: a
    uses: look
    with: {service: s}
    on_failure: continue
  - for_each: default(steps.a.names, [])
    steps:
      - for_each: '[1]'
        steps:
          - for_each: '[2]'
            note: '${{ item }}'
";
    assert_eq!(
        told(text),
        [
            "5:15 `for_each` goes over a list; this is a text or null",
            "15:23 more than two loops in each other",
        ]
    );
}

#[test]
fn a_text_of_thousands_of_steps_is_refused_at_once() {
    let mut text = "name: x\nsteps:\n".to_owned();
    while text.len() < 60_000 {
        text.push_str("  - note: x\n");
    }
    let began = std::time::Instant::now();
    assert_eq!(
        told(&text),
        ["1:7 a runbook has at most 200 steps; this one has 4999"]
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}
