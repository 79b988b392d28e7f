//! The Compose services of an engine, for a demo without a configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::find::{PROJECT, SERVICE};
use crate::engine::container::{list, listed_label};
use crate::engine::{Engine, Result};
use treasury_domain::{Service, ServiceName, Target};

/// All Compose services of this engine; see [`Docker::discover`](super::Docker::discover).
pub async fn services(engine: &Engine) -> Result<Vec<Service>> {
    let listed = list(engine, &[("label", SERVICE)]).await?;
    let names = listed.iter().filter_map(|summary| {
        Some((
            listed_label(summary, SERVICE)?,
            listed_label(summary, PROJECT)?,
        ))
    });
    let mut taken = BTreeSet::new();
    let mut services = Vec::new();
    for (service, project) in names.collect::<BTreeSet<_>>() {
        let name = match ServiceName::parse(&service.to_lowercase()) {
            Ok(name) if taken.insert(name.clone()) => Ok(name),
            _ => ServiceName::parse(&format!("{project}.{service}").to_lowercase()),
        };
        match name {
            Ok(name) => services.push(Service {
                name,
                target: Target::Compose {
                    engine: None,
                    project: project.to_owned(),
                    service: service.to_owned(),
                },
                min_replicas: 1,
                max_replicas: 10,
                health_url: None,
                check: Vec::new(),
                metrics: BTreeMap::new(),
                metrics_page: None,
                depends_on: Vec::new(),
            }),
            Err(error) => tracing::warn!(%error, "a Compose service is left out"),
        }
    }
    Ok(services)
}
