//! What the timers are for. The subject of most is the key of a conversation.

use std::time::Duration;

pub(super) use crate::bot::incidents::{DECLARED, RELAPSE};
use crate::bot::timers::Kind;

/// The conversation's message is written.
pub(super) const MESSAGE: Kind = Kind("message");
/// A silence is over: what still fires is told.
pub(super) const SILENCE_END: Kind = Kind("silence-end");
/// The bot looks at the service.
pub(super) const TRIAGE: Kind = Kind("triage");
/// Does it still fire? What has changed?
pub(super) const FOLLOW_UP: Kind = Kind("follow-up");
/// Nobody has acknowledged it.
pub(super) const ESCALATION: Kind = Kind("escalation");
/// Does whoever acknowledged it still have it?
pub(super) const REASK: Kind = Kind("reask");
/// It was quiet for long enough.
pub(super) const QUIET: Kind = Kind("quiet");
/// Alerts that flapped may have calmed down.
pub(super) const CALM: Kind = Kind("calm");
/// A doubtful report of an alert was followed by no further one; the subject is its fingerprint.
pub(super) const SETTLE: Kind = Kind("settle");
/// Alerts may not have been heard of for too long.
pub(super) const UNHEARD: Kind = Kind("unheard");
/// What is held to fire is compared with what Alertmanager knows; there is one for all.
pub(super) const COMPARE: Kind = Kind("compare");
/// What has just begun to fire is looked for there this soon.
pub(super) const SOON: Duration = Duration::from_secs(5);
/// A silence is made, looked at or ended in Alertmanager; the subject is its id.
pub(super) const SILENCE: Kind = Kind("silence");
/// The message of a maintenance window says anew what it holds; the subject is its number.
pub(super) const HELD: Kind = Kind("held");
/// The bot looks whether services are well; the payload is what is known so far.
pub(super) const WATCH: Kind = Kind("watch");
