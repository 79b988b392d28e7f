//! Docker Engine, by bollard.
//!
//! Nothing is remembered but samples of resource use: the engine is asked each time.

mod errors;
mod events;
mod find;
mod logs;
mod restart;
mod scale;
mod stats;
mod status;

use std::time::Duration;

use async_trait::async_trait;
use bollard::API_DEFAULT_VERSION;
use jiff::Timestamp;

use self::stats::Sampler;
use super::{Platform, PlatformError, ProgressSink};
use crate::domain::service::{
    Event, LogQuery, Logs, Patience, ReplicaFate, ReplicaMark, Service, ServiceStats, ServiceStatus,
};

/// The platform's name in messages.
const NAME: &str = "Docker";

/// Lists and inspections are quick or something is wrong.
const QUICK: Duration = Duration::from_secs(5);

/// Everything else, but for what waits by design.
const SLOW: Duration = Duration::from_secs(30);

/// Bollard's own time-out is a last resort above ours; a restart may wait minutes for its stop.
const TRANSPORT_SECONDS: u64 = 600;

/// How often a container that has to become well is looked at.
const LOOK: Duration = Duration::from_millis(150);

/// A container without a health check counts as well when it has run this long.
const STEADY: Duration = Duration::from_secs(2);

/// One Docker Engine.
#[derive(Clone)]
pub struct Docker {
    client: bollard::Docker,
    /// Where the engine is looked for, for messages.
    host: String,
    sampler: Sampler,
}

impl Docker {
    /// An engine at `unix:///path` or `tcp://host:port`; by default where the `docker` command looks:
    /// `DOCKER_HOST`, else `/var/run/docker.sock`. It may be down: every call tries anew.
    pub fn new(host: Option<&str>) -> Result<Self, PlatformError> {
        let host = host
            .map(str::to_owned)
            .or_else(|| {
                std::env::var("DOCKER_HOST")
                    .ok()
                    .filter(|host| !host.is_empty())
            })
            .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        let connected = if host.starts_with("unix://") {
            // Bollard refuses a path that isn't there yet; the engine may start after the bot.
            bollard::Docker::connect_with_unix(&host, TRANSPORT_SECONDS, API_DEFAULT_VERSION)
        } else if host.starts_with("tcp://") || host.starts_with("http://") {
            bollard::Docker::connect_with_http(&host, TRANSPORT_SECONDS, API_DEFAULT_VERSION)
        } else {
            return Err(PlatformError::Unsupported(format!(
                "`{host}` is no Docker host: use unix:///path or tcp://host:port in [docker] host"
            )));
        };
        let client = connected.map_err(|error| errors::translate(&host, "connect", error))?;
        let sampler = Sampler::new(client.clone());
        Ok(Self {
            client,
            host,
            sampler,
        })
    }

    /// Awaits a call of the engine, at most `within`, and translates its error.
    async fn call<T>(
        &self,
        what: &str,
        within: Duration,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, PlatformError> {
        match tokio::time::timeout(within, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(errors::translate(&self.host, what, error)),
            Err(_) => Err(PlatformError::Timeout {
                platform: NAME,
                what: what.to_owned(),
                after: within,
            }),
        }
    }
}

#[async_trait]
impl Platform for Docker {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ping(&self) -> Result<(), PlatformError> {
        self.call("ping", QUICK, self.client.ping())
            .await
            .map(|_| ())
    }

    async fn status(&self, service: &Service) -> Result<ServiceStatus, PlatformError> {
        self.read_status(service).await
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs, PlatformError> {
        self.read_logs(service, query).await
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats, PlatformError> {
        self.read_stats(service).await
    }

    async fn events(
        &self,
        service: &Service,
        since: Timestamp,
    ) -> Result<Vec<Event>, PlatformError> {
        self.read_events(service, since).await
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        self.restart_each(service, only, patience, progress).await
    }

    async fn restart_fate(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        since: Timestamp,
    ) -> Result<Vec<ReplicaFate>, PlatformError> {
        self.fates(service, marks, since).await
    }

    async fn scalable(&self, service: &Service, replicas: u32) -> Result<(), PlatformError> {
        self.check_scalable(service, replicas).await.map(|_| ())
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        self.scale_to(service, replicas, patience, progress).await
    }
}
