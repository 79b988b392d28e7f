//! What is done to a PostgreSQL server: sessions that hold, wait, read nothing; prepared transactions;
//! slots; limits; a standby that is paused or cut off.

use std::process::{Child, Command, Stdio};

use rand::RngExt;
use rand::rngs::StdRng;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};

use super::postgres::{Server, psql, value};
use super::{some, until};
use crate::support::postgres::{LogReceiver, find};

/// What can be put into a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// So many sessions, each waits for the one before it.
    LockChain(u32),
    /// A table is locked, and so many read it.
    TableLock(u32),
    /// So many wait for an advisory lock.
    Advisory(u32),
    /// A prepared transaction, and so many that wait for its row.
    Prepared(&'static str, u32),
    /// Sessions idle in their transactions.
    IdleInTransaction(u32),
    /// A query that takes long.
    LongQuery,
    /// A snapshot, and so many transactions since.
    OldSnapshot(u32),
    /// A vacuum that goes on.
    Vacuum,
    /// A client that does not read what it asked for.
    ReadsNothing,
    /// So many of the connections are taken …
    Taken(u32),
    /// … or all.
    Exhausted,
    /// The bot's role may not connect (so often).
    RoleLimit,
    /// The database takes two more than it has.
    DatabaseLimit,
    /// Slots that nobody uses: with and without log, logical.
    Unused,
    /// A slot whose log is gone.
    LostSlot,
    /// A program keeps the log.
    Receiver,
    /// Rows are dead.
    DeadRows,
    /// Tables of so many rows.
    Tables(u32),
    /// Large objects beyond the size from which they are told.
    LargeObjects,
    /// The standby's replay is paused, and so many MB are written.
    Paused(u32),
    /// The standby is cut off.
    CutOff,
    /// The bot's role sees nothing of others.
    NoRight,
}

/// A mix of them.
pub fn state(rng: &mut StdRng) -> Vec<Fault> {
    use Fault::{
        Advisory, CutOff, DatabaseLimit, DeadRows, Exhausted, IdleInTransaction, LargeObjects,
        LockChain, LongQuery, LostSlot, NoRight, OldSnapshot, Paused, Prepared, ReadsNothing,
        Receiver, RoleLimit, TableLock, Tables, Taken, Unused, Vacuum,
    };
    let all = [
        // A logical slot begins when all open transactions have ended.
        Unused,
        LostSlot,
        Tables(rng.random_range(10..30_000)),
        LargeObjects,
        DeadRows,
        LockChain(rng.random_range(1..5)),
        TableLock(rng.random_range(1..4)),
        Advisory(rng.random_range(1..3)),
        Prepared(
            ["order-77", "it's late", "payroll 2026-11"][rng.random_range(0..3)],
            rng.random_range(0..3),
        ),
        IdleInTransaction(rng.random_range(1..4)),
        LongQuery,
        OldSnapshot(rng.random_range(0..1_500)),
        Vacuum,
        ReadsNothing,
        Receiver,
        Paused(*[1, 70].get(rng.random_range(0..2)).unwrap_or(&1)),
        CutOff,
        Taken(rng.random_range(1..6)),
        DatabaseLimit,
        RoleLimit,
        NoRight,
        Exhausted,
    ];
    let mut faults = some(rng, &all, 5);
    // One of those that leave little to look at at a time, and seldom.
    let alone = |one: &Fault| matches!(one, RoleLimit | NoRight | Exhausted);
    if rng.random_bool(0.6) {
        faults.retain(|one| !alone(one));
    }
    if faults.is_empty() {
        faults.push(Taken(24));
    }
    // All can't be taken where no more may be.
    if faults.contains(&Exhausted) {
        faults.retain(|one| *one != DatabaseLimit);
    }
    // The log that a lost slot lacks, a standby would lack that was cut off.
    if faults.contains(&CutOff) {
        faults.retain(|one| *one != LostSlot);
    }
    faults
}

/// What goes on until it is taken out.
#[derive(Default)]
pub struct Held {
    sessions: Vec<PgConnection>,
    readers: Vec<Child>,
    receiver: Option<LogReceiver>,
    waiting: u32,
}

impl Held {
    /// A session of the application.
    async fn session(&mut self, server: &Server) -> PgConnection {
        let options = PgConnectOptions::new()
            .host("127.0.0.1")
            .port(server.primary.port())
            .username("app_user")
            .database("app")
            .application_name("app");
        PgConnection::connect_with(&options).await.unwrap()
    }

    async fn holds(&mut self, server: &Server, statements: &'static str) {
        let mut session = self.session(server).await;
        session.execute(sqlx::raw_sql(statements)).await.unwrap();
        self.sessions.push(session);
    }

    /// After `first`, a statement that does not end.
    async fn goes_on(&mut self, server: &Server, first: &str, then: &'static str) {
        self.goes_on_with(server, first, then.to_owned()).await;
    }

    async fn goes_on_with(&mut self, server: &Server, first: &str, then: String) {
        let mut session = self.session(server).await;
        session
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(first.to_owned())))
            .await
            .unwrap();
        tokio::spawn(async move {
            // It ends with an error when it is taken out.
            let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(then));
            let _ = session.execute(statement).await;
        });
    }

    /// The same, and it waits for a lock.
    async fn waits(&mut self, server: &Server, first: &str, then: String) {
        self.goes_on_with(server, first, then).await;
        self.waiting += 1;
        let wanted = self.waiting;
        let port = server.primary.port();
        until("it waits", || {
            let sql = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted";
            value(port, sql) == wanted.to_string()
        });
    }

    /// Puts a fault in.
    pub async fn put(&mut self, server: &Server, fault: &Fault) {
        let port = server.primary.port();
        match fault {
            Fault::LockChain(depth) => {
                self.holds(server, "BEGIN; UPDATE accounts SET v = v WHERE id = 0")
                    .await;
                for n in 1..=*depth {
                    let first = format!("BEGIN; UPDATE accounts SET v = v WHERE id = {n}");
                    let before = n - 1;
                    let then = format!("UPDATE accounts SET v = v WHERE id = {before}");
                    self.waits(server, &first, then).await;
                }
            }
            Fault::TableLock(readers) => {
                self.holds(server, "BEGIN; LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
                    .await;
                for _ in 0..*readers {
                    self.waits(server, "BEGIN", "SELECT count(*) FROM ledger".into())
                        .await;
                }
            }
            Fault::Advisory(waiting) => {
                self.holds(server, "SELECT pg_advisory_lock(7)").await;
                for _ in 0..*waiting {
                    self.waits(server, "SELECT 1", "SELECT pg_advisory_lock(7)".into())
                        .await;
                }
            }
            Fault::Prepared(gid, waiting) => {
                let gid = gid.replace('\'', "''");
                let sql = format!(
                    "BEGIN; UPDATE accounts SET v = v WHERE id = 50; PREPARE TRANSACTION '{gid}'"
                );
                let mut session = self.session(server).await;
                session
                    .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql)))
                    .await
                    .unwrap();
                for _ in 0..*waiting {
                    let then = "UPDATE accounts SET v = v WHERE id = 50";
                    self.waits(server, "BEGIN", then.into()).await;
                }
            }
            Fault::IdleInTransaction(count) => {
                for _ in 0..*count {
                    self.holds(server, "BEGIN; SELECT count(*) FROM accounts")
                        .await;
                }
            }
            Fault::LongQuery => self.goes_on(server, "", "SELECT pg_sleep(600)").await,
            Fault::OldSnapshot(since) => {
                let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM accounts";
                self.holds(server, sql).await;
                let burn = format!(
                    "DO $$ BEGIN FOR i IN 1..{since} LOOP PERFORM txid_current(); COMMIT; \
                     END LOOP; END $$"
                );
                psql(port, &burn);
            }
            Fault::Vacuum => {
                let first = "SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1";
                self.goes_on(server, first, "VACUUM big").await;
                until("vacuum goes on", || {
                    value(port, "SELECT count(*) FROM pg_stat_progress_vacuum") == "1"
                });
            }
            Fault::ReadsNothing => self.read_nothing(port),
            Fault::Taken(count) => {
                for _ in 0..*count {
                    self.holds(server, "SELECT 1").await;
                }
            }
            other => self.put_settings(server, other).await,
        }
    }

    fn read_nothing(&mut self, port: u16) {
        let copy = "COPY (SELECT repeat('x', 100000) FROM generate_series(1, 1000)) TO STDOUT";
        let reader = Command::new(find("psql", None))
            .args(["-X", "-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-U", "app_user", "-d", "app", "-c", copy])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        self.readers.push(reader.unwrap());
        until("it waits for its client", || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'";
            value(port, sql) == "1"
        });
    }

    async fn put_settings(&mut self, server: &Server, fault: &Fault) {
        let port = server.primary.port();
        match fault {
            Fault::Exhausted => {
                let free = "SELECT current_setting('max_connections')::int \
                            - current_setting('superuser_reserved_connections')::int - count(*) + 1 \
                            FROM pg_stat_activity WHERE backend_type = 'client backend'";
                for _ in 0..value(port, free).parse().unwrap() {
                    self.holds(server, "SELECT 1").await;
                }
            }
            Fault::RoleLimit => {
                psql(port, "ALTER ROLE treasury_bot CONNECTION LIMIT 0");
            }
            Fault::DatabaseLimit => {
                let used = "SELECT count(*) + 1 FROM pg_stat_activity WHERE datname = 'app'";
                let limit = value(port, used);
                psql(
                    port,
                    &format!("ALTER DATABASE app CONNECTION LIMIT {limit}"),
                );
            }
            Fault::Unused => {
                psql(
                    port,
                    "SELECT pg_create_physical_replication_slot('idle_physical', true)",
                );
                psql(
                    port,
                    "SELECT pg_create_physical_replication_slot('never_used')",
                );
                psql(
                    port,
                    "SELECT pg_create_logical_replication_slot('idle_logical', 'pgoutput')",
                );
            }
            Fault::LostSlot => {
                psql(port, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
                psql(port, "ALTER SYSTEM SET wal_keep_size = 0");
                psql(port, "SELECT pg_reload_conf()");
                psql(
                    port,
                    "SELECT pg_create_physical_replication_slot('lost_one', true)",
                );
                for _ in 0..3 {
                    psql(port, "SELECT txid_current()");
                    psql(port, "SELECT pg_switch_wal()");
                }
                // It must not lack the same.
                followed(port);
                until("the slot is lost", || {
                    psql(port, "CHECKPOINT");
                    let sql = "SELECT wal_status FROM pg_replication_slots \
                               WHERE slot_name = 'lost_one'";
                    value(port, sql) == "lost"
                });
            }
            Fault::Receiver if server.version.is_none() => {
                self.receiver = Some(server.primary.receive_log());
                until("the log is kept", || {
                    let sql = "SELECT count(*) FROM pg_stat_replication \
                               WHERE application_name = 'pg_receivewal' AND state = 'streaming'";
                    value(port, sql) == "1"
                });
            }
            Fault::DeadRows => {
                psql(port, "UPDATE accounts SET v = v + 1 WHERE id > 60");
            }
            Fault::Tables(rows) => {
                psql(
                    port,
                    &format!(
                        "CREATE TABLE made AS SELECT i, repeat('y', 200) AS t \
                         FROM generate_series(1, {rows}) AS i; CREATE INDEX ON made (i); ANALYZE made"
                    ),
                );
            }
            Fault::LargeObjects => {
                psql(
                    port,
                    "WITH block AS MATERIALIZED (SELECT decode(string_agg(md5(random()::text), ''), \
                     'hex') AS random FROM generate_series(1, 220000)) \
                     SELECT lo_from_bytea(0, random) FROM block, generate_series(1, 22)",
                );
            }
            other => put_standby(server, other),
        }
    }

    /// Takes everything out, by looking at what is there.
    pub fn end(mut self, server: &Server) {
        for reader in &mut self.readers {
            let _ = reader.kill();
            let _ = reader.wait();
        }
        drop(self.receiver);
        let (port, standby) = (server.primary.port(), server.standby.port());
        psql(
            port,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE usename = 'app_user'",
        );
        drop(self.sessions);
        for row in psql(
            port,
            "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts",
        ) {
            psql(port, &row[0]);
        }
        for sql in [
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active",
            "ALTER ROLE treasury_bot CONNECTION LIMIT -1",
            "ALTER DATABASE app CONNECTION LIMIT -1",
            "ALTER SYSTEM RESET max_slot_wal_keep_size",
            "ALTER SYSTEM SET wal_keep_size = '256MB'",
            "SELECT pg_reload_conf()",
            "DROP TABLE IF EXISTS made, written",
            "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
            "VACUUM pg_largeobject",
        ] {
            psql(port, sql);
        }
        for sql in [
            "SELECT pg_wal_replay_resume()".to_owned(),
            format!(
                "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port={port} user=treasury'"
            ),
            "SELECT pg_reload_conf()".to_owned(),
        ] {
            psql(standby, &sql);
        }
        until("nothing is left", || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app_user'";
            value(port, sql) == "0"
        });
        followed(port);
    }
}

/// The standby has all that was written.
fn followed(port: u16) {
    until("the standby follows", || {
        let sql = "SELECT count(*) FROM pg_stat_replication \
                   WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()";
        value(port, sql) == "1"
    });
}

fn put_standby(server: &Server, fault: &Fault) {
    let (port, standby) = (server.primary.port(), server.standby.port());
    match fault {
        Fault::Paused(megabytes) => {
            psql(standby, "SELECT pg_wal_replay_pause()");
            psql(
                port,
                &format!(
                    "CREATE TABLE written AS SELECT repeat('z', 1000) AS t \
                         FROM generate_series(1, {megabytes} * 1000)"
                ),
            );
        }
        Fault::CutOff => {
            psql(
                standby,
                "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'",
            );
            psql(standby, "SELECT pg_reload_conf()");
            until("nothing is received", || {
                value(standby, "SELECT count(*) FROM pg_stat_wal_receiver") == "0"
            });
        }
        _ => {}
    }
}
