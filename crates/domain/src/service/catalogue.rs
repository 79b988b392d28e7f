//! The service catalogue: names, and where services run.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::unit::Unit;
use crate::words::checked_text;

/// The name of a service in the configuration and in chat, such as `frontend`.
///
/// Lower-case letters, digits, `-`, `_` and `.`; at most 63 bytes; starts with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

/// Why a text is not a service name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a service name: use 1 to 63 lower-case letters, digits, `-`, `_` or `.`, starting with a letter or digit"
)]
pub struct InvalidServiceName(String);

impl ServiceName {
    /// Checks the text and makes a name of it.
    pub fn parse(text: &str) -> Result<Self, InvalidServiceName> {
        let good = !text.is_empty()
            && text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidServiceName(text.chars().take(80).collect()))
        }
    }
}

checked_text!(ServiceName, InvalidServiceName);

/// One entry of the service catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name in chat.
    pub name: ServiceName,
    /// Where it runs.
    pub target: Target,
    /// Fewest replicas that `scale` allows.
    pub min_replicas: u32,
    /// Most replicas that `scale` allows.
    pub max_replicas: u32,
    /// An address that answers 2xx when the service is well, asked after a restart.
    pub health_url: Option<String>,
    /// The addresses that `check` asks.
    pub check: Vec<String>,
    /// The services that it stands on: when they fail, it fails too.
    pub depends_on: Vec<ServiceName>,
    /// Names for `graph`, each with what Prometheus is asked (PromQL).
    pub metrics: BTreeMap<String, Charted>,
    /// Where it counts its own answers.
    pub metrics_page: Option<MetricsPage>,
}

impl Service {
    /// A service of which only its name and its place are known.
    pub fn new(name: ServiceName, target: Target) -> Self {
        let max_replicas = match target {
            Target::Container { .. } => 1,
            _ => 10,
        };
        Self {
            name,
            target,
            min_replicas: 1,
            max_replicas,
            health_url: None,
            check: Vec::new(),
            depends_on: Vec::new(),
            metrics: BTreeMap::new(),
            metrics_page: None,
        }
    }
}

/// What Prometheus is asked for a name of `graph`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charted {
    /// The expression (PromQL).
    pub query: String,
    /// What its values are measured in; `None`: as the metric in it says by its name, or its metadata.
    pub unit: Option<Unit>,
}

/// A service that a platform has, whether or not a catalogue lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As it would stand in a catalogue.
    pub service: Service,
    /// The image that it runs, as the platform tells it.
    pub image: String,
}

/// A page in Prometheus' text format with a counter of requests by status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPage {
    /// Its address.
    pub url: String,
    /// The counter; `None`: the first of the usual names that is there.
    pub counter: Option<String>,
    /// The label with the status; `None`: the first of the usual names that is there.
    pub label: Option<String>,
    /// Labels that counters of this service have, on a page of several services.
    pub only: BTreeMap<String, String>,
}

/// Where a service runs, in the words of its platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "platform", rename_all = "lowercase")]
pub enum Target {
    /// All containers with these Compose labels.
    Compose {
        /// Which engine, by its name in the configuration; the default one where `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// Label `com.docker.compose.project`.
        project: String,
        /// Label `com.docker.compose.service`.
        service: String,
    },
    /// The one container of this name.
    Container {
        /// See `Compose`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// The container's name without the leading slash.
        name: String,
    },
    /// A service of a Swarm, asked of one of its managers.
    Swarm {
        /// See `Compose`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// The service's name in the Swarm, such as `treasury_frontend`.
        service: String,
    },
    /// A workload of a Kubernetes cluster.
    Kubernetes {
        /// Which cluster, by its name in the configuration; the only or inferred one where `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
        /// Its namespace.
        namespace: String,
        /// What it is.
        kind: WorkloadKind,
        /// Its name there.
        name: String,
    },
    /// A service of the simulated stack.
    Simulated {
        /// Its name there.
        name: String,
    },
}

/// What keeps the pods of a service on Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl WorkloadKind {
    /// The word of the configuration and of `kubectl`: `deployment`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }
}

/// One installation of a platform; the catalogue finds a service's driver by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlatformKey {
    /// A Docker engine, by its name in the configuration; the default one where `None`.
    Docker(Option<String>),
    /// The Swarm that this engine is a manager of.
    Swarm(Option<String>),
    /// A cluster, by its name in the configuration.
    Kubernetes(Option<String>),
    /// The simulated stack.
    Simulated,
}

impl fmt::Display for PlatformKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A Swarm is reached where its engine is.
            Self::Docker(None) | Self::Swarm(None) => f.write_str("Docker"),
            Self::Docker(Some(engine)) | Self::Swarm(Some(engine)) => {
                write!(f, "Docker engine {engine}")
            }
            Self::Kubernetes(None) => f.write_str("Kubernetes"),
            Self::Kubernetes(Some(cluster)) => write!(f, "Kubernetes cluster {cluster}"),
            Self::Simulated => f.write_str("the simulated stack"),
        }
    }
}

impl Target {
    /// Which installation of a platform this is on.
    pub fn platform(&self) -> PlatformKey {
        match self {
            Self::Compose { engine, .. } | Self::Container { engine, .. } => {
                PlatformKey::Docker(engine.clone())
            }
            Self::Swarm { engine, .. } => PlatformKey::Swarm(engine.clone()),
            Self::Kubernetes { cluster, .. } => PlatformKey::Kubernetes(cluster.clone()),
            Self::Simulated { .. } => PlatformKey::Simulated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_is_checked() {
        for good in ["frontend", "api-2", "9lives", "a.b_c"] {
            assert_eq!(
                ServiceName::parse(good).map(String::from),
                Ok(good.to_owned())
            );
        }
        for bad in ["", "-x", "Frontend", "a b", "a;rm", "ä", &"x".repeat(64)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_swarm_has_a_driver_of_its_own_at_the_engine_s_address() {
        let engine = Some("eu".to_owned());
        let swarm = Target::Swarm {
            engine: engine.clone(),
            service: "web".to_owned(),
        };
        assert_eq!(swarm.platform(), PlatformKey::Swarm(engine.clone()));
        let of_engine = PlatformKey::Docker(engine).to_string();
        assert_eq!(swarm.platform().to_string(), of_engine);
    }
}
