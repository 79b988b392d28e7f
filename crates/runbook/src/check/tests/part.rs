//! Runbooks with mistakes of form.

use super::vocabulary;
use crate::check_in_part;
use crate::source::Source;

#[test]
fn mistakes_of_form_hide_no_others_and_each_is_told_once() {
    let told = |text: &str| {
        let part = crate::read_in_part(&Source::new("x.yml", text));
        let mut all = part.findings.clone();
        all.extend(check_in_part(&part, &vocabulary()));
        all.sort_by_key(|finding| finding.span);
        let all = all.into_iter().map(|finding| finding.message);
        all.collect::<Vec<_>>()
    };
    // A shell, a misspelt probe and a step that isn't there; whoever speaks of the step with the
    // mistake is not told that it isn't there.
    let text = "name: x
params:
  p: {type: text, default: a}
steps:
  - id: a
    shell: rm -rf /
  - id: b
    uses: lok
    with: {service: '${{ params.p }}'}
  - when: succeeded('a')
    note: '${{ steps.nope.x }} ${{ steps.a.well }}'
  - uses: look
    with: {service: api}
    on_failure: {goto: e}
  - id: e
    note: '${{ 1 + }}'
";
    assert_eq!(
        told(text),
        [
            "unknown key `shell`",
            "there is no action or probe `lok`",
            "there is no `nope` here",
            "a value is missing here",
        ]
    );
    // What is wrong with a parameter is not what is wrong with who speaks of it; nor is it unused.
    let text = "name: X
params:
  P: {type: numbr}
  q: {type: text, default: a}
steps:
  - assert: params.P > 3
  - uses: lok
";
    assert_eq!(
        told(text),
        [
            "a runbook's name has small letters, digits and `-`, at most 60, and begins with a letter",
            "a parameter's name has small letters, digits and `_`, at most 60, and begins with a letter",
            "there is no action or probe `lok`",
        ]
    );
    // A mistake within a list leaves only its own step out.
    let text = "name: x
steps:
  - parallel:
      - {id: a, note: '${{ }}'}
      - {uses: lok}
  - note: '${{ steps.a.b }}'
";
    assert_eq!(told(text).len(), 2, "{:?}", told(text));
}
