//! The PostgreSQL probe against real servers.

/// Each story on the oldest version that is kept up, on Debian's, and on the newest.
macro_rules! on_each_version {
    ($($story:ident),* $(,)?) => {
        $(mod $story {
            #[tokio::test]
            #[ignore = "needs PostgreSQL"]
            async fn on_13() {
                super::$story(Some(13)).await;
            }

            #[tokio::test]
            #[ignore = "needs PostgreSQL"]
            async fn on_15() {
                super::$story(Some(15)).await;
            }

            #[tokio::test]
            #[ignore = "needs PostgreSQL"]
            async fn on_18() {
                super::$story(Some(18)).await;
            }
        })*
    };
}

mod failures;
mod locks;
mod overview;
mod replication;
mod sessions;
mod truth;

use std::time::{Duration, Instant};

use secrecy::SecretString;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use treasury_bot::probe::ProbeError;
use treasury_bot::probe::postgres::{Config, Postgres};

use crate::support::postgres::Postgres as Server;

/// A server with the bot's user `watcher` as the manual asks for it, an ordinary user `shop`, and a
/// `stranger` without rights.
async fn server() -> Server {
    server_with(&[]).await
}

async fn server_with(settings: &[&str]) -> Server {
    server_of(None, settings).await
}

/// The same of a version that `./tests/run` installs.
async fn server_of(version: Option<u32>, settings: &[&str]) -> Server {
    let settings = [settings, &["autovacuum=off"]].concat();
    let server = Server::start_version(version, &settings).await;
    run(
        &mut root(&server).await,
        "CREATE ROLE watcher LOGIN; GRANT pg_monitor, pg_signal_backend TO watcher; \
         CREATE ROLE shop LOGIN; CREATE ROLE stranger LOGIN; \
         CREATE TABLE payments (id int PRIMARY KEY, card text); \
         INSERT INTO payments SELECT id, 'none' FROM generate_series(1, 10) id; \
         GRANT ALL ON payments TO shop",
    )
    .await;
    server
}

/// The probe of the user `watcher`.
fn watcher(server: &Server) -> Postgres {
    probe(&server.url_of("watcher", "postgres"))
}

fn probe(url: &str) -> Postgres {
    patient(url, Duration::from_secs(5))
}

fn patient(url: &str, timeout: Duration) -> Postgres {
    Postgres::new(&Config {
        name: "orders".into(),
        url: SecretString::from(url.to_owned()),
        timeout,
    })
    .unwrap()
}

/// A client that the server knows as `application`.
async fn client(server: &Server, user: &str, application: &str) -> PgConnection {
    let url = server.url_of(user, "postgres");
    connect(&format!("{url}?application_name={application}"))
        .await
        .unwrap()
}

/// A superuser.
async fn root(server: &Server) -> PgConnection {
    connect(&server.url()).await.unwrap()
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(url).await
}

async fn run(client: &mut PgConnection, statements: &'static str) {
    sqlx::raw_sql(statements).execute(client).await.unwrap();
}

async fn pid(client: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(client)
        .await
        .unwrap()
}

/// Asks again until the answer is as wanted; fails with the last answer after 10 s.
async fn until<T: std::fmt::Debug>(
    mut ask: impl AsyncFnMut() -> Result<T, ProbeError>,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = ask().await.unwrap();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in 10 s: {answer:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
