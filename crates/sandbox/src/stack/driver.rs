//! The handle on the world: ticks it, and lets others look, wait and put faults in.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::fault::{ActiveFault, Fault, FaultRefused};
use super::model::World;
use super::overview::Overview;
use super::role::Role;
use treasury_domain::service::Service;

/// Simulated time between two ticks, and between two looks while waiting.
const TICK: Duration = Duration::from_millis(250);
/// Shortest real time between two ticks.
const SHORTEST: Duration = Duration::from_millis(5);
/// After a sleep of the machine at most this much simulated time is caught up, seconds.
const MAX_CATCH_UP: f64 = 600.0;
/// Calls kept.
const MAX_CALLS: usize = 1_000;

/// How a stack is run.
#[derive(Debug, Clone, Copy)]
pub struct StackConfig {
    /// The same seed gives the same world.
    pub seed: u64,
    /// Simulated seconds in a real second, 0.1 to 1,000. Times in logs and statuses are always
    /// those of the clock.
    pub speed: f64,
    /// What moves the time.
    pub clock: StackClock,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            speed: 1.0,
            clock: StackClock::Wall,
        }
    }
}

/// What moves the time of the world.
#[derive(Debug, Clone, Copy)]
pub enum StackClock {
    /// The wall clock, by a task that ticks.
    Wall,
    /// Only [`Stack::advance`] and calls that wait (they take no real time); begins here.
    Manual(Timestamp),
}

/// A handle on the simulated stack; clones share one world. The world stops when the last is gone.
#[derive(Debug, Clone)]
pub struct Stack {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: Mutex<World>,
    calls: Mutex<VecDeque<String>>,
    changed: watch::Sender<u64>,
    speed: f64,
    manual: bool,
}

impl Stack {
    /// Starts a stack. With [`StackClock::Wall`] it must be called within a tokio runtime.
    pub fn start(config: StackConfig) -> Self {
        let speed = if config.speed.is_finite() {
            config.speed.clamp(0.1, 1_000.0)
        } else {
            1.0
        };
        let (begins, manual) = match config.clock {
            StackClock::Wall => (Timestamp::now(), false),
            StackClock::Manual(at) => (at, true),
        };
        let inner = Arc::new(Inner {
            world: Mutex::new(World::new(config.seed, begins)),
            calls: Mutex::default(),
            changed: watch::Sender::new(0),
            speed: if manual { 1.0 } else { speed },
            manual,
        });
        if !manual {
            tokio::spawn(tick(Arc::downgrade(&inner), speed));
        }
        Self { inner }
    }

    /// The catalogue: the services of the stack with the bounds of their replicas.
    pub fn services(&self) -> Vec<Service> {
        Role::ALL.into_iter().filter_map(Role::service).collect()
    }

    /// Puts a fault in; without a service into its default one.
    pub fn put_in(&self, fault: Fault, service: Option<&str>) -> Result<(), FaultRefused> {
        self.with(|world| world.put_in(fault, service))
    }

    /// Takes a fault out wherever it is.
    pub fn take_out(&self, fault: Fault) {
        self.with(|world| world.take_out(fault));
    }

    /// The faults that are in. Some end by themselves when the right command is given.
    pub fn faults(&self) -> Vec<ActiveFault> {
        self.world().faults()
    }

    /// The stack at a glance.
    pub fn overview(&self) -> Overview {
        self.world().overview()
    }

    /// Changes whenever something happens, and once a simulated second. The value itself means
    /// nothing.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// The changing calls so far, oldest first, at most 1,000: `restart frontend`,
    /// `restart frontend treasury-frontend-2`, `scale frontend 3`.
    pub fn calls(&self) -> Vec<String> {
        let calls = self.inner.calls.lock();
        let calls = calls.unwrap_or_else(PoisonError::into_inner);
        calls.iter().cloned().collect()
    }

    /// Lets simulated time pass at once. By the wall clock, times in logs still end at the present.
    pub fn advance(&self, by: Duration) {
        let manual = self.inner.manual;
        self.with(|world| {
            let until = if manual {
                let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
                world.now().checked_add(by).unwrap_or(Timestamp::MAX)
            } else {
                Timestamp::now()
            };
            world.advance(until, by.as_secs_f64());
        });
    }

    /// Looks at the world until `look` finds something; `None` when `patience` (simulated time)
    /// ends first.
    pub(super) async fn wait<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&mut World) -> Option<T> + Send,
    ) -> Option<T> {
        let began = self.world().age();
        loop {
            {
                let mut world = self.world();
                if let Some(found) = look(&mut world) {
                    return Some(found);
                }
                if world.age() - began > patience.as_secs_f64() {
                    return None;
                }
            }
            if self.inner.manual {
                self.advance(TICK);
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(TICK.div_f64(self.inner.speed).clamp(SHORTEST, TICK)).await;
            }
        }
    }

    pub(super) fn record(&self, call: String) {
        let calls = self.inner.calls.lock();
        let mut calls = calls.unwrap_or_else(PoisonError::into_inner);
        while calls.len() >= MAX_CALLS {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.inner.world()
    }

    /// Changes the world and tells the subscribers.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.inner.with(change)
    }
}

impl Inner {
    /// The world; a panic elsewhere does not make the demo's control panel unusable.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world();
        let before = (world.changes(), world.age() as u64);
        let result = change(&mut world);
        let after = (world.changes(), world.age() as u64);
        drop(world);
        if before != after {
            self.changed.send_modify(|version| *version += 1);
        }
        result
    }
}

/// Moves the world by the wall clock until nobody holds it any more.
async fn tick(inner: Weak<Inner>, speed: f64) {
    let period = TICK.div_f64(speed).clamp(SHORTEST, TICK);
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(period).await;
        let Some(inner) = inner.upgrade() else { return };
        let passed = last.elapsed();
        last = Instant::now();
        let seconds = (passed.as_secs_f64() * speed).min(MAX_CATCH_UP);
        inner.with(|world| world.advance(Timestamp::now(), seconds));
    }
}
