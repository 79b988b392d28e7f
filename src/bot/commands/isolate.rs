//! `isolate`.

use crate::bot::actions::isolate::Isolated;
use crate::bot::actions::isolate::{ISOLATE, Isolate};
use crate::bot::actions::propose;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};

impl Command for Isolate {
    const WORDS: &'static str = ISOLATE.verb;
    const ROLE: Role = ISOLATE.needs;
    const GUARDED: Option<Guarded> = Some(ISOLATE.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        propose(context, ask, &self, ask.confirmed.clone()).await
    }
}

impl Action for Isolate {
    const STEP: &'static str = "service.isolate";
    const SUMMARY: &'static str = "Cuts a service off from all networks, after keeping evidence";
    type Outcome = Isolated;
}
