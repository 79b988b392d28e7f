//! `release`.

use crate::bot::actions::isolate::Released;
use crate::bot::actions::isolate::{RELEASE, Release};
use crate::bot::actions::propose;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};

impl Command for Release {
    const WORDS: &'static str = RELEASE.verb;
    const ROLE: Role = RELEASE.needs;
    const GUARDED: Option<Guarded> = Some(RELEASE.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        propose(context, ask, &self, ask.confirmed.clone()).await
    }
}

impl Action for Release {
    const STEP: &'static str = "service.release";
    const SUMMARY: &'static str = "Joins an isolated service again, exactly as it was";
    type Outcome = Released;
}
