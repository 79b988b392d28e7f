//! The engine's core: what a run does next, as a pure function of what is known of it.
//!
//! [`Drive::advance`] brings a run as far as it gets at this moment: it begins steps, lets waits
//! end, evaluates conditions. It touches nothing but the state. Its caller commits the batch (changed
//! steps and announcements, in one transaction), and only then does what [`Drive::start`] lists.
//! After a crash the caller loads the state and makes a new [`Drive`]: running and recovering are the
//! same road. What came of a call is told by [`Drive::finished`], what people answer by
//! [`Drive::tell`]; a message that comes twice or too late changes nothing.

mod advance;
mod bounded;
mod drive;
mod event;
mod pending;
mod state;
#[cfg(test)]
mod tests;
mod values;
mod walk;
mod work;

pub use advance::APPROVAL_TIMEOUT;
pub use drive::{Batch, Drive};
pub use event::{Decision, Event, NotNow, Outcome, can_be_left_out};
pub use pending::PendingCall;
pub use state::{
    Announcement, Approval, Call, Phase, RunState, Start, StepState, Stop, Verdict, Vote,
};
pub use values::titles;
