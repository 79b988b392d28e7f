//! What is planned to go wrong, and what of it is due.

use std::collections::{BTreeSet, HashMap, VecDeque};
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
    pub next: Vec<Next>,
    pub limits: HashMap<String, Limit>,
    /// Channels that the bot may not write to, by id, each with Slack's error.
    pub closed: HashMap<String, String>,
    /// Scopes that the app lacks.
    pub lacks: BTreeSet<&'static str>,
    pub refuse_connections: bool,
    /// Socket Mode is switched off in the app's settings.
    pub link_disabled: bool,
    pub no_hello: bool,
    pub redeliver: u32,
}

/// The next calls that fail.
#[derive(Debug)]
pub(super) struct Next {
    /// `*` stands for any.
    pub method: String,
    /// In this channel only, by id.
    pub channel: Option<String>,
    pub times: u32,
    pub fault: Fault,
}

impl Next {
    fn is_for(&self, method: &str, channel: &str) -> bool {
        let here = self.channel.as_deref().is_none_or(|one| one == channel);
        here && (self.method == method || self.method == "*")
    }
}

/// So many calls of a method in a time.
#[derive(Debug)]
pub(super) struct Limit {
    pub most: usize,
    pub per: Duration,
    /// Each channel has its own.
    pub by_channel: bool,
    pub recent: HashMap<String, VecDeque<Instant>>,
}

impl Limit {
    /// How long a call in this channel has to wait; otherwise it is counted.
    fn wait(&mut self, channel: &str, now: Instant) -> Option<Duration> {
        let channel = if self.by_channel { channel } else { "" };
        let recent = self.recent.entry(channel.to_owned()).or_default();
        while recent.front().is_some_and(|at| now - *at >= self.per) {
            recent.pop_front();
        }
        if recent.len() < self.most {
            recent.push_back(now);
            return None;
        }
        recent.front().map(|at| self.per.saturating_sub(now - *at))
    }
}

/// The scopes of the app, as Slack tells them, but for those that it lacks.
const SCOPES: [&str; 13] = [
    "commands",
    "chat:write",
    "chat:write.public",
    "app_mentions:read",
    "users:read",
    "usergroups:read",
    "channels:read",
    "channels:join",
    "channels:history",
    "channels:manage",
    "files:write",
    "im:history",
    "im:write",
];

/// The scope that a method needs, by Slack's reference of methods.
pub(super) fn scope_of(method: &str) -> Option<&'static str> {
    Some(match method {
        "chat.getPermalink" => return None,
        "conversations.join" => "channels:join",
        "conversations.history" | "conversations.replies" => "channels:history",
        "conversations.list" | "conversations.info" | "conversations.members" => "channels:read",
        "conversations.open" => "im:write",
        "usergroups.users.list" => "usergroups:read",
        _ => match method.split('.').next()? {
            "chat" => "chat:write",
            "conversations" => "channels:manage",
            "files" => "files:write",
            "users" => "users:read",
            _ => return None,
        },
    })
}

impl FaultPlan {
    /// The fault for this call in this channel, if one is due. `*` stands for any method.
    pub fn due(&mut self, method: &str, channel: &str, now: Instant) -> Option<Fault> {
        let due = |next: &Next| next.is_for(method, channel);
        if let Some(at) = self.next.iter().position(due) {
            let next = &mut self.next[at];
            next.times -= 1;
            if next.times == 0 {
                return Some(self.next.remove(at).fault);
            }
            return Some(next.fault.clone());
        }
        if let Some(code) = self.closed.get(channel)
            && method.starts_with("chat.")
        {
            return Some(Fault::ApiError(code.clone()));
        }
        let wait = self.limits.get_mut(method)?.wait(channel, now)?;
        // Slack says whole seconds.
        let retry_after_s = (wait.as_secs_f64().ceil() as u64).max(1);
        Some(Fault::RateLimited { retry_after_s })
    }

    /// The scopes that the app has, as Slack's header tells them.
    pub fn granted(&self) -> String {
        let has = |scope: &&str| !self.lacks.contains(scope);
        let has: Vec<&str> = SCOPES.into_iter().filter(has).collect();
        has.join(",")
    }

    /// The scope that this method lacks.
    pub fn lacking(&self, method: &str) -> Option<&'static str> {
        scope_of(method).filter(|scope| self.lacks.contains(scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_due_as_often_as_asked_and_only_for_its_method() {
        let mut plan = FaultPlan::default();
        let next = |method: &str, channel: Option<&str>, times, fault| Next {
            method: method.to_owned(),
            channel: channel.map(str::to_owned),
            times,
            fault,
        };
        plan.next.push(next("chat.update", None, 2, Fault::Hang));
        plan.next
            .push(next("*", Some("C2"), 1, Fault::ServerError(503)));
        let now = Instant::now();
        assert_eq!(plan.due("chat.postMessage", "", now), None);
        assert_eq!(plan.due("chat.update", "", now), Some(Fault::Hang));
        assert_eq!(plan.due("chat.update", "", now), Some(Fault::Hang));
        assert_eq!(plan.due("chat.update", "", now), None);
        assert_eq!(plan.due("chat.delete", "C1", now), None);
        let here = plan.due("chat.delete", "C2", now);
        assert_eq!(here, Some(Fault::ServerError(503)));
        assert_eq!(plan.due("chat.delete", "C2", now), None);
    }

    #[test]
    fn a_limit_lets_through_so_many_in_each_channel_and_time() {
        let mut plan = FaultPlan::default();
        let limit = Limit {
            most: 2,
            per: Duration::from_secs(3),
            by_channel: true,
            recent: HashMap::new(),
        };
        plan.limits.insert("chat.postMessage".into(), limit);
        let start = Instant::now();
        let mut due = |channel, at| plan.due("chat.postMessage", channel, start + at);
        assert_eq!(due("C1", Duration::ZERO), None);
        assert_eq!(due("C1", Duration::from_millis(500)), None);
        let retry = |retry_after_s| Some(Fault::RateLimited { retry_after_s });
        assert_eq!(due("C1", Duration::from_millis(900)), retry(3));
        assert_eq!(due("C2", Duration::from_millis(900)), None);
        assert_eq!(due("C1", Duration::from_secs(3)), None);
        assert_eq!(due("C1", Duration::from_millis(3_001)), retry(1));
    }
}
