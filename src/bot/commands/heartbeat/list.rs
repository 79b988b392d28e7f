//! `heartbeat list`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::heartbeats::heartbeat_list;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};

/// Which jobs say that they ran, and which don't
#[derive(Debug, Args)]
pub struct List {}

impl Command for List {
    const WORDS: &'static str = "heartbeat list";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        heartbeat_list(context).await
    }
}
