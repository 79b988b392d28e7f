//! What runs here: services that Docker, a Swarm and Kubernetes tell of.

use std::collections::BTreeSet;
use std::time::Duration;

use super::options::{On, Options};
use super::report::{Report, Trouble};
use crate::domain::ServiceName;
use crate::domain::service::Found;
use crate::platform::PlatformError;
use crate::platform::docker::{Docker, EngineConfig, Swarm};
use crate::platform::kubernetes::{Config, Kubernetes, Server};

/// All services of the platforms that are here, each name once.
pub(super) async fn found(options: &Options, report: &Report) -> Result<Vec<Found>, Trouble> {
    let mut all = Vec::new();
    let mut taken = BTreeSet::new();
    for on in On::ALL {
        let is_wanted = options.on.is_empty() || options.on.contains(&on);
        if !is_wanted {
            continue;
        }
        let name = on.name();
        match ask(on, options).await {
            Ok(Some((place, found))) => {
                let found = apart(found, &mut taken, name);
                let names: Vec<String> = found.iter().map(shown).collect();
                let text = match names.as_slice() {
                    [] => format!("{name}: no services{place}"),
                    names => format!("{name}: {}{place}", names.join(", ")),
                };
                report.put(if found.is_empty() { "➖" } else { "✅" }, &text)?;
                all.extend(found);
            }
            Ok(None) => report.put("➖", &format!("{name}: none here"))?,
            Err(error) if is_absent(&error, on) && !options.on.contains(&on) => {
                report.put("➖", &format!("{name}: none here ({error})"))?;
            }
            Err(error) => {
                let others: Vec<String> = On::ALL
                    .into_iter()
                    .filter(|other| *other != on)
                    .map(|other| other.name().to_lowercase())
                    .collect();
                return Err(Trouble {
                    what: format!("{name} is here, but tells nothing: {error}"),
                    mend: format!("mend it, or leave it out: --on {}", others.join(",")),
                });
            }
        }
    }
    Ok(all)
}

/// Where an engine does not answer there is none, as far as anybody can tell.
fn is_absent(error: &PlatformError, on: On) -> bool {
    on != On::Kubernetes && matches!(error, PlatformError::Unreachable { .. })
}

/// What a platform has, and where that is; `None` where it is not here.
async fn ask(on: On, options: &Options) -> Result<Option<(String, Vec<Found>)>, PlatformError> {
    match on {
        On::Docker => {
            let found = Docker::new(None)?.found(&options.project).await?;
            Ok(Some((String::new(), found)))
        }
        On::Swarm => {
            let found = Swarm::with(EngineConfig::default())?.found().await?;
            Ok(found.map(|found| (String::new(), found)))
        }
        On::Kubernetes if is_configured() || options.on.contains(&on) => {
            let cluster = Kubernetes::new(Config {
                server: Server::Infer,
                timeout: Duration::from_secs(5),
            });
            let (namespace, found) = cluster.found(options.namespace.as_deref()).await?;
            Ok(Some((format!(" (namespace {namespace})"), found)))
        }
        On::Kubernetes => Ok(None),
    }
}

/// `kubectl` would find a cluster, or this runs in one.
fn is_configured() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    let usual = home.is_some_and(|home| home.join(".kube/config").is_file());
    is_set("KUBECONFIG") || is_set("KUBERNETES_SERVICE_HOST") || usual
}

/// Those of another platform that have a name which is taken get their platform's before it.
fn apart(found: Vec<Found>, taken: &mut BTreeSet<ServiceName>, platform: &str) -> Vec<Found> {
    let kept = found.into_iter().filter_map(|mut one| {
        if !taken.insert(one.service.name.clone()) {
            let name = format!("{}.{}", platform.to_lowercase(), one.service.name);
            one.service.name = ServiceName::parse(&name).ok()?;
            taken.insert(one.service.name.clone()).then_some(())?;
        }
        Some(one)
    });
    kept.collect()
}

/// `frontend (nginx)`, as it is told.
fn shown(found: &Found) -> String {
    match kind(&found.image, found.service.name.as_str()) {
        Some(kind) => format!("{} ({kind})", found.service.name),
        None => found.service.name.to_string(),
    }
}

/// What a service seems to be: by its image, else by its name.
pub(super) fn kind(image: &str, name: &str) -> Option<&'static str> {
    const IMAGES: [(&str, &[&str]); 4] = [
        (
            "database",
            &[
                "postgres",
                "postgis",
                "timescale",
                "mysql",
                "mariadb",
                "mongo",
                "oracle",
                "mssql",
            ],
        ),
        (
            "cache",
            &["redis", "valkey", "keydb", "memcached", "dragonfly"],
        ),
        (
            "queue",
            &["rabbitmq", "kafka", "nats", "activemq", "ibm-mq"],
        ),
        (
            "frontend",
            &["nginx", "httpd", "caddy", "traefik", "haproxy", "envoy"],
        ),
    ];
    const NAMES: [(&str, &[&str]); 6] = [
        ("frontend", &["frontend", "front", "web", "ui", "www"]),
        ("api", &["api", "backend", "gateway"]),
        ("worker", &["worker", "jobs", "job", "scheduler"]),
        (
            "database",
            &["db", "database", "postgres", "postgresql", "mysql"],
        ),
        ("cache", &["cache", "redis", "valkey"]),
        ("queue", &["queue", "rabbitmq", "kafka"]),
    ];
    let image = image.split('@').next().unwrap_or_default();
    let image = image.rsplit('/').next().unwrap_or_default();
    let image = image.split(':').next().unwrap_or_default();
    let by_image = IMAGES
        .into_iter()
        .find(|(_, known)| known.iter().any(|one| image.starts_with(one)));
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
    let by_name = || {
        let is_said = |known: &&[&str]| known.iter().any(|one| words.contains(one));
        NAMES.into_iter().find(|(_, known)| is_said(known))
    };
    by_image.or_else(by_name).map(|(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn what_a_service_is_shows_by_its_image_and_else_by_its_name() {
        for (image, name, wanted) in [
            (
                "docker.io/library/postgres:16-alpine",
                "ledger",
                Some("database"),
            ),
            ("bitnami/postgresql@sha256:0a", "x", Some("database")),
            ("registry.example:5000/valkey/valkey", "x", Some("cache")),
            ("nginx", "api", Some("frontend")),
            ("registry.example/treasury:1.8", "payments-api", Some("api")),
            ("sha256:0123", "treasury_web_1", Some("frontend")),
            ("registry.example/treasury:1.8", "apiary", None),
            ("", "ledger", None),
        ] {
            assert_eq!(kind(image, name), wanted, "{image} {name}");
        }
    }
}
