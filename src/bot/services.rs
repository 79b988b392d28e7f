//! The services and where they run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Refusal;
use crate::command::nearest;
use crate::domain::service::PlatformKey;
use crate::domain::{Line, Service, ServiceName};
use crate::platform::{Platform, PlatformError};
use crate::probe::alertmanager::Alertmanager;
use crate::probe::log_store::LogStore;
use crate::probe::prometheus::Prometheus;
use crate::probe::web::Web;
use crate::probe::{Cache, Database};

/// Something that is probed, under its name in chat.
pub struct Named<P: ?Sized> {
    /// Its name.
    pub name: ServiceName,
    /// The service it belongs to: whose incidents and whose lock count. Its own name where the
    /// configuration names none.
    pub service: ServiceName,
    /// The probe.
    pub probe: Arc<P>,
}

impl<P: ?Sized> Clone for Named<P> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            service: self.service.clone(),
            probe: self.probe.clone(),
        }
    }
}

/// The services in the configuration's order, and the platforms they run on.
#[derive(Clone, Default)]
pub struct Catalogue {
    services: Vec<Service>,
    platforms: BTreeMap<PlatformKey, Arc<dyn Platform>>,
    databases: Vec<Named<dyn Database>>,
    caches: Vec<Named<dyn Cache>>,
    web: Option<Arc<Web>>,
    prometheus: Option<Arc<Prometheus>>,
    alertmanager: Option<Arc<Alertmanager>>,
    logs: Option<Arc<LogStore>>,
}

impl Catalogue {
    /// A catalogue of these services; a platform that no service names may be left out.
    pub fn new(
        services: Vec<Service>,
        platforms: impl IntoIterator<Item = (PlatformKey, Arc<dyn Platform>)>,
    ) -> Self {
        Self {
            services,
            platforms: platforms.into_iter().collect(),
            databases: Vec::new(),
            caches: Vec::new(),
            web: None,
            prometheus: None,
            alertmanager: None,
            logs: None,
        }
    }

    /// Adds what can be asked beside the platforms.
    pub fn with_probes(
        mut self,
        databases: Vec<Named<dyn Database>>,
        caches: Vec<Named<dyn Cache>>,
    ) -> Self {
        self.databases = databases;
        self.caches = caches;
        self
    }

    /// Adds who asks web addresses, and Prometheus where there is one.
    pub fn with_web(mut self, web: Web, prometheus: Option<Prometheus>) -> Self {
        self.web = Some(Arc::new(web));
        self.prometheus = prometheus.map(Arc::new);
        self
    }

    /// Adds where silences are made, if they are.
    pub fn with_alertmanager(mut self, alertmanager: Option<Alertmanager>) -> Self {
        self.alertmanager = alertmanager.map(Arc::new);
        self
    }

    /// Adds where log lines are kept, if they are.
    pub fn with_logs(mut self, logs: Option<LogStore>) -> Self {
        self.logs = logs.map(Arc::new);
        self
    }

    /// Where log lines are kept that containers no longer have.
    pub(super) fn logs(&self) -> Option<&LogStore> {
        self.logs.as_deref()
    }

    /// Where silences are made.
    pub(super) fn alertmanager(&self) -> Option<&Alertmanager> {
        self.alertmanager.as_deref()
    }

    /// Who asks web addresses.
    pub(super) fn web(&self) -> Result<&Web, Refusal> {
        self.web
            .as_deref()
            .ok_or_else(|| Refusal::new("Web addresses can't be asked here"))
    }

    /// Where figures over time are asked for.
    pub(super) fn prometheus(&self) -> Result<&Prometheus, Refusal> {
        self.prometheus.as_deref().ok_or_else(|| {
            Refusal::new("No Prometheus is configured")
                .detail("Fix: add [prometheus] with its `url` to treasury-bot.toml")
        })
    }

    /// The databases.
    pub(super) fn databases(&self) -> &[Named<dyn Database>] {
        &self.databases
    }

    /// The caches.
    pub(super) fn caches(&self) -> &[Named<dyn Cache>] {
        &self.caches
    }

    /// The database of this name, or the only one.
    pub(super) fn database(&self, name: Option<&str>) -> Result<&Named<dyn Database>, Refusal> {
        only(&self.databases, name, "database")
    }

    /// The cache of this name, or the only one.
    pub(super) fn cache(&self, name: Option<&str>) -> Result<&Named<dyn Cache>, Refusal> {
        only(&self.caches, name, "cache")
    }

    /// All services.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The platforms in use.
    pub fn platforms(&self) -> impl Iterator<Item = (&PlatformKey, &Arc<dyn Platform>)> {
        self.platforms.iter()
    }

    /// The service of this name, with its platform.
    pub(super) fn find(
        &self,
        name: &str,
        sentence: impl Fn(&str) -> String,
    ) -> Result<(&Service, Arc<dyn Platform>), Refusal> {
        // Names are lower case; phones begin with a capital.
        let lower = name.to_lowercase();
        if let Some(service) = self.services.iter().find(|s| s.name.as_str() == lower) {
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
        Err(match nearest(&lower, names.iter().copied()) {
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
        let platform = self.platforms.get(&service.target.platform());
        platform.cloned().ok_or_else(|| {
            Refusal::new(
                Line::new()
                    .text("No platform is set up for ")
                    .code(&service.name),
            )
        })
    }
}

/// The one of this name; without a name the only one.
fn only<'a, P: ?Sized>(
    all: &'a [Named<P>],
    name: Option<&str>,
    kind: &str,
) -> Result<&'a Named<P>, Refusal> {
    let named = |name: &str| all.iter().find(|one| one.name.as_str() == name);
    let found = match name {
        Some(name) => named(name),
        None if all.len() == 1 => all.first(),
        None => None,
    };
    found.ok_or_else(|| {
        if all.is_empty() {
            return Refusal::new(format!("No {kind} is configured"))
                .detail(format!("Fix: add a [[{kind}]] to treasury-bot.toml"));
        }
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        let title = match name {
            Some(name) => Line::new()
                .text(format!("There is no {kind} "))
                .code(crate::domain::timeline::cut(name, 80)),
            None => Line::from(format!("There are several: say which with --{kind}")),
        };
        Refusal::new(title).detail(names.join(", "))
    })
}

/// An answer about many services waits no longer for one of them. First samples take this long.
const SOON: Duration = Duration::from_millis(2_800);

/// What a platform answers soon, or that it does not.
pub(super) async fn soon<T>(
    platform: &'static str,
    answer: impl Future<Output = Result<T, PlatformError>>,
) -> Result<T, PlatformError> {
    let answer = tokio::time::timeout(SOON, answer).await;
    answer.unwrap_or_else(|_| {
        Err(PlatformError::Timeout {
            platform,
            what: "its answer".to_owned(),
            after: SOON,
        })
    })
}

/// `frontend-1` of `treasury-frontend-1`, `x2x4z` of `frontend-7d9f8b6c5d-x2x4z`: a phone's line is
/// short.
pub(super) fn short_name(replica: &str) -> &str {
    if let Some(pod) = pod_suffix(replica) {
        return pod;
    }
    match replica.match_indices('-').count() {
        n if n >= 2 => replica.split_once('-').map_or(replica, |(_, rest)| rest),
        _ => replica,
    }
}

/// The end that Kubernetes gives a pod of a Deployment, behind the name of its ReplicaSet.
fn pod_suffix(replica: &str) -> Option<&str> {
    // The letters and digits that it draws from: no vowels, and none that look alike.
    let drawn = |text: &str| {
        text.bytes()
            .all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
    };
    let (stem, pod) = replica.rsplit_once('-')?;
    let (_, set) = stem.rsplit_once('-')?;
    let fits = pod.len() == 5 && (6..=10).contains(&set.len()) && drawn(pod) && drawn(set);
    fits.then_some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_to_what_tells_them_apart() {
        for (name, short) in [
            ("treasury-frontend-1", "frontend-1"),
            ("frontend-7d9f8b6c5d-x2x4z", "x2x4z"),
            ("treasury-api-7d9f8b6c5d-x2x4z", "x2x4z"),
            ("redis-0", "redis-0"),
            ("treasury-worker-blue", "worker-blue"),
        ] {
            assert_eq!(short_name(name), short);
        }
    }
}
