//! `ack`.

use clap::Args;

use crate::bot::alerts::acknowledge;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Say that you have taken an alert up: nobody further is asked
#[derive(Debug, Args)]
pub struct Ack {
    /// An alert, all of a name, or an incident; what is told here when left out
    #[arg(value_name = "ALERT")]
    alert: Option<String>,
}

impl Command for Ack {
    const WORDS: &'static str = "ack";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        acknowledge(context, ask, self.alert.as_deref()).await
    }
}
