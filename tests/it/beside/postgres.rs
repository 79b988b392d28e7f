//! `db *` beside psql, on PostgreSQL 15 and 18, each with a standby.

use std::process::Command;

use serde_json::Value;

use super::db::{CLIENTS, connections, locks, number, replication, sizes, slow, summary};
use super::sessions::{Fault, Held, state};
use super::{Beside, Bot, Tally, output, random, read, seeds};
use crate::support::postgres::{Postgres, find};

/// A primary and its standby.
pub struct Server {
    pub version: Option<u32>,
    pub primary: Postgres,
    pub standby: Postgres,
    bot: Bot,
    /// Its role sees nothing of others.
    bare: Bot,
}

/// Rows of what psql prints, as the server's superuser.
pub fn psql(port: u16, sql: &str) -> Vec<Vec<String>> {
    let mut command = Command::new(find("psql", None));
    command
        .env("PGOPTIONS", "-c statement_timeout=30s")
        .args(["-XAtq", "-F", "\u{1f}", "-v", "ON_ERROR_STOP=1"])
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(["-U", "treasury", "-d", "app", "-c", sql]);
    let text = output(&mut command);
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| line.split('\u{1f}').map(str::to_owned).collect())
        .collect()
}

/// The only value; nothing for null.
pub fn value(port: u16, sql: &str) -> String {
    let first = psql(port, sql).into_iter().flatten().next();
    first.unwrap_or_default()
}

const MAX_PREPARED: &str = "max_prepared_transactions=9";

impl Server {
    async fn start(version: Option<u32>) -> Self {
        let settings = [
            "max_connections=30",
            "superuser_reserved_connections=3",
            MAX_PREPARED,
            "wal_level=logical",
            "fsync=off",
            "autovacuum=off",
            "min_wal_size=32MB",
            // Nothing moves but what is moved.
            "jit=off",
        ];
        let primary = Postgres::start_version(version, &settings).await;
        let port = primary.port();
        let mut create = Command::new(find("psql", None));
        create.args(["-Xq", "-h", "127.0.0.1", "-p", &port.to_string()]);
        let made = "CREATE DATABASE app;CREATE DATABASE other;CREATE ROLE treasury_bot LOGIN IN ROLE \
                    pg_monitor;CREATE ROLE bare LOGIN;CREATE ROLE app_user LOGIN";
        for sql in made.split(';') {
            create.args(["-c", sql]);
        }
        output(create.args(["-U", "treasury", "-d", "postgres"]));
        psql(
            port,
            "CREATE TABLE accounts AS SELECT id, 0 AS v FROM generate_series(0, 99) AS id; \
             CREATE TABLE ledger AS SELECT * FROM accounts; \
             CREATE TABLE big AS SELECT i, repeat('x', 900) AS t FROM generate_series(1, 4000) AS i; \
             DELETE FROM big WHERE i % 2 = 0; \
             ALTER TABLE accounts OWNER TO app_user; ALTER TABLE ledger OWNER TO app_user; \
             ALTER TABLE big OWNER TO app_user",
        );
        // A standby needs room for as many, and is to come back soon.
        psql(port, &format!("ALTER SYSTEM SET {MAX_PREPARED}"));
        psql(
            port,
            "ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'",
        );
        psql(port, "ALTER SYSTEM SET wal_keep_size = '256MB'");
        psql(port, "SELECT pg_reload_conf()");
        let standby = primary.standby().await;
        let bot = |role: &str| {
            let databases = [("main", port), ("copy", standby.port())];
            let databases = databases.map(|(name, port)| {
                let url = format!("postgres://{role}@127.0.0.1:{port}/app");
                format!("[[database]]\nname = \"{name}\"\nurl = \"{url}\"\n")
            });
            Bot::new(&databases.concat())
        };
        Self {
            version,
            bot: bot("treasury_bot"),
            bare: bot("bare"),
            primary,
            standby,
        }
    }

    /// Everything of one state.
    fn look(&self, faults: &[Fault], beside: &mut Beside) {
        let bare = faults.contains(&Fault::NoRight);
        let bot = if bare { &self.bare } else { &self.bot };
        let port = self.primary.port();
        let trouble = self.trouble(bare);
        let sentence = "db summary --database main";
        beside.no_tick(sentence, &bot.says(sentence), &trouble);
        let told = bot.probe("db.summary", &["database=main"]);
        if faults.contains(&Fault::Exhausted) {
            let up = told.map(|found| found["up"].as_bool());
            return beside.same("db.summary up", up, Ok(Some(false)));
        }
        if !bare && faults.contains(&Fault::RoleLimit) {
            // Others get in: it is not down, but nothing is known of it.
            let why = told.err().unwrap_or_default();
            return beside.same(
                "the role's limit is told",
                why.contains("CONNECTION LIMIT"),
                true,
            );
        }
        match told {
            Ok(found) => summary(port, &found, bare, beside),
            Err(error) => return beside.failed("db.summary", &error),
        }
        let mut ask = |name: &str, look: &dyn Fn(&Value, &mut Beside)| match bot
            .probe(name, &["database=main"])
        {
            Ok(found) => look(&found, beside),
            Err(error) => beside.failed(name, &error),
        };
        ask("db.locks", &|found, beside| locks(port, found, beside));
        ask("db.size", &|found, beside| {
            sizes(port, found, bare, beside);
        });
        if bare {
            return;
        }
        ask("db.connections", &|found, beside| {
            connections(port, found, beside);
        });
        ask("db.slow", &|found, beside| slow(port, found, beside));
        ask("db.replication", &|found, beside| {
            replication(port, found, beside);
        });
        let sentence = "db locks --database main";
        let blocked = number(port, "SELECT count(*) FROM pg_locks WHERE NOT granted");
        let blocked: Vec<String> = (blocked > 0)
            .then(|| format!("{blocked} wait"))
            .into_iter()
            .collect();
        beside.no_tick(sentence, &bot.says(sentence), &blocked);
        let sentence = "db replication --database main";
        let idle = psql(
            port,
            "SELECT slot_name FROM pg_replication_slots WHERE NOT active OR wal_status = 'lost'",
        );
        let idle: Vec<String> = idle.into_iter().flatten().collect();
        beside.no_tick(sentence, &bot.says(sentence), &idle);
        if faults
            .iter()
            .any(|one| matches!(one, Fault::Paused(_) | Fault::CutOff))
        {
            self.look_at_standby(beside);
        }
    }

    fn look_at_standby(&self, beside: &mut Beside) {
        let (bot, port) = (&self.bot, self.standby.port());
        let receives = number(
            port,
            "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'",
        ) > 0;
        let paused = value(port, "SELECT pg_is_wal_replay_paused()") == "t";
        let trouble = [(!receives, "it does not stream"), (paused, "it is paused")];
        let trouble = trouble.iter().filter(|(is, _)| *is);
        let trouble: Vec<String> = trouble.map(|(_, what)| (*what).to_owned()).collect();
        for sentence in [
            "db summary --database copy",
            "db replication --database copy",
        ] {
            beside.no_tick(sentence, &bot.says(sentence), &trouble);
        }
        for name in ["db.summary", "db.replication"] {
            let found = match bot.probe(name, &["database=copy"]) {
                Ok(found) => found,
                Err(error) => return beside.failed(name, &error),
            };
            let what = |field: &str| format!("standby's {name} {field}");
            beside.same(&what("primary"), found["primary"].as_bool(), Some(false));
            let streams = !found["streams_from"].is_null();
            beside.same(&what("streams_from"), streams, receives);
            let told = found["replay_paused"].as_bool();
            beside.same(&what("replay_paused"), told, Some(paused));
            let lag = if name == "db.summary" {
                "replication_lag_bytes"
            } else {
                "replay_lag_bytes"
            };
            if receives {
                let behind = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), \
                              pg_last_wal_replay_lsn())::bigint";
                // The checkpointer and running transactions are written of now and then.
                beside.near(
                    &what(lag),
                    found[lag].as_f64(),
                    number(port, behind) as f64,
                    65_536.0,
                );
            } else {
                beside.same(&what(lag), found[lag].as_u64(), None);
            }
        }
    }

    /// What a tool calls trouble, of the primary.
    fn trouble(&self, bare: bool) -> Vec<String> {
        let port = self.primary.port();
        let role = if bare { "bare" } else { "treasury_bot" };
        let mut entry = Command::new(find("psql", None));
        entry.args([
            "-Xqc",
            "SELECT 1",
            "-h",
            "127.0.0.1",
            "-U",
            role,
            "-d",
            "app",
        ]);
        let entry = entry.args(["-p", &port.to_string()]).output().unwrap();
        if !entry.status.success() {
            return vec![String::from_utf8_lossy(&entry.stderr).into_owned()];
        }
        let checks = [
            format!(
                "SELECT '80 % of the connections' WHERE (SELECT count(*) {CLIENTS}) >= 27 * 0.8"
            ),
            "SELECT 'someone waits' WHERE EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
                .to_owned(),
            format!(
                "SELECT 'the database''s limit' FROM pg_database WHERE datname = 'app' AND \
                 datconnlimit > 0 AND (SELECT count(*) {CLIENTS} AND datname = 'app') \
                 >= datconnlimit * 0.8"
            ),
            "SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE wal_status = 'lost' OR \
             NOT active AND pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) >= 64 * 1024 * 1024"
                .to_owned(),
            "SELECT 'behind' FROM pg_stat_replication WHERE \
             pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) >= 64 * 1024 * 1024"
                .to_owned(),
        ];
        let told = checks.iter().flat_map(|sql| psql(port, sql));
        let mut trouble: Vec<String> = told.flatten().collect();
        if bare {
            trouble.push("its role sees nothing of others".to_owned());
        }
        trouble
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, its version 18 of npm, psql"]
async fn each_figure_of_db_is_what_psql_says() {
    let servers = [Server::start(None).await, Server::start(Some(18)).await];
    let mut tally = Tally::new("psql");
    for seed in seeds(1, 20) {
        let server = &servers[usize::from(!seed.is_multiple_of(2))];
        let faults = state(&mut random(seed));
        tally.begin(seed, &(server.version, &faults));
        let mut held = Held::default();
        for fault in &faults {
            held.put(server, fault).await;
        }
        let beside = read(|beside| server.look(&faults, beside));
        tally.add(beside);
        held.end(server);
    }
    tally.end();
}
