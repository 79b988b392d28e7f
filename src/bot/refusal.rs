//! The two kinds of no.

use std::error::Error;

use crate::command::nearest;
use crate::domain::{Button, Line, Message, Tone};
use crate::platform::PlatformError;
use crate::probe::ProbeError;
use crate::store::StoreError;

/// A no that the asker can mend. It is told to them alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// What is the matter, in one line.
    pub title: Line,
    /// More of it, preformatted.
    pub detail: Option<String>,
    /// What was perhaps meant.
    pub buttons: Vec<Button>,
}

impl Refusal {
    /// A refusal of one line.
    pub fn new(title: impl Into<Line>) -> Self {
        Self {
            title: title.into(),
            detail: None,
            buttons: Vec::new(),
        }
    }

    /// Adds preformatted lines.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a sentence that was perhaps meant.
    pub fn suggest(mut self, label: impl Into<String>, says: impl Into<String>) -> Self {
        self.buttons.push(Button::new(label, says));
        self
    }

    /// Suggests the name nearest to what was typed, if one is near, by the sentence that has it.
    pub fn suggest_nearest<'a>(
        self,
        typed: &str,
        names: impl IntoIterator<Item = &'a str>,
        sentence: impl FnOnce(&str) -> String,
    ) -> Self {
        match nearest(typed, names) {
            Some(near) => self.suggest(near, sentence(near)),
            None => self,
        }
    }

    /// As the asker sees it.
    pub fn message(&self) -> Message {
        Message::new(Tone::Warning, self.title.clone())
            .code(self.detail.clone().unwrap_or_default())
            .buttons(self.buttons.clone())
    }
}

/// A failure of ours or of the world: the asker sees a short cause, the log has the chain.
#[derive(Debug)]
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    /// A failure with its cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }

    /// The outermost cause, for people.
    pub fn short(&self) -> String {
        crate::domain::timeline::cut(&self.0.to_string(), 600)
    }

    /// All causes, for the log.
    pub fn chain(&self) -> String {
        crate::domain::causes(self.0.as_ref())
    }
}

/// Either kind of no.
#[derive(Debug)]
pub enum Fault {
    /// The asker's to mend.
    Refusal(Refusal),
    /// Ours.
    Failure(Failure),
}

impl Fault {
    /// Why not, in one line.
    pub fn line(&self) -> String {
        match self {
            Self::Refusal(refusal) => refusal.title.plain(),
            Self::Failure(failure) => failure.short(),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<ProbeError> for Fault {
    fn from(error: ProbeError) -> Self {
        if error.is_refusal() {
            Self::Refusal(Refusal::new(error.to_string()))
        } else {
            Self::Failure(Failure::new(error))
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Failure(Failure::new(error))
    }
}

impl From<PlatformError> for Fault {
    fn from(error: PlatformError) -> Self {
        if error.is_refusal() {
            Self::Refusal(Refusal::new(error.to_string()))
        } else {
            Self::Failure(Failure::new(error))
        }
    }
}
