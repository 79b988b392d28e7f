//! What is planned to go wrong, and what of it is due.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

/// What goes wrong with one call of the Web API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// HTTP 429 with `Retry-After`.
    RateLimited { retry_after_s: u64 },
    /// HTTP 5xx with a page that isn't JSON.
    ServerError(u16),
    /// Never answered; the caller's own time-out has to end it.
    Hang,
    /// HTTP 200 with `ok: false` and this error.
    ApiError(String),
    /// Answered properly, after this many milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    Slow(Duration),
    /// The call takes effect, but the connection is cut before the answer.
    DropAfterAccept,
}

fn milliseconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

/// What is planned to go wrong.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    pub next: Vec<(String, u32, Fault)>,
    pub rates: HashMap<String, (u32, VecDeque<Instant>)>,
    pub refuse_connections: bool,
    pub no_hello: bool,
    pub redeliver: u32,
}

impl FaultPlan {
    /// The fault for this call, if one is due. `*` stands for any method.
    pub fn due(&mut self, method: &str, now: Instant) -> Option<Fault> {
        if let Some(at) = self.next.iter().position(|(m, ..)| m == method || m == "*") {
            let (_, left, fault) = &mut self.next[at];
            *left -= 1;
            let (left, fault) = (*left, fault.clone());
            if left == 0 {
                self.next.remove(at);
            }
            return Some(fault);
        }
        let (per_second, recent) = self.rates.get_mut(method)?;
        while recent
            .front()
            .is_some_and(|at| now - *at >= Duration::from_secs(1))
        {
            recent.pop_front();
        }
        if recent.len() < *per_second as usize {
            recent.push_back(now);
            return None;
        }
        Some(Fault::RateLimited { retry_after_s: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_due_as_often_as_asked_and_only_for_its_method() {
        let mut plan = FaultPlan::default();
        plan.next.push(("chat.update".into(), 2, Fault::Hang));
        let now = Instant::now();
        assert_eq!(plan.due("chat.postMessage", now), None);
        assert_eq!(plan.due("chat.update", now), Some(Fault::Hang));
        assert_eq!(plan.due("chat.update", now), Some(Fault::Hang));
        assert_eq!(plan.due("chat.update", now), None);
    }

    #[test]
    fn a_rate_lets_through_so_many_in_each_second() {
        let mut plan = FaultPlan::default();
        plan.rates
            .insert("chat.postMessage".into(), (2, VecDeque::new()));
        let start = Instant::now();
        let limited = |plan: &mut FaultPlan, at| plan.due("chat.postMessage", start + at).is_some();
        assert!(!limited(&mut plan, Duration::ZERO));
        assert!(!limited(&mut plan, Duration::from_millis(500)));
        assert!(limited(&mut plan, Duration::from_millis(900)));
        assert!(!limited(&mut plan, Duration::from_secs(1)));
        assert!(limited(&mut plan, Duration::from_millis(1_001)));
    }
}
