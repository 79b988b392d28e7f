//! The small context that every use case is handed: the store, the settings, the services, and what
//! this process keeps in memory.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arrivals::Arrivals;
use super::heartbeat::Heartbeat;
use super::library::Library;
use super::listener::Listener;
use super::measurements::Measurements;
use super::rates::Rates;
use super::services::Catalogue;
use super::settings::Settings;
use super::table::Commands;
use super::wakers::Wakers;
use crate::domain::oncall::OnCall;
use crate::probe::Http;
use crate::probe::sns::Certificates;
use crate::store::Store;

/// The parts that use cases work with. Clones share everything.
#[derive(Clone)]
pub struct Context {
    parts: Arc<Parts>,
}

struct Parts {
    commands: &'static Commands,
    store: Store,
    settings: Settings,
    services: Catalogue,
    library: Library,
    http: Http,
    sns: Certificates,
    on_call: OnCall,
    measurements: Measurements,
    rates: Rates,
    wakers: Wakers,
    arrivals: Arrivals,
    heartbeat: Heartbeat,
    listener: Listener,
    /// This process's name in the store.
    instance: String,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Context {
    /// A context over these parts. `shutdown` ends what runs until then.
    pub fn new(
        commands: &'static Commands,
        store: Store,
        settings: Settings,
        services: Catalogue,
        library: Library,
        http: Http,
        shutdown: CancellationToken,
    ) -> Self {
        let alerts = &settings.alerts;
        let on_call = OnCall::new(alerts.rotations.clone(), &alerts.on_call);
        Self {
            parts: Arc::new(Parts {
                commands,
                store,
                settings,
                services,
                library,
                http,
                sns: Certificates::default(),
                on_call,
                measurements: Measurements::default(),
                rates: Rates::default(),
                wakers: Wakers::default(),
                arrivals: Arrivals::default(),
                heartbeat: Heartbeat::default(),
                listener: Listener::default(),
                instance: format!("{:016x}", rand::random::<u64>()),
                shutdown,
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// The time, as the store has it.
    pub fn now(&self) -> jiff::Timestamp {
        self.store().now()
    }

    /// The slash command, such as `/treasury`.
    pub fn command(&self) -> &str {
        &self.settings().command
    }

    /// The slash command and a sentence, as it is typed.
    pub(super) fn typed(&self, sentence: &str) -> String {
        format!("{} {sentence}", self.command())
    }

    /// The certificates of Amazon SNS.
    pub fn sns(&self) -> &Certificates {
        &self.parts.sns
    }

    /// People outside the chat are notified.
    pub fn notifies(&self) -> bool {
        self.settings().notify.is_some()
    }

    /// This process's name in the store: what it claims is under it.
    pub fn instance(&self) -> &str {
        &self.parts.instance
    }

    /// All commands.
    pub(super) fn commands(&self) -> &'static Commands {
        self.parts.commands
    }

    /// The services and their platforms.
    pub fn catalogue(&self) -> &Catalogue {
        &self.parts.services
    }

    pub(super) fn store(&self) -> &Store {
        &self.parts.store
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// The runbooks.
    pub(super) fn library(&self) -> &Library {
        &self.parts.library
    }

    /// Who asks health addresses.
    pub(super) fn http(&self) -> &Http {
        &self.parts.http
    }

    /// Who is on call in turn.
    pub(super) fn on_call(&self) -> &OnCall {
        &self.parts.on_call
    }

    /// What this process has measured.
    pub(super) fn measurements(&self) -> &Measurements {
        &self.parts.measurements
    }

    /// What this process has counted of services' answers.
    pub(super) fn rates(&self) -> &Rates {
        &self.parts.rates
    }

    /// Bodies of alerts that wait to be taken in.
    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.parts.arrivals
    }

    /// What wakes the runs that this process drives.
    pub(super) fn wakers(&self) -> &Wakers {
        &self.parts.wakers
    }

    /// Who says in the store that this process is alive.
    pub(super) fn heartbeat(&self) -> &Heartbeat {
        &self.parts.heartbeat
    }

    /// Who listens for heartbeats.
    pub(super) fn listener(&self) -> &Listener {
        &self.parts.listener
    }

    /// Cancelled when the process is to end.
    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.parts.shutdown
    }

    /// What this process has under way; its end is awaited.
    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.parts.tasks
    }
}
