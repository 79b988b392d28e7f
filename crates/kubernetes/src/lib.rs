//! Kubernetes, by kube: services are Deployments, StatefulSets or DaemonSets.
//!
//! - `api`: the line to the API server, time limits, errors; `forbidden`: what a refusal lacks
//! - `find`, `workload`, `pod`: from a service to its workload and pods; `status`
//! - `cache`: what the server tells by its watches, for answers from memory
//! - `edit`: changing an object without overwriting others; `rollout`: following it to its end
//! - `restart`, `scale`: changes; `versions`, `template`, `deploy`: another version
//! - `logs`, `stats`, `events`: looking on
//! - `attachments`, `isolate`, `evidence`: a service that is cut off and examined
//! - `rbac`: the rights that all this takes

mod api;
mod attachments;
mod cache;
mod deploy;
mod edit;
mod events;
mod evidence;
mod find;
mod forbidden;
mod isolate;
mod logs;
mod pod;
pub mod rbac;
mod restart;
mod rollout;
mod scale;
mod stats;
mod status;
mod template;
mod versions;
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use api::Line;
use cache::Cache;
use find::{Place, Seen};
use treasury_domain::service::{
    Attachment, Bounds, Event, Evidence, Intent, LogQuery, Logs, Patience, ReplicaMark,
    ReplicaOutcome, Service, ServiceStats, ServiceStatus, Version,
};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

/// This platform's name in errors.
const PLATFORM: &str = "Kubernetes";

/// Who changed a field, in the server's own records.
const MANAGER: &str = "treasury-bot";

/// How a cluster is reached.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its API server is.
    pub server: Server,
    /// How long a question may take.
    pub timeout: Duration,
}

/// Where an API server is.
#[derive(Debug, Clone)]
pub enum Server {
    /// Where `kubectl` would look; in a pod, its service account.
    Infer,
    /// What a kubeconfig says.
    Kubeconfig {
        /// The file; where `kubectl` would look if `None`.
        path: Option<PathBuf>,
        /// The context; the current one if `None`.
        context: Option<String>,
    },
    /// At this address.
    Url {
        /// Such as `http://127.0.0.1:8001`.
        url: String,
        /// A bearer token.
        token: Option<SecretString>,
    },
}

/// One cluster.
#[derive(Debug)]
pub struct Kubernetes {
    line: Line,
    cache: Cache,
}

impl Kubernetes {
    /// A cluster that is connected to when it is first asked.
    pub fn new(config: Config) -> Self {
        Self {
            line: Line::new(config),
            cache: Cache::default(),
        }
    }

    /// Like [`Self::new`], but a configuration that can't be used fails at once. The server need
    /// not answer yet.
    pub async fn connect(config: Config) -> Result<Self, PlatformError> {
        let cluster = Self::new(config);
        cluster.line.client().await?;
        Ok(cluster)
    }

    /// The status after a change; whatever came of it, what is remembered of the place is old.
    async fn changed(
        &self,
        place: Place<'_>,
        change: impl Future<Output = Result<Seen, PlatformError>> + Send,
    ) -> Result<ServiceStatus, PlatformError> {
        let result = change.await;
        self.cache.touch(place);
        Ok(status::status(&result?, place, Timestamp::now()))
    }
}

#[async_trait]
impl Platform for Kubernetes {
    fn name(&self) -> &'static str {
        PLATFORM
    }

    async fn ping(&self) -> Result<(), PlatformError> {
        let client = self.line.client().await?;
        let call = client.apiserver_version();
        self.line.call("its version", call).await.map(drop)
    }

    async fn status(&self, service: &Service) -> Result<ServiceStatus, PlatformError> {
        let place = find::place(service)?;
        let seen = self.cache.look(&self.line, place).await?;
        Ok(status::status(&seen, place, Timestamp::now()))
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs, PlatformError> {
        let place = find::place(service)?;
        let seen = find::look(&self.line, place).await?;
        logs::logs(&self.line, place, &seen, query).await
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats, PlatformError> {
        let place = find::place(service)?;
        let seen = self.cache.look(&self.line, place).await?;
        stats::stats(&self.line, place, &seen).await
    }

    async fn events(
        &self,
        service: &Service,
        since: Timestamp,
    ) -> Result<Vec<Event>, PlatformError> {
        let place = find::place(service)?;
        let seen = find::look(&self.line, place).await?;
        events::events(&self.line, place, &seen, since).await
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let place = find::place(service)?;
        let change = restart::restart(&self.line, place, only, intent, patience, progress);
        self.changed(place, Box::pin(change)).await
    }

    async fn restart_outcome(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaOutcome>, PlatformError> {
        let place = find::place(service)?;
        restart::outcome(&self.line, place, marks, intent).await
    }

    async fn scalable(&self, service: &Service, _replicas: u32) -> Result<(), PlatformError> {
        scale::scalable(&self.line, find::place(service)?).await
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let place = find::place(service)?;
        let change = scale::scale(&self.line, place, replicas, patience, progress);
        self.changed(place, Box::pin(change)).await
    }

    async fn bounds(&self, service: &Service) -> Result<Bounds, PlatformError> {
        scale::bounds(&self.line, find::place(service)?).await
    }

    async fn set_bounds(
        &self,
        service: &Service,
        bounds: Bounds,
    ) -> Result<ServiceStatus, PlatformError> {
        let place = find::place(service)?;
        let change = scale::set_bounds(&self.line, place, bounds);
        self.changed(place, Box::pin(change)).await
    }

    async fn versions(&self, service: &Service) -> Result<Vec<Version>, PlatformError> {
        versions::versions(&self.line, find::place(service)?).await
    }

    async fn deployable(&self, service: &Service, image: &str) -> Result<Version, PlatformError> {
        versions::deployable(&self.line, find::place(service)?, image).await
    }

    async fn deploy(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let place = find::place(service)?;
        let change = deploy::deploy(&self.line, place, version, patience, progress);
        self.changed(place, Box::pin(change)).await
    }

    async fn attachments(&self, service: &Service) -> Result<Vec<Attachment>, PlatformError> {
        attachments::attachments(&self.line, find::place(service)?).await
    }

    async fn evidence(&self, service: &Service) -> Result<Vec<Evidence>, PlatformError> {
        let place = find::place(service)?;
        let seen = find::look(&self.line, place).await?;
        evidence::evidence(&self.line, place, &seen).await
    }

    async fn isolate(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let place = find::place(service)?;
        let change = isolate::isolate(&self.line, place, attachments, progress);
        self.changed(place, Box::pin(change)).await
    }

    async fn release(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let place = find::place(service)?;
        let change = isolate::release(&self.line, place, attachments, progress);
        self.changed(place, Box::pin(change)).await
    }
}
