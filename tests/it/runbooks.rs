//! Stories of runs: what is typed, what is asked, what becomes of the stack, what is told.

use std::time::Duration;

use treasury_bot::domain::EntryKind;
use treasury_bot::sandbox::stack::Fault;

use crate::support::postgres::Postgres;
use crate::support::stage::{HOME, Scenery, Stage, another_bot, words_of};

/// Restarts the api if somebody else approves, and says so.
const APPROVED: &str = "name: approved
title: Restart with approval
summary: Restarts the api when a commander agrees.
params:
  service: {type: service, default: api}
steps:
  - id: look
    uses: service.status
    with: {service: '${{ params.service }}'}
  - id: agree
    approve: {text: 'Restart ${{ params.service }}?', by: commander, other: true, timeout: 5m}
  - id: restart
    title: Restart ${{ params.service }}
    uses: service.restart
    with: {service: '${{ params.service }}'}
  - notify: '${{ params.service }} was restarted, agreed by ${{ steps.agree.by }}'
";

fn scenery(runbooks: &[&str]) -> Scenery {
    Scenery {
        runbooks: runbooks.iter().map(|text| (*text).to_owned()).collect(),
        ..Scenery::default()
    }
}

async fn press(stage: &Stage, who: &str, message: &str, label: &str) {
    let question = stage.said(HOME, message).await;
    let person = stage.person(who);
    person.clicks(HOME, &question.ts, label).await.unwrap();
}

#[tokio::test]
async fn a_run_is_one_message_that_ends_with_what_was_done() {
    let stage = Stage::new().await;
    stage
        .ana("runbook run restart-service service=frontend steady=1s")
        .await;
    let run = stage.said(HOME, "Run 1 of Restart a service").await;
    let run = stage.becomes(&run, "succeeded").await;
    let words = words_of(&run);
    assert!(
        words.contains("✅ Restart frontend") && words.contains("4/4"),
        "{words}"
    );
    assert_eq!(stage.stack.calls(), ["restart frontend"]);
    stage.quiet().await;
    assert_eq!(stage.count("Run 1 of"), 1, "one message in all");
    let audit = stage.audit().await;
    let told: Vec<(EntryKind, &str)> = audit
        .iter()
        .map(|entry| (entry.kind, entry.text.as_str()))
        .collect();
    let find = |kind, words: &str| {
        told.iter()
            .position(|(k, text)| *k == kind && text.contains(words))
            .unwrap_or_else(|| panic!("no {words} in {told:#?}"))
    };
    let begins = find(EntryKind::Run, "run 1 of restart-service begins");
    let intent = find(EntryKind::Intent, "frontend");
    let outcome = find(EntryKind::Outcome, "frontend");
    let note = find(
        EntryKind::Note,
        "frontend was restarted: 2 of 2 replicas well before",
    );
    let ends = find(EntryKind::Run, "run 1 of restart-service succeeded");
    assert!(
        begins < intent && intent < outcome && outcome < note && note < ends,
        "{told:#?}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_is_typed_wrong_is_told_with_the_right_words() {
    let stage = Stage::new().await;
    for (typed, told) in [
        (
            "runbook run restart-servce service=api",
            "There is no runbook restart-servce",
        ),
        ("runbook run restart-service", "service is missing"),
        (
            "runbook run restart-service servce=api",
            "did you mean service?",
        ),
        (
            "runbook run restart-service service=apii",
            "There is no service apii",
        ),
        ("runbook run restart-service api", "key=value"),
        ("runbook stop 99", "There is no run 99"),
        ("runbook answer 99 x approve", "There is no run 99"),
    ] {
        stage.ana(typed).await;
        stage.said(HOME, told).await;
    }
    stage
        .types(
            "chloe",
            HOME,
            "runbook run restart-service service=api steady=1s",
        )
        .await;
    stage.said(HOME, "Only a responder may do this").await;
    stage.ana("runbook show restart-service").await;
    stage.said(HOME, "2. Restart ‹service› (a change)").await;
    stage.ana("runbook").await;
    stage.said(HOME, "restart-service Looks at a service").await;
    assert_eq!(stage.stack.calls(), [""; 0]);
    stage.finish().await;
}

#[tokio::test]
async fn an_approval_needs_another_person_of_the_role_and_then_goes_on() {
    let stage = Stage::set(scenery(&[APPROVED])).await;
    stage
        .types("ben", HOME, "runbook run approved service=api")
        .await;
    let run = stage.said(HOME, "Run 1 of Restart with approval").await;
    stage.becomes(&run, "waits for an answer").await;
    press(&stage, "ben", "can approve", "Approve").await;
    stage
        .said(HOME, "other than who started the run has to answer this")
        .await;
    press(&stage, "ana", "can approve", "Approve").await;
    stage.said(HOME, "only a commander may answer this").await;
    assert_eq!(stage.stack.calls(), [""; 0]);
    press(&stage, "ben", "can approve", "Decline").await;
    stage.becomes(&run, "failed").await;
    stage.said(HOME, "declined by ben").await;
    assert_eq!(stage.stack.calls(), [""; 0], "a no is a no");

    stage.ana("runbook run approved").await;
    let run = stage.said(HOME, "Run 2 of Restart with approval").await;
    press(&stage, "ben", "can approve", "Approve").await;
    stage.becomes(&run, "succeeded").await;
    stage.said(HOME, "api was restarted, agreed by ben").await;
    assert_eq!(stage.stack.calls(), ["restart api"]);
    stage.finish().await;
}

#[tokio::test]
async fn a_rehearsal_looks_for_real_and_changes_nothing() {
    let stage = Stage::set(scenery(&[APPROVED])).await;
    stage
        .types("chloe", HOME, "runbook rehearse approved service=api")
        .await;
    let run = stage
        .said(HOME, "Rehearsal 1 of Restart with approval")
        .await;
    let run = words_of(&stage.becomes(&run, "would go through").await);
    for words in [
        "✅ service.status — api",
        "would ask: Restart api?",
        "would call service.restart service=api",
        "would say (the figures are of now, nothing was changed): api was restarted",
    ] {
        assert!(run.contains(words), "{words}: {run}");
    }
    assert_eq!(stage.stack.calls(), [""; 0]);
    stage.finish().await;
}

#[tokio::test]
async fn a_failed_step_is_held_and_somebody_tries_it_again() {
    let stage = Stage::new().await;
    stage.stack.put_in(Fault::EngineGone, None).unwrap();
    stage
        .ana("runbook run restart-service service=api steady=1s")
        .await;
    let run = stage.said(HOME, "Run 1 of Restart a service").await;
    stage.said(HOME, "Look at api failed").await;
    stage.stack.take_out(Fault::EngineGone);
    press(&stage, "ana", "Look at api failed", "Try again").await;
    stage.becomes(&run, "succeeded").await;
    assert_eq!(stage.stack.calls(), ["restart api"]);
    stage.finish().await;
}

#[tokio::test]
async fn a_run_is_stopped_from_its_message_while_it_waits() {
    let waiting = "name: waiting\nsteps:\n  - wait: 1h\n  - uses: service.restart\n    with: {service: api}\nfinally:\n  - note: 'it was ${{ verdict }}'\n";
    let stage = Stage::set(scenery(&[waiting])).await;
    stage.ana("runbook run waiting").await;
    let run = stage.said(HOME, "Run 1 of waiting").await;
    stage
        .person("ana")
        .clicks(HOME, &run.ts, "Stop")
        .await
        .unwrap();
    let run = words_of(&stage.becomes(&run, "was stopped").await);
    assert!(
        run.contains("Stopped by ana") && run.contains("it was stopped"),
        "{run}"
    );
    stage.ana("runbook stop 1").await;
    stage.said(HOME, "this run has ended already").await;
    assert_eq!(stage.stack.calls(), [""; 0]);
    stage.finish().await;
}

#[tokio::test]
async fn two_runs_on_one_service_take_turns_and_a_called_runbook_is_awaited() {
    let caller = "name: caller\nsteps:\n  - id: inner\n    runbook: restart-service\n    with: {service: api, steady: 1s}\n  - note: 'inner ${{ steps.inner.verdict }}'\n";
    let stage = Stage::set(scenery(&[caller])).await;
    stage
        .ana("runbook run restart-service service=api steady=1s")
        .await;
    stage.ana("runbook run caller").await;
    let first = stage.said(HOME, "Run 1 of Restart a service").await;
    let second = stage.said(HOME, "Run 2 of caller").await;
    stage.becomes(&first, "succeeded").await;
    stage.becomes(&second, "succeeded").await;
    let second = words_of(&stage.becomes(&second, "inner succeeded").await);
    assert!(second.contains("run 3 succeeded"), "{second}");
    stage.said(HOME, "Run 3 of Restart a service").await;
    assert_eq!(stage.stack.calls(), ["restart api", "restart api"]);
    let audit = stage.audit().await;
    let changes: Vec<EntryKind> = audit
        .iter()
        .map(|entry| entry.kind)
        .filter(|kind| matches!(kind, EntryKind::Intent | EntryKind::Outcome))
        .collect();
    let (intent, outcome) = (EntryKind::Intent, EntryKind::Outcome);
    assert_eq!(
        changes,
        [intent, outcome, intent, outcome],
        "never at the same time"
    );
    stage.finish().await;
}

#[tokio::test]
async fn another_process_takes_a_run_over_and_answers_reach_it_from_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let scenery = Scenery {
        store_url: Some(format!(
            "sqlite://{}",
            folder.path().join("bot.db").display()
        )),
        ..scenery(&[APPROVED])
    };
    taken_over(&scenery).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_same_on_postgresql() {
    let postgres = Postgres::start().await;
    let scenery = Scenery {
        store_url: Some(postgres.url()),
        ..scenery(&[APPROVED])
    };
    taken_over(&scenery).await;
}

async fn taken_over(scenery: &Scenery) {
    let stage = Stage::set(scenery.clone()).await;
    stage.ana("runbook run approved").await;
    let run = stage.said(HOME, "Run 1 of Restart with approval").await;
    stage.becomes(&run, "waits for an answer").await;
    // The process leaves; the question stays, and another process hears the answer.
    let question = stage.said(HOME, "can approve").await;
    stage.app.stop().await;
    let app = another_bot(&stage.sandbox, &stage.stack, scenery).await;
    let sockets = stage.sandbox.wait_for_sockets(1, Duration::from_secs(20));
    sockets.await.unwrap();
    let ben = stage.sandbox.person("ben");
    ben.clicks(HOME, &question.ts, "Approve").await.unwrap();
    stage
        .sandbox
        .wait_for(Duration::from_secs(30), |workspace| {
            let mut all = workspace.messages();
            all.find(|m| words_of(m).contains("Run 1 of Restart with approval succeeded"))
                .map(|_| ())
        })
        .await
        .unwrap();
    assert_eq!(stage.stack.calls(), ["restart api"]);
    app.stop().await;
    stage.sandbox.stop();
}

/// Declares, worsens and resolves an incident.
const RECORDS: &str = "name: records
title: Keeps records
summary: Declares an incident, notes on it, and resolves it.
steps:
  - id: declare
    uses: incident.declare
    with: {title: Balances are wrong, severity: SEV2, service: api}
  - id: worse
    uses: incident.severity
    with: {severity: SEV1, incident: '${{ steps.declare.incident }}'}
  - id: same
    uses: incident.severity
    with: {severity: SEV1, incident: '${{ steps.declare.incident }}'}
  - id: noted
    uses: incident.note
    with: {text: 'changed: ${{ steps.worse.changed }}, ${{ steps.same.changed }}'}
  - uses: notify.incident
    with: {text: 'Balances are being looked at', incident: '${{ steps.declare.incident }}'}
  - id: over
    uses: incident.resolve
    with: {text: A feed was late, incident: '${{ steps.declare.incident }}'}
";

#[tokio::test]
async fn a_run_keeps_the_records_of_an_incident() {
    let stage = Stage::set(scenery(&[RECORDS])).await;
    stage.ana("runbook rehearse records").await;
    let run = stage.said(HOME, "Rehearsal 1 of").await;
    stage.becomes(&run, "is over: a run would go through").await;
    assert_eq!(stage.app.store.incidents_open().await.unwrap(), []);

    stage.ana("runbook run records").await;
    let run = stage.said(HOME, "Run 2 of").await;
    stage.becomes(&run, "succeeded").await;
    let room = stage.room(1).await;
    stage.said(&room, "Balances are being looked at").await;
    let told: Vec<(EntryKind, String)> = stage
        .timeline(1)
        .await
        .into_iter()
        .map(|entry| (entry.kind, entry.text))
        .collect();
    let expected = [
        (EntryKind::Declared, "Balances are wrong"),
        (EntryKind::Severity, "SEV2 → SEV1"),
        (EntryKind::Note, "changed: true, false"),
        (EntryKind::Status, "open → resolved: A feed was late"),
    ];
    assert_eq!(told, expected.map(|(kind, text)| (kind, text.to_owned())));
    stage.finish().await;
}

#[tokio::test]
async fn an_incident_is_offered_the_runbooks_that_are_about_it() {
    let stage = Stage::new().await;
    stage
        .ana("incident declare Security: strange logins --service api")
        .await;
    let room = stage.room(1).await;
    let offered = stage.said(&room, "Runbooks that may help").await;
    assert!(words_of(&offered).contains("security-incident"));
    stage
        .person("ana")
        .clicks(&room, &offered.ts, "Show security-incident")
        .await
        .unwrap();
    stage.said(&room, "Cut it off").await;
    stage.finish().await;
}
