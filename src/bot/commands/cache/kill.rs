//! `cache kill`.

use crate::bot::actions::client::Closed;
use crate::bot::actions::client::{KillClient, RULES};
use crate::bot::actions::propose;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};

impl Command for KillClient {
    const WORDS: &'static str = RULES.verb;
    const ROLE: Role = RULES.needs;
    const GUARDED: Option<Guarded> = Some(RULES.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        propose(context, ask, &self, ask.confirmed.clone()).await
    }
}

impl Action for KillClient {
    const STEP: &'static str = "cache.kill";
    const SUMMARY: &'static str = "Closes the connection of a client";
    type Outcome = Closed;
}
