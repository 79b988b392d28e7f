//! The configuration file, as most commands take it.

use std::path::PathBuf;

use clap::Args;

use crate::app::Plan;
use crate::bot::Bot;
use crate::config::{Config, ConfigErrors};
use crate::store::Store;

#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The configuration file
    #[arg(long, default_value = "treasury-bot.toml", env = "TREASURY_BOT_CONFIG")]
    pub(super) config: PathBuf,
}

impl ConfigFile {
    /// Reads and checks it.
    pub(super) fn load(&self) -> Result<Config, ConfigErrors> {
        Config::load(&self.config, &|name| std::env::var(name).ok())
    }

    /// Reads and checks it for what says nothing of secrets, by somebody who has not the bot's.
    pub(super) fn load_without_secrets(&self) -> Result<Config, ConfigErrors> {
        let env = |name: &str| {
            let given = std::env::var(name).ok().filter(|value| !value.is_empty());
            given.or_else(|| {
                let stand_in = match name {
                    "TREASURY_BOT_SLACK_BOT_TOKEN" => "xoxb-none",
                    "TREASURY_BOT_SLACK_APP_TOKEN" => "xapp-none",
                    "TREASURY_BOT_SLACK_SIGNING_SECRET" => "0123456789abcdef0123456789abcdef",
                    "TREASURY_BOT_STORE_URL" => "sqlite://none.db",
                    "TREASURY_BOT_ALERTS_TOKEN" => "none-none-none-none-none-none-none",
                    _ => return None,
                };
                Some(stand_in.to_owned())
            })
        };
        Config::load(&self.config, &env)
    }

    /// A bot on the configured store, beside a running `serve` and without one.
    pub(super) async fn visit(&self) -> anyhow::Result<(Bot, Store)> {
        Plan::from_config(self.load()?)?.visit().await
    }
}

/// What was asked can't be done as it was asked: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);
