//! `oncall clear`.

use clap::Args;

use crate::bot::oncall::oncall_clear;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Take an override back
#[derive(Debug, Args)]
pub struct Clear {
    /// Its number, where there are several
    #[arg(value_name = "NUMBER")]
    number: Option<i64>,
    /// Which rotation, where there are several
    #[arg(long, value_name = "NAME")]
    rotation: Option<String>,
}

impl Command for Clear {
    const WORDS: &'static str = "oncall clear";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        oncall_clear(context, ask, self.number, self.rotation.as_deref()).await
    }
}
