//! `rollback`.

use crate::bot::actions::deploy::Deployed;
use crate::bot::actions::deploy::{ROLLBACK, Rollback};
use crate::bot::actions::propose;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};

impl Command for Rollback {
    const WORDS: &'static str = ROLLBACK.verb;
    const ROLE: Role = ROLLBACK.needs;
    const GUARDED: Option<Guarded> = Some(ROLLBACK.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        propose(context, ask, &self, ask.confirmed.clone()).await
    }
}

impl Action for Rollback {
    const STEP: &'static str = "service.rollback";
    const SUMMARY: &'static str = "Brings a service back to the version before the present one";
    type Outcome = Deployed;
}
