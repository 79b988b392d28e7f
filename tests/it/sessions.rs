//! Sessions of a real PostgreSQL are ended from chat: asked, confirmed, told, and never another's.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use treasury_bot::bot::Named;
use treasury_bot::domain::{EntryKind, ServiceName};
use treasury_bot::probe::{Database, postgres};

use crate::support::postgres::Postgres;
use crate::support::stage::{HOME, Scenery, Stage};

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_session_is_terminated_after_a_question_and_its_namesake_is_left_alone() {
    let server = Postgres::start().await;
    let probe = postgres::Postgres::new(&postgres::Config {
        name: "main".into(),
        url: SecretString::from(server.url()),
        timeout: Duration::from_secs(5),
    });
    let database = Named::<dyn Database> {
        name: ServiceName::parse("main").unwrap(),
        service: ServiceName::parse("postgres").unwrap(),
        probe: Arc::new(probe.unwrap()),
    };
    let stage = Stage::set(Scenery {
        databases: vec![database],
        ..Scenery::default()
    })
    .await;
    stage
        .ana("incident declare Payments hang --service postgres")
        .await;
    stage.room(1).await;
    let url = format!("{}?application_name=batch", server.url());
    let mut batch = PgConnection::connect(&url).await.unwrap();
    let mut bystander = PgConnection::connect(&url).await.unwrap();
    let batch_pid = pid(&mut batch).await;

    stage.ana(&format!("db terminate {batch_pid}")).await;
    let question = stage
        .said(HOME, &format!("Terminate session {batch_pid}"))
        .await;
    batch.ping().await.unwrap();
    let ana = stage.person("ana");
    ana.clicks(HOME, &question.ts, &format!("Terminate {batch_pid}"))
        .await
        .unwrap();
    stage.becomes(&question, "is terminated").await;
    assert!(batch.ping().await.is_err(), "the session is still there");
    bystander.ping().await.unwrap();
    let timeline = stage.timeline(1).await;
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [EntryKind::Declared, EntryKind::Intent, EntryKind::Outcome]
    );
    for entry in &timeline[1..] {
        let text = entry.text.to_lowercase();
        assert!(text.contains(&format!("session {batch_pid}")), "{text}");
        assert!(text.contains("batch"), "who it was: {text}");
    }

    // The number means another session than the one that was meant: it is not touched.
    let other = pid(&mut bystander).await;
    let meant = "--started 2026-01-01T00:00:00Z";
    stage.ana(&format!("db terminate {other} {meant}")).await;
    stage
        .said(HOME, &format!("Session {other} is another one by now"))
        .await;
    // Nor is one that takes the number over between the question and the answer.
    stage.ana(&format!("db cancel {other}")).await;
    let question = stage.said(HOME, &format!("of session {other}")).await;
    bystander.close().await.unwrap();
    ana.clicks(HOME, &question.ts, &format!("Cancel {other}"))
        .await
        .unwrap();
    stage.said(HOME, "Nothing was").await;
    assert_eq!(
        stage.timeline(1).await.len(),
        3,
        "nothing more was intended"
    );
    stage.finish().await;
}

async fn pid(session: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(session)
        .await
        .unwrap()
}
