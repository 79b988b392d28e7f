//! The Slack side: tokens, scopes, people, the channel, the first words.

use serde_json::{Value, json};

use super::report::Trouble;
use crate::slack::client::{Client, Pages};
use crate::slack::error::{ApiError, hint};
use crate::slack::granted::Granted;
use crate::slack::scopes::{Method, Scope, Uses};
use crate::slack::{Mode, SlackConfig, find_channel};

/// Pages of people that are read at most: 20,000 people.
const PAGES: usize = 100;

/// Where an app's settings are.
pub(super) const APPS: &str = "https://api.slack.com/apps";

/// What a refusal means for whoever sets it up; `mend`: what helps where only Slack's word is known.
fn refused(what: impl Into<String>, error: &ApiError, mend: impl Into<String>) -> Trouble {
    let mend = match error {
        ApiError::RateLimited { .. } => "run setup again in a while".to_owned(),
        ApiError::Transient { .. } => {
            "Slack has to be reachable from here by HTTPS (slack.com, wss-primary.slack.com); then \
             run setup again"
                .to_owned()
        }
        ApiError::Token(code) | ApiError::Refused(code) => {
            let known = hint(code).map(str::to_owned);
            let own = mend.into();
            if own.is_empty() {
                known.unwrap_or_default()
            } else {
                own
            }
        }
    };
    Trouble {
        what: format!("{}: {error}", what.into()),
        mend,
    }
}

/// Asks Slack about both tokens.
pub(super) async fn tokens(client: &Client, slack: &SlackConfig) -> Result<Granted, Trouble> {
    let granted = client.granted().await.map_err(|error| {
        let mend = format!(
            "{APPS}, your app, Install App: copy the Bot User OAuth Token (xoxb-…); install it \
             again if there is none"
        );
        refused("Slack refuses the bot token", &error, mend)
    })?;
    if slack.mode == Mode::Socket {
        client.socket_url().await.map_err(|error| {
            let mend = match &error {
                ApiError::Refused(code) if code == "missing_scope" => format!(
                    "the app-level token lacks connections:write: {APPS}, your app, Basic \
                     Information, App-Level Tokens, Generate Token and Scopes"
                ),
                ApiError::Refused(_) => {
                    format!("{APPS}, your app, Socket Mode: switch it on")
                }
                _ => format!(
                    "{APPS}, your app, Basic Information, App-Level Tokens: copy the one (xapp-…) \
                     with connections:write"
                ),
            };
            refused("Slack refuses the app-level token", &error, mend)
        })?;
    }
    Ok(granted)
}

/// The optional scopes that lack; it fails where one lacks that is needed.
pub(super) fn scopes(granted: &Granted, uses: Uses) -> Result<Vec<Scope>, Trouble> {
    let Some(all) = &granted.scopes else {
        return Ok(Vec::new());
    };
    let lacking = uses.lacking(all);
    let needed = lacking.iter().filter(|scope| scope.without.is_none());
    let needed: Vec<&str> = needed.map(|scope| scope.name).collect();
    if needed.is_empty() {
        return Ok(lacking);
    }
    Err(Trouble {
        what: format!("The bot token lacks {}", needed.join(", ")),
        mend: format!(
            "{APPS}, your app, App Manifest: put in what `treasury-bot manifest` prints, Save \
             Changes, then Install App, Reinstall to Workspace"
        ),
    })
}

/// Somebody of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    /// As they are mentioned, where that was asked.
    pub(super) name: Option<String>,
}

/// The people that are meant by ids or `@names`.
pub(super) async fn people(client: &Client, wanted: &[String]) -> Result<Vec<Member>, Trouble> {
    let mut found = Vec::new();
    let mut known: Option<Vec<Value>> = None;
    for one in wanted {
        if crate::domain::person::is_slack_user_id(one) {
            let (id, name) = (one.clone(), None);
            found.push(Member { id, name });
            continue;
        }
        if known.is_none() {
            known =
                Some(everybody(client).await.map_err(|error| {
                    refused("The workspace's people can't be listed", &error, "")
                })?);
        }
        let name = one.trim_start_matches('@');
        let mut people = known.iter().flatten();
        let is_it = |member: &&Value| {
            let names = [&member["name"], &member["profile"]["display_name"]];
            member["deleted"] != true && names.iter().any(|known| *known == name)
        };
        let member = people.find(is_it).and_then(|member| member["id"].as_str());
        let id = member.ok_or_else(|| Trouble {
            what: format!("There is nobody called {name} in the workspace"),
            mend: "write the member's id: in Slack, Profile, Copy member ID (U…)".to_owned(),
        })?;
        let (id, name) = (id.to_owned(), Some(name.to_owned()));
        found.push(Member { id, name });
    }
    Ok(found)
}

async fn everybody(client: &Client) -> Result<Vec<Value>, ApiError> {
    let (mut all, mut pages) = (Vec::new(), Pages::new(PAGES));
    let parameters = [("limit", "200")];
    while let Some(page) = client
        .page(Method::UsersList, &parameters, &mut pages)
        .await?
    {
        all.extend(page["members"].as_array().into_iter().flatten().cloned());
    }
    Ok(all)
}

/// How the channel came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// The bot was in it already.
    There,
    /// It has joined.
    Joined,
    /// It has made it, and is alone in it.
    Made,
}

/// Finds the channel, joins it, or makes it: its id, and which of these.
pub(super) async fn channel(
    client: &Client,
    channel: &str,
    granted: &Granted,
) -> Result<(String, Channel), Trouble> {
    let invite = format!(
        "in Slack, write `/invite @{}` in {channel} (or name another by --channel), and run setup \
         again",
        granted.user
    );
    let Some(name) = channel.strip_prefix('#') else {
        join(client, channel).await.map_err(|error| {
            refused(
                format!("The channel {channel} can't be joined"),
                &error,
                &invite,
            )
        })?;
        return Ok((channel.to_owned(), Channel::Joined));
    };
    let found = find_channel(client, name).await;
    let found = found.map_err(|error| refused("Channels can't be listed", &error, ""))?;
    if let Some(found) = found {
        let id = found["id"].as_str().unwrap_or_default().to_owned();
        if found["is_member"] == true {
            return Ok((id, Channel::There));
        }
        join(client, &id)
            .await
            .map_err(|error| refused(format!("The bot can't join {channel}"), &error, &invite))?;
        return Ok((id, Channel::Joined));
    }
    let body = json!({"name": name, "is_private": false});
    match client.post(Method::ConversationsCreate, &body).await {
        Ok(made) => {
            let id = made["channel"]["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            Ok((id, Channel::Made))
        }
        Err(ApiError::Refused(code)) if code == "name_taken" => Err(Trouble {
            what: format!("{channel} is there, but the bot does not see it"),
            mend: format!("it is private or archived, or the scope channels:read lacks: {invite}"),
        }),
        Err(error) => {
            let what = format!("{channel} is not there, and the bot can't make it");
            Err(refused(what, &error, format!("make it; {invite}")))
        }
    }
}

async fn join(client: &Client, id: &str) -> Result<Value, ApiError> {
    client
        .post(Method::ConversationsJoin, &json!({"channel": id}))
        .await
}

/// Brings people into a channel; what Slack refuses of it is told by nobody, they can join.
pub(super) async fn invite(client: &Client, channel: &str, people: &[Member]) -> bool {
    let ids: Vec<&str> = people.iter().map(|one| one.id.as_str()).collect();
    let body = json!({"channel": channel, "users": ids.join(",")});
    let invited = client.post(Method::ConversationsInvite, &body).await;
    invited.is_ok()
}

/// Says hello.
pub(super) async fn hello(client: &Client, channel: &str, command: &str) -> Result<(), Trouble> {
    let text = format!(
        "👋 treasury-bot is set up. Once it runs, try `{command} status`; `{command} help` tells the rest."
    );
    let body = json!({"channel": channel, "text": text});
    let said = client.post(Method::ChatPostMessage, &body).await;
    said.map(drop)
        .map_err(|error| refused("Nothing can be said in the channel", &error, ""))
}
