//! All commands of the command line, and the exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use super::config_file::{ConfigFile, Refused};
use super::terminal::{Paint, asked_to_end};
use super::verify;
use super::{
    config_check, demo, doctor, evidence, exec, manifest, manual, probe, rbac, runbook, setup,
};
use crate::app::{App, Plan};
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
    /// Set it up: Slack's tokens, the channel, the services that run here, the configuration file
    Setup(Box<setup::Options>),
    /// Print the manifest that makes the Slack app, with the scopes that the configuration takes
    Manifest(manifest::Options),
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
    /// Find what could be wrong at run time, and say what mends it; nothing is changed
    Doctor(doctor::Options),
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
    /// Ask a running bot whether it is alive; for container health checks
    Health(Health),
    /// Print what completes these commands in a shell, such as `source <(treasury-bot completions bash)`
    Completions {
        /// The shell
        shell: manual::Shell,
    },
    /// Print the manual page, such as `treasury-bot man | man -l -`
    Man {
        /// Write it into this folder instead, and one for each command
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with it, at once: exit code 2 if something is
    Check(config_check::Options),
}

#[derive(Debug, Args)]
struct Health {
    /// The address to ask; with /health/ready instead: whether it is ready, which takes the store
    #[arg(
        long,
        default_value = "http://127.0.0.1:8080/health/live",
        env = "TREASURY_BOT_HEALTH_URL"
    )]
    url: String,
}

/// The command line, for who reads documents.
pub fn command_line() -> clap::Command {
    Cli::command()
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
        Command::Setup(options) => setup::run(&options).await,
        Command::Manifest(options) => manifest::run(options),
        Command::Serve(file) => serve(&file).await,
        Command::Demo(options) => demo::run(options).await,
        Command::Exec(options) => exec::run(options).await,
        Command::Probe(options) => probe::run(options).await,
        Command::Runbook(options) => runbook::run(options).await,
        Command::Evidence(options) => evidence::run(options).await,
        Command::Config(ConfigCommand::Check(options)) => config_check::run(&options),
        Command::Doctor(options) => doctor::run(options).await,
        Command::Rbac(options) => rbac::run(&options),
        Command::Verify { file } => verify::run(&file),
        Command::Completions { shell } => manual::completions(shell, &mut Cli::command()),
        Command::Man { dir } => manual::man(Cli::command(), dir.as_deref()),
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
