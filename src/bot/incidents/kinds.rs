//! Timers by which what is done to incidents reaches their alerts.

use crate::bot::timers::Kind;

/// Somebody declared an incident: whoever is on call is asked. The subject is the key of its
/// conversation about alerts.
pub(crate) const DECLARED: Kind = Kind("declared");
/// An incident was resolved by hand some time ago: what still fires is told anew. The same subject.
pub(crate) const RELAPSE: Kind = Kind("relapse");
