//! The engine's core: what a run does next, as a pure function of what is known of it.
//!
//! [`advance()`] brings a run as far as it gets at this moment: it begins steps, lets waits end,
//! evaluates conditions. It touches nothing but the state. Its caller commits the changed steps
//! and what is to be said (in one transaction), and only then does what [`pending_calls`] lists. After a
//! crash the caller loads the state and asks [`pending_calls`] again: running and recovering are the same
//! road. What came of a call is told by [`finished`], what people answer by [`vote`], [`decide`]
//! and [`stop`]; a message that comes twice or too late changes nothing.

mod advance;
mod drive;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use advance::{
    APPROVAL_TIMEOUT, Advance, Announcement, PendingCall, advance, pending_calls, titles,
};
pub use drive::{Batch, Drive};
pub use event::{
    Decision, Finished, NotNow, Outcome, can_be_left_out, decide, finished, interrupted, queued,
    request_approval, started, stop, vote,
};
pub use state::{Approval, Call, Phase, RunState, Start, StepState, Stop, Verdict, Vote, bounded};
