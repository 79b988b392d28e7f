//! `treasury-bot rbac`: the rights that the configured services take on Kubernetes.

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;
use crate::platform::kubernetes::rbac::{Account, roles, yaml};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: super::ConfigFile,
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
pub(super) fn run(options: &Options) -> ExitCode {
    // Who prints this has not the bot's secrets, and they say nothing of rights.
    let env = |name: &str| {
        let given = std::env::var(name).ok().filter(|value| !value.is_empty());
        given.or_else(|| {
            let stand_in = match name {
                "TREASURY_BOT_SLACK_BOT_TOKEN" => "xoxb-rbac",
                "TREASURY_BOT_SLACK_APP_TOKEN" => "xapp-rbac",
                "TREASURY_BOT_SLACK_SIGNING_SECRET" => "0123456789abcdef0123456789abcdef",
                "TREASURY_BOT_STORE_URL" => "sqlite://rbac.db",
                "TREASURY_BOT_ALERTS_TOKEN" => "rbac-rbac-rbac-rbac-rbac-rbac-rbac",
                _ => return None,
            };
            Some(stand_in.to_owned())
        })
    };
    let config = match Config::load(&options.file.config, &env) {
        Ok(config) => config,
        Err(errors) => {
            eprint!("{}", errors.render(false));
            return ExitCode::from(2);
        }
    };
    let cluster = match (&options.cluster, config.clusters.as_slice()) {
        (Some(name), _) => Some(name.as_str()),
        (None, []) => None,
        (None, [only]) => Some(only.name.as_str()),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
            eprintln!("error: which cluster? --cluster {}", names.join(" or "));
            return ExitCode::from(2);
        }
    };
    let roles = roles(&config.services, cluster);
    if roles.is_empty() {
        let of = cluster
            .map(|name| format!(" in cluster {name}"))
            .unwrap_or_default();
        eprintln!("error: no service of the configuration runs on Kubernetes{of}");
        return ExitCode::from(2);
    }
    print!("{}", yaml(&roles, &options.account));
    ExitCode::SUCCESS
}
