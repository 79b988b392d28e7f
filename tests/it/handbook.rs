//! The runbooks that come with the bot, each against the simulated stack with its fault put in:
//! that it mends it, and that it stops and asks where it has to.

mod verdicts;

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

    /// Waits for a question with these words, or for the run's own message to have the others.
    async fn either(&self, asked: &str, told: &str) -> bool {
        self.stage
            .sandbox
            .wait_for(Duration::from_secs(40), |workspace| {
                let mut all = workspace.messages();
                let asks = |m: &Message| m.ts != self.message.ts && words_of(m).contains(asked);
                let ends = |m: &Message| m.ts == self.message.ts && words_of(m).contains(told);
                all.find_map(|m| (asks(m) || ends(m)).then(|| asks(m)))
            })
            .await
            .unwrap()
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
    run.stage
        .said(HOME, "frontend was restarted: its memory fell from ")
        .await;
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
async fn a_container_that_wont_start_is_well_once_its_cause_is_gone() {
    let run = run(
        Some((Fault::CrashLoop, "api")),
        60,
        "container-wont-start service=api steady=1s",
    )
    .await;
    run.approve("Try one restart?").await;
    run.stage.becomes(&run.message, "❌ Restart api").await;
    run.stage.stack.take_out(Fault::CrashLoop);
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ See that it stays up"), "{told}");
    run.stage.said(HOME, "api is well again").await;
    assert_eq!(run.calls(), ["restart api"]);
    run.finish().await;
}

#[tokio::test]
async fn a_container_that_wont_start_after_a_deployment_is_rolled_back() {
    let stage = Stage::new().await;
    stage.stack.put_in(Fault::BadDeploy, None).unwrap();
    let run = began(
        stage,
        Some((Fault::CrashLoop, "api")),
        60,
        "container-wont-start service=api steady=1s",
    )
    .await;
    let cause = "go back from ghcr.io/treasury/api:1.9.0-rc1 to ghcr.io/treasury/api:1.8.3?";
    run.press("ana", cause, "Roll back").await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ See that it stays up"), "{told}");
    assert_eq!(run.calls(), ["deploy api 1.8.3"]);
    assert!(run.stage.stack.faults().is_empty(), "it is gone");
    run.finish().await;
}

#[tokio::test]
async fn a_container_that_wont_start_is_left_alone_when_told_so() {
    let run = run(
        Some((Fault::CrashLoop, "api")),
        60,
        "container-wont-start service=api steady=1s",
    )
    .await;
    run.press("ana", "Try one restart?", "Decline").await;
    run.ends("failed").await;
    assert_eq!(run.calls(), [""; 0]);
    run.finish().await;

    let stage = Stage::new().await;
    stage.stack.put_in(Fault::BadDeploy, None).unwrap();
    let run = began(
        stage,
        Some((Fault::CrashLoop, "api")),
        60,
        "container-wont-start service=api steady=1s",
    )
    .await;
    run.press("ana", "the likely cause", "Change nothing").await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("nothing was changed"), "{told}");
    assert_eq!(run.calls(), [""; 0]);
    run.finish().await;
}

/// A stage whose frontend has pages that can be asked.
async fn with_pages(fault: Fault, typed: &str) -> Run {
    let stage = Stage::set(Scenery {
        pages: true,
        ..Scenery::default()
    })
    .await;
    began(stage, Some((fault, "")), 60, typed).await
}

#[tokio::test]
async fn slow_responses_restarts_the_cache_and_sees_the_pages_quick_again() {
    let run = with_pages(Fault::CacheDown, "slow-responses").await;
    run.press("ana", "The cache does not answer", "Restart it")
        .await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ Pages are quick"), "{told}");
    assert_eq!(run.calls(), ["restart redis"]);
    assert!(run.stage.stack.faults().is_empty());
    run.finish().await;
}

#[tokio::test]
async fn slow_responses_scales_out_what_is_too_busy() {
    let run = with_pages(Fault::HighTraffic, "slow-responses busy=60 settle=1s").await;
    run.press("ana", "replica of frontend uses", "Run high-traffic")
        .await;
    run.approve("Add up to 4 more").await;
    run.press("ana", "Is the peak over", "No, keep them").await;
    // With the frontend's share through, the api may be the next to be busy.
    let next = run.either("replica of api uses", "Pages are quick —").await;
    if next {
        run.press("ana", "replica of api uses", "Leave it").await;
    }
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ Pages are quick"), "{told}");
    assert!(run.calls().contains(&"scale frontend 3".to_owned()));
    run.finish().await;
}

#[tokio::test]
async fn slow_responses_ends_a_lock_chain_by_way_of_database_issues() {
    let stage = Stage::new().await;
    stage.stack.put_in(Fault::SlowDatabase, None).unwrap();
    let database = stage.stack.database();
    while database.locks().await.unwrap().tree.len() < 3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.ana("runbook run slow-responses busy=200").await;
    let message = stage.said(HOME, "Run 1 of").await;
    let run = Run { stage, message };
    run.press("ana", "Run database-issues?", "Run database-issues")
        .await;
    run.approve("End it?").await;
    run.ends("succeeded").await;
    assert!(run.stage.stack.faults().is_empty(), "the query is gone");
    run.finish().await;
}

#[tokio::test]
async fn slow_responses_names_the_cause_and_changes_nothing_when_told_so() {
    let run = with_pages(Fault::CacheDown, "slow-responses quick=1").await;
    run.press("ana", "The cache does not answer", "Leave it")
        .await;
    // Nothing is better, so that the last look would take its three minutes.
    run.stage.becomes(&run.message, "⏳ Pages are quick").await;
    let person = run.stage.person("ana");
    person.clicks(HOME, &run.message.ts, "Stop").await.unwrap();
    run.ends("was stopped").await;
    assert_eq!(run.calls(), [""; 0]);
    assert_eq!(run.stage.stack.faults().len(), 1);
    run.finish().await;
}

#[tokio::test]
async fn high_memory_runs_memory_leak_and_sees_memory_come_down() {
    let run = leaking("high-memory service=frontend limit=60 settle=1s").await;
    run.press("ana", "a leak, it seems", "Run memory-leak")
        .await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ Memory is below"), "{told}");
    assert_eq!(run.calls(), ["restart frontend"]);
    run.stage.said(HOME, "Run 2 of Memory leak succeeded").await;
    run.stage
        .said(HOME, "of its memory limit before, and uses")
        .await;
    run.finish().await;
}

#[tokio::test]
async fn high_memory_scales_out_what_has_its_memory_from_the_load() {
    let run = run(
        Some((Fault::HighTraffic, "")),
        120,
        "high-memory service=frontend limit=40 busy=50 settle=1s",
    )
    .await;
    run.press("ana", "the load, or collecting garbage", "Run high-traffic")
        .await;
    run.approve("Add up to 4 more").await;
    run.press("ana", "Is the peak over", "No, keep them").await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ Memory is below"), "{told}");
    assert!(run.calls().contains(&"scale frontend 3".to_owned()));
    run.finish().await;
}

#[tokio::test]
async fn high_memory_tells_and_changes_nothing_when_told_so() {
    let run = leaking("high-memory service=frontend limit=60").await;
    run.press("ana", "a leak, it seems", "Change nothing").await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("nothing was changed"), "{told}");
    assert_eq!(run.calls(), [""; 0]);
    run.finish().await;
}

#[tokio::test]
async fn a_security_incident_needs_a_second_person_and_goes_on_by_hand() {
    let run = run(None, 60, "security-incident service=api").await;
    run.press("ana", "off from all networks", "Approve").await;
    run.stage
        .said(HOME, "only a commander may answer this")
        .await;
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
        "deploy service=api image=1.9.0 steady=1s",
    )
    .await;
    run.press("ana", "is not well before the deployment", "Stop the run")
        .await;
    run.ends("was stopped").await;
    run.finish().await;
}

#[tokio::test]
async fn a_deployment_is_done_checked_and_kept() {
    let run = run(None, 60, "deploy service=api image=1.9.0 steady=1s").await;
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
    let run = run(None, 60, "deploy service=api image=1.9.0 steady=1s").await;
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
