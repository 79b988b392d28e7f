//! `runbook list`.

use clap::Args;

use crate::bot::request::Answer;
use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::runbook_list;
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// List the runbooks
#[derive(Debug, Args)]
pub struct List {}

impl Command for List {
    const WORDS: &'static str = "runbook list";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        Ok(Effect::Say(Answer::to_all(runbook_list(context))))
    }
}
