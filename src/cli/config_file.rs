//! The configuration file, as most commands take it.

use std::path::PathBuf;

use clap::Args;

use crate::app::Plan;
use crate::bot::Bot;
use crate::config::{Config, ConfigErrors, Secrets};
use crate::store::Store;

#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The configuration file
    #[arg(long, default_value = "treasury-bot.toml", env = "TREASURY_BOT_CONFIG")]
    pub(super) config: PathBuf,
}

impl ConfigFile {
    /// Reads and checks it, with all secrets.
    pub(super) fn load(&self) -> Result<Config, ConfigErrors> {
        self.load_with(Secrets::Needed)
    }

    /// Reads and checks it for what says nothing of secrets, by somebody who has not the bot's.
    pub(super) fn load_without_secrets(&self) -> Result<Config, ConfigErrors> {
        self.load_with(Secrets::MayLack)
    }

    /// Reads and checks it, with these secrets.
    pub(super) fn load_with(&self, secrets: Secrets) -> Result<Config, ConfigErrors> {
        Config::load_with(&self.config, &|name| std::env::var(name).ok(), secrets)
    }

    /// A bot on the configured store, beside a running `serve` and without one.
    pub(super) async fn visit(&self) -> anyhow::Result<(Bot, Store)> {
        Plan::from_config(self.load_with(Secrets::ButSlacks)?)?
            .visit()
            .await
    }
}

/// What was asked can't be done as it was asked: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);
