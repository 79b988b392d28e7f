//! The services and where they run.

use std::sync::Arc;

use super::Refusal;
use crate::command::nearest;
use crate::domain::{Line, Service, ServiceName, Target};
use crate::platform::Platform;

/// The services in the configuration's order, and the platforms they run on.
#[derive(Clone, Default)]
pub struct Catalogue {
    services: Vec<Service>,
    docker: Option<Arc<dyn Platform>>,
    simulated: Option<Arc<dyn Platform>>,
}

impl Catalogue {
    /// A catalogue of these services; a platform that no service names may be left out.
    pub fn new(
        services: Vec<Service>,
        docker: Option<Arc<dyn Platform>>,
        simulated: Option<Arc<dyn Platform>>,
    ) -> Self {
        Self {
            services,
            docker,
            simulated,
        }
    }

    /// All services.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The platforms in use.
    pub fn platforms(&self) -> impl Iterator<Item = &Arc<dyn Platform>> {
        self.docker.iter().chain(&self.simulated)
    }

    /// The service of this name, with its platform.
    pub(super) fn find(
        &self,
        name: &str,
        sentence: impl Fn(&str) -> String,
    ) -> Result<(&Service, Arc<dyn Platform>), Refusal> {
        if let Some(service) = self.services.iter().find(|s| s.name.as_str() == name) {
            return Ok((service, self.platform(service)?));
        }
        let names: Vec<&str> = self.services.iter().map(|s| s.name.as_str()).collect();
        let refusal = Refusal::new(
            Line::new()
                .text("There is no service ")
                .code(crate::domain::timeline::cut(name, 80)),
        )
        .detail(if names.is_empty() {
            "No service is configured: add a [[service]] to treasury-bot.toml".to_owned()
        } else {
            format!("Services: {}", names.join(", "))
        });
        Err(match nearest(name, names.iter().copied()) {
            Some(near) => refusal.suggest(sentence(near), sentence(near)),
            None => refusal,
        })
    }

    /// The service of this name, which a stored action names.
    pub(super) fn get(&self, name: &ServiceName) -> Option<(&Service, Arc<dyn Platform>)> {
        let service = self.services.iter().find(|s| s.name == *name)?;
        Some((service, self.platform(service).ok()?))
    }

    pub(super) fn platform(&self, service: &Service) -> Result<Arc<dyn Platform>, Refusal> {
        match service.target {
            Target::Compose { .. } | Target::Container { .. } => &self.docker,
            Target::Simulated { .. } => &self.simulated,
        }
        .clone()
        .ok_or_else(|| {
            Refusal::new(
                Line::new()
                    .text("No platform is set up for ")
                    .code(&service.name),
            )
        })
    }
}
