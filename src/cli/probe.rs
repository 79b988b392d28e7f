//! `treasury-bot probe`: asks one entry of the registry and prints its result as JSON.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::app::Plan;
use crate::bot::{Bot, Fault, registry};
use crate::probe::Http;
use crate::store::{Store, Use};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration file
    #[arg(long, default_value = "treasury-bot.toml", env = "TREASURY_BOT_CONFIG")]
    config: PathBuf,
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
    super::log("warn", false);
    let Some(name) = options.name.filter(|_| !options.list) else {
        let specs: Vec<_> = registry::specs().collect();
        super::show::put(&format!("{}\n", serde_json::to_string_pretty(&specs)?))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut params = Map::new();
    for pair in &options.params {
        let Some((key, value)) = pair.split_once('=') else {
            eprintln!("error: `{pair}` is no parameter: write key=value");
            return Ok(ExitCode::from(2));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        params.insert(key.to_owned(), value);
    }
    let config = match super::check::load(&options.config) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let plan = Plan::from_config(&config)?;
    let store = Store::open(&plan.store_url, Use::Visit).await?;
    let shutdown = CancellationToken::new();
    let bot = Bot::new(
        store.clone(),
        plan.settings,
        plan.catalogue,
        plan.library,
        Http::new(),
        shutdown,
    );
    let asked = crate::bot::ask_probe(&bot, &name, Value::Object(params)).await;
    store.close().await;
    match asked {
        Ok(value) => {
            super::show::put(&format!("{}\n", serde_json::to_string_pretty(&value)?))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Fault::Refusal(refusal)) => {
            eprintln!("error: {}", refusal.title.plain());
            if let Some(detail) = &refusal.detail {
                eprintln!("{detail}");
            }
            Ok(ExitCode::from(2))
        }
        Err(Fault::Failure(failure)) => {
            eprintln!("error: {}", failure.short());
            Ok(ExitCode::FAILURE)
        }
    }
}
