//! Faults on demand: what Slack and the network do to a bot on a bad day.

use std::collections::VecDeque;

use super::fault_plan::{Fault, FaultPlan};
use super::sandbox::Sandbox;

/// Makes things go wrong. From [`Sandbox::faults`].
#[derive(Clone)]
pub struct Faults(Sandbox);

impl Faults {
    /// The next `times` calls of `method` (`*`: of any) fail in this way.
    pub fn next(&self, method: &str, times: u32, fault: Fault) {
        if times > 0 {
            self.0.plan().next.push((method.to_string(), times, fault));
        }
    }

    /// Answers `method` with 429 beyond this many calls in a second; 0 lifts the limit.
    pub fn rate(&self, method: &str, per_second: u32) {
        let mut plan = self.0.plan();
        if per_second == 0 {
            plan.rates.remove(method);
        } else {
            plan.rates
                .insert(method.to_string(), (per_second, VecDeque::new()));
        }
    }

    /// Cuts all open sockets without a closing frame; says how many there were.
    pub fn drop_sockets(&self) -> usize {
        self.0.hub().drop_all()
    }

    /// Sends every socket a `disconnect` envelope (`refresh_requested`, `warning`,
    /// `link_disabled`). But for `warning`, Slack then closes the socket.
    pub fn disconnect(&self, reason: &str) {
        self.0.hub().disconnect_all(reason);
    }

    /// Refuses new sockets with HTTP 503, or takes them again.
    pub fn refuse_connections(&self, refuse: bool) {
        self.0.plan().refuse_connections = refuse;
    }

    /// Says no `hello` on new sockets, or says it again.
    pub fn no_hello(&self, silent: bool) {
        self.0.plan().no_hello = silent;
    }

    /// Delivers each of the next `times` envelopes twice.
    pub fn redeliver(&self, times: u32) {
        self.0.plan().redeliver = times;
    }

    /// All is well again.
    pub fn clear(&self) {
        *self.0.plan() = FaultPlan::default();
    }
}

impl Sandbox {
    /// Makes things go wrong.
    pub fn faults(&self) -> Faults {
        Faults(self.clone())
    }
}
