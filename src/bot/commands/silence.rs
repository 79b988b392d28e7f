//! `silence`.

use clap::Args;

use crate::bot::alerts::{silence, unsilence};
use crate::bot::entry::Command;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::domain::duration::Human;

/// Keep an alert quiet for a while
#[derive(Debug, Args)]
pub struct Silence {
    /// An alert, all of a name, or an incident
    #[arg(value_name = "ALERT")]
    alert: String,
    /// For how long: 30m, 2h, 1d …; needed, unless with --end
    #[arg(value_name = "TIME", required_unless_present = "end")]
    within: Option<Human>,
    /// Why, for the timeline
    #[arg(long)]
    reason: Option<String>,
    /// End the silence before its time
    #[arg(long, conflicts_with = "within")]
    end: bool,
}

impl Command for Silence {
    const WORDS: &'static str = "silence";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        match self.within {
            Some(Human(within)) if !self.end => {
                silence(context, ask, &self.alert, within, self.reason).await
            }
            _ => unsilence(context, ask, &self.alert).await,
        }
    }
}
