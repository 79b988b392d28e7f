//! Starts a sandbox: its server, and who answers which address.

use std::io;
use std::net::Ipv4Addr;

use axum::Router;
use tokio::net::TcpListener;

use super::config::SandboxConfig;
use super::sandbox::Sandbox;
use super::wire::{CutListener, Wire};
use super::{api, guard, page_api};

impl Sandbox {
    /// Starts a sandbox on its configuration's address.
    pub async fn start(config: SandboxConfig) -> io::Result<Self> {
        Self::start_with(config, |_| Router::new()).await
    }

    /// Starts a sandbox that serves `pages` beside its own paths (`/api`, `/link`, `/commands`,
    /// `/actions`, `/upload`, `/sandbox`).
    pub async fn start_with(
        config: SandboxConfig,
        pages: impl FnOnce(&Sandbox) -> Router,
    ) -> io::Result<Self> {
        let ip = config.listen.ip();
        if !ip.is_loopback() && !ip.is_unspecified() {
            let why = format!(
                "the sandbox listens on loopback or, in a container, on 0.0.0.0, not on {}",
                config.listen
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let tcp = TcpListener::bind(config.listen).await?;
        let mut addr = tcp.local_addr()?;
        if addr.ip().is_unspecified() {
            addr.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let sandbox = Self::new(config, addr);
        let router = api::router(&sandbox)
            .merge(page_api::router(&sandbox))
            .merge(pages(&sandbox))
            .layer(axum::middleware::from_fn(guard::loopback_only));
        let stop = sandbox.stopped().clone();
        let listener = CutListener {
            tcp,
            stop: stop.clone(),
        };
        tokio::spawn(async move {
            let service = router.into_make_service_with_connect_info::<Wire>();
            tokio::select! {
                served = axum::serve(listener, service) => {
                    if let Err(error) = served {
                        tracing::error!(%error, "the sandbox's server ended");
                    }
                }
                () = stop.cancelled() => {}
            }
        });
        Ok(sandbox)
    }
}
