//! `restart`.

use crate::bot::actions::After;
use crate::bot::actions::propose;
use crate::bot::actions::restart::{RULES, Restart};
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};

impl Command for Restart {
    const WORDS: &'static str = RULES.verb;
    const ROLE: Role = RULES.needs;
    const GUARDED: Option<Guarded> = Some(RULES.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        propose(context, ask, &self, ask.confirmed.clone()).await
    }
}

impl Action for Restart {
    const STEP: &'static str = "service.restart";
    const SUMMARY: &'static str = "Restarts the replicas of a service, one after another";
    type Outcome = After;
}
