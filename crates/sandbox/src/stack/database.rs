//! The simulated postgres, asked as a real one would be.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::backend::{Ended, Waiter, ms, sessions, waiters};
use super::container::{Container, Phase};
use super::driver::Stack;
use super::fault::Fault;
use super::load::MAX_CONNECTIONS;
use super::model::World;
use super::role::Role;
use super::sessions::SessionKind;
use treasury_domain::service::Health;
use treasury_ports::probe::database::{
    Blocked, Connections, Count, Database, DatabaseSummary, End, Locks, MAX_ROWS, Named,
    ReplicaLag, Replication, Session, Sizes, Slot, SlowQueries, SlowQuery, TableSize,
};
use treasury_ports::probe::{ProbeError, ProbeErrorKind as Kind};

const LABEL: &str = "PostgreSQL at postgres:5432";
const MIB: u64 = 1 << 20;
/// Transactions until a server refuses writes.
const WRAPAROUND: f64 = 2_147_483_648.0;
/// Seconds between two vacuums of a table.
const VACUUM_EVERY: i64 = 1_800;
/// The tables: name, size without growth (MiB), of that indexes, rows in thousands, and bytes that
/// each request to the api adds.
const TABLES: [(&str, u64, u64, u64, f64); 5] = [
    ("public.ledger_entries", 9_860, 3_910, 61_200, 190.0),
    ("public.audit_log", 5_240, 1_130, 38_700, 120.0),
    ("public.payments", 2_310, 905, 8_450, 60.0),
    ("public.fx_rates", 412, 168, 3_980, 4.0),
    ("public.accounts", 38, 14, 96, 0.0),
];

/// The database of a [`Stack`]: its sessions, locks and sizes follow the world and its faults.
#[derive(Debug, Clone)]
pub struct SimulatedDatabase(Stack);

impl Stack {
    /// Its database, to be asked.
    pub fn database(&self) -> SimulatedDatabase {
        SimulatedDatabase(self.clone())
    }
}

impl SimulatedDatabase {
    /// Looks at the world, if the server answers.
    fn ask<T>(&self, look: impl FnOnce(&World) -> T) -> Result<T, ProbeError> {
        let world = self.0.world();
        answers(&world)?;
        Ok(look(&world))
    }
}

fn answers(world: &World) -> Result<(), ProbeError> {
    let server = world.of(Role::Postgres).next();
    if server.is_some_and(Container::serves) {
        return Ok(());
    }
    let (kind, what, hint) = match server.map(|c| (c.phase, c.health)) {
        Some((Phase::Running, Health::Starting)) => (
            Kind::Starting,
            "is starting, stopping or recovering: the database system is starting up",
            "wait a little; if it stays, look at its logs",
        ),
        Some((Phase::Stopping { .. }, _)) => (
            Kind::Starting,
            "is starting, stopping or recovering: the database system is shutting down",
            "wait a little; if it stays, look at its logs",
        ),
        _ => (
            Kind::Connect,
            "refuses the connection (connection refused)",
            "is it running? Look at the status and logs of postgres",
        ),
    };
    Err(ProbeError::new(kind, format!("{LABEL} {what}"), hint))
}

#[async_trait]
impl Database for SimulatedDatabase {
    async fn summary(&self) -> Result<DatabaseSummary, ProbeError> {
        self.ask(summary)
    }

    async fn connections(&self) -> Result<Connections, ProbeError> {
        self.ask(connections)
    }

    async fn locks(&self) -> Result<Locks, ProbeError> {
        self.ask(locks)
    }

    async fn slow(&self) -> Result<SlowQueries, ProbeError> {
        self.ask(slow)
    }

    async fn replication(&self) -> Result<Replication, ProbeError> {
        self.ask(replication)
    }

    async fn size(&self) -> Result<Sizes, ProbeError> {
        self.ask(sizes)
    }

    async fn session(&self, pid: i32) -> Result<Session, ProbeError> {
        let all = self.ask(sessions)?;
        all.into_iter().find(|one| one.pid == pid).ok_or_else(|| {
            ProbeError::new(
                Kind::NotFound,
                format!("there is no session {pid}"),
                "it has ended, or the number is wrong: see `db connections`",
            )
        })
    }

    async fn end(&self, pid: i32, started_at: Timestamp, how: End) -> Result<bool, ProbeError> {
        let (ended, session) = self.0.with(|world| {
            answers(world)?;
            let all = sessions(world);
            let session = all.into_iter().find(|one| one.pid == pid);
            let busy = session.as_ref().is_some_and(|one| one.state == "active");
            Ok((world.end_session(pid, started_at, how, busy), session))
        })?;
        let word = match how {
            End::Cancel => "cancel",
            End::Terminate => "terminate",
        };
        match (ended, session) {
            (Ended::Yes, _) => {
                self.0.record(format!("{word} session {pid}"));
                Ok(true)
            }
            (Ended::Refused, Some(session)) => Err(ProbeError::new(
                Kind::Unsupported,
                if session.own {
                    format!("session {pid} is the bot's own")
                } else {
                    format!("session {pid} is not a client's but a {}", session.kind)
                },
                "only clients' sessions are ended, never the bot's own, replication or the server's",
            )),
            (Ended::No | Ended::Refused, _) => Ok(false),
        }
    }
}

/// The sessions of clients.
fn clients(world: &World) -> Vec<Session> {
    let mut all = sessions(world);
    all.retain(|one| one.kind == "client backend");
    all
}

/// Counts by a key, most first.
fn counts(sessions: &[Session], key: impl Fn(&Session) -> String) -> Vec<Count> {
    let mut by: BTreeMap<String, u64> = BTreeMap::new();
    for session in sessions {
        *by.entry(key(session)).or_default() += 1;
    }
    let mut all: Vec<Count> = by
        .into_iter()
        .map(|(name, count)| Count { name, count })
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.count));
    all.truncate(MAX_ROWS);
    all
}

/// Connections by state.
pub(super) fn by_state(world: &World) -> Vec<Count> {
    counts(&clients(world), |one| one.state.clone())
}

fn summary(world: &World) -> DatabaseSummary {
    let all = clients(world);
    let longest = all
        .iter()
        .filter(|one| !one.own)
        .max_by_key(|one| (one.transaction_ms, std::cmp::Reverse(one.pid)));
    let longest = longest.filter(|one| one.transaction_ms.is_some());
    let server = world.of(Role::Postgres).next();
    let sizes = sizes(world);
    let replica = replication(world).replicas.pop();
    let frozen = 84_300_000 + (world.age() * 40.0) as u64;
    let used = all.len() as u64;
    let max = u64::from(MAX_CONNECTIONS);
    DatabaseSummary {
        version: "17.6".to_owned(),
        started_at: server
            .and_then(|c| c.started_at)
            .unwrap_or_else(|| world.now()),
        primary: true,
        connections_used: used,
        connections_max: max,
        connections_percent: used as f64 * 100.0 / max as f64,
        by_state: counts(&all, |one| one.state.clone()),
        by_application: counts(&all, |one| one.application.clone()),
        longest_transaction_ms: longest.and_then(|one| one.transaction_ms),
        longest_transaction_pid: longest.map(|one| one.pid),
        blocked: waiters(world).len() as u64,
        cache_hit_percent: Some(if slow_for(world).is_some() {
            71.4
        } else {
            99.2
        }),
        size_bytes: sizes.databases.first().map_or(0, |one| one.bytes),
        replicas: 1,
        replication_lag_bytes: replica.as_ref().and_then(|one| one.lag_bytes),
        replication_lag_ms: replica.and_then(|one| one.lag_ms),
        wraparound_age: frozen,
        wraparound_percent: frozen as f64 * 100.0 / WRAPAROUND,
        last_vacuum_at: sizes.tables.iter().filter_map(|t| t.last_vacuum_at).max(),
        dead_rows_percent: sizes.tables.first().and_then(|table| table.dead_percent),
        database_used: used,
        ..DatabaseSummary::default()
    }
}

fn connections(world: &World) -> Connections {
    let mut all = clients(world);
    let host = |one: &Session| {
        let address = one.client.rsplit_once(':');
        address.map_or_else(String::new, |(host, _)| host.to_owned())
    };
    let (by_client, by_user) = (
        counts(&all, host),
        counts(&all, |one| format!("{}@{}", one.user, one.database)),
    );
    let (by_state, by_application) = (
        counts(&all, |one| one.state.clone()),
        counts(&all, |one| one.application.clone()),
    );
    let used = all.len() as u64;
    all.sort_by_key(|one| {
        let age = std::cmp::Reverse(one.transaction_ms.unwrap_or(0));
        (one.transaction_ms.is_none(), age, one.state_since)
    });
    all.truncate(MAX_ROWS);
    Connections {
        used,
        max: u64::from(MAX_CONNECTIONS),
        by_state,
        by_application,
        by_client,
        by_user,
        oldest: all,
    }
}

/// The runaway query and those who wait for it: every second one stands behind another's row.
fn locks(world: &World) -> Locks {
    let all = sessions(world);
    let session = |pid: i32| all.iter().find(|one| one.pid == pid).cloned();
    let waiting = waiters(world);
    let root = world.diagnostics.backends.list.iter();
    let root = root
        .filter(|one| one.kind == SessionKind::Reports)
        .map(|one| one.pid)
        .find(|_| !waiting.is_empty());
    let mut tree = Vec::new();
    let mut add = |pid: i32, depth: u32, waiter: Option<(&Waiter, i32)>| {
        let Some(session) = session(pid) else { return };
        tree.push(Blocked {
            depth,
            blocked_by: waiter.map(|(_, by)| by),
            waits_ms: waiter.map(|(one, _)| ms(world.now(), one.since)),
            lock: match depth {
                0 => "",
                1 => "ShareLock on a transaction's end",
                _ => "ExclusiveLock on a tuple of payments",
            }
            .to_owned(),
            session,
        });
    };
    if let Some(root) = root {
        add(root, 0, None);
        for (i, first) in waiting.iter().enumerate().take(2) {
            add(first.pid, 1, Some((first, root)));
            for behind in waiting.iter().skip(i + 2).step_by(2) {
                add(behind.pid, 2, Some((behind, first.pid)));
            }
        }
    }
    Locks {
        blocked: waiting.len() as u64,
        roots: root.into_iter().collect(),
        prepared: Vec::new(),
        vacuums: Vec::new(),
        left_out: tree.len().saturating_sub(MAX_ROWS) as u64,
        tree: tree.into_iter().take(MAX_ROWS).collect(),
    }
}

/// What runs at this moment, longest first.
fn slow(world: &World) -> SlowQueries {
    let mut running = clients(world);
    running.retain(|one| one.state == "active" && !one.own);
    running.sort_by_key(|one| (one.state_since, one.pid));
    let took = |one: &Session| ms(world.now(), one.state_since.unwrap_or(one.started_at)) as f64;
    let total: f64 = running.iter().map(took).sum();
    let queries = running.iter().take(MAX_ROWS).map(|one| SlowQuery {
        query: one.query.clone(),
        user: one.user.clone(),
        database: one.database.clone(),
        calls: 1,
        total_ms: took(one),
        mean_ms: took(one),
        share_percent: if total > 0.0 {
            took(one) * 100.0 / total
        } else {
            0.0
        },
        pid: Some(one.pid),
    });
    SlowQueries {
        from_statistics: false,
        hint: Some(
            "What runs now; no statistics (CREATE EXTENSION pg_stat_statements for totals)"
                .to_owned(),
        ),
        queries: queries.collect(),
    }
}

/// Seconds since the runaway query began; `None` when there is none.
fn slow_for(world: &World) -> Option<f64> {
    let since = world.since(Fault::SlowDatabase)?;
    Some(ms(world.now(), since) as f64 / 1_000.0)
}

fn replication(world: &World) -> Replication {
    let behind = slow_for(world).unwrap_or(0.0);
    // A little of it comes and goes with the writes.
    let usual = 2_048 + (world.age() as u64 % 7) * 912;
    let lag_bytes = usual + ((behind * 180_000.0) as u64).min(96 * MIB);
    Replication {
        primary: true,
        streams_from: None,
        replay_paused: false,
        replay_lag_bytes: None,
        replay_lag_ms: None,
        replicas: vec![ReplicaLag {
            name: "treasury-postgres-replica".to_owned(),
            client: "172.20.0.21".to_owned(),
            state: "streaming".to_owned(),
            sync: "async".to_owned(),
            applies: true,
            lag_bytes: Some(lag_bytes),
            lag_ms: Some(3 + ((behind * 25.0) as u64).min(12_000)),
        }],
        slots: vec![Slot {
            name: "treasury_postgres_replica".to_owned(),
            active: true,
            synced: false,
            lost: None,
            kept_bytes: Some(lag_bytes + 16 * MIB),
        }],
    }
}

fn sizes(world: &World) -> Sizes {
    let behind = slow_for(world);
    // The runaway query holds its snapshot: no vacuum gets done while it runs.
    let until = world.since(Fault::SlowDatabase).unwrap_or(world.now());
    let requests = world.diagnostics.history.requests.get(&("api", 200));
    let requests = requests.copied().unwrap_or(0.0);
    let table = |(i, (name, size, indexes, rows, growth)): (usize, (&str, u64, u64, u64, f64))| {
        let grown = (growth * requests) as u64;
        // Tables are vacuumed one after the other.
        let phase = (until.as_second() - i as i64 * 211).rem_euclid(VACUUM_EVERY);
        TableSize {
            name: name.to_owned(),
            bytes: size * MIB + grown,
            index_bytes: indexes * MIB + grown / 3,
            rows: Some(rows * 1_000 + (grown / 160)),
            dead_percent: Some(
                1.1 + phase as f64 / 1_500.0 + (behind.unwrap_or(0.0) / 120.0).min(20.0),
            ),
            last_vacuum_at: until.checked_sub(SignedDuration::from_secs(phase)).ok(),
            partitions: 0,
        }
    };
    let tables: Vec<TableSize> = TABLES.into_iter().enumerate().map(table).collect();
    let treasury = tables.iter().map(|one| one.bytes).sum::<u64>() + 64 * MIB;
    let named = |name: &str, bytes| Named {
        name: name.to_owned(),
        bytes,
    };
    Sizes {
        databases: vec![named("treasury", treasury), named("postgres", 8 * MIB)],
        tables,
        wal_bytes: Some(1_024 * MIB),
        temporary_bytes: Some(0),
    }
}
