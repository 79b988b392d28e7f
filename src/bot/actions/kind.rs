//! What every kind of action has: its words, what they come to, its work, and its sentences.

use async_trait::async_trait;

use super::job::{Failure, Found, Job, Worked};
use super::state::state_text;
use crate::bot::{Context, Fault};
use crate::domain::action::{ActionKind, ActionRecord, ActionRow};
use crate::domain::service::{Dependant, ReplicaMark, Service, ServiceStatus};
use crate::domain::{Button, Guarded, Line, Role, ServiceName};
use crate::platform::{Platform, PlatformError};

/// What a kind is called, and who may have it done.
#[derive(Debug, Clone, Copy)]
pub(in crate::bot) struct Rules {
    /// The words of its command, such as `db cancel`.
    pub(in crate::bot) verb: &'static str,
    /// What the policy watches over.
    pub(in crate::bot) guarded: Guarded,
    /// The role it needs.
    pub(in crate::bot) needs: Role,
}

/// The typed words that ask for an action, in chat or as a runbook's step.
#[async_trait]
pub(in crate::bot) trait Words: Send + Sync {
    /// Checks, and tells what the words come to now; nothing is touched.
    async fn plan(&self, context: &Context) -> Result<Plan, Fault>;

    /// The same for a step of a run, which asks nobody.
    async fn plan_step(&self, context: &Context) -> Result<Intent, Fault> {
        Ok(self.plan(context).await?.intent)
    }
}

/// What is about to be recorded.
pub(in crate::bot) struct Intent {
    /// Whose lock is taken, and whose incidents are told.
    pub(in crate::bot) service: ServiceName,
    /// What is done.
    pub(in crate::bot) kind: ActionKind,
    /// The replicas as they are now.
    pub(in crate::bot) before: Vec<ReplicaMark>,
    /// The state now, for people.
    pub(in crate::bot) before_text: String,
    /// What hangs on the service, and what becomes of it.
    pub(in crate::bot) along: Vec<Dependant>,
}

impl Intent {
    /// What a platform is to do to a service that is `before` now. It is asked what else that
    /// touches; what would break something is refused.
    pub(super) async fn on_platform(
        service: &Service,
        platform: &dyn Platform,
        kind: ActionKind,
        before: &ServiceStatus,
    ) -> Result<Self, PlatformError> {
        Ok(Self {
            service: service.name.clone(),
            along: platform.touches(service, &kind).await?,
            kind,
            before: before.replicas.iter().map(ReplicaMark::from).collect(),
            before_text: state_text(before),
        })
    }
}

/// What typed words come to, and what is asked before it is done.
pub(in crate::bot) struct Plan {
    pub(super) rules: Rules,
    pub(super) intent: Intent,
    /// The words that ask for exactly this, without the reason.
    pub(super) sentence: String,
    /// Why, as it was typed.
    pub(super) reason: Option<String>,
    /// It is so already: what follows the service's name.
    pub(super) nothing: Option<String>,
    /// The question.
    pub(super) title: Line,
    /// What its button says.
    pub(super) label: String,
    /// What will happen.
    pub(super) effect: String,
    pub(super) fields: Vec<(String, Line)>,
    /// More of it, preformatted.
    pub(super) detail: String,
}

impl Plan {
    /// A plan whose question has no words yet.
    pub(super) fn new(rules: Rules, intent: Intent, sentence: String) -> Self {
        Self {
            rules,
            intent,
            sentence,
            reason: None,
            nothing: None,
            title: Line::new(),
            label: String::new(),
            effect: String::new(),
            fields: Vec::new(),
            detail: String::new(),
        }
    }
}

/// What is said of an action.
pub(in crate::bot) struct Sentences {
    /// `Restarting frontend`.
    pub(super) doing: Line,
    /// The same in more words for the timeline, where there are more to say.
    pub(super) intent: Option<String>,
    /// `The restart of frontend`: the subject of a failure.
    pub(super) subject: Line,
    /// `frontend is being` … `restarted`.
    pub(super) participle: String,
    /// What can be asked next.
    pub(super) buttons: Vec<Button>,
    /// What else after a success.
    pub(super) undo: Option<Button>,
    /// The words that try it again after a failure; `None` where somebody has to look first.
    pub(super) again: Option<String>,
}

impl Sentences {
    /// Those that most have in common.
    pub(super) fn new(doing: Line, subject: Line, participle: &str) -> Self {
        Self {
            doing,
            intent: None,
            subject,
            participle: participle.to_owned(),
            buttons: Vec::new(),
            undo: None,
            again: None,
        }
    }
}

/// A button for each command, with these words after it.
pub(super) fn buttons(commands: &[(&str, &str)], words: &str) -> Vec<Button> {
    let button = |(label, command): &(&str, &str)| {
        let label = (*label).to_owned();
        Button::new(label, format!("{command} {words}"))
    };
    commands.iter().map(button).collect()
}

/// The commands that look at a service after most changes.
pub(super) const LOOK_AT: [(&str, &str); 2] = [("Status", "status"), ("Logs", "logs")];

/// One kind of action, as it is recorded.
#[async_trait]
pub(in crate::bot) trait Kind: Send + Sync {
    /// What it is called, and who may have it done.
    fn rules(&self) -> Rules;

    /// What is said of it.
    fn sentences(&self, record: &ActionRecord) -> Sentences;

    /// Done to the service by its platform, and not by a probe.
    fn is_on_platform(&self) -> bool {
        true
    }

    /// Does it. All of them but the restart may be done twice: it comes to the same.
    async fn work(&self, job: &Job<'_>) -> Worked;

    /// Finds out after a crash what became of it and brings it to its end. `Err`: its end is not
    /// this kind's to bring about any more.
    ///
    /// Deployments, isolations and releases name exactly what is to be: done again, they are
    /// brought to their end, and what is done already stays as it is.
    async fn recover(&self, job: &Job<'_>) -> Result<Found, Found> {
        let site = job.found_site()?;
        job.insist(|| site.platform.status(site.service)).await?;
        if let Some(age) = job.stale() {
            let more = ", too old to be carried out; it may have been done in part";
            let found = "it was not known how far it had come".to_owned();
            return Err((found, site.too_old(&age, more).await));
        }
        // What is being brought along already is not restarted a second time.
        let along: Vec<ReplicaMark> = job.along().collect();
        if !along.is_empty() {
            job.outcomes(&site, &along).await?;
        }
        let found = "it was carried on to its end".to_owned();
        Ok((found, self.work(job).await))
    }

    /// Watches whether a success lasts: what is said when it does not, and what comes of it then.
    async fn relapse(
        &self,
        _context: &Context,
        _row: &ActionRow,
        _after: &ServiceStatus,
    ) -> Option<(Line, Failure)> {
        None
    }
}
