//! What every kind of action has: its words, what they come to, its work, and its sentences.

use async_trait::async_trait;

use super::job::{Failure, Found, Job, Worked};
use super::state::state_text;
use crate::bot::{Context, Fault};
use crate::domain::action::{ActionKind, ActionRecord, ActionRow};
use crate::domain::service::{ReplicaMark, Service, ServiceStatus};
use crate::domain::{Button, Guarded, Line, Role, ServiceName, Tone};

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
    /// What is asked for.
    fn rules(&self) -> Rules;

    /// Why, as it was typed.
    fn reason(&self) -> Option<&str> {
        None
    }

    /// Checks, and tells what the words come to now; nothing is touched.
    async fn plan(&self, context: &Context) -> Result<Plan, Fault>;

    /// The same for a step of a run, which asks nobody.
    async fn plan_step(&self, context: &Context) -> Result<Intent, Fault> {
        Ok(self.plan(context).await?.intent)
    }
}

/// What is about to be recorded.
#[derive(Debug)]
pub(in crate::bot) struct Intent {
    /// Whose lock is taken, and whose incidents are told.
    pub(in crate::bot) service: ServiceName,
    /// What is done.
    pub(in crate::bot) kind: ActionKind,
    /// The replicas as they are now.
    pub(in crate::bot) before: Vec<ReplicaMark>,
    /// The state now, for people.
    pub(in crate::bot) before_text: String,
}

/// What typed words come to.
pub(in crate::bot) struct Plan {
    pub(in crate::bot) intent: Intent,
    /// It is so already: what follows the service's name.
    pub(in crate::bot) nothing: Option<String>,
    /// The words that ask for exactly this, without the reason.
    pub(in crate::bot) sentence: String,
    pub(in crate::bot) question: Question,
}

impl Plan {
    /// What a platform would do to a service that is `before` now.
    pub(super) fn on_platform(
        service: &Service,
        kind: ActionKind,
        before: &ServiceStatus,
        sentence: String,
        (title, label, effect): (Line, String, String),
    ) -> Self {
        let before_text = state_text(before);
        Self {
            question: Question {
                title,
                label,
                effect,
                fields: vec![("Now".to_owned(), Line::from(before_text.as_str()))],
                detail: String::new(),
            },
            intent: Intent {
                service: service.name.clone(),
                kind,
                before: before.replicas.iter().map(ReplicaMark::from).collect(),
                before_text,
            },
            nothing: None,
            sentence,
        }
    }
}

/// What somebody is asked before it is done.
pub(in crate::bot) struct Question {
    pub(in crate::bot) title: Line,
    /// What the button says.
    pub(in crate::bot) label: String,
    /// What will happen.
    pub(in crate::bot) effect: String,
    pub(in crate::bot) fields: Vec<(String, Line)>,
    /// More of it, preformatted.
    pub(in crate::bot) detail: String,
}

/// One kind of action, as it is recorded.
#[async_trait]
pub(in crate::bot) trait Kind: Send + Sync {
    /// What it is called, and who may have it done.
    fn rules(&self) -> Rules;

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
        let found = "it was carried on to its end".to_owned();
        Ok((found, self.work(job).await))
    }

    /// Watches whether it lasts, once it is told as done: what is said when it does not, and what
    /// comes of it then.
    async fn relapse(
        &self,
        _context: &Context,
        _row: &ActionRow,
        _after: &ServiceStatus,
    ) -> Option<(Line, Failure)> {
        None
    }

    /// `Restarting frontend`.
    fn doing(&self, record: &ActionRecord) -> Line;

    /// `restarting frontend (healthy 2/2)`, for the timeline.
    fn intent(&self, record: &ActionRecord) -> String {
        let mut text = self.doing(record).plain();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        format!("{text} ({})", record.before_text)
    }

    /// `The restart of frontend`: the subject of a failure.
    fn subject(&self, record: &ActionRecord) -> Line;

    /// `frontend is being` … `restarted`.
    fn participle(&self) -> String;

    /// The tone of a success.
    fn tone(&self, _after: Option<&ServiceStatus>) -> Tone {
        Tone::Good
    }

    /// What can be asked next.
    fn buttons(&self, service: &ServiceName, _good: bool) -> Vec<Button> {
        vec![
            Button::new("Status", format!("status {service}")),
            Button::new("Logs", format!("logs {service}")),
        ]
    }

    /// The words that try it again after a failure; `None` where somebody has to look first.
    fn again(&self, service: &ServiceName) -> Option<String> {
        let _ = service;
        None
    }
}
