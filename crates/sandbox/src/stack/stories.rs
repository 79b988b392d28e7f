//! Stories of the faults, as a person at the console would see them. No test waits.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use treasury_domain::service::{
    Health, Intent, LogQuery, Patience, Progress, ReplicaState, Service, ServiceStatus,
};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

const MINUTE: Duration = Duration::from_mins(1);

pub(super) fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(super) fn stack() -> Stack {
    Stack::start(StackConfig {
        clock: StackClock::Manual(noon()),
        ..StackConfig::default()
    })
}

pub(super) fn service(role: Role) -> Service {
    role.service().unwrap()
}

pub(super) fn seen(stack: &Stack, role: Role) -> ServiceOverview {
    let overview = stack.overview();
    overview
        .services
        .into_iter()
        .find(|s| s.name == role)
        .unwrap()
}

pub(super) async fn status(stack: &Stack, role: Role) -> ServiceStatus {
    stack.status(&service(role)).await.unwrap()
}

/// An intent of noon.
pub(super) fn intent() -> Intent {
    Intent::new("1", noon())
}

pub(super) async fn restart(stack: &Stack, role: Role) -> Result<ServiceStatus, PlatformError> {
    let patience = Patience::default();
    stack
        .restart(
            &service(role),
            None,
            &intent(),
            patience,
            &ProgressSink::none(),
        )
        .await
}

pub(super) async fn scale(
    stack: &Stack,
    role: Role,
    n: u32,
) -> Result<ServiceStatus, PlatformError> {
    let patience = Patience::default();
    stack
        .scale(&service(role), n, patience, &ProgressSink::none())
        .await
}

pub(super) fn all_lines() -> LogQuery {
    LogQuery {
        lines: 500,
        since: None,
        grep: None,
        previous: false,
        container: None,
    }
}

pub(super) async fn grep(stack: &Stack, role: Role, text: &str) -> usize {
    let query = LogQuery {
        grep: Some(text.to_owned()),
        ..all_lines()
    };
    stack
        .logs(&service(role), &query)
        .await
        .unwrap()
        .lines
        .len()
}

pub(super) async fn events(stack: &Stack, role: Role) -> Vec<String> {
    let events = stack.events(&service(role), noon()).await.unwrap();
    events.list.into_iter().map(|e| e.what).collect()
}

#[tokio::test]
async fn given_nothing_when_an_hour_passes_then_all_is_quiet() {
    let stack = stack();
    stack.advance(60 * MINUTE);
    for role in Role::ALL {
        assert!(status(&stack, role).await.is_well(), "{role:?}");
        assert!(seen(&stack, role).error_percent < 1.0);
        assert_eq!(events(&stack, role).await, [""; 0]);
        let stats = stack.stats(&service(role)).await.unwrap();
        assert_eq!(stats.replicas.len() as u32, role.replicas());
        assert!(
            stats
                .replicas
                .iter()
                .all(|r| r.memory_percent().unwrap() < 75.0),
            "{stats:?}"
        );
    }
    assert!(seen(&stack, Role::Frontend).p95_ms < 250.0);
}

#[tokio::test]
async fn given_a_memory_leak_in_frontend_when_five_minutes_pass_then_it_is_oom_killed_and_restarts()
{
    let stack = stack();
    stack.put_in(Fault::MemoryLeak, None).unwrap();
    stack.advance(5 * MINUTE);
    let after = status(&stack, Role::Frontend).await;
    assert!(after.is_well(), "{after:?}");
    for replica in &after.replicas {
        assert_eq!(
            (replica.restarts, replica.exit_code, replica.oom_killed),
            (1, Some(137), true)
        );
        assert!(replica.started_at > Some(noon()));
    }
    let told = events(&stack, Role::Frontend).await;
    assert!(told.windows(2).any(|w| w == ["oom", "die"]), "{told:?}");
    assert_eq!(grep(&stack, Role::Frontend, "HEAP OUT OF MEMORY").await, 2);
    let previous = LogQuery {
        previous: true,
        grep: Some("heap out of memory".to_owned()),
        ..all_lines()
    };
    let logs = stack.logs(&service(Role::Frontend), &previous).await;
    assert!(logs.unwrap().lines.iter().all(|l| l.stderr));
}

#[tokio::test]
async fn given_a_memory_leak_when_memory_passes_90_percent_then_a_restart_frees_it() {
    let stack = stack();
    stack.put_in(Fault::MemoryLeak, Some("api")).unwrap();
    let high = |stack: &Stack| {
        let replicas = seen(stack, Role::Api).replicas;
        replicas
            .iter()
            .map(|r| r.memory_percent)
            .fold(0.0, f64::max)
    };
    for _ in 0..300 {
        if high(&stack) < 90.0 {
            stack.advance(Duration::from_secs(1));
        }
    }
    assert!(high(&stack) >= 90.0);
    let after = restart(&stack, Role::Api).await.unwrap();
    assert!(after.is_well() && high(&stack) < 60.0, "{}", high(&stack));
    assert_eq!(after.replicas[0].restarts, 0);
    assert_eq!(stack.calls(), ["restart api"]);
    assert_eq!(stack.faults().len(), 1, "the leak goes on");
}

#[tokio::test]
async fn given_a_leaking_pool_when_connections_run_out_then_502s_and_a_restart_of_api_mends_it() {
    let stack = stack();
    stack.put_in(Fault::ConnectionsExhausted, None).unwrap();
    stack.advance(2 * MINUTE);
    let used = |stack: &Stack| seen(stack, Role::Postgres).connections.unwrap().used;
    assert_eq!(used(&stack), 100);
    assert!(seen(&stack, Role::Api).error_percent > 50.0);
    assert!(seen(&stack, Role::Frontend).error_percent > 30.0);
    assert_eq!(
        status(&stack, Role::Api).await.replicas[0].health,
        Health::Unhealthy
    );
    assert!(status(&stack, Role::Frontend).await.is_well());
    for role in [Role::Postgres, Role::Api] {
        assert!(grep(&stack, role, "sorry, too many clients already").await > 10);
    }
    assert!(grep(&stack, Role::Frontend, "upstream prematurely closed").await > 5);
    assert!(grep(&stack, Role::Frontend, "\" 502 ").await > 5);

    assert!(restart(&stack, Role::Api).await.unwrap().is_well());
    stack.advance(Duration::from_secs(10));
    assert!(used(&stack) < 60, "{}", used(&stack));
    assert!(seen(&stack, Role::Frontend).error_percent < 2.0);
}

#[tokio::test]
async fn given_the_cache_is_down_then_the_database_works_harder_until_redis_is_restarted() {
    let stack = stack();
    let (before, queries) = (
        seen(&stack, Role::Api).p95_ms,
        seen(&stack, Role::Postgres).requests_per_second,
    );
    stack.put_in(Fault::CacheDown, None).unwrap();
    stack.advance(MINUTE);
    assert_eq!(
        status(&stack, Role::Redis).await.replicas[0].state,
        ReplicaState::Exited
    );
    assert!(seen(&stack, Role::Api).p95_ms > 2.0 * before);
    assert!(seen(&stack, Role::Postgres).requests_per_second > 3.0 * queries);
    assert!(grep(&stack, Role::Api, "OOM command not allowed").await > 0);

    assert!(restart(&stack, Role::Redis).await.unwrap().is_well());
    assert_eq!(stack.faults(), []);
    assert!(seen(&stack, Role::Redis).hit_percent.unwrap() < 50.0);
    stack.advance(2 * MINUTE);
    assert!(seen(&stack, Role::Redis).hit_percent.unwrap() > 90.0);
    assert!(seen(&stack, Role::Api).p95_ms < 1.5 * before);
}

#[tokio::test]
async fn given_high_traffic_then_scaling_the_frontend_brings_latency_down() {
    let stack = stack();
    stack.put_in(Fault::HighTraffic, None).unwrap();
    stack.advance(MINUTE);
    let hot = seen(&stack, Role::Frontend);
    assert!(hot.p95_ms > 1_000.0 && hot.error_percent > 10.0, "{hot:?}");

    let (sender, mut told) = tokio::sync::mpsc::channel(20);
    let after = stack
        .scale(
            &service(Role::Frontend),
            4,
            Patience::default(),
            &ProgressSink::new(sender),
        )
        .await
        .unwrap();
    let names: Vec<_> = after.replicas.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names[2..], ["treasury-frontend-3", "treasury-frontend-4"]);
    stack.advance(MINUTE);
    let relieved = seen(&stack, Role::Frontend);
    assert!(
        relieved.p95_ms < 500.0 && relieved.error_percent < 1.0,
        "{relieved:?}"
    );
    let mut last = None;
    while let Ok(progress) = told.try_recv() {
        last = Some(progress);
    }
    assert_eq!(
        last,
        Some(Progress {
            done: 2,
            total: 2,
            line: "treasury-frontend-4: healthy".to_owned()
        })
    );
}

#[tokio::test]
async fn given_a_crash_loop_then_a_restart_ends_unwell_until_the_fault_is_taken_out() {
    let stack = stack();
    stack.put_in(Fault::CrashLoop, None).unwrap();
    stack.advance(MINUTE);
    assert!(status(&stack, Role::Api).await.replicas[0].restarts >= 3);
    let error = restart(&stack, Role::Api).await.unwrap_err();
    assert!(
        matches!(&error, PlatformError::Unwell { what } if what.starts_with("treasury-api-1 exited with code 1 within")),
        "{error}"
    );
    assert!(grep(&stack, Role::Api, "missing environment variable").await > 3);
    stack.take_out(Fault::CrashLoop);
    assert!(restart(&stack, Role::Api).await.unwrap().is_well());
}

#[tokio::test]
async fn slow_database_and_api_errors_end_with_the_restart_of_what_holds_them() {
    let stack = stack();
    stack.put_in(Fault::SlowDatabase, None).unwrap();
    stack.put_in(Fault::ApiErrors, None).unwrap();
    stack.advance(MINUTE);
    assert!(seen(&stack, Role::Postgres).p95_ms > 500.0);
    assert!(seen(&stack, Role::Api).p95_ms > 1_000.0);
    assert!((25.0..45.0).contains(&seen(&stack, Role::Api).error_percent));
    assert!(status(&stack, Role::Api).await.is_well());
    assert!(grep(&stack, Role::Postgres, "duration:").await > 10);
    assert!(grep(&stack, Role::Api, "TypeError").await > 3);

    restart(&stack, Role::Api).await.unwrap();
    restart(&stack, Role::Postgres).await.unwrap();
    assert_eq!(stack.faults(), []);
    stack.advance(MINUTE);
    assert!(seen(&stack, Role::Api).p95_ms < 200.0);
    assert!(seen(&stack, Role::Api).error_percent < 1.0);
}
