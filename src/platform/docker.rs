//! Docker Engine, by bollard: services are containers with Compose labels, or one by its name.
//!
//! - `engine`: the line to the engine, time limits, errors; `address`, `tls`: where it is, who it is
//! - `find`: from a service to containers and replicas; `wait`: until they are well
//! - `restart`, `fate`; `scale`, `recipe`: changes
//! - `versions`, `deploy`, `successor`: another image; `image`, `container`: what it takes
//! - `logs`, `stats`, `events`: looking on
//! - `ties`, `isolate`, `evidence`: a service that is cut off and examined

mod address;
mod container;
mod deploy;
mod discover;
mod engine;
mod events;
mod evidence;
mod fate;
mod find;
mod image;
mod isolate;
mod logs;
mod recipe;
mod restart;
mod scale;
mod stats;
mod successor;
mod ties;
mod tls;
mod versions;
mod wait;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::service::{
    Event, Evidence, Intent, LogQuery, Logs, Patience, ReplicaFate, ReplicaMark, Service,
    ServiceStats, ServiceStatus, Tie, Version,
};
use crate::platform::{Platform, PlatformError, ProgressSink};
pub use address::{EngineConfig, Identity, Tls};
use engine::{ASK, Engine};
use stats::Samplers;

/// This platform's name in errors.
const PLATFORM: &str = "Docker";

/// The engine that one address leads to.
#[derive(Debug)]
pub struct Docker {
    engine: Arc<Engine>,
    samplers: Samplers,
}

impl Docker {
    /// An engine at `unix:///path` or `tcp://host:port`; where `None`, the one that the `docker`
    /// command would talk to. Nothing is asked of it yet: only a malformed address fails.
    pub fn new(host: Option<&str>) -> Result<Self, PlatformError> {
        Self::with(EngineConfig {
            host: host.map(str::to_owned),
            ..EngineConfig::default()
        })
    }

    /// Like [`new`](Self::new), for one of several engines, or over TLS. TLS files that can't be
    /// used fail too.
    pub fn with(config: EngineConfig) -> Result<Self, PlatformError> {
        Ok(Self {
            engine: Arc::new(Engine::new(config)?),
            samplers: Samplers::default(),
        })
    }
}

#[async_trait]
impl Platform for Docker {
    fn name(&self) -> &'static str {
        PLATFORM
    }

    async fn ping(&self) -> Result<(), PlatformError> {
        let call = self.engine.client()?.ping();
        self.engine.call("ping", ASK, call).await.map(drop)
    }

    async fn status(&self, service: &Service) -> Result<ServiceStatus, PlatformError> {
        find::status(&self.engine, service).await
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs, PlatformError> {
        logs::logs(&self.engine, service, query).await
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats, PlatformError> {
        self.samplers.stats(&self.engine, service).await
    }

    async fn events(
        &self,
        service: &Service,
        since: Timestamp,
    ) -> Result<Vec<Event>, PlatformError> {
        events::events(&self.engine, service, since).await
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        _intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        restart::restart(&self.engine, service, only, patience, progress).await
    }

    async fn restart_fate(
        &self,
        _service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaFate>, PlatformError> {
        fate::restart_fate(&self.engine, marks, intent.since).await
    }

    async fn scalable(&self, service: &Service, replicas: u32) -> Result<(), PlatformError> {
        scale::scalable(&self.engine, service, replicas).await
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        scale::scale(&self.engine, service, replicas, patience, progress).await
    }

    async fn versions(&self, service: &Service) -> Result<Vec<Version>, PlatformError> {
        versions::versions(&self.engine, service).await
    }

    async fn deployable(&self, service: &Service, image: &str) -> Result<Version, PlatformError> {
        versions::deployable(&self.engine, service, image).await
    }

    async fn deploy(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        // Boxed: its state is 20 KB.
        Box::pin(deploy::deploy(
            &self.engine,
            service,
            version,
            patience,
            progress,
        ))
        .await
    }

    async fn ties(&self, service: &Service) -> Result<Vec<Tie>, PlatformError> {
        ties::ties(&self.engine, service).await
    }

    async fn evidence(&self, service: &Service) -> Result<Vec<Evidence>, PlatformError> {
        evidence::evidence(&self.engine, service).await
    }

    async fn isolate(
        &self,
        service: &Service,
        ties: &[Tie],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        isolate::isolate(&self.engine, service, ties, progress).await
    }

    async fn release(
        &self,
        service: &Service,
        ties: &[Tie],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        isolate::release(&self.engine, service, ties, progress).await
    }
}
