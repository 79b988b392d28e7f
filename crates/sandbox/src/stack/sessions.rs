//! Who is connected to the simulated postgres and redis. Plain data; the world keeps it in line
//! with its load.

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A process of an api replica: its number and which of its runs.
pub(super) type Owner = (u32, u64);

/// Whose session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionKind {
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

impl SessionKind {
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
    pub(super) kind: SessionKind,
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

    fn open(&mut self, kind: SessionKind, at: Timestamp) {
        self.list.push(Backend {
            pid: self.next,
            started_at: at,
            kind,
            cancelled_at: None,
        });
        self.next = self.next.saturating_add(self.rng.random_range(1..9));
    }

    fn count(&self, kind: SessionKind) -> usize {
        self.list.iter().filter(|one| one.kind == kind).count()
    }

    /// Opens or closes (the newest first) until there are `wanted` of this kind.
    pub(super) fn fit(&mut self, kind: SessionKind, wanted: usize, at: Timestamp) {
        let have = self.count(kind);
        for _ in have..wanted {
            self.open(kind, at);
        }
        for _ in wanted..have {
            if let Some(newest) = self.list.iter().rposition(|one| one.kind == kind) {
                self.list.remove(newest);
            }
        }
    }
}

/// Whose connection to redis it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientKind {
    /// The bot's own.
    Bot,
    /// The exporter of metrics.
    Exporter,
    /// Of an api replica.
    Api(Owner),
}

/// One connection to redis.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) since: Timestamp,
    pub(super) whose: ClientKind,
}

/// All connections to redis, oldest first.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) list: Vec<Link>,
    /// The newest number; none is used twice.
    pub(super) newest: u64,
}
