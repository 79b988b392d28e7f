//! Changes: restarts and what became of them.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptions;
use jiff::Timestamp;
use tokio::sync::mpsc;
use treasury_bot::domain::service::{Intent, Patience, ReplicaMark, ReplicaOutcome, Service};
use treasury_bot::platform::docker::Docker;
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use crate::support::engine::{IGNORES, OBEYS, Stack, check, eventually, intent};

pub fn patience(stop: u64, healthy: u64) -> Patience {
    Patience {
        stop: Duration::from_secs(stop),
        healthy: Duration::from_secs(healthy),
    }
}

async fn marks(driver: &Docker, service: &Service) -> Vec<ReplicaMark> {
    let status = driver.status(service).await.unwrap();
    status.replicas.iter().map(ReplicaMark::from).collect()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn replicas_are_restarted_one_after_another() {
    let stack = Stack::new("restart").await;
    for number in [10, 2] {
        let mut body = stack.body("web", number, OBEYS);
        body.healthcheck = Some(check("true", 3));
        stack.start(&stack.container("web", number), body).await;
    }
    let web = stack.service("web");
    let before = marks(&stack.driver, &web).await;
    let began = Timestamp::now();
    let (sender, mut steps) = mpsc::channel(99);
    let sink = ProgressSink::new(sender);
    let status = stack
        .driver
        .restart(&web, None, &intent(), patience(5, 20), &sink)
        .await
        .unwrap();
    assert!(status.is_well());
    let after: Vec<_> = status.replicas.iter().map(ReplicaMark::from).collect();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(a, b)| a.id == b.id && a.started_at < b.started_at)
    );

    // web-10 is touched only when web-2 is healthy again.
    let events = stack.driver.events(&web, began).await.unwrap().list;
    let at = |replica: &str, what: &str| {
        let found = events
            .iter()
            .find(|e| e.replica == replica && e.what == what);
        found
            .unwrap_or_else(|| panic!("{replica} {what}: {events:?}"))
            .at
    };
    let (first, second) = (stack.container("web", 2), stack.container("web", 10));
    assert!(at(&first, "health_status: healthy") < at(&second, "kill"));
    drop(sink);
    let mut told = Vec::new();
    while let Some(step) = steps.recv().await {
        told.push(step);
    }
    assert_eq!(told[0].line, format!("{first}: restarting"));
    let last = told.last().unwrap();
    assert_eq!((last.done, last.total), (2, 2));
    assert!(
        last.line.starts_with(&format!("{second}: back after ")),
        "{last:?}"
    );

    // One only, and none.
    let only = [after[1].id.clone()];
    let quiet = ProgressSink::none();
    let status = stack
        .driver
        .restart(&web, Some(&only), &intent(), patience(5, 20), &quiet)
        .await
        .unwrap();
    assert_eq!(status.replicas[0].started_at, after[0].started_at);
    assert!(status.replicas[1].started_at > after[1].started_at);
    let again = stack
        .driver
        .restart(&web, Some(&[]), &intent(), patience(5, 20), &quiet)
        .await
        .unwrap();
    assert_eq!(again, status);
    let unknown = ["0".repeat(64)];
    let error = stack
        .driver
        .restart(&web, Some(&unknown), &intent(), patience(5, 20), &quiet)
        .await;
    assert!(matches!(error, Err(PlatformError::NotFound { .. })));
    assert_eq!(stack.driver.status(&web).await.unwrap(), status);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_replica_that_ends_after_its_restart_is_told_with_its_last_words() {
    let stack = Stack::new("ends").await;
    let script =
        format!("[ -f /b ] && {{ echo boom >&2; busybox sleep 1; exit 3; }}; echo > /b; {OBEYS}");
    let quiet = ProgressSink::none();
    // Once the engine leaves it alone, once it restarts it again and again.
    for (service, policy) in [("once", None), ("loop", Some("always"))] {
        let mut body = stack.body(service, 1, &script);
        let host = body.host_config.as_mut().unwrap();
        host.restart_policy = policy.map(|name| {
            serde_json::from_value(serde_json::json!({
                "Name": name, "MaximumRetryCount": 0
            }))
            .unwrap()
        });
        stack.start(&stack.container(service, 1), body).await;
        stack.run(service, 2, OBEYS).await;
        let entry = stack.service(service);
        let before = marks(&stack.driver, &entry).await;
        let result = stack
            .driver
            .restart(&entry, None, &intent(), patience(5, 20), &quiet)
            .await;
        let Err(PlatformError::Unwell { what }) = result else {
            panic!("{result:?}");
        };
        assert!(what.contains(&stack.container(service, 1)), "{what}");
        assert!(
            what.contains("exited with code 3") && what.contains("> boom"),
            "{what}"
        );
        // It stopped there.
        let after = marks(&stack.driver, &entry).await;
        assert_eq!(after[1], before[1]);
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_replica_that_does_not_get_healthy_in_time_is_told() {
    let stack = Stack::new("ill").await;
    let quiet = ProgressSink::none();
    let mut ill = stack.body("ill", 1, OBEYS);
    ill.healthcheck = Some(check("echo no database; exit 1", 1));
    stack.start(&stack.container("ill", 1), ill).await;
    let ill = stack.service("ill");
    let result = stack
        .driver
        .restart(&ill, None, &intent(), patience(5, 3), &quiet)
        .await;
    let Err(PlatformError::Unwell { what }) = result else {
        panic!("{result:?}");
    };
    assert!(
        what.contains("unhealthy") && what.contains("no database"),
        "{what}"
    );

    let mut slow = stack.body("slow", 1, OBEYS);
    slow.healthcheck = Some(check("exit 1", 1_000));
    stack.start(&stack.container("slow", 1), slow).await;
    let slow = stack.service("slow");
    let result = stack
        .driver
        .restart(&slow, None, &intent(), patience(5, 2), &quiet)
        .await;
    assert!(
        matches!(result, Err(PlatformError::Timeout { .. })),
        "{result:?}"
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_restart_that_the_engine_goes_on_with_is_never_untouched() {
    let stack = Stack::new("fate").await;
    let stubborn = stack.run("web", 1, IGNORES).await;
    stack.run("web", 2, OBEYS).await;
    let gone = stack.run("web", 3, OBEYS).await;
    let web = stack.service("web");
    let marks = marks(&stack.driver, &web).await;
    let since = Timestamp::now();
    let outcomes = async || {
        stack
            .driver
            .restart_outcome(&web, &marks, &Intent::new("1", since))
            .await
            .unwrap()
    };
    // Nothing yet.
    assert_eq!(outcomes().await, [ReplicaOutcome::Untouched; 3]);

    // The bot asks for a restart and dies while the process ignores the signal.
    let (driver, entry) = (Docker::new(None).unwrap(), web.clone());
    let bot = tokio::spawn(async move {
        let quiet = ProgressSink::none();
        driver
            .restart(&entry, None, &intent(), patience(60, 20), &quiet)
            .await
    });
    eventually("the engine's signal", async || {
        let events = stack.driver.events(&web, since).await.unwrap().list;
        events
            .iter()
            .any(|event| event.what == "kill")
            .then_some(())
    })
    .await;
    bot.abort();
    assert!(bot.await.unwrap_err().is_cancelled());
    stack.remove(&gone).await;
    let [under_way, untouched] = [ReplicaOutcome::UnderWay, ReplicaOutcome::Untouched];
    assert_eq!(
        outcomes().await,
        [under_way, untouched, ReplicaOutcome::Gone]
    );

    // It gives in; the engine starts it again without the bot.
    let options = None::<KillContainerOptions>;
    stack
        .client
        .kill_container(&stubborn, options)
        .await
        .unwrap();
    let seen = eventually("the engine's start", async || {
        let seen = outcomes().await[0];
        assert_ne!(seen, ReplicaOutcome::Untouched);
        (seen != ReplicaOutcome::UnderWay).then_some(seen)
    })
    .await;
    assert_eq!(seen, ReplicaOutcome::Restarted);
}
