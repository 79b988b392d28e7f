//! A recorded intent at work: what its kind works with, and what comes of it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::{MEMORY, memory_text, state_text};
use crate::bot::Context;
use crate::domain::action::{ActionRecord, ActionRow};
use crate::domain::duration;
use crate::domain::service::{
    Consequence, Patience, ReplicaMark, ReplicaOutcome, Service, ServiceStatus, brought,
};
use crate::domain::{Line, Tone};
use crate::platform::{Platform, PlatformError, ProgressSink};

/// Why an intent can't be carried out any more.
pub(in crate::bot) const NOT_CONFIGURED: &str = "it is no longer configured";
/// An intent older than this is not carried out any more after a crash: the world has moved on.
const STALE_INTENT: Duration = Duration::from_secs(600);
/// So long the first figures after a change are waited for.
const FIGURES_WITHIN: Duration = Duration::from_secs(3);
/// How often a platform at work is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// A recorded intent at work.
pub(in crate::bot) struct Job<'a> {
    pub(super) context: &'a Context,
    pub(super) row: &'a ActionRow,
    pub(super) sink: ProgressSink,
    pub(super) started: Instant,
    /// How many pieces of evidence were kept before, or why none could be.
    pub(super) evidence: OnceLock<Result<usize, String>>,
    /// The memory after, as people read it, where it was measured.
    pub(super) memory: OnceLock<String>,
}

/// A service and the platform it is on.
pub(super) struct Site<'a> {
    pub(super) service: &'a Service,
    pub(super) platform: Arc<dyn Platform>,
}

/// It is as it was meant to be.
pub(in crate::bot) struct Success {
    /// Good, or a warning.
    pub(super) tone: Tone,
    /// One line for the chat.
    pub(super) title: Line,
    /// The same and more for the timeline.
    pub(super) text: String,
    /// The state after, if it is known.
    pub(super) after: Option<ServiceStatus>,
    /// What a runbook's step gets.
    pub(super) result: Value,
}

/// It is not as it was meant to be.
pub(in crate::bot) struct Failure {
    /// What is wrong.
    pub(super) cause: String,
    /// The state after, if it is known.
    pub(super) after: Option<ServiceStatus>,
}

impl Failure {
    /// With what is known of the state after.
    pub(super) fn new(cause: impl Into<String>, after: Option<ServiceStatus>) -> Self {
        Self {
            cause: cause.into(),
            after,
        }
    }
}

/// What came of a kind's work.
pub(in crate::bot) type Worked = Result<Success, Failure>;
/// How an action was found after a crash, and what came of it.
pub(in crate::bot) type Found = (String, Worked);

/// The state after a change, as a runbook's step gets it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::bot) struct After {
    /// It has replicas and all are well.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}

impl<'a> Job<'a> {
    /// Begins now.
    pub(super) fn new(context: &'a Context, row: &'a ActionRow, sink: ProgressSink) -> Self {
        Self {
            context,
            row,
            sink,
            started: Instant::now(),
            evidence: OnceLock::new(),
            memory: OnceLock::new(),
        }
    }

    pub(super) fn record(&self) -> &ActionRecord {
        &self.row.record
    }

    pub(super) fn patience(&self) -> Patience {
        self.context.settings().patience
    }

    /// How long it has taken until now, for people.
    pub(super) fn took(&self) -> String {
        duration::text(self.started.elapsed())
    }

    /// The service and its platform.
    pub(super) fn site(&self) -> Result<Site<'a>, Failure> {
        let found = self.context.catalogue().get(&self.row.record.service);
        let (service, platform) = found.ok_or_else(|| Failure::new(NOT_CONFIGURED, None))?;
        Ok(Site { service, platform })
    }

    /// Has the platform's answer, and waits until the health address answers well, if there is
    /// one. After a failure it looks at what is there now.
    pub(super) async fn settled(
        &self,
        site: &Site<'_>,
        answer: Result<ServiceStatus, PlatformError>,
    ) -> Result<ServiceStatus, Failure> {
        let after = site.answered(answer).await?;
        if let Some(url) = &site.service.health_url {
            let http = self.context.http();
            if let Err(why) = http.wait_well(url, self.patience().healthy).await {
                let cause =
                    format!("its replicas run, but its health address does not answer well: {why}");
                return Err(Failure::new(cause, Some(after)));
            }
        }
        Ok(after)
    }

    /// Measures the memory of the replicas that were started just now, where it was measured before.
    pub(super) async fn measure_memory(&self, site: &Site<'_>, after: &ServiceStatus) {
        let started = after.replicas.iter().filter_map(|one| one.started_at);
        let Some(since) = started.max() else { return };
        if !self.record().before_text.contains(MEMORY) {
            return;
        }
        let deadline = Instant::now() + FIGURES_WITHIN;
        while Instant::now() < deadline {
            if let Some(memory) = memory_text(&*site.platform, site.service, since).await {
                let _ = self.memory.set(memory);
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How the service is now, in the shape that a runbook's step gets.
    pub(super) fn after(&self, status: &ServiceStatus) -> After {
        After {
            well: status.is_well(),
            well_replicas: status.well(),
            total_replicas: status.replicas.len(),
            took_ms: self.started.elapsed().as_millis() as u64,
        }
    }

    /// The service is changed: `title` for the chat, `text` for the timeline, which also gets the
    /// states before and after.
    pub(super) fn changed(
        &self,
        title: Line,
        text: &str,
        after: ServiceStatus,
        result: &impl Serialize,
    ) -> Success {
        let (took, before) = (self.took(), &self.row.record.before_text);
        let memory = self.memory.get().map_or("", String::as_str);
        let brought = brought(&self.record().along);
        Success {
            tone: Tone::Good,
            title: title.text(&brought),
            text: format!(
                "{text}{brought} in {took}: {before} → {}{memory}",
                state_text(&after)
            ),
            after: Some(after),
            // Texts, numbers and truths can always be written.
            result: serde_json::to_value(result).unwrap_or_default(),
        }
    }

    /// What hangs on the service and is restarted after it, as it was before.
    pub(super) fn along(&self) -> impl Iterator<Item = ReplicaMark> + '_ {
        let along = self.record().along.iter();
        let restarted = along.filter(|one| one.fate == Consequence::Restarted);
        restarted.map(|one| one.mark.clone())
    }

    /// What became of each replica; waits while the platform is still at it, for as long as a
    /// restart may take.
    pub(super) async fn outcomes(
        &self,
        site: &Site<'_>,
        marks: &[ReplicaMark],
    ) -> Result<Vec<ReplicaOutcome>, Found> {
        let (intent, patience) = (self.row.intent(), self.patience());
        let deadline = Instant::now() + patience.stop + patience.healthy;
        loop {
            let ask = || site.platform.restart_outcome(site.service, marks, &intent);
            let outcomes = self.insist(ask).await?;
            if !outcomes.contains(&ReplicaOutcome::UnderWay) || Instant::now() > deadline {
                return Ok(outcomes);
            }
            let total = marks.len() as u32;
            self.sink.report(0, total, "the platform is still at it");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How old the intent is, once it is too old to be carried out.
    pub(super) fn stale(&self) -> Option<String> {
        let age = duration::between(self.row.intended_at, self.context.now());
        (age > STALE_INTENT).then(|| duration::text(age))
    }

    /// The same after a crash.
    #[expect(
        clippy::result_large_err,
        reason = "made once an action, after a crash"
    )]
    pub(super) fn found_site(&self) -> Result<Site<'a>, Found> {
        let unknown = |failure| ("nothing can be asked about it".to_owned(), Err(failure));
        self.site().map_err(unknown)
    }

    /// Asks the platform again while it can't be reached, for as long as an intent is young.
    pub(super) async fn insist<T, F, Fut>(&self, mut call: F) -> Result<T, Found>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, PlatformError>>,
    {
        let deadline = Instant::now() + STALE_INTENT;
        let shutdown = self.context.shutdown();
        let mut pause = LOOK;
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.is_refusal() || Instant::now() >= deadline || shutdown.is_cancelled() {
                let found = "the platform could not say what happened".to_owned();
                return Err((found, Err(Failure::new(error.to_string(), None))));
            }
            tracing::warn!(%error, "the platform can't say yet what happened");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(15));
        }
    }
}

impl Site<'_> {
    /// The platform's answer; after a failure it is asked how the service is now.
    pub(super) async fn answered(
        &self,
        answer: Result<ServiceStatus, PlatformError>,
    ) -> Result<ServiceStatus, Failure> {
        match answer {
            Ok(after) => Ok(after),
            Err(error) => Err(Failure::new(error.to_string(), self.now().await)),
        }
    }

    /// How the service is now, where the platform can say.
    pub(super) async fn now(&self) -> Option<ServiceStatus> {
        self.platform.status(self.service).await.ok()
    }

    /// The intent is too old to be carried out.
    pub(super) async fn too_old(&self, age: &str, more: &str) -> Worked {
        let cause = format!("the intent was {age} old{more}");
        Err(Failure::new(cause, self.now().await))
    }
}
