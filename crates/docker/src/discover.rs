//! The Compose services of an engine, for a demo without a configuration.

use std::collections::BTreeSet;

use super::Docker;
use super::find::{PROJECT, SERVICE, label, list};
use treasury_domain::{Service, ServiceName, Target};
use treasury_ports::platform::PlatformError;

impl Docker {
    /// All Compose services of this engine. Where two projects have a service of the same name, the
    /// second one's gets its project's before it: `shop.web`.
    pub async fn discover(&self) -> Result<Vec<Service>, PlatformError> {
        let listed = list(&self.engine, Some(("label", vec![SERVICE.to_owned()]))).await?;
        let known: BTreeSet<(String, String)> = listed
            .iter()
            .filter_map(|summary| {
                Some((
                    label(summary, SERVICE)?.to_owned(),
                    label(summary, PROJECT)?.to_owned(),
                ))
            })
            .collect();
        let mut taken = BTreeSet::new();
        let mut services = Vec::new();
        for (service, project) in known {
            let plain = ServiceName::parse(&service.to_lowercase());
            let long = || ServiceName::parse(&format!("{project}.{service}").to_lowercase());
            let name = match plain {
                Ok(name) if taken.insert(name.clone()) => Ok(name),
                _ => long(),
            };
            match name {
                Ok(name) => services.push(Service {
                    name,
                    target: Target::Compose {
                        engine: None,
                        project,
                        service,
                    },
                    min_replicas: 1,
                    max_replicas: 10,
                    health_url: None,
                    check: Vec::new(),
                    metrics: std::collections::BTreeMap::new(),
                    metrics_page: None,
                    depends_on: Vec::new(),
                }),
                Err(error) => tracing::warn!(%error, "a Compose service is left out"),
            }
        }
        Ok(services)
    }
}
