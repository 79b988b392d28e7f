//! `task list|run|done|skip`: what comes again and again.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::request::{Ask, Effect};
use crate::bot::tasks::{task_done, task_list, task_run, task_skip};
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Which tasks there are, and which are due
#[derive(Debug, Args)]
pub struct List {}

impl Command for List {
    const WORDS: &'static str = "task list";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        task_list(context).await
    }
}

/// Have a task done now: its runbook runs, or whoever is on call is asked
#[derive(Debug, Args)]
pub struct Run {
    /// Which task
    name: String,
}

impl Command for Run {
    const WORDS: &'static str = "task run";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        task_run(context, ask, &self.name)
    }
}

/// Say that a task is done
#[derive(Debug, Args)]
pub struct Done {
    /// Which task
    name: String,
}

impl Command for Done {
    const WORDS: &'static str = "task done";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        task_done(context, ask, &self.name)
    }
}

/// Leave a task out this time
#[derive(Debug, Args)]
pub struct Skip {
    /// Which task
    name: String,
    /// Why
    #[arg(long)]
    reason: String,
}

impl Command for Skip {
    const WORDS: &'static str = "task skip";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        task_skip(context, ask, &self.name, self.reason)
    }
}
