//! `db cancel`.

use clap::Args;
use schemars::JsonSchema;

use crate::bot::actions::propose;
use crate::bot::actions::session::{CANCEL, EndSession, Ended};
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::service::End;
use crate::domain::{Guarded, Role};

/// Cancel the running query of a session; the session stays
#[derive(Debug, Args, JsonSchema)]
#[schemars(transparent)]
pub struct Cancel {
    #[command(flatten)]
    session: EndSession,
}

impl Command for Cancel {
    const WORDS: &'static str = CANCEL.verb;
    const ROLE: Role = CANCEL.needs;
    const GUARDED: Option<Guarded> = Some(CANCEL.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let session = EndSession {
            how: End::Cancel,
            ..self.session
        };
        propose(context, ask, &session, ask.confirmed.clone()).await
    }
}

impl Action for Cancel {
    const STEP: &'static str = "db.cancel";
    const SUMMARY: &'static str = "Cancels the running query of a session";
    type Outcome = Ended;
}
