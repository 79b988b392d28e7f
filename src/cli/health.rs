//! `treasury-bot health`: the health check of a container that has no shell and no curl.

use std::process::ExitCode;

use clap::Args;

use crate::probe::Http;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The address to ask
    #[arg(
        long,
        default_value = "http://127.0.0.1:8080/health/live",
        env = "TREASURY_BOT_HEALTH_URL"
    )]
    url: String,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    match Http::new().well(&options.url).await {
        Ok(()) => {
            println!("healthy");
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            eprintln!("error: {why}");
            Ok(ExitCode::FAILURE)
        }
    }
}
