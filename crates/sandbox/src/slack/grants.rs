//! What an interaction entitles the bot to: one modal within three seconds (`trigger_id`), five
//! answers within half an hour (`response_url`).

use std::time::Duration;

use tokio::time::Instant;

use super::workspace::{ResponseUrl, Trigger, Workspace};

const TRIGGER_LIVES: Duration = Duration::from_secs(3);
const RESPONSE_URL_LIVES: Duration = Duration::from_mins(30);
const RESPONSE_URL_USES: u8 = 5;
/// Grants of each kind kept; the oldest go.
const KEPT: usize = 10_000;

/// Where a response_url leads.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub channel: String,
    pub user: String,
    pub source: Option<String>,
    pub thread_ts: Option<String>,
}

impl Workspace {
    /// A new `trigger_id`.
    pub(super) fn grant_trigger(&mut self, user: &str) -> String {
        let number = self.next_number();
        let token = format!(
            "{number}.{}.{:032x}",
            number * 7 + 1_000,
            rand::random::<u128>()
        );
        if self.triggers.len() == KEPT {
            self.triggers.pop_first();
        }
        let expires = Instant::now() + TRIGGER_LIVES;
        let trigger = Trigger {
            token: token.clone(),
            user: user.to_string(),
            expires,
            used: false,
        };
        self.triggers.insert(number, trigger);
        token
    }

    /// Uses a `trigger_id` up; gives the person it belongs to, or Slack's error.
    pub(super) fn redeem_trigger(
        &mut self,
        token: &str,
        now: Instant,
    ) -> Result<String, &'static str> {
        let number: Option<u64> = token.split('.').next().and_then(|n| n.parse().ok());
        let trigger = number
            .and_then(|n| self.triggers.get_mut(&n))
            .filter(|t| t.token == token);
        let trigger = trigger.ok_or("invalid_trigger_id")?;
        if trigger.used {
            return Err("exchanged_trigger_id");
        }
        if trigger.expires < now {
            return Err("expired_trigger_id");
        }
        trigger.used = true;
        Ok(trigger.user.clone())
    }

    /// A new `response_url`; `kind` is `commands` or `actions`, as in Slack's.
    pub(super) fn grant_response_url(&mut self, kind: &str, target: Target) -> String {
        let number = self.next_number();
        let secret = format!("{:024x}", rand::random::<u128>() >> 32);
        if self.response_urls.len() == KEPT {
            self.response_urls.pop_first();
        }
        let address = format!(
            "{}/{kind}/{}/{number}/{secret}",
            self.base_url, self.team_id
        );
        let grant = ResponseUrl {
            secret,
            channel: target.channel,
            user: target.user,
            source: target.source,
            thread_ts: target.thread_ts,
            expires: Instant::now() + RESPONSE_URL_LIVES,
            uses_left: RESPONSE_URL_USES,
        };
        self.response_urls.insert(number, grant);
        address
    }

    /// Uses a `response_url` once.
    pub(super) fn redeem_response_url(
        &mut self,
        number: u64,
        secret: &str,
        now: Instant,
    ) -> Result<Target, &'static str> {
        let grant = self
            .response_urls
            .get_mut(&number)
            .filter(|g| g.secret == secret);
        let grant = grant.ok_or("expired_url")?;
        if grant.expires < now {
            return Err("expired_url");
        }
        grant.uses_left = grant.uses_left.checked_sub(1).ok_or("used_url")?;
        Ok(Target {
            channel: grant.channel.clone(),
            user: grant.user.clone(),
            source: grant.source.clone(),
            thread_ts: grant.thread_ts.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slack::SandboxConfig;

    fn world() -> Workspace {
        Workspace::new(&SandboxConfig::default(), "http://127.0.0.1:1".to_string())
    }

    #[test]
    fn a_trigger_is_good_for_one_view_within_three_seconds() {
        let (mut world, now) = (world(), Instant::now());
        let trigger = world.grant_trigger("U0ANA00001");
        assert_eq!(
            world.redeem_trigger("1.2.3", now),
            Err("invalid_trigger_id")
        );
        assert_eq!(
            world.redeem_trigger(&trigger, now),
            Ok("U0ANA00001".to_string())
        );
        assert_eq!(
            world.redeem_trigger(&trigger, now),
            Err("exchanged_trigger_id")
        );
        let trigger = world.grant_trigger("U0ANA00001");
        let late = Instant::now() + Duration::from_millis(3_001);
        assert_eq!(
            world.redeem_trigger(&trigger, late),
            Err("expired_trigger_id")
        );
    }

    fn granted(world: &mut Workspace) -> (u64, String) {
        let target = Target {
            channel: "C".into(),
            user: "U".into(),
            source: None,
            thread_ts: None,
        };
        let address = world.grant_response_url("commands", target);
        let mut parts = address.rsplit('/').map(str::to_string);
        let secret = parts.next().unwrap();
        (parts.next().unwrap().parse().unwrap(), secret)
    }

    #[test]
    fn a_response_url_is_good_for_five_answers_within_half_an_hour() {
        let (mut world, now) = (world(), Instant::now());
        let (number, secret) = granted(&mut world);
        assert!(world.redeem_response_url(number, "guessed", now).is_err());
        for _ in 0..5 {
            assert_eq!(
                world
                    .redeem_response_url(number, &secret, now)
                    .unwrap()
                    .user,
                "U"
            );
        }
        assert_eq!(
            world.redeem_response_url(number, &secret, now).unwrap_err(),
            "used_url"
        );

        let (number, secret) = granted(&mut world);
        let late = Instant::now() + Duration::from_mins(31);
        assert_eq!(
            world
                .redeem_response_url(number, &secret, late)
                .unwrap_err(),
            "expired_url"
        );
    }
}
