//! The sessions of the simulated postgres: who is connected, and what becomes of it when one is
//! ended. Their number is always that of the load's connections.

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::container::Container;
use super::fault::Fault;
use super::load::RESERVED;
use super::model::World;
use super::role::Role;
use treasury_domain::service::End;

/// A process of an api replica: its number and which of its runs.
pub(super) type Owner = (u32, u64);

/// Whose session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// The server's own process.
    Checkpointer,
    /// Streams to the replica.
    WalSender,
    /// The bot's own.
    Bot,
    /// The exporter of metrics.
    Exporter,
    /// Books and settles at fixed times.
    Scheduler,
    /// The reports: who runs the runaway query.
    Reports,
    /// In the pool of an api replica.
    Pool(Owner),
    /// Leaked by an api replica.
    Leaked(Owner),
}

/// Taken as soon as the server is up; all but the first two are client connections.
const FIXED: [Seat; 7] = [
    Seat::Checkpointer,
    Seat::WalSender,
    Seat::Bot,
    Seat::Bot,
    Seat::Exporter,
    Seat::Scheduler,
    Seat::Reports,
];

impl Seat {
    /// Does it count as a client's connection?
    pub(super) fn is_client(self) -> bool {
        !matches!(self, Self::Checkpointer | Self::WalSender)
    }
}

/// One session.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pub(super) pid: i32,
    pub(super) started_at: Timestamp,
    pub(super) seat: Seat,
    /// When its query was last cancelled.
    pub(super) cancelled_at: Option<Timestamp>,
}

/// All sessions, oldest first.
#[derive(Debug)]
pub(super) struct Backends {
    pub(super) list: Vec<Backend>,
    /// The next number; never one that was used before.
    next: i32,
    /// Of its own: the world is the same whether there are sessions or not.
    rng: StdRng,
}

impl Backends {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5e55_1045);
        Self {
            list: Vec::new(),
            next: rng.random_range(60..120),
            rng,
        }
    }

    fn open(&mut self, seat: Seat, at: Timestamp) {
        self.list.push(Backend {
            pid: self.next,
            started_at: at,
            seat,
            cancelled_at: None,
        });
        self.next = self.next.saturating_add(self.rng.random_range(1..9));
    }

    fn count(&self, seat: Seat) -> usize {
        self.list.iter().filter(|one| one.seat == seat).count()
    }

    /// Opens or closes (the newest first) until there are `wanted` of this kind.
    fn fit(&mut self, seat: Seat, wanted: usize, at: Timestamp) {
        let have = self.count(seat);
        for _ in have..wanted {
            self.open(seat, at);
        }
        for _ in wanted..have {
            if let Some(newest) = self.list.iter().rposition(|one| one.seat == seat) {
                self.list.remove(newest);
            }
        }
    }
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
    pub(super) fn seat(&mut self) {
        let at = self.now;
        if !self.of(Role::Postgres).any(Container::serves) {
            self.asked.backends.list.clear();
            return;
        }
        let apis: Vec<(Owner, usize, bool)> = self
            .of(Role::Api)
            .filter(|c| c.has_process())
            .map(|c| ((c.number, c.run), c.connections as usize, c.serves()))
            .collect();
        let used = self.load.connections as usize;
        let backends = &mut self.asked.backends;
        for seat in FIXED {
            let wanted = FIXED.iter().filter(|one| **one == seat).count();
            backends.fit(seat, wanted, at);
        }
        backends.list.retain(|one| match one.seat {
            Seat::Pool(owner) | Seat::Leaked(owner) => apis.iter().any(|api| api.0 == owner),
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
            backends.fit(Seat::Leaked(api.0), api.1, at);
            backends.fit(Seat::Pool(api.0), share, at);
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
        let (now, backends) = (self.now, &mut self.asked.backends);
        let found = backends.list.iter().position(|one| one.pid == pid);
        let Some(place) = found.filter(|at| backends.list[*at].started_at == started_at) else {
            return Ended::No;
        };
        let seat = backends.list[place].seat;
        if seat == Seat::Bot || !seat.is_client() {
            return Ended::Refused;
        }
        match how {
            End::Cancel if !busy => return Ended::No,
            End::Cancel => backends.list[place].cancelled_at = Some(now),
            End::Terminate => {
                backends.list.remove(place);
                if let Seat::Leaked((number, _)) = seat {
                    let mut apis = self.containers.iter_mut();
                    if let Some(api) = apis.find(|c| c.role == Role::Api && c.number == number) {
                        api.connections = (api.connections - 1.0).max(0.0);
                        self.load.connections = self.load.connections.saturating_sub(1);
                    }
                }
            }
        }
        if seat == Seat::Reports {
            self.faults
                .retain(|(fault, _), _| *fault != Fault::SlowDatabase);
        }
        self.journal.changes += 1;
        // Pools connect again at once, under new numbers.
        self.seat();
        Ended::Yes
    }
}
