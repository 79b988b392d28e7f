//! `incident list`.

use clap::Args;

use crate::bot::incidents::incident_list;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// List open incidents, or all
#[derive(Debug, Args)]
pub struct List {
    /// Closed ones as well
    #[arg(long)]
    all: bool,
}

impl Command for List {
    const WORDS: &'static str = "incident list";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        incident_list(context, self.all).await
    }
}
