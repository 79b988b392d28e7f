//! The platforms that services run on: what a driver does.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;

use treasury_domain::action::ActionKind;
use treasury_domain::service::{
    Attachment, Bounds, Dependant, Events, Evidence, Intent, LogQuery, Logs, Patience, Progress,
    ReplicaMark, ReplicaOutcome, Service, ServiceStats, ServiceStatus, Version,
};

/// Where a driver reports progress. Sending never waits: a full or closed channel drops the step,
/// because the newest state is all that matters.
#[derive(Debug, Clone)]
pub struct ProgressSink(Option<mpsc::Sender<Progress>>);

impl ProgressSink {
    /// Reports into this channel.
    pub fn new(sender: mpsc::Sender<Progress>) -> Self {
        Self(Some(sender))
    }

    /// A sink whose newest step is read from the returned receiver.
    pub fn channel() -> (Self, mpsc::Receiver<Progress>) {
        let (sender, receiver) = mpsc::channel(16);
        (Self::new(sender), receiver)
    }

    /// Nobody listens.
    pub fn none() -> Self {
        Self(None)
    }

    /// Reports that `done` of `total` steps are finished and what is going on.
    pub fn report(&self, done: u32, total: u32, line: impl Into<String>) {
        if let Some(sender) = &self.0 {
            // Full or closed: see the type's comment.
            let _ = sender.try_send(Progress {
                done,
                total,
                line: line.into(),
            });
        }
    }
}

/// What a platform can do with a service. Every call ends within a bounded time.
///
/// Drivers hold no state that matters: the platform itself is asked each time (samples of
/// resource use are the exception), so that a crash of the bot loses nothing.
#[async_trait]
pub trait Platform: Send + Sync {
    /// The platform's name for people, such as `Docker`.
    fn name(&self) -> &'static str;

    /// Is the platform reachable? Asked by `/health/ready` and `config check`.
    async fn ping(&self) -> Result<(), PlatformError>;

    /// The replicas now. A service without any replica is `NotFound`.
    async fn status(&self, service: &Service) -> Result<ServiceStatus, PlatformError>;

    /// Log lines of all replicas, merged by time.
    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs, PlatformError>;

    /// The newest background samples, at once; only the first call for a service may wait.
    async fn stats(&self, service: &Service) -> Result<ServiceStats, PlatformError>;

    /// The newest events since a time, at most 200.
    async fn events(&self, service: &Service, since: Timestamp) -> Result<Events, PlatformError>;

    /// What else a change of the service touches, in the order in which it is brought along; asked
    /// before anybody is asked to confirm. Refused, by name, where the change would break what hangs
    /// on the service, or where the service itself hangs on what is not there.
    async fn touches(
        &self,
        service: &Service,
        change: &ActionKind,
    ) -> Result<Vec<Dependant>, PlatformError> {
        let _ = (service, change);
        Ok(Vec::new())
    }

    /// Restarts what hangs on the service and is to be ([`Intent::along`]), after what it hangs on,
    /// each awaited until it is well. One that has started since what it hangs on did is left alone:
    /// the same call again changes nothing. A restart does so by itself.
    async fn bring_along(
        &self,
        service: &Service,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<(), PlatformError> {
        let _ = (service, intent, patience, progress);
        Ok(())
    }

    /// Restarts the replicas in `only` (all when `None`), one after another, each awaited until it
    /// runs and is healthy, and brings along what hangs on them. Stops at the first that does not
    /// recover. Returns the status after.
    /// Where nothing checks the health of the last one, it is only seen to run: the caller watches
    /// whether it stays up. The same intent again does not restart again where the platform keeps
    /// marks; elsewhere the caller asks [`Self::restart_outcome`] first.
    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError>;

    /// What became of these replicas since the marks were taken and the intent to restart them was
    /// recorded; of those that the intent brings along, too. Used after a crash.
    async fn restart_outcome(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaOutcome>, PlatformError>;

    /// Why this service can't be scaled to that number, if it can't; asked before anybody is asked
    /// to confirm.
    async fn scalable(&self, service: &Service, replicas: u32) -> Result<(), PlatformError>;

    /// Brings the number of replicas to `replicas`; the same call again changes nothing. New
    /// replicas are awaited until healthy; the newest are removed first, where the platform leaves
    /// the choice to its clients. Returns the status after.
    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError>;

    /// Between which numbers the platform scales the service by itself; refused where it does not.
    async fn bounds(&self, service: &Service) -> Result<Bounds, PlatformError> {
        let _ = service;
        Err(self.cannot("scale a service by itself"))
    }

    /// Sets these bounds; the same call again changes nothing. How many replicas there are is then
    /// up to the platform. Returns the status after.
    async fn set_bounds(
        &self,
        service: &Service,
        bounds: Bounds,
    ) -> Result<ServiceStatus, PlatformError> {
        let _ = (service, bounds);
        Err(self.cannot("scale a service by itself"))
    }

    /// The versions that the service ran, the present one first, at most 10. A service that was
    /// never deployed by anybody the platform knows of has only the present one.
    async fn versions(&self, service: &Service) -> Result<Vec<Version>, PlatformError> {
        let _ = service;
        Err(self.cannot("tell former versions"))
    }

    /// Why this image can't be deployed, if it can't (it is not there, not allowed to be pulled);
    /// asked before anybody is asked to confirm. Returns what the image is exactly.
    async fn deployable(&self, service: &Service, image: &str) -> Result<Version, PlatformError> {
        let _ = (service, image);
        Err(self.cannot("deploy"))
    }

    /// Brings all replicas to this version, one after another, each awaited until healthy; the
    /// same call again changes nothing. The first that does not get well is put back as it was,
    /// and the rest are left alone: `Unwell`. Returns the status after.
    async fn deploy(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let _ = (service, version, patience, progress);
        Err(self.cannot("deploy"))
    }

    /// What joins the replicas to the rest of the world, to be recorded before [`Self::isolate`]
    /// cuts it. Nothing is joined: an empty list (the service is isolated).
    async fn attachments(&self, service: &Service) -> Result<Vec<Attachment>, PlatformError> {
        let _ = service;
        Err(self.cannot("isolate"))
    }

    /// What a later examination needs, gathered without changing anything: logs, the platform's
    /// description (without the values of environment variables) and processes of each replica.
    async fn evidence(&self, service: &Service) -> Result<Vec<Evidence>, PlatformError> {
        let _ = service;
        Err(self.cannot("gather evidence"))
    }

    /// Cuts these ties, all that still hold; the processes go on. The same call again changes
    /// nothing. Returns the status after.
    async fn isolate(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let _ = (service, attachments, progress);
        Err(self.cannot("isolate"))
    }

    /// Joins again exactly what was cut, with the same addresses and aliases; the same call again
    /// changes nothing. A tie whose replica is gone is left out and told by `progress`.
    async fn release(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let _ = (service, attachments, progress);
        Err(self.cannot("release"))
    }

    /// The answer of a driver that has no such thing.
    fn cannot(&self, what: &str) -> PlatformError {
        PlatformError::Unsupported(format!("{} can't {what} in this version", self.name()))
    }
}

/// Why a platform did not do what it was asked. Each text names the mend.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// No such container, workload or service.
    #[error("{what} was not found on {platform}: {hint}")]
    NotFound {
        /// Name of the platform.
        platform: &'static str,
        /// What was looked for.
        what: String,
        /// What the operator can do.
        hint: String,
    },
    /// The platform refused for lack of rights.
    #[error("{platform} denied it: {hint}")]
    Denied {
        /// Name of the platform.
        platform: &'static str,
        /// What the operator can do.
        hint: String,
    },
    /// No answer in time. The effect is unknown.
    #[error("{platform} did not finish {what} within {} s", after.as_secs())]
    Timeout {
        /// Name of the platform.
        platform: &'static str,
        /// What was waited for.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// The platform could not be reached at all.
    #[error("{platform} can't be reached: {hint}")]
    Unreachable {
        /// Name of the platform.
        platform: &'static str,
        /// What the operator can do.
        hint: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The platform can't do this, or not with this service.
    #[error("{0}")]
    Unsupported(String),
    /// It was done but the service did not come back well.
    #[error("{what}")]
    Unwell {
        /// What is wrong, for people, such as `treasury-api-1 exited with code 1 within 2 s`.
        what: String,
    },
    /// The platform answered with an error of its own.
    #[error("{platform} answered: {message}")]
    Failed {
        /// Name of the platform.
        platform: &'static str,
        /// The platform's words, at most 500 characters.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl PlatformError {
    /// The asker can mend it: told to them, not logged as a failure of ours.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Unsupported(_))
    }
}
