//! `cache kill`: the connection of a cache's client is closed.
//!
//! A client's number is never used again, so that doing it again after a crash can't hit anybody
//! else.

use async_trait::async_trait;
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Failure, Found, Job, NOT_CONFIGURED, Worked};
use super::kind::{Intent, Kind, Plan, Rules, Sentences, Words, buttons};
use super::probe::{ended, recover};
use crate::bot::services::Named;
use crate::bot::{Context, Fault, Refusal};
use crate::command::words::quote;
use crate::domain::action::{ActionKind, ActionRecord, ClientEnd};
use crate::domain::{Guarded, Line, Role, duration};
use crate::probe::Cache;
use crate::probe::cache::{Client, ClientId};

pub(in crate::bot) const RULES: Rules = Rules {
    verb: "cache kill",
    guarded: Guarded::Db,
    needs: Role::Responder,
};

/// Close the connection of a client
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillClient {
    /// The client's number.
    pub client: u64,
    /// The server it is connected to, where there are several: `host:port`.
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(default)]
    pub server: Option<String>,
    /// Which cache, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(description = "The cache's name; needed only where there are several.")]
    pub cache: Option<String>,
}

/// What closing a connection came to, as a runbook's step gets it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::bot) struct Closed {
    /// That client was there and its connection is closed.
    closed: bool,
}

impl KillClient {
    fn intent(&self, found: &Named<dyn Cache>, before_text: String) -> Intent {
        Intent {
            service: found.service.clone(),
            kind: ActionKind::Client(ClientEnd {
                cache: found.name.clone(),
                id: self.client,
                server: self.server.clone(),
            }),
            before: Vec::new(),
            before_text,
            along: Vec::new(),
        }
    }
}

#[async_trait]
impl Words for KillClient {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let all = found.probe.clients().await?;
        let shown = all.list.iter().find(|one| {
            let server = self.server.as_ref();
            one.id == self.client && server.is_none_or(|server| *server == one.server)
        });
        if shown.is_some_and(|one| one.own) {
            let title = format!("Client {} is the bot itself. Nothing was done", self.client);
            return Err(Refusal::new(title).into());
        }
        let before_text = shown.map_or("not among those shown".to_owned(), |one| {
            format!("{} {}", one.address, one.name).trim().to_owned()
        });
        let server = self.server.as_ref();
        let server = server.map_or(String::new(), |at| format!(" --server {}", quote(at)));
        let sentence = format!("cache kill {}{server} --cache {}", self.client, found.name);
        let title = Line::new().text("Close the connection of client ");
        Ok(Plan {
            title: title.bold(self.client).text("?"),
            label: format!("Close client {}", self.client),
            effect: "Most clients connect again at once; what they were doing fails".to_owned(),
            detail: shown.map_or(String::new(), client_row),
            ..Plan::new(RULES, self.intent(found, before_text), sentence)
        })
    }

    /// Whether the client is still there is found out when its connection is closed.
    async fn plan_step(&self, context: &Context) -> Result<Intent, Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        Ok(self.intent(found, String::new()))
    }
}

#[async_trait]
impl Kind for ClientEnd {
    fn rules(&self) -> Rules {
        RULES
    }

    fn sentences(&self, _: &ActionRecord) -> Sentences {
        let Self { cache, id, .. } = self;
        let closing = "Closing the connection of client ";
        let doing = Line::new().text(closing).bold(id).text(" of ").code(cache);
        let subject = Line::new().text(format!("{closing}{id} of ")).code(cache);
        Sentences {
            buttons: buttons(&[("Clients", "cache clients")], &format!("--cache {cache}")),
            ..Sentences::new(doing, subject, "worked on")
        }
    }

    fn is_on_platform(&self) -> bool {
        false
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        let Self { cache, id, server } = self;
        let Ok(found) = job.context.catalogue().cache(Some(cache.as_str())) else {
            return Err(Failure::new(NOT_CONFIGURED, None));
        };
        let client = ClientId {
            id: *id,
            server: server.clone(),
        };
        let there = found.probe.kill(&client).await;
        let there = there.map_err(|error| Failure::new(error.to_string(), None))?;
        let what = if there {
            "has its connection closed"
        } else {
            "was gone already"
        };
        let title = Line::new()
            .text(format!("Client {id} of "))
            .code(cache)
            .text(format!(" {what}"));
        Ok(ended(job, title, &Closed { closed: there }))
    }

    async fn recover(&self, job: &Job<'_>) -> Result<Found, Found> {
        recover(self, job).await
    }
}

/// A client in one line.
pub(in crate::bot) fn client_row(client: &Client) -> String {
    let name = if client.name.is_empty() {
        String::new()
    } else {
        format!(" {}", client.name)
    };
    let what = match client.kind.as_str() {
        _ if client.own => " (the bot)".to_owned(),
        "normal" => String::new(),
        kind => format!(" ({kind})"),
    };
    format!(
        "{:>6} {}{name} {} idle {}, {} out{what}\n",
        client.id,
        client.address,
        client.command,
        duration::text(std::time::Duration::from_millis(client.idle_ms)),
        duration::bytes_text(client.output_bytes)
    )
}
