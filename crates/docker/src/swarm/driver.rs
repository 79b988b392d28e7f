//! The driver: what each question and change of the platform is carried out by.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use jiff::Timestamp;

use super::change::Change;
use super::snapshot::{Snapshot, SwarmService};
use super::{deploy, events, logs, restart, scale, snapshot, stats, versions};
use crate::engine::{Engine, EngineConfig, PLATFORM, Result, Samplers, unsupported};
use treasury_domain::service::{
    Attachment, Events, Evidence, Found, Intent, LogQuery, Logs, Patience, ReplicaMark,
    ReplicaOutcome, Service, ServiceStats, ServiceStatus, Version,
};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

/// The services of the Swarm that one engine is a manager of.
#[derive(Debug)]
pub struct Swarm {
    engine: Arc<Engine>,
    samplers: Samplers,
}

impl Swarm {
    /// Like [`Docker::with`](crate::Docker::with).
    pub fn with(config: EngineConfig) -> Result<Self> {
        Ok(Self {
            engine: Arc::new(Engine::new(config)?),
            samplers: Samplers::new(|engine, service| {
                async { SwarmService::new(engine, service)?.local_containers().await }.boxed()
            }),
        })
    }

    /// The services of the Swarm; `None` where the engine is no manager of one.
    pub async fn found(&self) -> Result<Option<Vec<Found>>> {
        let info = self.engine.info().await?;
        if info.swarm.and_then(|swarm| swarm.control_available) != Some(true) {
            return Ok(None);
        }
        snapshot::found(&self.engine).await.map(Some)
    }

    /// The service that an entry of the catalogue means.
    fn service<'a>(&'a self, service: &'a Service) -> Result<SwarmService<'a>> {
        SwarmService::new(&self.engine, service)
    }

    fn change<'a>(
        &'a self,
        service: &'a Service,
        patience: Patience,
        progress: &'a ProgressSink,
    ) -> Result<Change<'a>> {
        Ok(Change {
            service: self.service(service)?,
            patience,
            progress,
        })
    }
}

/// Why a service can't be cut off, in any case.
fn no_isolation(service: SwarmService<'_>) -> PlatformError {
    let name = service.name;
    unsupported(format!(
        "Swarm would put a task that is cut off back into its networks: it can't be isolated and \
         keep running. Stop it with `docker service scale {name}=0` (logs first: `logs`), or take \
         it out of a network with `docker service update --network-rm NETWORK {name}`, which makes \
         its tasks anew"
    ))
}

#[async_trait]
impl Platform for Swarm {
    fn name(&self) -> &'static str {
        PLATFORM
    }

    async fn ping(&self) -> Result<()> {
        self.engine.ping().await
    }

    async fn status(&self, service: &Service) -> Result<ServiceStatus> {
        Ok(Snapshot::now(self.service(service)?).await?.status())
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs> {
        logs::logs(self.service(service)?, query).await
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats> {
        let snapshot = Snapshot::now(self.service(service)?).await?;
        let info = self.engine.info().await?;
        let stats = self.samplers.stats(&self.engine, service).await?;
        Ok(stats::named(&snapshot, info.swarm, stats))
    }

    async fn events(&self, service: &Service, since: Timestamp) -> Result<Events> {
        events::events(self.service(service)?, since).await
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        restart::restart(self.change(service, patience, progress)?, only, intent).await
    }

    async fn restart_outcome(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaOutcome>> {
        restart::outcome(self.service(service)?, marks, intent).await
    }

    async fn scalable(&self, service: &Service, _replicas: u32) -> Result<()> {
        scale::scalable(&Snapshot::now(self.service(service)?).await?)
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        scale::scale(self.change(service, patience, progress)?, replicas).await
    }

    async fn versions(&self, service: &Service) -> Result<Vec<Version>> {
        versions::versions(self.service(service)?).await
    }

    async fn deployable(&self, service: &Service, image: &str) -> Result<Version> {
        versions::deployable(self.service(service)?, image).await
    }

    async fn deploy(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        deploy::deploy(self.change(service, patience, progress)?, version).await
    }

    async fn attachments(&self, service: &Service) -> Result<Vec<Attachment>> {
        Err(no_isolation(self.service(service)?))
    }

    async fn evidence(&self, service: &Service) -> Result<Vec<Evidence>> {
        Err(no_isolation(self.service(service)?))
    }

    async fn isolate(
        &self,
        service: &Service,
        _: &[Attachment],
        _: &ProgressSink,
    ) -> Result<ServiceStatus> {
        Err(no_isolation(self.service(service)?))
    }

    async fn release(
        &self,
        service: &Service,
        _: &[Attachment],
        _: &ProgressSink,
    ) -> Result<ServiceStatus> {
        Err(no_isolation(self.service(service)?))
    }
}
