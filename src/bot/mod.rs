//! Use cases: the only place that decides.
//!
//! A request comes in by [`Bot::accept`], which records it and returns. [`Bot::run`] takes recorded
//! requests up, carries them out and writes the answer to the outbox, in one transaction with
//! everything the answer tells of. The bot never calls a chat.

mod actions;
mod alerts;
mod confirm;
mod diagnose;
mod graph;
mod history;
mod incidents;
mod library;
mod menu;
mod notify;
mod oncall;
pub mod pages;
mod policy;
mod probes;
mod recover;
mod refusal;
pub mod registry;
mod request;
mod runs;
mod services;
mod watch;
mod worker;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::oncall::OnCall;
use crate::domain::service::Patience;
use crate::domain::{Guarded, Outgoing, Place, Request};
use crate::platform::ProgressSink;
use crate::probe::Http;
use crate::store::{Accepted, Store, StoreError};

pub use alerts::{AlertSettings, Taken};
pub use library::Library;
pub use notify::MailSettings;
pub use policy::Access;
pub use refusal::{Failure, Fault, Refusal};
pub use services::{Catalogue, Named};

/// Whether a request was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It is recorded and will be answered.
    New,
    /// The same request came before; it has been or will be answered once.
    Duplicate,
}

/// What the bot goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The slash command, such as `/treasury`; used in help and hints.
    pub command: String,
    /// Who may do what.
    pub access: Access,
    /// What is asked about before it is done.
    pub confirm: BTreeSet<Guarded>,
    /// What a second person has to confirm; it is asked about in any case.
    pub second_person: BTreeSet<Guarded>,
    /// How long a question can be answered.
    pub confirm_within: Duration,
    /// How long a service may take to stop and to become healthy.
    pub patience: Patience,
    /// How long a failed step of a run waits for somebody to retry it or leave it out.
    pub hold: Duration,
    /// What is done with alerts.
    pub alerts: AlertSettings,
    /// Who gets mail; `None`: none is sent.
    pub mail: Option<MailSettings>,
    /// Each incident gets a channel of its own; otherwise a thread in the main channel.
    pub incident_channels: bool,
    /// How people reach the incident pages: scheme and host, no slash at the end. `None`: at the
    /// address that is served.
    pub public_url: Option<String>,
}

/// An intent older than this is not carried out any more after a crash: the world has moved on.
const STALE_INTENT: Duration = Duration::from_secs(600);

/// Requests handled at the same time.
const CONCURRENCY: usize = 64;

/// The bot. Clones share everything.
#[derive(Clone)]
pub struct Bot {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    settings: Settings,
    catalogue: Catalogue,
    library: Library,
    http: Http,
    on_call: OnCall,
    watch: watch::Watch,
    rates: alerts::Rates,
    /// The runs driven by this process, with what wakes them.
    runs: std::sync::Mutex<HashMap<i64, Arc<tokio::sync::Notify>>>,
    /// This process's name in the store.
    instance: String,
    /// When this process last said in the store that it is alive.
    heartbeat: std::sync::Mutex<std::time::Instant>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    handlers: Arc<Semaphore>,
    /// The last changing request of each place: the next one there waits for it.
    lanes: Mutex<HashMap<Place, oneshot::Receiver<()>>>,
}

impl Bot {
    /// A bot over these parts. `shutdown` ends [`Bot::run`].
    pub fn new(
        store: Store,
        settings: Settings,
        catalogue: Catalogue,
        library: Library,
        http: Http,
        shutdown: CancellationToken,
    ) -> Self {
        let alerts = &settings.alerts;
        let on_call = OnCall::new(alerts.rotations.clone(), &alerts.on_call);
        Self {
            inner: Arc::new(Inner {
                store,
                settings,
                catalogue,
                library,
                http,
                on_call,
                watch: watch::Watch::default(),
                rates: alerts::Rates::default(),
                runs: std::sync::Mutex::default(),
                instance: format!("{:016x}", rand::random::<u64>()),
                heartbeat: std::sync::Mutex::new(std::time::Instant::now()),
                shutdown,
                tasks: TaskTracker::new(),
                handlers: Arc::new(Semaphore::new(CONCURRENCY)),
                lanes: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// Records a request durably and returns; it is answered later, once.
    pub async fn accept(&self, request: Request) -> Result<Acceptance, StoreError> {
        Ok(match self.store().accept(request, None).await? {
            Accepted::New => Acceptance::New,
            Accepted::Duplicate => Acceptance::Duplicate,
        })
    }

    /// This process's name in the store; the outbox leases by it.
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// The time, as the store has it.
    pub fn now(&self) -> jiff::Timestamp {
        self.store().now()
    }

    /// The services and their platforms.
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    /// Mail is configured.
    pub fn mails(&self) -> bool {
        self.settings().mail.is_some()
    }

    /// The slash command, such as `/treasury`.
    pub fn command(&self) -> &str {
        &self.inner.settings.command
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The slash command and a sentence, as it is typed.
    fn typed(&self, sentence: &str) -> String {
        format!("{} {sentence}", self.settings().command)
    }
}

/// The key of the message that answers a request.
pub fn answer_key(request_key: &str) -> String {
    format!("answer:{request_key}")
}

/// A short name for a request, shown with failures and logged with their cause.
fn request_id(request_key: &str) -> String {
    use sha2::{Digest, Sha256};
    crate::domain::timeline::hex(&Sha256::digest(request_key)[..4])
}

/// The same delivery with other content.
fn with_content(outgoing: &Outgoing, content: crate::domain::Content) -> Outgoing {
    Outgoing {
        content,
        ..outgoing.clone()
    }
}

/// A sink whose newest step is read from the returned receiver.
fn progress() -> (
    ProgressSink,
    tokio::sync::mpsc::Receiver<crate::domain::service::Progress>,
) {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    (ProgressSink::new(sender), receiver)
}
