//! `treasury-bot rbac`: the rights that the configured services take on Kubernetes.

use std::process::ExitCode;

use clap::Args;

use super::config_file::{ConfigFile, Refused};
use crate::platform::kubernetes::rbac::{Account, roles, yaml};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Of which cluster of the configuration, where there are several
    #[arg(long)]
    cluster: Option<String>,
    /// The service account that the bot runs as
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "treasury-bot/treasury-bot",
          value_parser = account)]
    account: Account,
}

fn account(text: &str) -> Result<Account, String> {
    let name = |text: &str| {
        let all = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        (all && !text.is_empty()).then(|| text.to_owned())
    };
    let parts = text.split_once('/');
    let parts = parts.and_then(|(space, account)| Some((name(space)?, name(account)?)));
    let (namespace, name) = parts.ok_or("write NAMESPACE/NAME, such as ops/treasury-bot")?;
    Ok(Account { namespace, name })
}

/// Prints them as YAML for `kubectl apply -f -`.
pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    // Who prints this has not the bot's secrets, and they say nothing of rights.
    let config = options.file.load_without_secrets()?;
    let cluster = match (&options.cluster, config.platforms.clusters.as_slice()) {
        (Some(name), _) => Some(name.as_str()),
        (None, []) => None,
        (None, [(only, _)]) => Some(only.as_str()),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("which cluster? --cluster {}", names.join(" or "));
            return Err(Refused(message).into());
        }
    };
    let roles = roles(&config.services, cluster);
    if roles.is_empty() {
        let of = cluster.map(|name| format!(" in cluster {name}"));
        let of = of.unwrap_or_default();
        let message = format!("no service of the configuration runs on Kubernetes{of}");
        return Err(Refused(message).into());
    }
    print!("{}", yaml(&roles, &options.account));
    Ok(ExitCode::SUCCESS)
}
