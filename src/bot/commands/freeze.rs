//! `freeze start|list|end`: nothing is deployed.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::periods::{Wish, period_end, period_list, period_start};
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::domain::oncall::Moment;
use crate::domain::period::PeriodKind;

/// Have nothing deployed for a while; more time, where a freeze is on
#[derive(Debug, Args)]
pub struct Start {
    /// Which service; `all` of them when left out
    #[arg(default_value = "all")]
    service: String,
    /// Until when: 2h (from now), 18:00 or 2026-12-24T18:00; 90d at most
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    until: Moment,
    /// Why
    #[arg(long)]
    reason: String,
}

impl Command for Start {
    const WORDS: &'static str = "freeze start";
    const ROLE: Role = Role::Commander;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let wish = Wish {
            kind: PeriodKind::Freeze,
            of: self.service,
            until: self.until,
            reason: self.reason,
        };
        period_start(context, ask, wish)
    }
}

/// Which freezes are on and planned
#[derive(Debug, Args)]
pub struct List {}

impl Command for List {
    const WORDS: &'static str = "freeze list";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        period_list(context, PeriodKind::Freeze).await
    }
}

/// End a freeze before its time
#[derive(Debug, Args)]
pub struct End {
    /// Which service; that of `all` when left out
    #[arg(default_value = "all")]
    service: String,
}

impl Command for End {
    const WORDS: &'static str = "freeze end";
    const ROLE: Role = Role::Commander;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        period_end(context, ask, PeriodKind::Freeze, &self.service)
    }
}
