//! `checklist start|tick|untick|look|show|list|end`.

use clap::Args;

use crate::bot::checklists::{
    checklist_end, checklist_list, checklist_look, checklist_show, checklist_start, checklist_tick,
};
use crate::bot::entry::Command;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Begin a checklist: one message with a box for each item
#[derive(Debug, Args)]
pub struct Start {
    /// Which: `deploy`
    name: String,
    /// What it is about: the bot looks at it where it can
    #[arg(long)]
    service: Option<String>,
    /// The incident on whose timeline it is written, when it isn't that of this channel
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
}

impl Command for Start {
    const WORDS: &'static str = "checklist start";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let (service, incident) = (self.service.as_deref(), self.incident.as_deref());
        checklist_start(context, ask, &self.name, service, incident).await
    }
}

/// Which box.
#[derive(Debug, Args)]
struct Which {
    /// The checklist
    #[arg(value_name = "ID")]
    id: i64,
    /// The box
    #[arg(value_name = "NUMBER")]
    number: usize,
}

/// Tick a box of a checklist
#[derive(Debug, Args)]
pub struct Tick {
    #[command(flatten)]
    which: Which,
}

impl Command for Tick {
    const WORDS: &'static str = "checklist tick";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, _: &Context, ask: &Ask) -> Result<Effect, Fault> {
        Ok(checklist_tick(ask, self.which.id, self.which.number, true))
    }
}

/// Take the tick of a box back
#[derive(Debug, Args)]
pub struct Untick {
    #[command(flatten)]
    which: Which,
}

impl Command for Untick {
    const WORDS: &'static str = "checklist untick";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, _: &Context, ask: &Ask) -> Result<Effect, Fault> {
        Ok(checklist_tick(ask, self.which.id, self.which.number, false))
    }
}

/// Have the bot tick what it can see to be so
#[derive(Debug, Args)]
pub struct Look {
    /// The checklist
    #[arg(value_name = "ID")]
    id: i64,
}

impl Command for Look {
    const WORDS: &'static str = "checklist look";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        checklist_look(context, self.id).await
    }
}

/// Show a checklist
#[derive(Debug, Args)]
pub struct Show {
    /// The checklist
    #[arg(value_name = "ID")]
    id: i64,
}

impl Command for Show {
    const WORDS: &'static str = "checklist show";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        checklist_show(context, self.id).await
    }
}

/// Which checklists are worked on
#[derive(Debug, Args)]
pub struct List {}

impl Command for List {
    const WORDS: &'static str = "checklist list";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        checklist_list(context).await
    }
}

/// End a checklist: what is not ticked is said
#[derive(Debug, Args)]
pub struct End {
    /// The checklist
    #[arg(value_name = "ID")]
    id: i64,
}

impl Command for End {
    const WORDS: &'static str = "checklist end";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, _: &Context, ask: &Ask) -> Result<Effect, Fault> {
        Ok(checklist_end(ask, self.id))
    }
}
