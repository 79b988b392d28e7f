//! Faults on demand: what Slack and the network do to a bot on a bad day.

use std::collections::HashMap;
use std::time::Duration;

use super::fault_plan::{Fault, FaultPlan, Limit, Next};
use super::sandbox::Sandbox;

/// The scope of apps that write to public channels they are not in.
const PUBLIC: &str = "chat:write.public";

/// Makes things go wrong. From [`Sandbox::faults`].
#[derive(Clone)]
pub struct Faults(Sandbox);

impl Faults {
    /// The next `times` calls of `method` (`*`: of any) fail in this way.
    pub fn next(&self, method: &str, times: u32, fault: Fault) {
        self.push(method, None, times, fault);
    }

    /// The same, for calls about this channel only.
    pub fn next_in(&self, channel: &str, method: &str, times: u32, fault: Fault) {
        self.push(method, Some(self.id_of(channel)), times, fault);
    }

    fn push(&self, method: &str, channel: Option<String>, times: u32, fault: Fault) {
        if times > 0 {
            let method = method.to_owned();
            self.0.plan().next.push(Next {
                method,
                channel,
                times,
                fault,
            });
        }
    }

    fn id_of(&self, channel: &str) -> String {
        let found = self
            .0
            .look(|world| world.channel(channel).map(|c| c.id.clone()));
        found.unwrap_or_else(|| channel.to_owned())
    }

    /// Answers `method` with 429 beyond this many calls in a second; 0 lifts the limit.
    pub fn rate(&self, method: &str, per_second: u32) {
        self.limit(method, per_second as usize, Duration::from_secs(1), false);
    }

    /// Answers `method` with 429 beyond this many calls in such a time, in each channel or in all;
    /// 0 lifts the limit.
    pub fn limit(&self, method: &str, most: usize, per: Duration, by_channel: bool) {
        let mut plan = self.0.plan();
        plan.limits.remove(method);
        if most > 0 {
            let limit = Limit {
                most,
                per,
                by_channel,
                recent: HashMap::new(),
            };
            plan.limits.insert(method.to_string(), limit);
        }
    }

    /// Slack's own limits of posts (one a second and channel, a few at once) and of new channels (20
    /// a minute): <https://docs.slack.dev/apis/web-api/rate-limits>.
    pub fn slacks_limits(&self) {
        let (post, create) = ("chat.postMessage", "conversations.create");
        self.limit(post, 3, Duration::from_secs(3), true);
        self.limit(create, 20, Duration::from_mins(1), false);
    }

    /// Takes a scope from the app, or gives it back.
    pub fn lacks(&self, scope: &'static str, lacks: bool) {
        let mut plan = self.0.plan();
        if lacks {
            plan.lacks.insert(scope);
        } else {
            plan.lacks.remove(scope);
        }
        drop(plan);
        if scope == PUBLIC {
            self.0.change(|world| world.writes_public = !lacks);
        }
    }

    /// Refuses with this error what the bot says in a channel, or takes it again.
    pub fn closed(&self, channel: &str, code: Option<&str>) {
        let id = self.id_of(channel);
        let mut plan = self.0.plan();
        match code {
            Some(code) => plan.closed.insert(id, code.to_owned()),
            None => plan.closed.remove(&id),
        };
    }

    /// Archives a channel, or takes it back.
    pub fn archived(&self, channel: &str, archived: bool) {
        self.0.change(|world| {
            let id = world.channel(channel).map(|c| c.id.clone());
            if let Some(channel) = id.and_then(|id| world.channels.get_mut(&id)) {
                channel.archived = archived;
            }
        });
    }

    /// Deactivates a person's account, or takes them back.
    pub fn deactivated(&self, id: &str, deactivated: bool) {
        self.0.change(|world| {
            if deactivated {
                world.deactivated.insert(id.to_owned());
            } else {
                world.deactivated.remove(id);
            }
        });
    }

    /// Cuts all open sockets without a closing frame; says how many there were.
    pub fn drop_sockets(&self) -> usize {
        self.0.hub().drop_all()
    }

    /// Sends every socket a `disconnect` envelope (`refresh_requested`, `warning`,
    /// `link_disabled`). But for `warning`, Slack then closes the socket. With `link_disabled`,
    /// Socket Mode is off until [`Self::clear`].
    pub fn disconnect(&self, reason: &str) {
        self.0.plan().link_disabled |= reason == "link_disabled";
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
        self.0.change(|world| world.writes_public = true);
    }
}

impl Sandbox {
    /// Makes things go wrong.
    pub fn faults(&self) -> Faults {
        Faults(self.clone())
    }
}
