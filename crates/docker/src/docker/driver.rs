//! The driver: what each question and change of the platform is carried out by.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use jiff::Timestamp;

use super::steps::Change;
use super::{attachments, deploy, discover, evidence, find, isolate, logs};
use super::{outcome, restart, scale, touches, versions};
use crate::engine::container::inspect_all;
use crate::engine::{About, Engine, EngineConfig, PLATFORM, Result, Samplers, events};
use treasury_domain::action::ActionKind;
use treasury_domain::service::{
    Attachment, Dependant, Event, Events, Evidence, Found, Intent, LogQuery, Logs, Patience,
    ReplicaMark, ReplicaOutcome, Service, ServiceStats, ServiceStatus, Version,
};
use treasury_ports::platform::{Platform, ProgressSink};

/// The containers of one engine.
#[derive(Debug)]
pub struct Docker {
    engine: Arc<Engine>,
    samplers: Samplers,
}

impl Docker {
    /// An engine at `unix:///path` or `tcp://host:port`; where `None`, the one that the `docker`
    /// command would talk to. Nothing is asked of it yet: only a malformed address fails.
    pub fn new(host: Option<&str>) -> Result<Self> {
        Self::with(EngineConfig::at(host))
    }

    /// Like [`new`](Self::new), for one of several engines, or over TLS. TLS files that can't be
    /// used fail too.
    pub fn with(config: EngineConfig) -> Result<Self> {
        Ok(Self {
            engine: Arc::new(Engine::new(config)?),
            samplers: Samplers::new(|engine, service| find::containers(engine, service).boxed()),
        })
    }

    /// What runs on this engine: all Compose services, and each running container that no Compose,
    /// Swarm or Kubernetes keeps. Where two projects have a service of the same name, the second one's
    /// gets its project's before it: `shop.web`. Where `projects` names some, what is in none of them
    /// is left out.
    pub async fn found(&self, projects: &[String]) -> Result<Vec<Found>> {
        discover::services(&self.engine, projects).await
    }

    /// What the engine says of itself; nothing is changed.
    pub async fn about(&self) -> Result<About> {
        self.engine.about().await
    }

    fn change<'a>(
        &'a self,
        service: &'a Service,
        patience: Patience,
        progress: &'a ProgressSink,
    ) -> Change<'a> {
        Change {
            engine: &self.engine,
            service,
            patience,
            progress,
        }
    }
}

#[async_trait]
impl Platform for Docker {
    fn name(&self) -> &'static str {
        PLATFORM
    }

    async fn ping(&self) -> Result<()> {
        self.engine.ping().await
    }

    async fn status(&self, service: &Service) -> Result<ServiceStatus> {
        find::status(&self.engine, service).await
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs> {
        logs::logs(&self.engine, service, query).await
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats> {
        self.samplers.stats(&self.engine, service).await
    }

    async fn events(&self, service: &Service, since: Timestamp) -> Result<Events> {
        let found = find::containers(&self.engine, service).await?;
        let (history, known) = futures_util::try_join!(
            events::history(&self.engine, &found, since),
            inspect_all(&self.engine, &found),
        )?;
        let events = history.events.into_iter().map(|(_, event)| event);
        let mut list: Vec<Event> = events.collect();
        events::add_known(&mut list, &known, since, history.until);
        Ok(Events {
            list: events::newest(list),
            reaches: history.reaches,
            note: None,
        })
    }

    async fn touches(&self, service: &Service, change: &ActionKind) -> Result<Vec<Dependant>> {
        touches::touches(&self.engine, service, change).await
    }

    async fn bring_along(
        &self,
        service: &Service,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<()> {
        restart::bring_along(&self.change(service, patience, progress), &intent.along).await
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        let change = self.change(service, patience, progress);
        restart::restart(&change, only, &intent.along).await?;
        self.status(service).await
    }

    async fn restart_outcome(
        &self,
        _service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaOutcome>> {
        outcome::restart_outcome(&self.engine, marks, intent).await
    }

    async fn scalable(&self, service: &Service, replicas: u32) -> Result<()> {
        scale::plan(&self.engine, service, replicas).await.map(drop)
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        scale::scale(&self.change(service, patience, progress), replicas).await?;
        self.status(service).await
    }

    async fn versions(&self, service: &Service) -> Result<Vec<Version>> {
        versions::versions(&self.engine, service).await
    }

    async fn deployable(&self, service: &Service, image: &str) -> Result<Version> {
        versions::deployable(&self.engine, service, image).await
    }

    async fn deploy(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        deploy::deploy(&self.change(service, patience, progress), version).await?;
        self.status(service).await
    }

    async fn attachments(&self, service: &Service) -> Result<Vec<Attachment>> {
        attachments::attachments(&self.engine, service).await
    }

    async fn evidence(&self, service: &Service) -> Result<Vec<Evidence>> {
        evidence::evidence(&self.engine, service).await
    }

    async fn isolate(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        isolate::isolate(&self.engine, attachments, progress).await?;
        self.status(service).await
    }

    async fn release(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        isolate::release(&self.engine, attachments, progress).await?;
        self.status(service).await
    }
}
