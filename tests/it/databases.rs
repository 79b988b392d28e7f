//! Runbooks where there are several databases: which one is asked, or told by an alert, and each step
//! is about that one.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use treasury_bot::bot::{AlertSettings, Named};
use treasury_bot::domain::ServiceName;
use treasury_bot::domain::alert::{Auto, Matcher, Route};
use treasury_bot::probe::{Database, postgres};

use crate::alerts::{alert, hasty_without_escalation, post};
use crate::support::postgres::Postgres;
use crate::support::stage::{HOME, Scenery, Stage, words_of};

/// `orders` of the service postgres, and `ledger`, of no service that is known.
async fn stage(server: &Postgres, alerts: AlertSettings) -> Stage {
    run(server, "postgres", "CREATE DATABASE ledger").await;
    let named = |name: &str, service: &str, database: &str| {
        let probe = postgres::Postgres::new(&postgres::Config {
            name: name.into(),
            url: SecretString::from(server.url_of("treasury", database)),
            timeout: Duration::from_secs(5),
        });
        Named::<dyn Database> {
            name: ServiceName::parse(name).unwrap(),
            service: ServiceName::parse(service).unwrap(),
            probe: Arc::new(probe.unwrap()),
        }
    };
    Stage::set(Scenery {
        databases: vec![
            named("orders", "postgres", "postgres"),
            named("books", "books", "ledger"),
        ],
        alerts,
        ..Scenery::default()
    })
    .await
}

async fn run(server: &Postgres, database: &str, statement: &'static str) -> PgConnection {
    let url = server.url_of("treasury", database);
    let mut session = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(statement)
        .execute(&mut session)
        .await
        .unwrap();
    session
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn which_of_several_databases_is_asked_by_buttons_and_kept_for_each_step() {
    let server = Postgres::start().await;
    let stage = stage(&server, hasty_without_escalation()).await;
    stage.ana("runbook run database-issues full=95").await;
    let question = stage.said(HOME, "Database issues: Which database?").await;
    assert!(words_of(&question).contains("orders, books"));
    let ana = stage.person("ana");
    ana.clicks(HOME, &question.ts, "books").await.unwrap();
    let run = stage.said(HOME, "Run 1 of Database issues").await;
    let run = stage.becomes(&run, "succeeded").await;
    let words = words_of(&run);
    for part in [
        "✅ Does the database answer? — books is up",
        "✅ Locks — Nobody waits for a lock in books",
        "➖ A lock chain — not needed: roots 0 > 0: no",
        "➖ Prepared transactions hold others up — not needed: prepared 0 > 0: no",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!words.contains("orders"), "{words}");

    // A word that is none of them is asked again; what is known is not asked.
    stage
        .ana("runbook rehearse database-issues database=bokks")
        .await;
    stage.said(HOME, "There is no database bokks: which?").await;
    stage
        .ana("incident declare Orders hang --service postgres")
        .await;
    let room = stage.room(1).await;
    stage
        .types("ana", &room, "runbook run database-issues")
        .await;
    stage.said(&room, "orders is up").await;
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn an_alert_tells_by_its_labels_which_database_or_somebody_is_asked() {
    let server = Postgres::start().await;
    let mut alerts = hasty_without_escalation();
    alerts.routes.auto = Auto::Run;
    alerts.routes.routes = vec![Route {
        matchers: vec![Matcher::parse("alertname=~\"Database.*\"").unwrap()],
        runbook: Some("database-issues".into()),
        ..Route::default()
    }];
    let stage = stage(&server, alerts).await;
    // The database's own name, as postgres_exporter has it.
    post(
        &stage,
        &[alert("DatabaseSlow", &[("datname", "ledger")], true)],
    )
    .await;
    let room = stage.room(1).await;
    stage.said(&room, "books is up").await;

    post(
        &stage,
        &[alert("DatabaseLocks", &[("service", "api")], true)],
    )
    .await;
    let room = stage.room(2).await;
    let question = stage.said(&room, "Database issues: Which database?").await;
    let told = "no run began by itself: Database issues: Which database?";
    let entries = stage.timeline(2).await;
    assert!(entries.iter().any(|one| one.text == told), "{entries:?}");
    let ana = stage.person("ana");
    ana.clicks(&room, &question.ts, "orders").await.unwrap();
    let run = stage.said(&room, "orders is up").await;
    // The alert's service is no parameter of this runbook: what uses the database is not guessed.
    stage.becomes(&run, "succeeded").await;
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_runbook_names_the_prepared_transaction_and_ends_no_session_for_it() {
    let server = Postgres::start_with(&["max_prepared_transactions=4"]).await;
    let stage = stage(&server, hasty_without_escalation()).await;
    run(
        &server,
        "ledger",
        "CREATE TABLE accounts (id int PRIMARY KEY, balance int); INSERT INTO accounts VALUES (7, 1)",
    )
    .await;
    run(
        &server,
        "ledger",
        "BEGIN; UPDATE accounts SET balance = 0 WHERE id = 7; PREPARE TRANSACTION 'pay-7'",
    )
    .await;
    let url = server.url_of("treasury", "ledger");
    let mut waits = PgConnection::connect(&url).await.unwrap();
    let waiting = tokio::spawn(async move {
        let update = "UPDATE accounts SET balance = 2 WHERE id = 7";
        sqlx::raw_sql(update).execute(&mut waits).await.map(drop)
    });
    stage.ana("db locks --database books").await;
    stage.said(HOME, "prepared pay-7").await;

    stage
        .ana("runbook run database-issues database=books")
        .await;
    let question = stage.said(HOME, "holds others up, since").await;
    let words = words_of(&question);
    assert!(
        words.contains("The prepared transaction pay-7 of treasury in ledger"),
        "{words}"
    );
    assert!(
        words.contains("COMMIT PREPARED or ROLLBACK PREPARED"),
        "{words}"
    );
    run(&server, "ledger", "ROLLBACK PREPARED 'pay-7'").await;
    waiting.await.unwrap().unwrap();
    let ana = stage.person("ana");
    ana.clicks(HOME, &question.ts, "Done").await.unwrap();
    let run = stage.said(HOME, "Run 1 of Database issues").await;
    let run = stage.becomes(&run, "succeeded").await;
    // It had no session to end, and nothing asked for one.
    let words = words_of(&run);
    assert!(
        words.contains("➖ A lock chain — not needed: roots 0 > 0: no"),
        "{words}"
    );
    assert_eq!(stage.count("End it? Its transaction is rolled back"), 0);
    stage.finish().await;
}
