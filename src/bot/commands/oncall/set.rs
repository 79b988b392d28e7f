//! `oncall set`.

use clap::Args;

use crate::bot::oncall::{Span, put_on_call};
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Put somebody on call from now until the next handover
#[derive(Debug, Args)]
pub struct Set {
    /// Who: `@ana`, or `me`
    #[arg(value_name = "@WHO")]
    who: String,
    /// Which rotation, where there are several
    #[arg(long, value_name = "NAME")]
    rotation: Option<String>,
}

impl Command for Set {
    const WORDS: &'static str = "oncall set";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let rotation = self.rotation.as_deref();
        put_on_call(context, ask, &self.who, Span::UntilHandover, rotation).await
    }
}
