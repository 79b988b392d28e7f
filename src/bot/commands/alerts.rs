//! `alerts`.

use clap::Args;

use crate::bot::alerts::alerts_list;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// List the alerts that fire
#[derive(Debug, Args)]
pub struct Alerts {
    /// Those that are over as well
    #[arg(long)]
    all: bool,
}

impl Command for Alerts {
    const WORDS: &'static str = "alerts";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        alerts_list(context, self.all).await
    }
}
