//! `oncall show`.

use clap::Args;

use crate::bot::oncall::oncall_show;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// Show who is on call, until when, and who is next
#[derive(Debug, Args)]
pub struct Show {
    /// Which rotation, where there are several
    #[arg(long, value_name = "NAME")]
    rotation: Option<String>,
}

impl Command for Show {
    const WORDS: &'static str = "oncall show";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        oncall_show(context, self.rotation.as_deref()).await
    }
}
