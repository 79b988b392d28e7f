//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use url::Url;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Ask nothing: take what is given here, and the defaults
    #[arg(long, short)]
    pub(super) yes: bool,
    /// The configuration file to write; one that is there is read and stays as it is
    #[arg(long, default_value = "treasury-bot.toml", env = "TREASURY_BOT_CONFIG")]
    pub(super) config: PathBuf,
    /// Write the configuration file anew if it is there
    #[arg(long)]
    pub(super) force: bool,
    /// The main channel, `#name` or an id; it is made if it isn't there (default: #treasury-incidents)
    #[arg(long)]
    pub(super) channel: Option<String>,
    /// Somebody who may act: `@name` or an id (U…); may be given several times
    #[arg(long, value_name = "WHO")]
    pub(super) responder: Vec<String>,
    /// Look for services only there [default: everywhere]
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(super) on: Vec<On>,
    /// Take only services of this Compose project; may be given several times
    #[arg(long)]
    pub(super) project: Vec<String>,
    /// The Kubernetes namespace [default: that of the context]
    #[arg(long)]
    pub(super) namespace: Option<String>,
    /// A file with the bot token (xoxb-…); else TREASURY_BOT_SLACK_BOT_TOKEN, else it is asked for
    #[arg(long, value_name = "FILE")]
    pub(super) bot_token_file: Option<PathBuf>,
    /// A file with the app-level token (xapp-…); else TREASURY_BOT_SLACK_APP_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(super) app_token_file: Option<PathBuf>,
    /// Where the bot serves pages, alerts and health [default: 127.0.0.1:8080]
    #[arg(long)]
    pub(super) listen: Option<SocketAddr>,
    /// Another Slack than the real one, such as the sandbox
    #[arg(long, value_name = "URL")]
    pub(super) api_url: Option<Url>,
}

/// A platform that is asked for services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum On {
    /// The engine that `docker` would ask: Compose services and running containers
    Docker,
    /// The Swarm of that engine
    Swarm,
    /// The namespace of the kubeconfig's current context, or of the pod that this runs in
    Kubernetes,
}

impl On {
    pub(super) const ALL: [Self; 3] = [Self::Docker, Self::Swarm, Self::Kubernetes];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Swarm => "Swarm",
            Self::Kubernetes => "Kubernetes",
        }
    }
}
