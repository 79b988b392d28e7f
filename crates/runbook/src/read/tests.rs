use super::read;
use crate::source::Source;

/// What is found in a text: `LINE:COLUMN message`.
fn told(text: &str) -> Vec<String> {
    let source = Source::new("x.yml", text);
    let findings = read(&source).err().unwrap_or_default();
    findings
        .iter()
        .map(|finding| {
            let told = source.explain(finding);
            format!("{}:{} {}", told.line, told.column, told.message)
        })
        .collect()
}

/// What is marked by the first finding.
fn marked(text: &str) -> (usize, usize, String) {
    let source = Source::new("x.yml", text);
    let finding = read(&source).unwrap_err().remove(0);
    let told = source.explain(&finding);
    (
        told.line,
        told.column,
        source.slice(finding.span).to_owned(),
    )
}

#[test]
fn every_mistake_of_form_is_told_in_one_go() {
    let text = "name: Memory_Leak
tiemout: 5m
params:
  a: {type: numbr}
  b: {type: number, default: many}
  c: {type: text, default: null}
  d: {type: number, min: 5, max: 1}
  e: {type: text, min: 1}
  f: {type: text, default: x, choices: [y, z]}
triggers:
  - {alert: A, keyword: b}
steps:
  - id: Step
    note: x
  - note: x
    with: {a: 1}
  - title: x
  - uses: a.b
    note: x
  - retry: {attempts: 0, backoff: 11}
    uses: a.b
  - on_failure: ignore
    uses: a.b
  - ask: {text: x, choices: [a]}
  - approve: {text: x, by: admin, count: 9}
  - wait: {until: x}
";
    assert_eq!(
        told(text),
        [
            "1:7 a runbook's name has small letters, digits and `-`, at most 60, and begins with a letter",
            "2:1 unknown key `tiemout`",
            "4:13 there is no type `numbr`",
            "5:30 `many` is not a number",
            "6:28 a text is needed; this is null",
            "7:3 `d`: `min` is more than `max`",
            "8:24 `min` is for numbers; this parameter is text",
            "9:3 the default of `f`: it is one of y, z",
            "11:5 a trigger has either `alert` or `keyword`",
            "13:9 a step's id has small letters, digits and `_`, at most 60, and begins with a letter",
            "16:5 `with` means nothing here",
            "17:5 the step does nothing",
            "19:5 the step has `uses` already",
            "20:23 `attempts` is a whole number from 1 to 20",
            "20:35 `backoff` is a factor from 1 to 10",
            "22:17 `ignore` is not a way to go on",
            "24:10 a question has two to five choices",
            "25:28 there is no role `admin`",
            "25:42 `count` is a whole number from 1 to 5",
            "26:19 nothing changes while the step only waits",
        ]
    );
}

#[test]
fn a_mistake_in_a_text_is_marked_where_it_stands_however_the_text_is_written() {
    let good = "${{ params.a }} and";
    let bad = "${{ 1 + }}";
    for written in [
        format!("{good} {bad}"),
        format!("\"{good} {bad}\""),
        format!("\"tab\\t {good} {bad}\""),
        format!(">-\n      one ü\n      {good}\n      {bad}"),
        format!("|\n      one\n\n      {good} {bad}"),
    ] {
        let text = format!("name: x\nsteps:\n  - note: {written}\n");
        // The number that is missing before the last brackets.
        let place = Source::new("x.yml", &text).position(text.rfind("}}").unwrap());
        let (line, column, _) = marked(&text);
        assert_eq!((line, column), place, "{text}");
    }
    let own = "name: x\nsteps:\n  - note: x\n    when: >-\n      1 +\n";
    let (line, column, _) = marked(own);
    assert_eq!((line, column), (5, 10));
    let (.., mark) = marked("name: x\nsteps:\n  - note: >-\n      a\n      ${{ nosuch(1) ]\n");
    assert_eq!(mark, "${{");
}

#[test]
fn a_mistake_in_an_expression_is_marked_in_whatever_way_it_is_written() {
    for when in [
        "steps.a.up and «$» 1",
        "\"steps.a.up and «$» 1\"",
        "'steps.ä == ''x'' and «$» 1'",
        "\"a == \\\"\\u00e4\\\" and «$» 1\"",
        ">-\n      steps.a.up and\n      steps.b.up and\n        «$» 1",
        "steps.a.up and\n      steps.ü.up and «$» 1",
        "${{ a and «$» 1 }}",
        "\t steps.a.up and «$» 1",
    ] {
        let text = format!("name: x\nsteps:\n  - {{note: ok}}\n  - when: {when}\n    note: n\n");
        let (before, rest) = text.split_once('«').unwrap();
        let (mistake, after) = rest.split_once('»').unwrap();
        let source = Source::new("x.yml", &format!("{before}{mistake}{after}"));
        let first = read(&source).unwrap_err().remove(0);
        let at = (first.span.start, source.slice(first.span));
        assert_eq!(at, (before.len(), mistake), "{when}: {}", first.message);
    }
    let note =
        "name: x\nsteps:\n  - note: >-\n      Größe ${{ steps.a }} und\n      mehr ${{ 1 + }}\n";
    let (line, _, _) = marked(note);
    assert_eq!(line, 5);
}
