//! What a Slack client refuses by itself, before anything is sent.

/// Why the Slack client would not let a person do this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotAct {
    #[error("nobody here is called {0}")]
    Stranger(String),
    #[error("there is no channel {0} that this person is in")]
    NoChannel(String),
    #[error("#{0} is archived")]
    Archived(String),
    #[error("this person sees no message {0}")]
    NoMessage(String),
    #[error("there is no view {0} open")]
    NoView(String),
    #[error("there is no control “{wanted}”, but {have:?}")]
    NoControl { wanted: String, have: Vec<String> },
    #[error("“{wanted}” fits several of {have:?}; name one by its value")]
    Ambiguous { wanted: String, have: Vec<String> },
    #[error("a {0} is not chosen from")]
    NothingToChoose(String),
    #[error("there is no option “{wanted}”, but {have:?}")]
    NoOption { wanted: String, have: Vec<String> },
    #[error("the field “{0}” must be filled in")]
    Incomplete(String),
    #[error("the text in “{0}” is too short or too long")]
    Length(String),
    #[error("the modal has no submit button")]
    NoSubmit,
}
