//! Slack: tokens, scopes, channels, people. No socket is opened, since Slack would hand it events that
//! the serving bot waits for; nothing is posted.

use std::collections::BTreeSet;

use futures_util::stream::{StreamExt, iter};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{HeaderMap, Request};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::finding::{Check, Fault, Finding, Group};
use super::wire::Wire;
use crate::domain::counted;
use crate::slack::granted;
use crate::slack::scopes::{Scope, Uses};
use crate::slack::{Mode, SlackConfig, error::hint};

const BOT_TOKEN: Check = Check {
    id: "slack.bot-token",
    group: Group::Slack,
    asks: "Does Slack answer and know the bot token (`auth.test`)?",
    mend: "copy the bot token (xoxb-…) anew from the app's page OAuth & Permissions into \
           TREASURY_BOT_SLACK_BOT_TOKEN; where no answer comes: is Slack let through from here?",
};
const APP_TOKEN: Check = Check {
    id: "slack.app-token",
    group: Group::Slack,
    asks: "May the bot open Socket Mode (`apps.connections.open`; no socket is opened)?",
    mend: "make an app-level token (xapp-…) with the scope connections:write, put it into \
           TREASURY_BOT_SLACK_APP_TOKEN, and switch Socket Mode on in the app's settings",
};
const ONE_APP: Check = Check {
    id: "slack.one-app",
    group: Group::Slack,
    asks: "Are both tokens of the same app? With two apps, what is said arrives at one and is answered by \
           the other.",
    mend: "copy both tokens from the pages of one app at api.slack.com/apps",
};
const SECRET: Check = Check {
    id: "slack.signing-secret",
    group: Group::Slack,
    asks: "Is the signing secret right, in HTTP mode? Only a request of Slack's would tell.",
    mend: "copy it anew from the app's page Basic Information",
};
const SCOPES: Check = Check {
    id: "slack.scopes",
    group: Group::Slack,
    asks: "Has the bot token the scopes that this configuration takes?",
    mend: "add the scope at api.slack.com/apps, OAuth & Permissions, and install the app again",
};
const CHANNEL: Check = Check {
    id: "slack.channel",
    group: Group::Slack,
    asks: "Is the main channel (and each that a route names) there, and may the bot post in it?",
    mend: "make the channel, or correct `channel`; of a private one write the id (`C…`)",
};
const PEOPLE: Check = Check {
    id: "slack.people",
    group: Group::Slack,
    asks: "Are the people of `[access]`, `[alerts]`, `[[rotation]]` and `[[person]]` in the workspace?",
    mend: "correct the id: in Slack, Profile, Copy member ID; or take who has left out",
};
const GROUPS: Check = Check {
    id: "slack.groups",
    group: Group::Slack,
    asks: "Are the user groups of `[access]` there, and not empty?",
    mend: "correct the group's id (`S…`), or switch the group on again",
};
const CLOCK: Check = Check {
    id: "slack.clock",
    group: Group::Slack,
    asks: "Do Slack's clock and ours agree? From 5 minutes on, HTTP mode refuses all requests.",
    mend: "set this machine's clock: `timedatectl set-ntp true`, or chrony",
};
pub(super) const CHECKS: &[Check] = &[
    BOT_TOKEN, APP_TOKEN, ONE_APP, SECRET, SCOPES, CHANNEL, PEOPLE, GROUPS, CLOCK,
];

/// Pages of channels that are read at most.
const PAGES: usize = 20;
/// People that are asked about at the same time.
const AT_ONCE: usize = 4;

/// What of a configuration is looked at.
pub(super) struct Wanted {
    pub(super) slack: SlackConfig,
    pub(super) uses: Uses,
    /// Beside the main one.
    pub(super) channels: BTreeSet<String>,
    /// Ids.
    pub(super) people: BTreeSet<String>,
}

struct Api {
    wire: Wire,
    base: String,
    bot: SecretString,
}

/// Why Slack did not do it.
struct Refusal {
    /// Slack's word, such as `channel_not_found`.
    code: Option<String>,
    fault: Fault,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { code: None, fault }
    }
}

impl Refusal {
    /// Of a token: whether it is the token's fault, or no answer came at all.
    fn of_token(self, check: Check, subject: &str) -> Finding {
        let answered = self.code.is_some();
        let finding = check.broken(subject, self.fault);
        if answered {
            return finding;
        }
        finding.by("is Slack let through from here, by name and port 443 (and `api_url` right, if it is set)?")
    }
}

impl Api {
    /// Calls a method that reads.
    async fn ask(
        &self,
        token: &SecretString,
        method: &str,
        form: &[(&str, &str)],
    ) -> Result<(Value, HeaderMap, Option<Timestamp>), Refusal> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let token = token.expose_secret().trim();
        let request = Request::post(format!("{}/{method}", self.base))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let request = request.map_err(|_| Fault {
            what: "the token has characters that no token has".to_owned(),
            hint: None,
        })?;
        let answer = self.wire.send(request).await?;
        let clock = answer.clock();
        if answer.status != 200 {
            let what = format!("Slack answers {method} by HTTP {}", answer.status);
            return Err(Fault { what, hint: None }.into());
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if body["ok"] == true {
            return Ok((body, answer.headers, clock));
        }
        let code = body["error"].as_str().unwrap_or("an answer that is none");
        let code: String = code.chars().filter(|c| !c.is_control()).take(80).collect();
        let needed = body["needed"].as_str();
        let needed = needed.map_or_else(String::new, |scope| format!(" (it takes {scope})"));
        Err(Refusal {
            fault: Fault {
                what: format!("Slack refuses {method}: {code}{needed}"),
                hint: hint(&code).map(str::to_owned),
            },
            code: Some(code),
        })
    }

    async fn query(&self, method: &str, form: &[(&str, &str)]) -> Result<Value, Refusal> {
        Ok(self.ask(&self.bot, method, form).await?.0)
    }
}

/// Looks at all of it.
pub(super) async fn look(wanted: Wanted, wire: Wire) -> Vec<Finding> {
    let slack = &wanted.slack;
    let base = slack
        .api_url
        .as_ref()
        .map_or("https://slack.com/api", |url| url.as_str());
    let api = Api {
        wire,
        base: base.trim_end_matches('/').to_owned(),
        bot: slack.bot_token.clone(),
    };
    let began = Timestamp::now();
    let (bot, socket) = tokio::join!(api.ask(&api.bot, "auth.test", &[]), app_token(&api, slack));
    let (who, headers, clock) = match bot {
        Ok(answer) => answer,
        Err(refusal) => {
            let mut found = vec![refusal.of_token(BOT_TOKEN, "bot token"), socket];
            let others = [
                (SCOPES, "scopes"),
                (CHANNEL, "channels"),
                (PEOPLE, "people"),
            ];
            let why = "not looked at: without the bot token Slack tells nothing";
            found.extend(others.map(|(check, subject)| check.unknown(subject, why)));
            return found;
        }
    };
    let text = |key: &str| who[key].as_str().unwrap_or_default();
    let mut found = vec![match text("bot_id") {
        "" => {
            let what = format!(
                "it is the token of the person {}, not of a bot",
                text("user")
            );
            BOT_TOKEN.failed("bot token", what)
        }
        _ => {
            let (user, team) = (text("user"), text("team"));
            BOT_TOKEN.ok(
                "bot token",
                format!("it is @{user} in the workspace {team}"),
            )
        }
    }];
    found.push(socket);
    found.extend(one_app(&api, slack, text("bot_id")).await);
    let granted = headers.get(granted::SCOPES);
    let granted = granted.and_then(|all| all.to_str().ok());
    let granted = granted.map(granted::scopes);
    found.extend(scopes(wanted.uses, granted.as_deref()));
    let granted = granted.unwrap_or_default();
    found.extend(channels(&api, &wanted, &granted, text("user")).await);
    found.extend(people(&api, &wanted.people).await);
    found.extend(groups(&api, &slack.groups).await);
    found.push(match clock {
        Some(theirs) => CLOCK.clock("clock", "Slack's", theirs, began),
        None => CLOCK.unknown("clock", "Slack's answer tells no time"),
    });
    found
}

async fn app_token(api: &Api, slack: &SlackConfig) -> Finding {
    let subject = "app token";
    match (slack.mode, &slack.app_token) {
        (Mode::Http, _) => {
            let why = "only a request of Slack's would tell; none comes from here";
            SECRET.unknown("signing secret", why)
        }
        (Mode::Socket, None) => APP_TOKEN.failed(subject, "it is not set"),
        (Mode::Socket, Some(token)) => match api.ask(token, "apps.connections.open", &[]).await {
            Ok(_) => APP_TOKEN.ok(subject, "Slack offers a socket (none was opened)"),
            Err(refusal) => refusal.of_token(APP_TOKEN, subject),
        },
    }
}

/// Whether the app token's app, which it names (`xapp-1-A…-…`), is the bot's; `None`: one of them does
/// not tell.
async fn one_app(api: &Api, slack: &SlackConfig, bot: &str) -> Option<Finding> {
    let token = slack
        .app_token
        .as_ref()
        .filter(|_| slack.mode == Mode::Socket)?;
    let opens = token.expose_secret().trim().split('-').nth(2)?;
    let answer = api.query("bots.info", &[("bot", bot)]).await.ok()?;
    let says = answer["bot"]["app_id"].as_str()?;
    Some(if opens == says {
        ONE_APP.ok("one app", format!("both tokens are of {says}"))
    } else {
        let what = format!("the app token is of {opens}, the bot token of {says}");
        ONE_APP.failed("one app", what)
    })
}

fn scopes(uses: Uses, granted: Option<&[String]>) -> Vec<Finding> {
    let Some(granted) = granted else {
        let why = "Slack's answer does not tell them (x-oauth-scopes)";
        return vec![SCOPES.unknown("scopes", why)];
    };
    let lacking = uses.lacking(granted).into_iter().map(
        |Scope {
             name,
             gives,
             without,
             ..
         }| match without {
            Some(without) => {
                SCOPES.warning(name, format!("it lacks ({gives}); without it {without}"))
            }
            None => SCOPES.failed(name, format!("it lacks ({gives})")),
        },
    );
    let mut found: Vec<Finding> = lacking.collect();
    if found.is_empty() {
        let all = format!("all {} are granted", uses.scopes().count());
        found.push(SCOPES.ok("scopes", all));
    }
    found
}

async fn channels(api: &Api, wanted: &Wanted, granted: &[String], user: &str) -> Vec<Finding> {
    let has = |scope: &str| granted.iter().any(|one| one == scope);
    let mut found = Vec::new();
    let main = std::iter::once(&wanted.slack.channel);
    let beside = wanted
        .channels
        .iter()
        .filter(|one| **one != wanted.slack.channel);
    for name in main.chain(beside) {
        let channel = match find(api, name, has("groups:read")).await {
            Ok(Some(channel)) => channel,
            Ok(None) => {
                found.push(CHANNEL.failed(name, "there is no such channel that the bot can see"));
                continue;
            }
            Err(Refusal { code, fault }) => {
                found.push(match code.as_deref() {
                    Some("channel_not_found") => CHANNEL.failed(name, fault.what),
                    Some("missing_scope" | "ratelimited") => {
                        CHANNEL.unknown(name, format!("not looked up: {}", fault.what))
                    }
                    _ => CHANNEL.broken(name, fault),
                });
                continue;
            }
        };
        let is_public = channel["is_private"] != true;
        found.push(if channel["is_archived"] == true {
            let mend = "take it out of the archive in Slack, or name another in `channel`";
            CHANNEL
                .failed(name, "it is archived: nobody can post there")
                .by(mend)
        } else if channel["is_member"] == true {
            CHANNEL.ok(name, "the bot is a member")
        } else if is_public && has("chat:write.public") {
            CHANNEL.ok(
                name,
                "the bot is no member, and may post all the same (chat:write.public)",
            )
        } else {
            let mend = format!("write `/invite @{user}` in the channel");
            CHANNEL
                .failed(name, "the bot is no member, and can't post there")
                .by(mend)
        });
    }
    found
}

/// The channel of this name, or id.
async fn find(api: &Api, channel: &str, private: bool) -> Result<Option<Value>, Refusal> {
    let Some(name) = channel.strip_prefix('#') else {
        let mut answer = api
            .query("conversations.info", &[("channel", channel)])
            .await?;
        return Ok(Some(answer["channel"].take()));
    };
    let types = if private {
        "public_channel,private_channel"
    } else {
        "public_channel"
    };
    let mut cursor = String::new();
    for _ in 0..PAGES {
        let form = [("types", types), ("limit", "1000"), ("cursor", &cursor)];
        let form = &form[..if cursor.is_empty() { 2 } else { 3 }];
        let mut page = api.query("conversations.list", form).await?;
        let all = page["channels"].as_array_mut();
        if let Some(found) = all.and_then(|all| all.iter_mut().find(|one| one["name"] == name)) {
            return Ok(Some(found.take()));
        }
        match page["response_metadata"]["next_cursor"].as_str() {
            None | Some("") => return Ok(None),
            Some(next) => next.clone_into(&mut cursor),
        }
    }
    Err(Refusal {
        code: Some("ratelimited".to_owned()),
        fault: Fault {
            what: format!("{} channels were read, it is not among them", PAGES * 1000),
            hint: None,
        },
    })
}

async fn people(api: &Api, ids: &BTreeSet<String>) -> Vec<Finding> {
    let asked = iter(ids.clone()).map(|id| async move {
        match api.query("users.info", &[("user", &id)]).await {
            Ok(answer) if answer["user"]["deleted"] == true => {
                let name = answer["user"]["name"].as_str().unwrap_or_default();
                Some(PEOPLE.failed(&id, format!("@{name} is deactivated: nobody hears there")))
            }
            Ok(answer) if answer["user"]["is_bot"] == true => {
                Some(PEOPLE.failed(&id, "it is a bot, not a person"))
            }
            Ok(_) => None,
            Err(Refusal { code, fault }) => Some(match code.as_deref() {
                Some("user_not_found" | "user_not_visible") => {
                    PEOPLE.failed(&id, "there is nobody of this id in the workspace")
                }
                Some("missing_scope" | "ratelimited") | None => {
                    PEOPLE.unknown(&id, format!("not looked up: {}", fault.what))
                }
                Some(_) => PEOPLE.broken(&id, fault),
            }),
        }
    });
    let found: Vec<Option<Finding>> = asked.buffered(AT_ONCE).collect().await;
    let mut found: Vec<Finding> = found.into_iter().flatten().collect();
    if found.is_empty() && !ids.is_empty() {
        let all = match ids.len() {
            1 => "the one who is named is there".to_owned(),
            count => format!("all {count} who are named are there"),
        };
        found.push(PEOPLE.ok("people", all));
    }
    found
}

async fn groups(api: &Api, ids: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    for id in ids {
        let form = [("usergroup", id.as_str())];
        found.push(match api.query("usergroups.users.list", &form).await {
            Ok(answer) => match answer["users"].as_array().map_or(0, Vec::len) {
                0 => GROUPS.warning(id, "nobody is in it"),
                1 => GROUPS.ok(id, "1 person is in it"),
                count => GROUPS.ok(id, format!("{} are in it", counted(count, "member"))),
            },
            Err(Refusal { code, fault }) => match code.as_deref() {
                Some("missing_scope" | "ratelimited") | None => {
                    GROUPS.unknown(id, format!("not looked up: {}", fault.what))
                }
                _ => GROUPS.failed(id, fault.what),
            },
        });
    }
    found
}
