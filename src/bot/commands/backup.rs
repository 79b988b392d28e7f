//! `backup list|now|show|verify|drill`.

use clap::Args;

use crate::bot::backups::{backup_drill, backup_list, backup_now, backup_show, backup_verify};
use crate::bot::entry::Command;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Which backups there are, and which of them are known to be whole
#[derive(Debug, Args)]
pub struct List {}

impl Command for List {
    const WORDS: &'static str = "backup list";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        backup_list(context).await
    }
}

/// Take a backup now
#[derive(Debug, Args)]
pub struct Now {
    /// Of what: a name of the configuration
    name: String,
}

impl Command for Now {
    const WORDS: &'static str = "backup now";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        backup_now(context, ask, &self.name)
    }
}

/// All that is known of a backup
#[derive(Debug, Args)]
pub struct Show {
    /// Which backup, such as 20241201_120000
    id: String,
}

impl Command for Show {
    const WORDS: &'static str = "backup show";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        backup_show(context, &self.id).await
    }
}

/// Read a backup back whole: checksums, and every block where it can be opened
#[derive(Debug, Args)]
pub struct Verify {
    /// Which backup, such as 20241201_120000
    id: String,
}

impl Command for Verify {
    const WORDS: &'static str = "backup verify";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        backup_verify(context, ask, &self.id).await
    }
}

/// Try the newest good backup out: restored into a scratch database, compared, dropped
#[derive(Debug, Args)]
pub struct Drill {
    /// Of what: a name of the configuration, or the ID of a backup
    name: String,
}

impl Command for Drill {
    const WORDS: &'static str = "backup drill";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        backup_drill(context, ask, &self.name).await
    }
}
