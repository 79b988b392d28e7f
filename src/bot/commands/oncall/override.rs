//! `oncall override`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::oncall::{Span, put_on_call};
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::domain::oncall::{Length, Moment};

/// Put somebody on call for a while
#[derive(Debug, Args)]
pub struct Override {
    /// Who: `@ana`, or `me`
    #[arg(value_name = "@WHO")]
    who: String,
    /// For how long: 30m, 2h, 1d … A day ends at the same hour
    #[arg(value_name = "TIME")]
    within: Length,
    /// Since when: 2h (from now), 18:00 or 2026-12-24T18:00; now when left out
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    from: Option<Moment>,
    /// Which rotation, where there are several
    #[arg(long, value_name = "NAME")]
    rotation: Option<String>,
}

impl Command for Override {
    const WORDS: &'static str = "oncall override";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let span = Span::For(self.within, self.from);
        put_on_call(context, ask, &self.who, span, self.rotation.as_deref()).await
    }
}
