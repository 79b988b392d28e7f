//! `treasury-bot probe`: asks one entry of the registry and prints its result as JSON.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};

use super::config_file::{ConfigFile, Refused};
use super::terminal::put;
use crate::bot::{self, COMMANDS, Fault};
use crate::telemetry::log;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Print all probes and actions with the schemas of their parameters and results
    #[arg(long)]
    list: bool,
    /// The probe, such as `db.summary`
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Its parameters: `key=value`; a value that is JSON counts as such
    params: Vec<String>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    log::start("warn", false);
    let Some(name) = options.name.filter(|_| !options.list) else {
        let specs = COMMANDS.specs();
        put(&format!("{}\n", serde_json::to_string_pretty(&specs)?))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut params = Map::new();
    for pair in &options.params {
        let Some((key, value)) = pair.split_once('=') else {
            let message = format!("`{pair}` is no parameter: write key=value");
            return Err(Refused(message).into());
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        params.insert(key.to_owned(), value);
    }
    let (bot, store) = options.file.visit().await?;
    let asked = bot::ask_probe(&bot, &name, Value::Object(params)).await;
    store.close().await;
    let value = asked.map_err(|fault| match fault {
        Fault::Refusal(refusal) => {
            let detail = refusal.detail.map(|detail| format!("\n{detail}"));
            let detail = detail.unwrap_or_default();
            anyhow::Error::new(Refused(format!("{}{detail}", refusal.title.plain())))
        }
        Fault::Failure(failure) => anyhow::Error::msg(failure.short()),
    })?;
    put(&format!("{}\n", serde_json::to_string_pretty(&value)?))?;
    Ok(ExitCode::SUCCESS)
}
