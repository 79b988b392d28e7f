//! What a runbook says, once it is read.

use std::time::Duration;

use serde_json::Value;

use super::source::{At, Source, Span};
use super::template::{Condition, Shape, Template};
use super::types::Type;
use treasury_domain::Role;

/// A runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Runbook {
    /// Its name, such as `memory-leak`.
    pub name: At<String>,
    /// For people.
    pub title: String,
    /// What it is for, in a sentence or two.
    pub summary: String,
    /// When it is offered.
    pub triggers: Vec<Trigger>,
    /// What it is told at its start.
    pub params: Vec<Param>,
    /// How long a run may take in all.
    pub timeout: Duration,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What is done at the end in any case.
    pub finally: Vec<Step>,
    /// Its text.
    pub source: Source,
}

/// How long a run may take if the runbook does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(4 * 3_600);

/// When a runbook is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// For an alert with all these labels.
    Alert(Vec<(String, String)>),
    /// For an incident whose title has this word.
    Keyword(String),
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// The name of a service.
    Service,
    /// The name of a database of the configuration; null where none is configured.
    Database,
    /// The same of a cache.
    Cache,
    /// A duration such as `10m`; in expressions a number of milliseconds.
    Duration,
    /// A size such as `512MiB`; in expressions a number of bytes.
    Bytes,
}

impl ParamKind {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("text", Self::Text),
        ("number", Self::Number),
        ("bool", Self::Bool),
        ("service", Self::Service),
        ("database", Self::Database),
        ("cache", Self::Cache),
        ("duration", Self::Duration),
        ("bytes", Self::Bytes),
    ];

    /// Its type in expressions.
    pub fn value_type(self) -> Type {
        match self {
            Self::Text | Self::Service | Self::Database | Self::Cache => Type::Text,
            Self::Number | Self::Duration | Self::Bytes => Type::Number,
            Self::Bool => Type::Bool,
        }
    }

    /// What is meant where nothing is said: the configuration may hold one only, or an alert tells.
    pub fn is_found(self) -> bool {
        matches!(self, Self::Database | Self::Cache)
    }

    /// Its word in a runbook.
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("text", |(word, _)| word)
    }
}

/// A parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: At<String>,
    /// What it takes.
    pub kind: ParamKind,
    /// What it is for.
    pub summary: String,
    /// Its value if none is given. `None`: it has to be given, unless `optional`.
    pub default: Option<Value>,
    /// It may be left out, and is null then.
    pub optional: bool,
    /// The only values allowed; empty for any.
    pub choices: Vec<Value>,
    /// Least number.
    pub min: Option<f64>,
    /// Greatest number.
    pub max: Option<f64>,
}

impl Param {
    /// Its type in expressions.
    pub fn value_type(&self) -> Type {
        if (self.optional || self.kind.is_found()) && self.default.is_none() {
            self.kind.value_type().optional()
        } else {
            self.kind.value_type()
        }
    }

    /// Who calls has to give it.
    pub fn is_needed(&self) -> bool {
        self.default.is_none() && !self.optional && !self.kind.is_found()
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique in the runbook; made from its number where none is given.
    pub id: At<String>,
    /// For people.
    pub title: Option<Template>,
    /// Done only if this holds.
    pub when: Option<Condition>,
    /// Done once for each item of this list; the item is `item`, its number from 0 `index`.
    pub for_each: Option<Condition>,
    /// How long it may take; how long replicas may take to become healthy, for what changes them.
    pub timeout: Option<Duration>,
    /// How often and how it is tried again.
    pub retry: Retry,
    /// What follows a failure.
    pub on_failure: OnFailure,
    /// What is done.
    pub work: Work,
    /// Where it stands.
    pub span: Span,
}

/// How a failing step is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// How often it is tried in all.
    pub attempts: u32,
    /// The pause before the second attempt.
    pub delay: Duration,
    /// Each further pause is longer by this factor; at most an hour.
    pub backoff: f64,
}

impl Retry {
    /// Tried once.
    pub const ONCE: Self = Self {
        attempts: 1,
        delay: Duration::from_secs(5),
        backoff: 1.0,
    };

    /// The pause after this attempt (from 1).
    pub fn pause(&self, attempt: u32) -> Duration {
        let factor = self.backoff.powi(attempt.saturating_sub(1).min(64) as i32);
        Duration::try_from_secs_f64(self.delay.as_secs_f64() * factor)
            .unwrap_or(Duration::MAX)
            .min(Duration::from_secs(3_600))
    }
}

/// What follows a step's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// The run stops, after somebody could retry or skip the step.
    Stop,
    /// The next step follows; the step has no result.
    Continue,
    /// The run goes on at this later step of the same list.
    Goto(At<String>),
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Calls a probe or an action.
    Use(Use),
    /// Waits.
    Wait(Wait),
    /// Asks a question.
    Ask {
        /// The question.
        text: Template,
        /// The answers to choose from.
        choices: Vec<At<String>>,
        /// Who may answer.
        by: Role,
    },
    /// Asks for approval.
    Approve {
        /// What is to be approved.
        text: Template,
        /// Who may approve.
        by: Role,
        /// How many different people.
        count: u32,
        /// Who started the run does not count.
        other: bool,
    },
    /// Fails unless something holds.
    Assert {
        /// What has to hold.
        condition: Condition,
        /// What is said if it doesn't.
        message: Option<Template>,
    },
    /// Writes to the timeline.
    Note(Template),
    /// Says something in the incident's room, or the main channel.
    Notify(Template),
    /// Runs another runbook.
    Runbook {
        /// Its name.
        name: At<String>,
        /// Its parameters.
        with: Vec<(At<String>, At<Shape>)>,
    },
    /// A step for a person.
    Manual {
        /// What is to be done.
        text: Template,
        /// Who may say that it is done.
        by: Role,
    },
    /// Steps at the same time.
    Parallel(Vec<Step>),
    /// Steps one after the other, as one.
    Block(Vec<Step>),
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    /// What is called, such as `service.restart`.
    pub name: At<String>,
    /// Its parameters.
    pub with: Vec<(At<String>, At<Shape>)>,
    /// Called again until this holds.
    pub until: Option<Until>,
}

/// Calling again until something holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Until {
    /// What has to hold; `result` is the newest result.
    pub condition: Condition,
    /// The pause between two calls; how long in all is the step's time-out.
    pub every: Duration,
}

/// Waiting.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    /// This long.
    Fixed(Duration),
    /// As long as a number of milliseconds, or a text such as `10m`, says.
    Computed(Template),
}

impl Step {
    /// The steps within it.
    pub fn inner(&self) -> &[Step] {
        match &self.work {
            Work::Parallel(steps) | Work::Block(steps) => steps,
            _ => &[],
        }
    }

    /// The word that says what it does.
    pub fn verb(&self) -> &'static str {
        match &self.work {
            Work::Use(_) => "uses",
            Work::Wait(_) => "wait",
            Work::Ask { .. } => "ask",
            Work::Approve { .. } => "approve",
            Work::Assert { .. } => "assert",
            Work::Note(_) => "note",
            Work::Notify(_) => "notify",
            Work::Runbook { .. } => "runbook",
            Work::Manual { .. } => "manual",
            Work::Parallel(_) => "parallel",
            Work::Block(_) => "steps",
        }
    }

    /// Its title as it is written, or what it does.
    pub fn heading(&self) -> String {
        if let Some(title) = &self.title {
            return title.written();
        }
        match &self.work {
            Work::Use(call) => call.name.value.clone(),
            Work::Wait(Wait::Fixed(time)) => {
                format!("wait {}", treasury_domain::duration::text(*time))
            }
            // Their texts are told once they are computed.
            Work::Ask { .. } => "Question".to_owned(),
            Work::Approve { .. } => "Approval".to_owned(),
            Work::Manual { .. } => "By hand".to_owned(),
            Work::Note(_) => "Note on the timeline".to_owned(),
            Work::Notify(_) => "Message to the channel".to_owned(),
            Work::Parallel(_) => "In parallel".to_owned(),
            Work::Assert { .. } => "Check".to_owned(),
            Work::Runbook { name, .. } => format!("runbook {}", name.value),
            Work::Wait(Wait::Computed(_)) => "wait".to_owned(),
            Work::Block(_) => "Steps".to_owned(),
        }
    }
}

/// All steps of a list, with those within them, in the order of the text.
pub fn walk(steps: &[Step]) -> Vec<&Step> {
    let mut all = Vec::new();
    for step in steps {
        all.push(step);
        all.extend(walk(step.inner()));
    }
    all
}

impl Runbook {
    /// All its steps, those at the end included.
    pub fn all_steps(&self) -> Vec<&Step> {
        let mut all = walk(&self.steps);
        all.extend(walk(&self.finally));
        all
    }

    /// The step of this id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.all_steps()
            .into_iter()
            .find(|step| step.id.value == id)
    }
}
