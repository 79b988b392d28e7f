//! The sessions of the simulated postgres: how many there are by the load, what each does by the
//! faults that are in, and what becomes of one that is ended.

use jiff::{SignedDuration, Timestamp};

use super::container::Container;
use super::fault::Fault;
use super::load::RESERVED;
use super::model::World;
use super::role::Role;
use super::sessions::{Backend, Owner, SessionKind};
use treasury_domain::service::End;
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

/// Taken as soon as the server is up; all but the first two are client connections.
const FIXED: [SessionKind; 7] = [
    SessionKind::Checkpointer,
    SessionKind::WalSender,
    SessionKind::Bot,
    SessionKind::Bot,
    SessionKind::Exporter,
    SessionKind::Scheduler,
    SessionKind::Reports,
];

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
    let backends = world.diagnostics.backends.list.iter();
    let pool = backends.filter(|one| {
        // One that was cancelled has given up.
        matches!(one.kind, SessionKind::Pool(_)) && one.cancelled_at.is_none_or(|at| at < began)
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
    let all = world.diagnostics.backends.list.iter();
    all.map(|one| {
        let waiter = waiting.iter().find(|waiter| waiter.pid == one.pid);
        let works = matches!(one.kind, SessionKind::Pool(_)) && waiter.is_none() && working > 0;
        working -= usize::from(works);
        session(world, one, waiter, works)
    })
    .collect()
}

/// What a session does.
struct Activity<'a> {
    state: &'a str,
    since: Timestamp,
    transaction: bool,
    waits_for: Option<&'a str>,
    query: &'a str,
}

fn activity<'a>(
    world: &World,
    one: &Backend,
    waiter: Option<&Waiter>,
    works: bool,
) -> Activity<'a> {
    let now = world.now();
    let number = one.pid.unsigned_abs() as usize;
    // Of a fixed length for a session, never longer than it is there.
    let ago = |most: usize| {
        let ago = SignedDuration::from_millis((number * 997 % most) as i64);
        now.checked_sub(ago).unwrap_or(now).max(one.started_at)
    };
    let idle = |query| Activity {
        state: "idle",
        since: ago(9_000),
        transaction: false,
        waits_for: None,
        query,
    };
    let sql = QUERIES[number % QUERIES.len()];
    match (one.kind, world.since(Fault::SlowDatabase)) {
        (SessionKind::Checkpointer, _) => Activity {
            state: "",
            since: one.started_at,
            ..idle("")
        },
        (SessionKind::WalSender, _) => Activity {
            state: "active",
            since: one.started_at,
            ..idle("START_REPLICATION SLOT treasury_postgres_replica")
        },
        (SessionKind::Bot, _) => idle("SELECT state, count(*) FROM pg_stat_activity GROUP BY ?"),
        (SessionKind::Exporter, _) => idle("SELECT * FROM pg_stat_database"),
        (SessionKind::Reports, Some(began)) => Activity {
            state: "active",
            since: began.max(one.started_at),
            transaction: true,
            waits_for: Some("IO: DataFileRead"),
            query: RUNAWAY,
        },
        (SessionKind::Scheduler, _) | (SessionKind::Reports, None) => idle("COMMIT"),
        (SessionKind::Pool(_), _) => match waiter {
            Some(waiter) => Activity {
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
            None if works => Activity {
                state: "active",
                since: ago((world.load().postgres.p95 as usize).max(2)),
                transaction: true,
                ..idle(sql)
            },
            None => idle(sql),
        },
        // Taken from the pool and never given back, some in the middle of a transaction.
        (SessionKind::Leaked(_), _) if number.is_multiple_of(3) => Activity {
            state: "idle in transaction",
            since: one.started_at,
            transaction: true,
            ..idle(sql)
        },
        (SessionKind::Leaked(_), _) => Activity {
            since: one.started_at,
            ..idle(sql)
        },
    }
}

fn session(world: &World, one: &Backend, waiter: Option<&Waiter>, works: bool) -> Session {
    let activity = activity(world, one, waiter, works);
    let number = one.pid.unsigned_abs() as usize;
    let (user, application, host) = match one.kind {
        SessionKind::Checkpointer => ("", "", String::new()),
        SessionKind::WalSender => ("replicator", "treasury-postgres-replica", at(21)),
        SessionKind::Bot => ("treasury_bot", "treasury-bot", at(30)),
        SessionKind::Exporter => ("exporter", "postgres_exporter", at(31)),
        SessionKind::Scheduler => ("treasury", "treasury-scheduler", at(32)),
        SessionKind::Reports => ("reporting", "treasury-reports", at(33)),
        SessionKind::Pool((replica, _)) | SessionKind::Leaked((replica, _)) => {
            ("treasury", "treasury-api", at(3 + replica))
        }
    };
    let local = host.is_empty();
    Session {
        pid: one.pid,
        started_at: one.started_at,
        user: user.to_owned(),
        database: if one.kind.is_client() { "treasury" } else { "" }.to_owned(),
        application: application.to_owned(),
        client: if local {
            host
        } else {
            format!("{host}:{}", 32_768 + number * 13 % 28_000)
        },
        state: activity.state.to_owned(),
        state_since: Some(activity.since),
        transaction_ms: activity
            .transaction
            .then(|| ms(world.now(), activity.since)),
        waits_for: activity.waits_for.map(ToOwned::to_owned),
        query: activity.query.to_owned(),
        kind: match one.kind {
            SessionKind::Checkpointer => "checkpointer",
            SessionKind::WalSender => "walsender",
            _ => "client backend",
        }
        .to_owned(),
        own: one.kind == SessionKind::Bot,
    }
}

/// An address in the stack's network.
fn at(host: u32) -> String {
    format!("172.20.{}.{}", host / 256, host % 256)
}

/// What became of a wish to end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Yes,
    /// It is not there, or runs nothing.
    No,
    /// It is not for the bot to end.
    Refused,
}

impl World {
    /// Brings the sessions in line with the load.
    pub(super) fn follow_sessions(&mut self) {
        let at = self.now;
        if !self.of(Role::Postgres).any(Container::serves) {
            self.diagnostics.backends.list.clear();
            return;
        }
        let apis: Vec<(Owner, usize, bool)> = self
            .of(Role::Api)
            .filter(|c| c.has_process())
            .map(|c| ((c.number, c.run), c.connections as usize, c.serves()))
            .collect();
        let used = self.load.connections as usize;
        let backends = &mut self.diagnostics.backends;
        for kind in FIXED {
            let wanted = FIXED.iter().filter(|one| **one == kind).count();
            backends.fit(kind, wanted, at);
        }
        backends.list.retain(|one| match one.kind {
            SessionKind::Pool(owner) | SessionKind::Leaked(owner) => {
                apis.iter().any(|api| api.0 == owner)
            }
            _ => true,
        });
        let leaked: usize = apis.iter().map(|api| api.1).sum();
        let pooled = used.saturating_sub(RESERVED as usize + leaked);
        // A replica that is going takes no requests: what it leaked is still open, its pool is not.
        let some_serve = apis.iter().any(|api| api.2);
        let shares = |api: &(Owner, usize, bool)| api.2 || !some_serve;
        let sharing = apis.iter().filter(|api| shares(api)).count().max(1);
        let mut rank = 0;
        for api in &apis {
            let share = if shares(api) {
                rank += 1;
                pooled / sharing + usize::from(rank <= pooled % sharing)
            } else {
                0
            };
            backends.fit(SessionKind::Leaked(api.0), api.1, at);
            backends.fit(SessionKind::Pool(api.0), share, at);
        }
    }

    /// Cancels the query of a session or ends it. `busy`: it runs something.
    pub(super) fn end_session(
        &mut self,
        pid: i32,
        started_at: Timestamp,
        how: End,
        busy: bool,
    ) -> Ended {
        let (now, backends) = (self.now, &mut self.diagnostics.backends);
        let found = backends.list.iter().position(|one| one.pid == pid);
        let Some(place) = found.filter(|at| backends.list[*at].started_at == started_at) else {
            return Ended::No;
        };
        let kind = backends.list[place].kind;
        if kind == SessionKind::Bot || !kind.is_client() {
            return Ended::Refused;
        }
        match how {
            End::Cancel if !busy => return Ended::No,
            End::Cancel => backends.list[place].cancelled_at = Some(now),
            End::Terminate => {
                backends.list.remove(place);
                if let SessionKind::Leaked((number, _)) = kind {
                    let mut apis = self.containers.iter_mut();
                    if let Some(api) = apis.find(|c| c.role == Role::Api && c.number == number) {
                        api.connections = (api.connections - 1.0).max(0.0);
                        self.load.connections = self.load.connections.saturating_sub(1);
                    }
                }
            }
        }
        if kind == SessionKind::Reports {
            self.faults
                .retain(|(fault, _), _| *fault != Fault::SlowDatabase);
        }
        self.journal.changes += 1;
        // Pools connect again at once, under new numbers.
        self.follow_sessions();
        Ended::Yes
    }
}
