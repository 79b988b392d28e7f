//! What of a configuration is looked at. All examinations run beside each other; one that gets no
//! answer holds up no other.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;

use super::finding::{Finding, Group, Limit};
use super::wire::Wire;
use super::{
    alerts, backups, caches, certificates, configured, databases, docker, kubernetes, logs,
    prometheus, reached, slack, store, web, zones,
};
use crate::bot::Settings;
use crate::config::Config;
use crate::domain::oncall::Backup;
use crate::domain::person::is_slack_user_id;
use crate::domain::service::PlatformKey;
use crate::domain::{Person, Service};
use crate::platform::docker::Tls;
use crate::slack::scopes::Uses;

/// A look at one thing, with all that it finds.
type Examination = (Group, BoxFuture<'static, Vec<Finding>>);

/// All examinations that a configuration asks for, in the order in which they are told.
pub(super) fn examinations(config: Config, limit: Limit) -> Vec<Examination> {
    let wire = Wire::new(limit);
    let mut all = Vec::new();
    let mut add = |group, examination| all.push((group, examination));
    let found = configured::look(&config);
    add(Group::Config, async { found }.boxed());

    let (urls, at_hand) = certified(&config);
    let roots = config.check.extra_roots_pem.clone();
    let settings = &config.settings;
    let uses = Uses {
        incident_channels: settings.incident_channels,
        groups: !config.slack.groups.is_empty(),
    };
    let wanted = slack::Wanted {
        uses,
        channels: channels(settings),
        people: people(settings),
        slack: config.slack.clone(),
    };
    add(Group::Slack, slack::look(wanted, wire.clone()).boxed());

    for (key, services) in grouped(&config.services) {
        match key {
            PlatformKey::Docker(name) | PlatformKey::Swarm(name) => {
                let engine = config.platforms.engine(name.as_deref());
                add(Group::Docker, docker::look(engine, services, limit).boxed());
            }
            PlatformKey::Kubernetes(name) => {
                let cluster = config.platforms.cluster(name.as_deref());
                let look = kubernetes::look(name, cluster, services, limit);
                add(Group::Kubernetes, look.boxed());
            }
            // No configuration has it.
            PlatformKey::Simulated => {}
        }
    }

    let is_public = settings.reach.links;
    let public_url = settings.public_url.clone().filter(|_| is_public);
    let own = web::own(
        config.listen,
        config.health_listen,
        public_url,
        wire.clone(),
    );
    let pages = web::services(config.services.clone(), config.check, limit);
    let has_alertmanager = config.alertmanager.is_some();
    let unlocked = config.sources.iter();
    let unlocked = unlocked.filter(|one| one.token.is_none() && one.topics.is_empty());
    let unlocked: Vec<String> = unlocked.map(|one| one.name.clone()).collect();
    let spoken = has_alertmanager || !settings.alerts.routes.routes.is_empty();
    let tokens = alerts::tokens(config.alerts_token.is_some(), spoken, &unlocked);

    for one in config.databases {
        add(Group::Databases, databases::look(one.config, limit).boxed());
    }
    for one in config.settings.routine.backups.clone() {
        add(Group::Databases, backups::look(one, limit).boxed());
    }
    for one in config.caches {
        add(Group::Caches, caches::look(one.config, limit).boxed());
    }
    add(Group::Web, pages.boxed());
    add(Group::Web, own.boxed());
    let services = config.services;
    if let Some(asked) = config.prometheus {
        let look = prometheus::look(asked, services.clone(), has_alertmanager, limit);
        add(Group::Prometheus, look.boxed());
    }
    if let Some(asked) = config.logs {
        add(Group::Logs, logs::look(asked, services, limit).boxed());
    }
    if let Some(asked) = config.alertmanager {
        add(Group::Alerts, alerts::look(asked, limit).boxed());
    }
    add(Group::Alerts, async { tokens }.boxed());
    if let Some(smtp) = config.smtp {
        add(Group::Email, reached::mail(smtp, limit).boxed());
    }
    for way in config.ways {
        let look = async move { vec![reached::way(way, limit).await] };
        add(Group::Reach, look.boxed());
    }
    let look = certificates::look(urls, at_hand, roots, limit);
    add(Group::Certificates, look.boxed());
    add(Group::Time, async { vec![zones::look()] }.boxed());
    let store = config.store_url.expose_secret().to_owned();
    add(Group::Store, store::look(store, limit).boxed());
    all
}

/// Services by the installation that they are on; a Swarm is asked of its engine.
fn grouped(services: &[Service]) -> BTreeMap<PlatformKey, Vec<Service>> {
    let mut all: BTreeMap<PlatformKey, Vec<Service>> = BTreeMap::new();
    for one in services {
        let key = match one.target.platform() {
            PlatformKey::Swarm(name) => PlatformKey::Docker(name),
            key => key,
        };
        all.entry(key).or_default().push(one.clone());
    }
    all
}

/// The channels beside the main one.
fn channels(settings: &Settings) -> BTreeSet<String> {
    let routes = settings.alerts.routes.routes.iter();
    routes.filter_map(|route| route.channel.clone()).collect()
}

/// The ids of all people that the configuration names.
fn people(settings: &Settings) -> BTreeSet<String> {
    let access = &settings.access;
    let lists = [&access.viewers, &access.responders, &access.commanders];
    let listed = lists.into_iter().chain(&access.declarers).flatten();
    let mut ids: BTreeSet<String> = listed.cloned().collect();
    let mut add = |all: &[Person]| ids.extend(all.iter().map(|one| one.id.clone()));
    add(&settings.alerts.on_call);
    for rotation in &settings.alerts.rotations {
        add(&rotation.members);
        add(&rotation.substitutes);
        for backup in rotation.backups.iter().flatten() {
            if let Backup::Person(person) = backup {
                add(std::slice::from_ref(person));
            }
        }
    }
    ids.extend(settings.reach.people.keys().cloned());
    let mailed = settings
        .notify
        .iter()
        .flat_map(|notify| notify.people.keys());
    ids.extend(mailed.cloned());
    ids.retain(|id| is_slack_user_id(id));
    ids
}

/// The addresses whose certificates are looked at, and certificates that are at hand.
fn certified(config: &Config) -> (BTreeSet<String>, Vec<(String, Vec<u8>)>) {
    let mut urls = BTreeSet::new();
    for one in &config.services {
        urls.extend(one.health_url.clone());
        urls.extend(one.check.iter().cloned());
        urls.extend(one.metrics_page.iter().map(|page| page.url.clone()));
    }
    urls.extend(config.prometheus.iter().map(|one| one.url.clone()));
    urls.extend(config.logs.iter().map(|one| one.url.clone()));
    urls.extend(config.alertmanager.iter().flat_map(|one| one.urls.clone()));
    urls.extend(config.ways.iter().filter_map(|one| one.service.origin()));
    let settings = &config.settings;
    urls.extend(settings.public_url.clone().filter(|_| settings.reach.links));
    let engines = std::iter::once(&config.platforms.docker).chain(&config.platforms.engines);
    let of_engine = |(name, tls): (Option<String>, &Tls)| {
        let certificate = tls.identity.as_ref()?.certificate.clone();
        let name = name.map_or_else(String::new, |name| format!(" {name}"));
        Some((format!("the bot's own for the engine{name}"), certificate))
    };
    let engines = engines.map(|one| (one.name.clone(), &one.tls));
    (urls, engines.filter_map(of_engine).collect())
}
