//! The platform.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::cache::Cache;
use crate::config::{Config, PLATFORM};
use crate::server::ApiServer;
use crate::{
    Result, Scope, Snapshot, WorkloadRef, attachments, deploy, events, evidence, isolate, logs,
    restart, scale, snapshot, stats, status, versions, workload,
};
use treasury_domain::service::{
    Attachment, Bounds, Events, Evidence, Found, Intent, LogQuery, Logs, Patience, ReplicaMark,
    ReplicaOutcome, Service, ServiceStats, ServiceStatus, Version,
};
use treasury_ports::platform::{Platform, ProgressSink};

/// One cluster.
#[derive(Debug)]
pub struct Kubernetes {
    pub(crate) server: Arc<ApiServer>,
    cache: Cache,
}

impl Kubernetes {
    /// A cluster that is connected to when it is first asked.
    pub fn new(config: Config) -> Self {
        Self {
            server: Arc::new(ApiServer::new(config)),
            cache: Cache::default(),
        }
    }

    /// Like [`Self::new`], but a configuration that can't be used fails at once. The server need
    /// not answer yet.
    pub async fn connect(config: Config) -> Result<Self> {
        let cluster = Self::new(config);
        cluster.server.client().await?;
        Ok(cluster)
    }

    /// The workloads of a namespace (the context's own if `None`), and its name.
    pub async fn found(&self, namespace: Option<&str>) -> Result<(String, Vec<Found>)> {
        let usual = self.server.client().await?.default_namespace();
        let namespace = namespace.unwrap_or(usual);
        let all = workload::found(&self.server, namespace).await?;
        Ok((namespace.to_owned(), all))
    }

    fn scope<'a>(&'a self, service: &'a Service) -> Result<Scope<'a>> {
        Ok(Scope {
            server: &self.server,
            target: WorkloadRef::of(service)?,
        })
    }

    /// The status after a change; whatever came of it, what is remembered of the workload is old.
    async fn changed(
        &self,
        scope: Scope<'_>,
        change: impl Future<Output = Result<Snapshot>> + Send,
    ) -> Result<ServiceStatus> {
        let result = change.await;
        self.cache.touch(scope);
        Ok(status::status(&result?, scope.target, Timestamp::now()))
    }
}

#[async_trait]
impl Platform for Kubernetes {
    fn name(&self) -> &'static str {
        PLATFORM
    }

    async fn ping(&self) -> Result<()> {
        let call = async {
            let version = self.server.client().await?.apiserver_version().await;
            version.map_err(|error| self.server.error(error)).map(drop)
        };
        self.server
            .call("its version", self.server.limit(), call)
            .await
    }

    async fn status(&self, service: &Service) -> Result<ServiceStatus> {
        let scope = self.scope(service)?;
        let seen = self.cache.look(scope).await?;
        Ok(status::status(&seen, scope.target, Timestamp::now()))
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs> {
        let scope = self.scope(service)?;
        let seen = snapshot::take(scope).await?;
        logs::logs(scope, &seen, query).await
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats> {
        let scope = self.scope(service)?;
        let seen = self.cache.look(scope).await?;
        stats::stats(scope, &seen).await
    }

    async fn events(&self, service: &Service, since: Timestamp) -> Result<Events> {
        let scope = self.scope(service)?;
        let seen = snapshot::take(scope).await?;
        Ok(events::events(scope, &seen, since).await?.into())
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        let scope = self.scope(service)?;
        let change = restart::restart(scope, only, intent, patience, progress);
        self.changed(scope, Box::pin(change)).await
    }

    async fn restart_outcome(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaOutcome>> {
        let scope = self.scope(service)?;
        restart::outcome(scope, marks, intent).await
    }

    async fn scalable(&self, service: &Service, _replicas: u32) -> Result<()> {
        scale::scalable(self.scope(service)?).await
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        let scope = self.scope(service)?;
        let change = scale::scale(scope, replicas, patience, progress);
        self.changed(scope, Box::pin(change)).await
    }

    async fn bounds(&self, service: &Service) -> Result<Bounds> {
        scale::bounds(self.scope(service)?).await
    }

    async fn set_bounds(&self, service: &Service, bounds: Bounds) -> Result<ServiceStatus> {
        let scope = self.scope(service)?;
        let change = scale::set_bounds(scope, bounds);
        self.changed(scope, Box::pin(change)).await
    }

    async fn versions(&self, service: &Service) -> Result<Vec<Version>> {
        versions::versions(self.scope(service)?).await
    }

    async fn deployable(&self, service: &Service, image: &str) -> Result<Version> {
        versions::deployable(self.scope(service)?, image).await
    }

    async fn deploy(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        let scope = self.scope(service)?;
        let change = deploy::deploy(scope, version, patience, progress);
        self.changed(scope, Box::pin(change)).await
    }

    async fn attachments(&self, service: &Service) -> Result<Vec<Attachment>> {
        attachments::attachments(self.scope(service)?).await
    }

    async fn evidence(&self, service: &Service) -> Result<Vec<Evidence>> {
        let scope = self.scope(service)?;
        let seen = snapshot::take(scope).await?;
        evidence::evidence(scope, &seen).await
    }

    async fn isolate(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        let scope = self.scope(service)?;
        let change = isolate::isolate(scope, attachments, progress);
        self.changed(scope, Box::pin(change)).await
    }

    async fn release(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus> {
        let scope = self.scope(service)?;
        let change = isolate::release(scope, attachments, progress);
        self.changed(scope, Box::pin(change)).await
    }
}
