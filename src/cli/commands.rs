//! All commands of the command line, and the exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use super::config_file::{ConfigFile, Refused};
use super::terminal::{Paint, asked_to_end};
use super::{demo, evidence, exec, probe, rbac, runbook, verify};
use crate::app::{self, App, Plan};
use crate::config::ConfigErrors;
use crate::probe::Http;
use crate::telemetry::log;

/// Incident response from Slack for a Treasury Management System.
#[derive(Debug, Parser)]
#[command(name = "treasury-bot", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bot
    Serve(ConfigFile),
    /// Try it: a local Slack, a simulated treasury stack and the bot, in one process
    Demo(demo::Options),
    /// Carry out one chat command from this terminal, such as `exec "status frontend"`
    Exec(exec::Options),
    /// Ask one probe and print its result as JSON, such as `probe db.summary`
    Probe(probe::Options),
    /// Check, show and describe runbooks
    Runbook(runbook::Options),
    /// List and save what was kept of services before they were cut off
    Evidence(evidence::Options),
    /// Print the Role and RoleBinding that the configured services take on Kubernetes
    Rbac(rbac::Options),
    /// Work on the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Verify an exported timeline (JSON or HTML), offline
    Verify {
        /// The exported file
        file: PathBuf,
    },
    /// Ask a running bot whether it is ready; for container health checks
    Health(Health),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with it, at once
    Check(ConfigFile),
}

#[derive(Debug, Args)]
struct Health {
    /// The address to ask
    #[arg(
        long,
        default_value = "http://127.0.0.1:8080/health/live",
        env = "TREASURY_BOT_HEALTH_URL"
    )]
    url: String,
}

/// Runs the command line of this process.
///
/// Exit codes: 0 done; 1 failed; 2 wrong usage, or what was asked was refused.
pub fn main() -> ExitCode {
    // Before anything opens a TLS connection; a second call can't happen in this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli.command));
    log::end();
    // Tasks that still hang in a call to the outside must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        eprint!("{}", errors.render(Paint::stderr().is_coloured()));
        return ExitCode::from(2);
    }
    eprintln!("error: {error:#}");
    if error.is::<Refused>() {
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(file) => serve(&file).await,
        Command::Demo(options) => demo::run(options).await,
        Command::Exec(options) => exec::run(options).await,
        Command::Probe(options) => probe::run(options).await,
        Command::Runbook(options) => runbook::run(options).await,
        Command::Evidence(options) => evidence::run(options).await,
        Command::Config(ConfigCommand::Check(file)) => check(&file),
        Command::Rbac(options) => rbac::run(&options),
        Command::Verify { file } => verify::run(&file),
        Command::Health(options) => {
            let asked = Http::new().well(&options.url).await;
            asked.map_err(anyhow::Error::msg)?;
            println!("healthy");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// `serve`: the real thing.
async fn serve(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    let config = file.load()?;
    log::start(&config.log.level, config.log.json);
    for warning in &config.warnings {
        tracing::warn!("{}", warning.message);
    }
    let plan = Plan::from_config(config)?;
    let app = App::start(plan, CancellationToken::new()).await?;
    asked_to_end().await;
    tracing::info!("ending: work under way is finished first");
    app.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// `config check`
fn check(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    let config = file.load()?;
    for warning in &config.warnings {
        eprint!("{}", warning.render(Paint::stderr().is_coloured()));
    }
    // What only a driver knows: do the certificate and the key of an engine fit together?
    app::platforms(&config).map_err(|error| Refused(format!("{error:#}")))?;
    let (path, services) = (file.config.display(), config.services.len());
    println!("{path} is good: {services} services");
    Ok(ExitCode::SUCCESS)
}
