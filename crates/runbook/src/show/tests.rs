use insta::assert_snapshot;

use super::{markdown, mermaid, outline};
use crate::model::Runbook;
use crate::source::Source;
use crate::types::Type;
use crate::vocabulary::{Callable, Vocabulary};
use treasury_domain::Role;

fn read(text: &str) -> Runbook {
    crate::read(&Source::new("x.yml", text)).unwrap()
}

/// Restarting needs a commander here.
fn vocabulary() -> Vocabulary {
    let restart = Callable {
        summary: String::new(),
        changes: true,
        needs: Role::Commander,
        params: serde_json::json!({}),
        result: Type::Any,
    };
    Vocabulary {
        callables: [("service.restart".to_owned(), restart)].into(),
        ..Vocabulary::default()
    }
}

/// Something of everything.
const FULL: &str = r#"name: full
title: Something of everything
summary: Shows each kind of step.
triggers:
  - alert: {alertname: HighMemory, severity: page}
  - keyword: memory
params:
  service: {type: service, summary: "Which one | or another"}
  wait: {type: duration, default: 10m, max: 1h}
  mode: {type: text, optional: true, choices: [fast, slow]}
timeout: 2h
steps:
  - id: look
    title: Look at ${{ params.service }}
    uses: service.status
    with: {service: "${{ params.service }}"}
    retry: {attempts: 3, delay: 10s, backoff: 2}
    on_failure: {goto: told}
  - when: not steps.look.well
    parallel:
      - id: each
        for_each: steps.look.replicas
        uses: service.logs
        with: {service: api, lines: 50}
      - wait: 2m
  - id: agree
    approve: {text: "Restart?", by: commander, count: 2, other: true, timeout: 5m}
  - id: restart
    uses: service.restart
    with: {service: api}
    timeout: 10m
  - id: well
    uses: service.status
    with: {service: api}
    wait: {until: result.well, every: 5s, timeout: 5m}
    on_failure: continue
  - id: told
    when: succeeded('well')
    notify: |
      All is
      well
  - assert: not failed('look')
    message: It could not be looked at
  - ask: {text: Is it over?, choices: ["Yes", "No"], timeout: 1h}
  - manual: {text: Write it down, timeout: 1h}
  - runbook: other
    with: {list: [1, "${{ params.mode }}"]}
finally:
  - note: it was ${{ verdict }}
"#;

#[test]
fn a_person_can_follow_it_without_the_bot() {
    assert_snapshot!(markdown(&read(FULL), &vocabulary()), @r"
    # Something of everything

    Shows each kind of step.

    - Offered for alerts with `alertname=HighMemory`, `severity=page`
    - Offered for incidents about “memory”
    - Ends after 2h at the latest

    | Parameter | Takes | Default | For |
    |---|---|---|---|
    | `service` | service | has to be given | Which one \| or another |
    | `wait` | duration, at most 1h | 10m |  |
    | `mode` | text: fast, slow | none |  |

    ## Steps

    1. Look at ${{ params.service }}: `service.status` with service `${{ params.service }}`; up to 3 attempts, 10s apart and ever longer; if it fails, goes on at 6 → `steps.look`
    2. If `not steps.look.well`: at the same time
       1. For each of `steps.look.replicas`: `service.logs` with service `api`, lines `50` → `steps.each`
       2. wait 2m
    3. 2 commanders other than who started it have to approve: Restart?; within 5m → `steps.agree`
    4. `service.restart` with service `api`; a commander has to agree; within 10m → `steps.restart`
    5. `service.status` with service `api`, again every 5s until `result.well`; within 5m; goes on if it fails → `steps.well`
    6. If `succeeded('well')`: say: All is well
    7. make sure that `not failed('look')`; otherwise: It could not be looked at
    8. ask a responder: Is it over? (Yes / No); within 1h
    9. by hand (responder): Write it down; within 1h
    10. runbook `other` with list `[1, ${{ params.mode }}]`

    ## At the end in any case

    1. note: it was ${{ verdict }}
    ");
}

#[test]
fn what_is_computed_later_has_a_name_in_chat() {
    let text = "name: x
steps:
  - id: before
    uses: service.status
  - note: ${{ round(default(steps.before.memory_percent, 0)) }} % at ${{ 1 + 2 }}
";
    let lines = outline(&read(text), &vocabulary());
    assert_eq!(
        lines[1].1,
        "Note on the timeline: ‹memory percent› % at ‹1 + 2›"
    );
}

#[test]
fn in_chat_each_step_is_a_line_with_its_number() {
    let lines: Vec<String> = outline(&read(FULL), &vocabulary())
        .into_iter()
        .map(|(number, text)| format!("{number} {text}"))
        .collect();
    assert_snapshot!(lines.join("\n"), @r"
    1. Look at ‹service›
    2. In parallel: (if needed)
    2.1. service.logs (for each)
    2.2. Wait 2m
    3. Restart? (2 commanders other than who started it approve)
    4. service.restart (a change; a commander has to agree)
    5. service.status
    6. Say: All is well (if needed)
    7. Make sure; else: It could not be looked at
    8. Is it over? (a responder answers)
    9. Write it down (by hand, a responder says when it is done)
    10. The runbook other
     At the end in any case:
    1. Note on the timeline: it was ‹verdict›
    ");
}

#[test]
fn the_chart_has_every_way_through_it() {
    assert_snapshot!(mermaid(&read(FULL)), @r#"
    flowchart TD
      begin(["begin"])
      s_look["Look at $(( params.service ))"]
      if_step_2{"not steps.look.well?"}
      subgraph s_step_2["at the same time"]
        subgraph s_each["For each of steps.look.replicas: service.logs service=api lines=50"]
          each_each["service.logs service=api lines=50"]
        end
        s_step_4["wait 2m"]
      end
      s_agree{"Restart?"}
      s_restart["service.restart service=api"]
      s_well["service.status service=api, again every 5s until result.well"]
      if_told{"succeeded('well')?"}
      s_told["say: All is well"]
      s_step_9{{"make sure that not failed('look'), otherwise: It could not be looked at"}}
      s_step_10{"Is it over?"}
      s_step_11[/"by hand (responder): Write it down"/]
      s_step_12["runbook other list=(1, $(( params.mode )))"]
      subgraph finally["At the end in any case"]
        s_step_13["note: it was $(( verdict ))"]
      end
      finish(["end"])
      begin --> s_look
      s_look -.->|fails| if_told
      s_look --> if_step_2
      if_step_2 -->|yes| each_each
      if_step_2 -->|yes| s_step_4
      each_each --> s_agree
      s_step_4 --> s_agree
      if_step_2 -->|no| s_agree
      s_agree -->|approved| s_restart
      s_restart --> s_well
      s_well --> if_told
      if_told -->|yes| s_told
      s_told --> s_step_9
      if_told -->|no| s_step_9
      s_step_9 --> s_step_10
      s_step_10 --> s_step_11
      s_step_11 --> s_step_12
      s_step_12 --> s_step_13
      s_step_13 --> finish
    "#);
}

#[test]
fn no_title_breaks_out_of_its_box() {
    let text = "name: x
title: \"a | b\\n# c\"
steps:
  - id: a
    title: \"\\\"] end; click me href <b> `x` #quot; & --> subgraph\"
    when: 1 < 2
    note: x
  - id: a_if
    title: \" \"
    note: x
";
    let runbook = read(text);
    let chart = mermaid(&runbook);
    assert_snapshot!(chart, @r#"
    flowchart TD
      begin(["begin"])
      if_a{"1 ‹ 2?"}
      s_a["') end, click me href ‹b› 'x'  quot, + --› subgraph"]
      s_a_if["–"]
      finish(["end"])
      begin --> if_a
      if_a -->|yes| s_a
      s_a --> s_a_if
      if_a -->|no| s_a_if
      s_a_if --> finish
    "#);
    assert!(markdown(&runbook, &vocabulary()).starts_with("# a | b # c\n"));
}
