//! Which workload of which server a call is about.

use std::sync::Arc;

use crate::server::ApiServer;
use crate::{Kind, Resource, Result};
use treasury_domain::service::{Service, Target, WorkloadKind};
use treasury_ports::platform::PlatformError;

/// The workload that a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkloadRef<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) kind: WorkloadKind,
    pub(crate) name: &'a str,
    /// The service's name in chat.
    pub(crate) service: &'a str,
}

impl<'a> WorkloadRef<'a> {
    /// The workload of a service on this platform.
    pub(crate) fn of(service: &'a Service) -> Result<Self> {
        match &service.target {
            Target::Kubernetes {
                namespace,
                kind,
                name,
                ..
            } => Ok(Self {
                namespace,
                kind: *kind,
                name,
                service: service.name.as_str(),
            }),
            _ => Err(PlatformError::Unsupported(format!(
                "{} does not run on Kubernetes",
                service.name
            ))),
        }
    }

    /// What its main container may be called.
    pub(crate) fn names(self) -> [&'a str; 2] {
        [self.service, self.name]
    }
}

/// A workload and the server that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) server: &'a Arc<ApiServer>,
    pub(crate) target: WorkloadRef<'a>,
}

impl Scope<'_> {
    /// The objects of a kind in the workload's namespace.
    pub(crate) fn all(self, kind: Kind) -> Resource {
        Resource::new(self.server, self.target.namespace, kind)
    }

    /// The objects of the workload's own kind.
    pub(crate) fn workloads(self) -> Resource {
        self.all(Kind::workload(self.target.kind))
    }

    /// The autoscalers, in the version that the server has.
    pub(crate) async fn autoscalers(self) -> Result<Resource> {
        let kind = self.server.autoscaler.get_or_try_init(|| async {
            match self.all(Kind::AUTOSCALER_V2).probe().await {
                Err(PlatformError::NotFound { .. }) => Ok(Kind::AUTOSCALER_V1),
                Ok(()) | Err(PlatformError::Denied { .. }) => Ok(Kind::AUTOSCALER_V2),
                Err(error) => Err(error),
            }
        });
        Ok(self.all(*kind.await?))
    }
}
