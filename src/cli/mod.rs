//! The command line: parse, wire, exit codes.

mod check;
mod demo;
mod evidence;
mod exec;
mod export;
mod health;
mod probe;
mod rbac;
mod runbook;
mod serve;
mod show;
mod tour;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
    Health(health::Options),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with it, at once
    Check(ConfigFile),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long, default_value = "treasury-bot.toml", env = "TREASURY_BOT_CONFIG")]
    config: PathBuf,
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
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(file) => serve::run(&file.config).await,
            Command::Demo(options) => demo::run(options).await,
            Command::Exec(options) => exec::run(options).await,
            Command::Probe(options) => probe::run(options).await,
            Command::Runbook(options) => runbook::run(options).await,
            Command::Evidence(options) => evidence::run(options).await,
            Command::Config(ConfigCommand::Check(file)) => Ok(check::run(&file.config)),
            Command::Rbac(options) => Ok(rbac::run(&options)),
            Command::Verify { file } => export::verify(&file),
            Command::Health(options) => health::run(options).await,
        }
    });
    // Tasks that still hang in a call to the outside must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the log on standard error.
fn log(level: &str, json: bool) {
    use std::io::IsTerminal;
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A log that is already started (tests) stays.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// Waits for Ctrl-C or SIGTERM.
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
