//! The sessions as the server shows them: states, queries and waits, by the faults that are in.

use jiff::{SignedDuration, Timestamp};

use super::fault::Fault;
use super::model::World;
use super::sessions::{Backend, Seat};
use treasury_ports::probe::database::Session;

/// It locks the payments it reads until it is done, and that takes very long.
const RUNAWAY: &str = "SELECT l.*, p.status, p.amount FROM ledger_entries l JOIN payments p ON p.id = l.payment_id WHERE l.booked_at >= ? ORDER BY l.booked_at, p.amount FOR UPDATE OF p";
const SETTLE: &str = "UPDATE payments SET status = $1, settled_at = now() WHERE id = $2";
/// What a session of a pool runs or ran, by its number.
const QUERIES: [&str; 5] = [
    "SELECT id, amount, currency, status FROM payments WHERE account_id = $1 ORDER BY due_at LIMIT $2",
    "SELECT sum(amount) FROM ledger_entries WHERE account_id = $1 AND booked_at < $2",
    "SELECT rate FROM fx_rates WHERE base = $1 AND quote = $2 ORDER BY at DESC LIMIT ?",
    "INSERT INTO audit_log (actor, action, at) VALUES ($1, $2, now())",
    "SELECT id, iban, currency FROM accounts WHERE entity_id = $1",
];
/// When those who wait for the runaway query come, ms after it began.
const ARRIVALS: [i64; 5] = [150, 400, 900, 10_000, 25_000];

/// A session that waits for the runaway query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    pub(super) pid: i32,
    pub(super) since: Timestamp,
    /// Its place in the queue; the first two wait for the query itself, the others for a row that
    /// one of these two holds.
    pub(super) place: usize,
}

/// Milliseconds from `since` to `now`.
pub(super) fn ms(now: Timestamp, since: Timestamp) -> u64 {
    u64::try_from(now.duration_since(since).as_millis()).unwrap_or(0)
}

impl World {
    /// Since when a fault is in, anywhere.
    pub(super) fn since(&self, fault: Fault) -> Option<Timestamp> {
        let mut active = self.faults.iter();
        active
            .find(|((one, _), _)| *one == fault)
            .map(|(_, since)| *since)
    }
}

/// Those who wait for the runaway query, longest first.
pub(super) fn waiters(world: &World) -> Vec<Waiter> {
    let Some(began) = world.since(Fault::SlowDatabase) else {
        return Vec::new();
    };
    let backends = world.asked.backends.list.iter();
    let pool = backends.filter(|one| {
        // One that was cancelled has given up.
        matches!(one.seat, Seat::Pool(_)) && one.cancelled_at.is_none_or(|at| at < began)
    });
    let mut waiting: Vec<Waiter> = pool
        .zip(ARRIVALS)
        .map(|(one, after)| {
            let came = began.checked_add(SignedDuration::from_millis(after));
            Waiter {
                pid: one.pid,
                since: came.unwrap_or(began).max(one.started_at),
                place: 0,
            }
        })
        .filter(|one| one.since <= world.now())
        .collect();
    waiting.sort_by_key(|one| (one.since, one.pid));
    for (place, one) in waiting.iter_mut().enumerate() {
        one.place = place;
    }
    waiting
}

/// All sessions, oldest first, with the server's own.
pub(super) fn sessions(world: &World) -> Vec<Session> {
    let waiting = waiters(world);
    let queries = world.load().postgres;
    // By Little's law: what arrives, times how long it stays.
    let mut working = (queries.rate * queries.p95 / 1_000.0).ceil() as usize;
    let all = world.asked.backends.list.iter();
    all.map(|one| {
        let waiter = waiting.iter().find(|waiter| waiter.pid == one.pid);
        let works = matches!(one.seat, Seat::Pool(_)) && waiter.is_none() && working > 0;
        working -= usize::from(works);
        session(world, one, waiter, works)
    })
    .collect()
}

/// What a session does.
struct Doing<'a> {
    state: &'a str,
    since: Timestamp,
    transaction: bool,
    waits_for: Option<&'a str>,
    query: &'a str,
}

fn session(world: &World, one: &Backend, waiter: Option<&Waiter>, works: bool) -> Session {
    let now = world.now();
    let number = one.pid.unsigned_abs() as usize;
    // Of a fixed length for a session, never longer than it is there.
    let ago = |most: usize| {
        let ago = SignedDuration::from_millis((number * 997 % most) as i64);
        now.checked_sub(ago).unwrap_or(now).max(one.started_at)
    };
    let idle = |query| Doing {
        state: "idle",
        since: ago(9_000),
        transaction: false,
        waits_for: None,
        query,
    };
    let sql = QUERIES[number % QUERIES.len()];
    let doing = match (one.seat, world.since(Fault::SlowDatabase)) {
        (Seat::Checkpointer, _) => Doing {
            state: "",
            since: one.started_at,
            ..idle("")
        },
        (Seat::WalSender, _) => Doing {
            state: "active",
            since: one.started_at,
            ..idle("START_REPLICATION SLOT treasury_postgres_replica")
        },
        (Seat::Bot, _) => idle("SELECT state, count(*) FROM pg_stat_activity GROUP BY ?"),
        (Seat::Exporter, _) => idle("SELECT * FROM pg_stat_database"),
        (Seat::Reports, Some(began)) => Doing {
            state: "active",
            since: began.max(one.started_at),
            transaction: true,
            waits_for: Some("IO: DataFileRead"),
            query: RUNAWAY,
        },
        (Seat::Scheduler, _) | (Seat::Reports, None) => idle("COMMIT"),
        (Seat::Pool(_), _) => match waiter {
            Some(waiter) => Doing {
                state: "active",
                since: waiter.since,
                transaction: true,
                waits_for: Some(if waiter.place < 2 {
                    "Lock: transactionid"
                } else {
                    "Lock: tuple"
                }),
                query: SETTLE,
            },
            None if works => Doing {
                state: "active",
                since: ago((world.load().postgres.p95 as usize).max(2)),
                transaction: true,
                ..idle(sql)
            },
            None => idle(sql),
        },
        // Taken from the pool and never given back, some in the middle of a transaction.
        (Seat::Leaked(_), _) if number.is_multiple_of(3) => Doing {
            state: "idle in transaction",
            since: one.started_at,
            transaction: true,
            ..idle(sql)
        },
        (Seat::Leaked(_), _) => Doing {
            since: one.started_at,
            ..idle(sql)
        },
    };
    let (user, application, host) = match one.seat {
        Seat::Checkpointer => ("", "", String::new()),
        Seat::WalSender => ("replicator", "treasury-postgres-replica", at(21)),
        Seat::Bot => ("treasury_bot", "treasury-bot", at(30)),
        Seat::Exporter => ("exporter", "postgres_exporter", at(31)),
        Seat::Scheduler => ("treasury", "treasury-scheduler", at(32)),
        Seat::Reports => ("reporting", "treasury-reports", at(33)),
        Seat::Pool((replica, _)) | Seat::Leaked((replica, _)) => {
            ("treasury", "treasury-api", at(3 + replica))
        }
    };
    let local = host.is_empty();
    Session {
        pid: one.pid,
        started_at: one.started_at,
        user: user.to_owned(),
        database: if one.seat.is_client() { "treasury" } else { "" }.to_owned(),
        application: application.to_owned(),
        client: if local {
            host
        } else {
            format!("{host}:{}", 32_768 + number * 13 % 28_000)
        },
        state: doing.state.to_owned(),
        state_since: Some(doing.since),
        transaction_ms: doing.transaction.then(|| ms(now, doing.since)),
        waits_for: doing.waits_for.map(ToOwned::to_owned),
        query: doing.query.to_owned(),
        kind: match one.seat {
            Seat::Checkpointer => "checkpointer",
            Seat::WalSender => "walsender",
            _ => "client backend",
        }
        .to_owned(),
        own: one.seat == Seat::Bot,
    }
}

/// An address in the stack's network.
fn at(host: u32) -> String {
    format!("172.20.{}.{}", host / 256, host % 256)
}
