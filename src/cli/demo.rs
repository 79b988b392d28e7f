//! `treasury-bot demo`: the main job on embedded defaults, in one process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::stage::{Demo, PORT, World};
use super::terminal::asked_to_end;
use super::tour;
use crate::bot::Catalogue;
use crate::domain::service::{PlatformKey, Service, Target};
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
    /// Use what this configuration file names instead of the simulated stack; its Slack is the demo's
    #[arg(long, conflicts_with_all = ["tour", "docker"])]
    config: Option<PathBuf>,
    /// The page's port
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// The page's address: 127.0.0.1, or 0.0.0.0 in a container whose port is published on 127.0.0.1.
    /// Whoever reaches it may play everybody
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    log::start("warn", false);
    if options.tour {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let world = World::Simulated(tour::SPEED);
        let demo = Demo::start(anywhere, world, tour::SECOND_PERSON).await?;
        let result = tour::play(&demo).await;
        demo.stop().await;
        return result;
    }
    let (world, told) = if let Some(file) = options.config {
        let told = format!("The services are those of {}.", file.display());
        (World::Configured(file), told)
    } else if options.docker {
        let told = "The services are those of your local Docker Engine: restart is real.";
        (World::Docker(docker_catalogue().await?), told.to_owned())
    } else {
        let told = "Put a fault into the simulated stack with the panel on the right.";
        (World::Simulated(1.0), told.to_owned())
    };
    let demo = Demo::start(SocketAddr::from((options.listen, options.port)), world, &[]).await?;
    println!("treasury-bot demo: open {}\n", demo.sandbox.page_url());
    println!("  Type /treasury help, or only /treasury, in #treasury-incidents.");
    println!("  {told}");
    println!("  /treasury page gives you a link to the incident pages.");
    println!(
        "  Send an alert of your own (its token is {}):\n",
        demo.alerts.token
    );
    println!("{}\n", demo.alerts.line);
    println!("  You are ana, the on-call engineer; chloe may only look. Ctrl-C ends it.");
    asked_to_end().await;
    demo.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn docker_catalogue() -> anyhow::Result<Catalogue> {
    let docker = Docker::new(None)?;
    let found = docker.found(&[]).await?.into_iter().map(|one| one.service);
    let of_compose = |one: &Service| matches!(one.target, Target::Compose { .. });
    let services: Vec<Service> = found.filter(of_compose).collect();
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
