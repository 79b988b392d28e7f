//! The runbooks that come with the bot, each against the simulated stack with its fault put in:
//! that it mends it, and that it stops and asks where it has to.

use std::time::Duration;

use treasury_bot::probe::Database;
use treasury_bot::sandbox::slack::Message;
use treasury_bot::sandbox::stack::Fault;

use crate::support::stage::{HOME, Scenery, Stage, words_of};

struct Run {
    stage: Stage,
    message: Message,
}

/// Puts a fault in, lets time pass, and starts a runbook.
async fn run(fault: Option<(Fault, &str)>, seconds: u64, typed: &str) -> Run {
    let stage = Stage::set(Scenery {
        hold: Duration::from_secs(30),
        ..Scenery::default()
    })
    .await;
    began(stage, fault, seconds, typed).await
}

/// A leak at a pace at which nothing happens between two steps of a run.
async fn leaking(typed: &str) -> Run {
    let stage = Stage::set(Scenery {
        speed: 4.0,
        ..Scenery::default()
    })
    .await;
    began(stage, Some((Fault::MemoryLeak, "frontend")), 135, typed).await
}

async fn began(stage: Stage, fault: Option<(Fault, &str)>, seconds: u64, typed: &str) -> Run {
    if let Some((fault, service)) = fault {
        let service = (!service.is_empty()).then_some(service);
        stage.stack.put_in(fault, service).unwrap();
    }
    stage.stack.advance(Duration::from_secs(seconds));
    stage.ana(&format!("runbook run {typed}")).await;
    let message = stage.said(HOME, "Run 1 of").await;
    Run { stage, message }
}

impl Run {
    /// Somebody presses a button of the question with these words.
    async fn press(&self, who: &str, words: &str, label: &str) {
        let question = self
            .stage
            .sandbox
            .wait_for(Duration::from_secs(40), |workspace| {
                let mut all = workspace.messages();
                all.find(|m| {
                    let said = words_of(m);
                    m.ts != self.message.ts && said.contains(words) && said.contains(label)
                })
                .cloned()
            })
            .await
            .unwrap_or_else(|error| panic!("nobody asked “{words}”: {error}"));
        let person = self.stage.person(who);
        person.clicks(HOME, &question.ts, label).await.unwrap();
    }

    async fn approve(&self, words: &str) {
        self.press("ana", words, "Approve").await;
    }

    /// The run's message, once it ends like this; and nothing is left to be said.
    async fn ends(&self, word: &str) -> String {
        let ended = self
            .stage
            .sandbox
            .wait_for(Duration::from_secs(60), |workspace| {
                let now = workspace
                    .channel(&self.message.channel)?
                    .message(&self.message.ts)?;
                let said = words_of(now);
                let title = said.lines().next().unwrap_or_default();
                ["succeeded", "failed", "was stopped"]
                    .iter()
                    .any(|end| title.ends_with(end))
                    .then(|| said.clone())
            })
            .await
            .unwrap();
        assert!(ended.lines().next().unwrap().ends_with(word), "{ended}");
        self.stage.quiet().await;
        ended
    }

    fn calls(&self) -> Vec<String> {
        self.stage.stack.calls()
    }

    async fn finish(self) {
        self.stage.finish().await;
    }
}

#[tokio::test]
async fn memory_leak_restarts_the_service_and_sees_memory_come_down() {
    let run = leaking("memory-leak service=frontend limit=60 settle=1s").await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ Memory has come down"), "{told}");
    assert_eq!(run.calls(), ["restart frontend"]);
    run.stage.said(HOME, "frontend was restarted: ").await;
    run.finish().await;
}

#[tokio::test]
async fn memory_leak_asks_where_memory_is_not_high_and_a_no_changes_nothing() {
    let run = run(None, 60, "memory-leak service=frontend").await;
    run.press("ana", "Restart it all the same?", "Decline")
        .await;
    run.ends("failed").await;
    assert_eq!(run.calls(), [""; 0]);
    run.finish().await;
}

#[tokio::test]
async fn high_traffic_scales_out_in_steps_and_back_when_told_so() {
    let run = run(
        Some((Fault::HighTraffic, "")),
        120,
        "high-traffic service=frontend busy=40 most=4 settle=1s",
    )
    .await;
    run.approve("one at a time").await;
    run.press("ana", "Is the peak over", "Yes, go back").await;
    run.ends("succeeded").await;
    assert_eq!(
        run.calls(),
        ["scale frontend 3", "scale frontend 4", "scale frontend 2"]
    );
    run.finish().await;
}

#[tokio::test]
async fn high_traffic_scales_nothing_without_approval() {
    let run = run(Some((Fault::HighTraffic, "")), 120, "high-traffic").await;
    run.press("ana", "one at a time", "Decline").await;
    run.ends("failed").await;
    assert_eq!(run.calls(), [""; 0]);
    run.finish().await;
}

#[tokio::test]
async fn database_issues_ends_the_root_of_a_lock_chain() {
    let stage = Stage::new().await;
    stage.stack.put_in(Fault::SlowDatabase, None).unwrap();
    let database = stage.stack.database();
    while database.locks().await.unwrap().tree.len() < 3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.ana("runbook run database-issues").await;
    let message = stage.said(HOME, "Run 1 of").await;
    let run = Run { stage, message };
    run.approve("End it?").await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ Nobody waits any more"), "{told}");
    assert!(run.stage.stack.faults().is_empty(), "the query is gone");
    let calls = run.calls();
    assert!(
        calls.len() == 1 && calls[0].starts_with("terminate session"),
        "{calls:?}"
    );
    run.finish().await;
}

#[tokio::test]
async fn database_issues_restarts_the_leaking_client_if_it_may() {
    let run = run(
        Some((Fault::ConnectionsExhausted, "")),
        300,
        "database-issues client=api",
    )
    .await;
    run.approve("which frees those it holds?").await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ Connections are free again"), "{told}");
    assert_eq!(run.calls(), ["restart api"]);
    run.finish().await;
}

#[tokio::test]
async fn database_connection_failed_asks_restarts_and_is_tried_again_when_the_cause_is_gone() {
    let run = run(
        Some((Fault::CrashLoop, "postgres")),
        60,
        "database-connection-failed",
    )
    .await;
    run.approve("Restart it?").await;
    // The cause is still there: the restart fails, and somebody decides.
    run.stage.said(HOME, "Restart postgres failed").await;
    run.stage.stack.take_out(Fault::CrashLoop);
    run.press("ana", "Restart postgres failed", "Try again")
        .await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ api is well"), "{told}");
    assert_eq!(run.calls(), ["restart postgres", "restart postgres"]);
    run.finish().await;
}

#[tokio::test]
async fn a_container_that_wont_start_is_tried_once_and_then_told() {
    let run = run(
        Some((Fault::CrashLoop, "api")),
        60,
        "container-wont-start service=api",
    )
    .await;
    run.press("ana", "Try one restart?", "Approve").await;
    // The looking afterwards takes two minutes: nobody waits for it here.
    let person = run.stage.person("ana");
    run.stage.becomes(&run.message, "❌ Restart api").await;
    person.clicks(HOME, &run.message.ts, "Stop").await.unwrap();
    run.ends("was stopped").await;
    assert_eq!(run.calls(), ["restart api"]);
    run.finish().await;
}

#[tokio::test]
async fn slow_responses_names_where_the_time_goes_and_changes_nothing() {
    let run = run(Some((Fault::CacheDown, "")), 60, "slow-responses").await;
    run.ends("succeeded").await;
    run.stage.said(HOME, "The cache is down or cold").await;
    assert_eq!(run.calls(), [""; 0]);
    run.finish().await;
}

#[tokio::test]
async fn high_memory_tells_and_changes_nothing() {
    let run = leaking("high-memory service=frontend limit=60").await;
    run.ends("succeeded").await;
    run.stage
        .said(HOME, "Rising steadily: run memory-leak")
        .await;
    assert_eq!(run.calls(), [""; 0]);
    run.finish().await;
}

#[tokio::test]
async fn a_security_incident_needs_a_second_person_and_goes_on_by_hand() {
    let run = run(None, 60, "security-incident service=api").await;
    run.press("ana", "off from all networks", "Approve").await;
    run.stage.said(HOME, "needs the role commander").await;
    run.press("ben", "off from all networks", "Approve").await;
    for words in ["Rotate its database", "without the weakness"] {
        run.press("ana", words, "Done").await;
    }
    run.press("ben", "Is api clean", "Approve").await;
    run.ends("succeeded").await;
    assert_eq!(run.calls(), ["isolate api", "release api"]);
    run.finish().await;
}

#[tokio::test]
async fn a_deployment_does_not_begin_on_a_sick_service() {
    let run = run(
        Some((Fault::CrashLoop, "api")),
        60,
        "deploy service=api image=1.9.0",
    )
    .await;
    run.press("ana", "is not well before the deployment", "Stop the run")
        .await;
    run.ends("was stopped").await;
    run.finish().await;
}

#[tokio::test]
async fn a_deployment_is_done_checked_and_kept() {
    let run = run(None, 60, "deploy service=api image=1.9.0").await;
    run.press("ana", "Tests are green", "Done").await;
    run.approve("Deploy 1.9.0 of api now?").await;
    run.press("ana", "shall 1.9.0 stay", "It stays").await;
    run.press("ana", "Monitoring is on again", "Done").await;
    run.ends("succeeded").await;
    run.stage
        .said(HOME, "1.9.0 of api is deployed: 2 of 2 replicas well")
        .await;
    assert_eq!(run.calls(), ["deploy api 1.9.0"]);
    run.finish().await;
}

#[tokio::test]
async fn a_deployment_that_disappoints_is_rolled_back() {
    let run = run(None, 60, "deploy service=api image=1.9.0").await;
    run.press("ana", "Tests are green", "Done").await;
    run.approve("Deploy 1.9.0 of api now?").await;
    run.press("ana", "shall 1.9.0 stay", "Roll back").await;
    run.ends("succeeded").await;
    run.stage
        .said(HOME, "was rolled back to ghcr.io/treasury/api:1.8.3")
        .await;
    assert_eq!(run.calls(), ["deploy api 1.9.0", "deploy api 1.8.3"]);
    run.finish().await;
}
