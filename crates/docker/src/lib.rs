//! Docker Engine, by bollard: services are containers with Compose labels, or one by its name.
//!
//! - `engine`: the line to the engine, time limits, errors; `address`, `tls`: where it is, who it is
//! - `find`: from a service to containers and replicas; `wait`: until they are well
//! - `restart`, `outcome`; `scale`, `recipe`: changes
//! - `versions`, `deploy`, `successor`: another image; `image`, `container`: what it takes
//! - `logs`, `stats`, `events`: looking on
//! - `attachments`, `isolate`, `evidence`: a service that is cut off and examined
//! - `swarm`: services of a Swarm, whose containers are Swarm's to change

mod address;
mod attachments;
mod container;
mod deploy;
mod discover;
mod engine;
mod events;
mod evidence;
mod find;
mod image;
mod isolate;
mod logs;
mod outcome;
mod recipe;
mod restart;
mod scale;
mod stats;
mod successor;
mod swarm;
mod tls;
mod versions;
mod wait;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

pub use address::{EngineConfig, Identity, Tls};
use engine::{ASK, Engine};
use stats::Samplers;
use swarm::Swarm;
use treasury_domain::service::{
    Attachment, Event, Evidence, Intent, LogQuery, Logs, Patience, ReplicaMark, ReplicaOutcome,
    Service, ServiceStats, ServiceStatus, Target, Version,
};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

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

    /// The Swarm service that this is, if it is one.
    fn swarm<'a>(&'a self, service: &'a Service) -> Option<Swarm<'a>> {
        let Target::Swarm { service: name, .. } = &service.target else {
            return None;
        };
        Some(Swarm {
            engine: &self.engine,
            service,
            name,
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
        if let Some(swarm) = self.swarm(service) {
            return swarm::status(swarm).await;
        }
        find::status(&self.engine, service).await
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::logs(swarm, query).await;
        }
        logs::logs(&self.engine, service, query).await
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::stats(swarm, &self.engine, &self.samplers).await;
        }
        self.samplers.stats(&self.engine, service).await
    }

    async fn events(
        &self,
        service: &Service,
        since: Timestamp,
    ) -> Result<Vec<Event>, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::events(swarm, since).await;
        }
        events::events(&self.engine, service, since).await
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::restart(swarm, only, intent, patience, progress).await;
        }
        restart::restart(&self.engine, service, only, patience, progress).await
    }

    async fn restart_outcome(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaOutcome>, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::outcome(swarm, marks, intent).await;
        }
        outcome::restart_outcome(&self.engine, marks, intent.since).await
    }

    async fn scalable(&self, service: &Service, replicas: u32) -> Result<(), PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::scalable(swarm).await;
        }
        scale::scalable(&self.engine, service, replicas).await
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::scale(swarm, replicas, patience, progress).await;
        }
        scale::scale(&self.engine, service, replicas, patience, progress).await
    }

    async fn versions(&self, service: &Service) -> Result<Vec<Version>, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::versions(swarm).await;
        }
        versions::versions(&self.engine, service).await
    }

    async fn deployable(&self, service: &Service, image: &str) -> Result<Version, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return swarm::deployable(swarm, image).await;
        }
        versions::deployable(&self.engine, service, image).await
    }

    async fn deploy(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return Box::pin(swarm::deploy(swarm, version, patience, progress)).await;
        }
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

    async fn attachments(&self, service: &Service) -> Result<Vec<Attachment>, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return Err(swarm::no_isolation(swarm));
        }
        attachments::attachments(&self.engine, service).await
    }

    async fn evidence(&self, service: &Service) -> Result<Vec<Evidence>, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return Err(swarm::no_isolation(swarm));
        }
        evidence::evidence(&self.engine, service).await
    }

    async fn isolate(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return Err(swarm::no_isolation(swarm));
        }
        isolate::isolate(&self.engine, service, attachments, progress).await
    }

    async fn release(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        if let Some(swarm) = self.swarm(service) {
            return Err(swarm::no_isolation(swarm));
        }
        isolate::release(&self.engine, service, attachments, progress).await
    }
}
