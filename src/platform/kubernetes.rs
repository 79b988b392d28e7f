//! Kubernetes, by kube: services are Deployments, StatefulSets or DaemonSets.
//!
//! - `api`: the line to the API server, time limits, errors; `forbidden`: what a refusal lacks

mod api;
mod forbidden;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::domain::service::{
    Event, Intent, LogQuery, Logs, Patience, ReplicaFate, ReplicaMark, Service, ServiceStats,
    ServiceStatus,
};
use crate::platform::{Platform, PlatformError, ProgressSink};
use api::Line;

/// This platform's name in errors.
const PLATFORM: &str = "Kubernetes";

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
    line: Arc<Line>,
}

impl Kubernetes {
    /// A cluster that is connected to when it is first asked.
    pub fn new(config: Config) -> Self {
        Self {
            line: Arc::new(Line::new(config)),
        }
    }

    /// Like [`Self::new`], but a configuration that can't be used fails at once. The server need
    /// not answer yet.
    pub async fn connect(config: Config) -> Result<Self, PlatformError> {
        let cluster = Self::new(config);
        cluster.line.client().await?;
        Ok(cluster)
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
        let _ = service;
        Err(self.cannot("tell the status"))
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs, PlatformError> {
        let _ = (service, query);
        Err(self.cannot("read logs"))
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats, PlatformError> {
        let _ = service;
        Err(self.cannot("tell the use of resources"))
    }

    async fn events(
        &self,
        service: &Service,
        since: Timestamp,
    ) -> Result<Vec<Event>, PlatformError> {
        let _ = (service, since);
        Err(self.cannot("tell events"))
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let _ = (service, only, intent, patience, progress);
        Err(self.cannot("restart"))
    }

    async fn restart_fate(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaFate>, PlatformError> {
        let _ = (service, marks, intent);
        Err(self.cannot("tell what became of a restart"))
    }

    async fn scalable(&self, service: &Service, replicas: u32) -> Result<(), PlatformError> {
        let _ = (service, replicas);
        Err(self.cannot("scale"))
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let _ = (service, replicas, patience, progress);
        Err(self.cannot("scale"))
    }
}
