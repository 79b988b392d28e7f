//! `window start|list|end`: maintenance windows.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::periods::{Wish, period_end, period_list, period_start};
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::domain::oncall::{Length, Moment};
use crate::domain::period::PeriodKind;

/// Record alerts of a service for a while without asking anybody; more time, where one is on
#[derive(Debug, Args)]
pub struct Start {
    /// Which service
    service: String,
    /// For how long: 30m, 2h …; 3d at most
    #[arg(value_name = "TIME")]
    within: Length,
    /// Why
    #[arg(long)]
    reason: String,
}

impl Command for Start {
    const WORDS: &'static str = "window start";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let wish = Wish {
            kind: PeriodKind::Window,
            of: self.service,
            until: Moment::In(self.within),
            reason: self.reason,
        };
        period_start(context, ask, wish)
    }
}

/// Which maintenance windows are on and planned
#[derive(Debug, Args)]
pub struct List {}

impl Command for List {
    const WORDS: &'static str = "window list";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        period_list(context, PeriodKind::Window).await
    }
}

/// End a maintenance window before its time: what still fires is told
#[derive(Debug, Args)]
pub struct End {
    /// Which service
    service: String,
}

impl Command for End {
    const WORDS: &'static str = "window end";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        period_end(context, ask, PeriodKind::Window, &self.service)
    }
}
