//! `cache kill`.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::sessions::end_client;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};
use crate::probe::cache::ClientId;

/// Close the connection of a client
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which client of which cache.")]
pub struct Kill {
    /// The client's number.
    client: u64,
    /// The server it is connected to, where there are several: `host:port`
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(default)]
    #[schemars(
        description = "The server it is connected to, `host:port`, where there are several."
    )]
    server: Option<String>,
    /// Which cache, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(description = "The cache's name; needed only where there are several.")]
    cache: Option<String>,
}

/// What closing a connection came to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Closed {
    /// That client was there and its connection is closed.
    closed: bool,
}

impl Command for Kill {
    const WORDS: &'static str = "cache kill";
    const ROLE: Role = Role::Responder;
    const GUARDED: Option<Guarded> = Some(Guarded::Db);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let client = ClientId {
            id: self.client,
            server: self.server,
        };
        end_client(
            context,
            ask,
            self.cache.as_deref(),
            client,
            ask.confirmed.clone(),
        )
        .await
    }
}

impl Action for Kill {
    const STEP: &'static str = "cache.kill";
    const SUMMARY: &'static str = "Closes the connection of a client";
    type Outcome = Closed;
}
