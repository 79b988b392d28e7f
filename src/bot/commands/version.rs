//! `version`.

use clap::Args;

use crate::bot::request::Answer;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Role, Tone};

/// Show the bot's version
#[derive(Debug, Args)]
pub struct Version {}

impl Command for Version {
    const WORDS: &'static str = "version";
    const ROLE: Role = Role::Nobody;

    async fn carry_out(self, _: &Context, _: &Ask) -> Result<Effect, Fault> {
        let line = Line::new()
            .text("treasury-bot ")
            .code(env!("CARGO_PKG_VERSION"));
        let message = Message::new(Tone::Plain, line);
        Ok(Effect::Say(Answer::to_asker(message)))
    }
}
