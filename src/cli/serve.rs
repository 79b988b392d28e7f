//! `treasury-bot serve`: the real thing.

use std::path::Path;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use crate::app::{App, Plan};

pub(super) async fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let config = match super::check::load(path) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    super::log(
        &config.log.level,
        config.log.format == crate::config::LogFormat::Json,
    );
    for warning in &config.warnings {
        tracing::warn!("{}", warning.message);
    }
    let shutdown = CancellationToken::new();
    let app = App::start(Plan::from_config(&config)?, shutdown).await?;
    super::asked_to_end().await;
    tracing::info!("ending: work under way is finished first");
    app.stop().await;
    Ok(ExitCode::SUCCESS)
}
