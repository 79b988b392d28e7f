//! What became of an attempt to begin a change.

use crate::domain::action::ActionRow;

/// What became of an attempt to begin a change.
pub(super) enum Begun {
    /// It is begun; an action is to be carried out.
    Started(Option<Box<ActionRow>>),
    /// It can never begin: why.
    Refused(String),
    /// It has to wait for this.
    Behind(String),
    /// The run is another process's now.
    Lost,
}
