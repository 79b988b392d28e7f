//! Stories of the driver: what the bot asks of the platform. No test waits.

use std::time::Duration;

use jiff::Timestamp;

use super::stories::{all_lines, events, intent, noon, restart, scale, service, stack, status};
use super::{Fault, Role, Stack, StackConfig};
use treasury_domain::service::{LogQuery, Patience, ReplicaMark, ReplicaOutcome, Target};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn given_restarts_hang_then_it_times_out_and_its_fate_is_known_later() {
    let stack = stack();
    let before = status(&stack, Role::Frontend).await;
    let marks: Vec<ReplicaMark> = before.replicas.iter().map(Into::into).collect();
    let outcome = async |stack: &Stack| {
        let service = service(Role::Frontend);
        stack
            .restart_outcome(&service, &marks, &intent())
            .await
            .unwrap()
    };
    assert_eq!(outcome(&stack).await, [ReplicaOutcome::Untouched; 2]);

    stack.put_in(Fault::RestartHangs, None).unwrap();
    let error = restart(&stack, Role::Frontend).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Simulated stack did not finish restarting treasury-frontend-1 within 20 s"
    );
    assert_eq!(
        outcome(&stack).await,
        [ReplicaOutcome::UnderWay, ReplicaOutcome::Untouched]
    );

    stack.take_out(Fault::RestartHangs);
    stack.advance(Duration::from_secs(10));
    assert_eq!(
        outcome(&stack).await,
        [ReplicaOutcome::Restarted, ReplicaOutcome::Untouched]
    );

    scale(&stack, Role::Frontend, 1).await.unwrap();
    assert_eq!(
        outcome(&stack).await,
        [ReplicaOutcome::Restarted, ReplicaOutcome::Gone]
    );
}

#[tokio::test]
async fn given_the_engine_is_gone_or_rights_are_missing_then_calls_say_so() {
    let stack = stack();
    stack.put_in(Fault::PermissionDenied, None).unwrap();
    assert!(status(&stack, Role::Api).await.is_well());
    for result in [
        restart(&stack, Role::Api).await,
        scale(&stack, Role::Api, 3).await,
    ] {
        assert!(matches!(result, Err(PlatformError::Denied { .. })));
    }
    stack.put_in(Fault::EngineGone, None).unwrap();
    let api = service(Role::Api);
    for result in [
        stack.ping().await.err(),
        stack.status(&api).await.err(),
        stack.logs(&api, &all_lines()).await.err(),
        stack.stats(&api).await.err(),
        stack.events(&api, noon()).await.err(),
        stack.restart_outcome(&api, &[], &intent()).await.err(),
        stack.scalable(&api, 2).await.err(),
        restart(&stack, Role::Api).await.err(),
        scale(&stack, Role::Api, 3).await.err(),
    ] {
        assert!(matches!(result, Some(PlatformError::Unreachable { .. })));
    }
    assert_eq!(stack.calls(), [""; 0], "nothing was touched");
    stack.take_out(Fault::EngineGone);
    assert!(stack.ping().await.is_ok());
}

#[tokio::test]
async fn a_restart_goes_from_replica_to_replica_and_can_be_limited_to_some() {
    let stack = stack();
    let before = status(&stack, Role::Frontend).await;
    let only = [before.replicas[1].id.clone()];
    let after = stack
        .restart(
            &service(Role::Frontend),
            Some(&only),
            &intent(),
            Patience::default(),
            &ProgressSink::none(),
        )
        .await
        .unwrap();
    assert_eq!(after.replicas[0].started_at, before.replicas[0].started_at);
    assert!(after.replicas[1].started_at > before.replicas[1].started_at);
    let took = stack.overview().at.duration_since(noon()).as_secs_f64();
    assert!((1.5..8.0).contains(&took), "{took}");
    assert_eq!(
        events(&stack, Role::Frontend).await,
        [
            "kill",
            "die",
            "stop",
            "start",
            "restart",
            "health_status: healthy"
        ]
    );
    restart(&stack, Role::Frontend).await.unwrap();
    let both = stack
        .events(&service(Role::Frontend), noon())
        .await
        .unwrap();
    let at = |name: &str, what: &str| {
        let found = both
            .list
            .iter()
            .rev()
            .find(|e| e.replica == name && e.what == what);
        found.unwrap().at
    };
    assert!(
        at("treasury-frontend-1", "health_status: healthy") <= at("treasury-frontend-2", "kill")
    );
    let missing = ["nobody".to_owned()];
    let refused = stack
        .restart(
            &service(Role::Frontend),
            Some(&missing),
            &intent(),
            Patience::default(),
            &ProgressSink::none(),
        )
        .await;
    assert!(matches!(refused, Err(PlatformError::NotFound { .. })));
    assert_eq!(
        stack.calls(),
        ["restart frontend treasury-frontend-2", "restart frontend"]
    );
}

#[tokio::test]
async fn scaling_is_idempotent_removes_the_newest_and_never_doubles_the_writer() {
    let stack = stack();
    let three = scale(&stack, Role::Frontend, 3).await.unwrap();
    assert_eq!(scale(&stack, Role::Frontend, 3).await.unwrap(), three);
    let two = scale(&stack, Role::Frontend, 2).await.unwrap();
    assert_eq!(two.replicas, three.replicas[..2]);

    let refused = stack.scalable(&service(Role::Postgres), 2).await;
    assert!(
        matches!(&refused, Err(PlatformError::Unsupported(why)) if why.contains("one writer")),
        "{refused:?}"
    );
    assert!(
        scale(&stack, Role::Postgres, 2)
            .await
            .unwrap_err()
            .is_refusal()
    );
    assert!(
        scale(&stack, Role::Frontend, 0)
            .await
            .unwrap_err()
            .is_refusal()
    );
    assert!(stack.scalable(&service(Role::Frontend), 20).await.is_ok());
    assert!(stack.scalable(&service(Role::Frontend), 21).await.is_err());
}

#[tokio::test]
async fn an_unknown_service_is_not_found_and_another_platform_s_is_refused() {
    let stack = stack();
    let mut stranger = service(Role::Api);
    stranger.target = Target::Simulated {
        name: "ledger".to_owned(),
    };
    let error = stack.status(&stranger).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "service `ledger` was not found on Simulated stack: it has frontend, api, postgres and redis"
    );
    stranger.target = Target::Container {
        engine: None,
        name: "api".to_owned(),
    };
    assert!(stack.status(&stranger).await.unwrap_err().is_refusal());
}

#[tokio::test]
async fn logs_are_merged_limited_and_say_when_older_lines_were_left_out() {
    let stack = stack();
    stack.advance(10 * MINUTE);
    let frontend = service(Role::Frontend);
    let few = LogQuery {
        lines: 20,
        ..all_lines()
    };
    let logs = stack.logs(&frontend, &few).await.unwrap();
    assert!(logs.truncated && logs.lines.len() == 20);
    assert!(logs.lines.is_sorted_by_key(|l| l.at));
    let replicas: std::collections::BTreeSet<_> = logs.lines.iter().map(|l| &l.replica).collect();
    assert_eq!(replicas.len(), 2);

    let recent = LogQuery {
        since: Some(stack.overview().at),
        ..all_lines()
    };
    assert!(!stack.logs(&frontend, &recent).await.unwrap().truncated);
    let previous = LogQuery {
        previous: true,
        ..all_lines()
    };
    let logs = stack.logs(&frontend, &previous).await.unwrap();
    assert!(logs.lines.is_empty(), "there is no run before the first");
}

#[tokio::test]
async fn by_the_wall_clock_a_fast_stack_restarts_in_a_moment_and_tells_its_subscribers() {
    let stack = Stack::start(StackConfig {
        speed: 50.0,
        ..StackConfig::default()
    });
    let mut changes = stack.subscribe();
    let began = Timestamp::now();
    let after = restart(&stack, Role::Redis).await.unwrap();
    assert!(after.is_well() && after.replicas[0].started_at >= Some(began));
    assert!(after.replicas[0].started_at <= Some(Timestamp::now()));
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    stack.put_in(Fault::ApiErrors, None).unwrap();
    assert!(changes.has_changed().unwrap());
}
