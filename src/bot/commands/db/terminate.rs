//! `db terminate`.

use clap::Args;
use schemars::JsonSchema;

use crate::bot::actions::propose;
use crate::bot::actions::session::{EndSession, Ended, TERMINATE};
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::service::End;
use crate::domain::{Guarded, Role};

/// End a session and roll its transaction back
#[derive(Debug, Args, JsonSchema)]
#[schemars(transparent)]
pub struct Terminate {
    #[command(flatten)]
    session: EndSession,
}

impl Command for Terminate {
    const WORDS: &'static str = TERMINATE.verb;
    const ROLE: Role = TERMINATE.needs;
    const GUARDED: Option<Guarded> = Some(TERMINATE.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let session = EndSession {
            how: End::Terminate,
            ..self.session
        };
        propose(context, ask, &session, ask.confirmed.clone()).await
    }
}

impl Action for Terminate {
    const STEP: &'static str = "db.terminate";
    const SUMMARY: &'static str = "Ends a session";
    type Outcome = Ended;
}
