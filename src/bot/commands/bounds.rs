//! `bounds`.

use crate::bot::actions::bounds::{RULES, SetBounds};
use crate::bot::actions::propose;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};

impl Command for SetBounds {
    const WORDS: &'static str = RULES.verb;
    const ROLE: Role = RULES.needs;
    const GUARDED: Option<Guarded> = Some(RULES.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        propose(context, ask, &self, ask.confirmed.clone()).await
    }
}
