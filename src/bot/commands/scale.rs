//! `scale`.

use crate::bot::actions::After;
use crate::bot::actions::propose;
use crate::bot::actions::scale::{RULES, Scale};
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};

impl Command for Scale {
    const WORDS: &'static str = RULES.verb;
    const ROLE: Role = RULES.needs;
    const GUARDED: Option<Guarded> = Some(RULES.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        propose(context, ask, &self, ask.confirmed.clone()).await
    }
}

impl Action for Scale {
    const STEP: &'static str = "service.scale";
    const SUMMARY: &'static str = "Changes the number of replicas of a service";
    type Outcome = After;
}
