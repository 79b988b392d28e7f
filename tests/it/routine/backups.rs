//! Backups: taken by the calendar and by hand, read back, tried out, kept for a while; one that broke off is
//! never good.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use treasury_bot::backup::Destination;
use treasury_bot::backup::postgres::{Programs, Question};
use treasury_bot::bot::{AlertSettings, BackupPlan, Routine, run_due};
use treasury_bot::domain::Severity;
use treasury_bot::domain::alert::Auto;
use treasury_bot::domain::heartbeat::Heartbeat;

use super::world::{World, schedule};
use crate::alerts::hasty;
use crate::support::postgres::Postgres;
use crate::support::stage::{HOME, Scenery, Stage};

fn plan(url: &str, to: &Path) -> BackupPlan {
    BackupPlan {
        name: "main".into(),
        url: url.into(),
        schedule: Some(schedule("daily 02:00", "UTC")),
        keep: Duration::from_secs(30 * 86_400),
        keep_at_least: 1,
        to: Destination::folder(to.to_owned()),
        recipient: None,
        identity_file: None,
        programs: Programs::installed(None),
        lock_wait: Duration::from_secs(20),
        drill_url: Some(url.into()),
        drill_schedule: None,
        asks: vec![Question {
            name: "payments".into(),
            sql: "SELECT count(*) FROM payments".into(),
            wanted: Some("3".into()),
        }],
    }
}

async fn filled() -> Postgres {
    let postgres = Postgres::start().await;
    let mut session = PgConnection::connect(&postgres.url()).await.unwrap();
    let text = "CREATE TABLE payments AS SELECT generate_series(1, 3) AS id";
    sqlx::raw_sql(text).execute(&mut session).await.unwrap();
    postgres
}

fn routine(plan: BackupPlan) -> Routine {
    Routine {
        backups: vec![plan],
        ..Routine::default()
    }
}

fn dump(folder: &Path, id: &str) -> PathBuf {
    folder.join("backups/main").join(id).join("dump.dump")
}

const NOW: SignedDuration = SignedDuration::ZERO;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_backup_is_taken_by_the_calendar_read_back_tried_out_and_removed_in_time() {
    let postgres = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&postgres.url(), &folder.path().join("backups"));
    let mut world = World::new("2026-11-24T01:00:00Z", routine(plan)).await;
    world.pass(NOW).await;
    let list = world.ana("backup").await;
    assert!(list.starts_with("1 backup, 1 without a good one"), "{list}");
    assert!(
        list.contains("main: there is no good one; next 2026-11-24 02:00:00 UTC"),
        "{list}"
    );

    world.pass(SignedDuration::from_hours(1)).await;
    let told = world.heard("Backup 20261124_020000 of main whole: every block was read back");
    for part in [
        "1 tables with 3 rows",
        "not encrypted: whoever reads the store reads it",
        "[Show: backup show main/20261124_020000]",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let list = world.ana("backup list").await;
    assert!(list.starts_with("1 backup, each has a good one"), "{list}");
    let shown = world.ana("backup show 20261124_020000").await;
    assert!(shown.contains("dump.pg_dump 1"), "{shown}");
    assert!(shown.contains("never tried out"), "{shown}");

    let answer = world.ana("backup drill main").await;
    assert!(answer.contains("20261124_020000 is tried out"), "{answer}");
    world.pass(NOW).await;
    let told = world.heard("Backup 20261124_020000 of main restores");
    assert!(
        told.contains("payments: 3\nall 3 rows are as they were"),
        "{told}"
    );
    let shown = world.ana("backup show 20261124_020000").await;
    assert!(shown.contains("tried out, restored whole"), "{shown}");

    // Somebody changes a byte.
    let file = dump(folder.path(), "20261124_020000");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[99] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    world.ana("backup verify 20261124_020000").await;
    world.pass(NOW).await;
    world.heard("Backup 20261124_020000 of main damaged: dump.dump is not what was written");
    let list = world.ana("backup list").await;
    assert!(list.starts_with("1 backup, 1 without a good one"), "{list}");
    let answer = world.ana("backup drill main").await;
    assert!(
        answer.contains("There is no good backup of main to try out"),
        "{answer}"
    );

    // Nobody is there for three days: one is taken for all that were missed.
    world.dead_for(SignedDuration::from_hours(72)).await;
    assert!(!dump(folder.path(), "20261126_020000").exists());
    assert!(dump(folder.path(), "20261127_020000").exists());

    // The damaged one has had its time; the other is the last good one until there is a newer.
    world.pass(SignedDuration::from_hours(24 * 40)).await;
    assert!(!file.exists());
    assert!(!dump(folder.path(), "20261127_020000").exists());
    assert!(dump(folder.path(), "20270106_020000").exists());
    let audit = world.audit().await;
    let removed = "backup main 20261124_020000 is removed: its time has come";
    assert!(audit.iter().any(|one| one == removed), "{audit:#?}");
    assert!(
        audit
            .iter()
            .any(|one| one == "backup 20261124_020000 of main begins")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn one_that_broke_off_is_closed_and_begun_anew_by_whoever_comes_next() {
    let postgres = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&postgres.url(), &folder.path().join("backups"));
    let mut world = World::new("2026-11-24T01:00:00Z", routine(plan)).await;
    let answer = world.ana("backup now main").await;
    assert!(answer.contains("A backup of main is taken"), "{answer}");
    let answer = world.ana("backup now main").await;
    assert!(answer.contains("under way already"), "{answer}");
    // It waits for a lock; meanwhile the bot dies.
    let mut holder = PgConnection::connect(&postgres.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE payments")
        .execute(&mut holder)
        .await
        .unwrap();
    let died = tokio::time::timeout(Duration::from_secs(2), run_due(&world.bots[0])).await;
    assert!(died.is_err());
    let list = world.ana("backup list").await;
    assert!(list.contains("20261124_010000  is being taken"), "{list}");
    assert!(list.starts_with("1 backup, 1 without a good one"), "{list}");
    holder.close().await.unwrap();
    world.dead_for(SignedDuration::from_mins(5)).await;
    world.heard(
        "Backup 20261124_010000 of main failed: the bot that took it ended before it was whole",
    );
    world.heard("Backup 20261124_010500 of main whole: every block was read back");
    let list = world.ana("backup list").await;
    assert!(list.contains("❌ 20261124_010000  failed"), "{list}");
    assert!(
        !folder
            .path()
            .join("backups/main/20261124_010000/dump.dump")
            .exists()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn one_that_fails_is_an_alert_like_any_other() {
    let mut postgres = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&postgres.url(), &folder.path().join("backups"));
    let mut alerts = AlertSettings {
        heartbeats: vec![Heartbeat {
            name: plan.heartbeat(),
            every: Duration::from_secs(86_400),
            grace: Duration::from_secs(60),
            service: None,
            severity: Severity::Sev3,
            watchdog: None,
        }],
        on_call: hasty().on_call,
        ..AlertSettings::default()
    };
    alerts.routes.auto = Auto::Off;
    let scenery = Scenery {
        alerts,
        routine: routine(plan),
        ..Scenery::default()
    };
    let stage = Stage::set(scenery).await;
    postgres.kill();
    stage.ana("backup now main").await;
    stage.said(HOME, "Nothing of it is kept").await;
    let room = stage.room(1).await;
    stage.said(&room, "HeartbeatFailed").await;
    stage.finish().await;
}
