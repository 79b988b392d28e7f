//! `treasury-bot demo`: the main job on embedded defaults, in one process.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::stage::{Demo, PORT};
use super::terminal::asked_to_end;
use super::tour;
use crate::bot::Catalogue;
use crate::domain::service::PlatformKey;
use crate::platform::Platform;
use crate::platform::docker::Docker;
use crate::telemetry::log;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Play a whole incident in this terminal and exit: 0 if every step went as it should
    #[arg(long)]
    tour: bool,
    /// Use the Compose services of the local Docker Engine instead of the simulated stack
    #[arg(long, conflicts_with = "tour")]
    docker: bool,
    /// The page's port on 127.0.0.1
    #[arg(long, default_value_t = PORT)]
    port: u16,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    log::start("warn", false);
    if options.tour {
        let demo = Demo::start(0, tour::SPEED, None).await?;
        let result = tour::play(&demo).await;
        demo.stop().await;
        return result;
    }
    let docker = if options.docker {
        Some(docker_catalogue().await?)
    } else {
        None
    };
    let simulated = docker.is_none();
    let demo = Demo::start(options.port, 1.0, docker).await?;
    println!("treasury-bot demo: open {}\n", demo.sandbox.page_url());
    println!("  Type /treasury help, or only /treasury, in #treasury-incidents.");
    if simulated {
        println!("  Put a fault into the simulated stack with the panel on the right.");
    } else {
        println!("  The services are those of your local Docker Engine: restart is real.");
    }
    println!("  /treasury page gives you a link to the incident pages.");
    println!("  You are ana, the on-call engineer; chloe may only look. Ctrl-C ends it.");
    asked_to_end().await;
    demo.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn docker_catalogue() -> anyhow::Result<Catalogue> {
    let docker = Docker::new(None)?;
    let services = docker.discover().await?;
    anyhow::ensure!(
        !services.is_empty(),
        "the local Docker Engine has no Compose services: start some, or leave --docker out"
    );
    let docker: Arc<dyn Platform> = Arc::new(docker);
    Ok(Catalogue::new(
        services,
        [(PlatformKey::Docker(None), docker)],
    ))
}
