//! The bot's own watching: errors counted on a metrics page or in an access log, and what the end of
//! an incident says of before and after.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use treasury_bot::bot::{AlertSettings, Named};
use treasury_bot::domain::ServiceName;
use treasury_bot::domain::alert::{Auto, WatchSettings};
use treasury_bot::probe::{Database, postgres};
use treasury_bot::sandbox::stack::Fault;

use crate::alerts::hasty_without_escalation;
use crate::support::free_port;
use crate::support::stage::{HOME, Scenery, Stage, words_of};

pub fn watching() -> AlertSettings {
    AlertSettings {
        watch: Some(WatchSettings {
            every: Duration::from_millis(200),
            lasting: Duration::from_millis(300),
            ..WatchSettings::default()
        }),
        ..hasty_without_escalation()
    }
}

async fn a_broken_api_is_seen(pages: bool) {
    let stage = Stage::set(Scenery {
        alerts: watching(),
        pages,
        ..Scenery::default()
    })
    .await;
    stage.stack.put_in(Fault::ApiErrors, None).unwrap();
    let room = stage.room(1).await;
    let told = stage.said(&room, "🔥 HighErrorRate").await;
    let words = words_of(&told);
    assert!(
        words.contains("of the answers of") && words.contains("are errors"),
        "{words}"
    );
    let entries = stage.timeline(1).await;
    assert!(
        entries.iter().any(|one| one.text.contains("HighErrorRate")),
        "{entries:?}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn errors_are_counted_on_the_metrics_page_of_a_service() {
    a_broken_api_is_seen(true).await;
}

#[tokio::test]
async fn errors_are_counted_in_the_access_log_where_there_is_no_page() {
    a_broken_api_is_seen(false).await;
}

#[tokio::test]
async fn a_kill_for_lack_of_memory_is_an_alert_of_its_own_and_ends_when_none_follows() {
    let mut alerts = watching();
    // Five times as long none follows until it is over.
    alerts.watch.as_mut().unwrap().lasting = Duration::from_secs(1);
    let stage = Stage::set(Scenery {
        alerts,
        ..Scenery::default()
    })
    .await;
    stage
        .stack
        .put_in(Fault::MemoryLeak, Some("frontend"))
        .unwrap();
    stage.stack.advance(Duration::from_secs(135));
    let room = stage.room(1).await;
    let card = stage.said(&room, "🔥 OutOfMemory").await;
    let words = words_of(&card);
    for part in [
        "🔥 OutOfMemory",
        "treasury-frontend-",
        " was ended for lack of memory at ",
        "exit code 137, limit 256 MiB",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    stage.stack.take_out(Fault::MemoryLeak);
    let over = words_of(&stage.becomes(&card, "over for frontend").await);
    assert!(over.contains(" did not end so again for 5s"), "{over}");
    stage.finish().await;
}

#[tokio::test]
async fn beside_prometheus_only_how_replicas_end_is_watched() {
    let mut alerts = watching();
    alerts.watch.as_mut().unwrap().figures = false;
    let stage = Stage::set(Scenery {
        alerts,
        ..Scenery::default()
    })
    .await;
    // Every second answer of the api is an error, which Prometheus sees …
    stage.stack.put_in(Fault::ApiErrors, None).unwrap();
    // Ten looks, of which three are enough otherwise.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.stack.put_in(Fault::CrashLoop, Some("redis")).unwrap();
    let room = stage.room(1).await;
    // … and that this one ends again and again it may not.
    stage.said(&room, "🔥 CrashLoop").await;
    let fires = stage.app.store.alerts_list(false, 10).await.unwrap();
    let names: Vec<&str> = fires.iter().map(|one| one.1.tracked.alert.name()).collect();
    assert_eq!(names, ["CrashLoop"]);
    stage.finish().await;
}

#[tokio::test]
async fn a_crash_loop_is_an_alert_of_its_own_that_a_moment_of_running_does_not_end() {
    let stage = Stage::set(Scenery {
        alerts: watching(),
        ..Scenery::default()
    })
    .await;
    stage.stack.put_in(Fault::CrashLoop, Some("api")).unwrap();
    let room = stage.room(1).await;
    let told = stage.said(&room, "🔥 CrashLoop").await;
    let words = words_of(&told);
    for part in [
        "ends again and again, at last at ",
        "exit code 1, restarts by the platform: ",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let entries = stage.timeline(1).await;
    let over = entries
        .iter()
        .any(|one| one.text.contains("over: CrashLoop"));
    assert!(!over, "{entries:?}");
    stage.finish().await;
}

#[tokio::test]
async fn what_the_bot_has_cut_off_is_shown_so_and_is_no_new_incident() {
    let stage = Stage::set(Scenery {
        alerts: watching(),
        ..Scenery::default()
    })
    .await;
    stage.types("ben", HOME, "isolate redis").await;
    let asked = stage.said(HOME, "Cut redis off?").await;
    let ben = stage.person("ben");
    ben.clicks(HOME, &asked.ts, "Isolate redis").await.unwrap();
    stage.becomes(&asked, "redis is cut off from").await;
    stage.ana("cache").await;
    stage.said(HOME, "redis can't be reached").await;
    stage.ana("status").await;
    let told = stage
        .said(HOME, "3 of 4 services are well, 1 cut off")
        .await;
    let words = words_of(&told);
    assert!(words.contains("🚧 redis  CUT OFF; healthy 1/1"), "{words}");
    stage.ana("status redis").await;
    stage.said(HOME, "redis healthy 1/1, CUT OFF").await;
    // Five times as long as it takes until the cache counts as down.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stage.ana("incident list").await;
    stage.said(HOME, "No incident is open").await;
    // What else goes wrong with it is told all the same.
    stage.stack.put_in(Fault::CrashLoop, Some("redis")).unwrap();
    let room = stage.room(1).await;
    stage.said(&room, "CrashLoop").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_database_that_runs_but_can_not_be_reached_is_not_well() {
    let config = postgres::Config {
        name: "main".into(),
        // Nobody listens there.
        url: SecretString::from(format!("postgres://bot@127.0.0.1:{}/db", free_port())),
        timeout: Duration::from_secs(1),
    };
    let database = Named::<dyn Database> {
        name: ServiceName::parse("main").unwrap(),
        service: ServiceName::parse("postgres").unwrap(),
        probe: Arc::new(postgres::Postgres::new(&config).unwrap()),
    };
    let stage = Stage::set(Scenery {
        databases: vec![database],
        ..Scenery::default()
    })
    .await;
    stage.ana("status").await;
    let told = stage
        .said(HOME, "3 of 4 services are well, 1 can't be used")
        .await;
    let words = words_of(&told);
    assert!(
        words.contains("🔴 postgres  CAN'T BE USED; healthy 1/1"),
        "{words}"
    );
    stage.ana("status postgres").await;
    stage
        .said(HOME, "postgres healthy 1/1, but CAN'T BE USED")
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn the_end_says_how_it_was_at_its_worst_how_it_is_now_and_who_did_what() {
    let mut alerts = watching();
    alerts.resolves = true;
    alerts.routes.auto = Auto::Diagnose;
    let stage = Stage::set(Scenery {
        alerts,
        ..Scenery::default()
    })
    .await;
    stage.stack.put_in(Fault::CacheDown, None).unwrap();
    let room = stage.room(1).await;
    stage.said(&room, "A first look at redis").await;
    let alerts = stage.said(&room, "CacheDown").await;
    stage
        .person("ana")
        .clicks(&room, &alerts.ts, "Acknowledge")
        .await
        .unwrap();
    stage.types("ana", &room, "restart redis").await;
    let question = stage.said(&room, "Restart redis?").await;
    stage
        .person("ana")
        .clicks(&room, &question.ts, "Restart redis")
        .await
        .unwrap();
    let end = stage.said(&room, "Quiet for").await;
    let words = words_of(&end);
    for part in [
        "redis: memory ",
        " %, CPU ",
        "healthy 0/1 → 1/1",
        "Acknowledged by <@U0ANA00001> after",
        "Done since it began:",
        "restart",
        "INC-1 is resolved",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let entries = stage.timeline(1).await;
    let text = "at the worst → now: redis: memory ";
    assert!(
        entries.iter().any(|one| one.text.contains(text)),
        "{entries:?}"
    );
    stage.finish().await;
}
