//! Docker engines and Swarms.

use std::sync::Arc;

use jiff::Timestamp;

use super::finding::{Check, Finding, Group, Limit};
use crate::domain::Service;
use crate::domain::counted;
use crate::domain::service::PlatformKey;
use crate::platform::Platform;
use crate::platform::docker::{Docker, EngineConfig, Swarm};

const ENGINE: Check = Check {
    id: "docker.engine",
    group: Group::Docker,
    asks: "Does the engine answer, and let the bot in?",
    mend: "is the daemon running, and is `host` right? In a container, mount the socket and add its \
           group: `--group-add $(stat -c %g /var/run/docker.sock)`",
};
const API: Check = Check {
    id: "docker.api",
    group: Group::Docker,
    asks: "Is the engine's API at least 1.41 (Docker 20.10), the oldest that the bot was tried with?",
    mend: "update the engine",
};
const MANAGER: Check = Check {
    id: "docker.swarm",
    group: Group::Docker,
    asks: "Is the engine a manager of a Swarm, where services with `swarm_service` are asked of it?",
    mend: "name a manager in `host`, or make this engine one (`docker swarm init`)",
};
const SERVICE: Check = Check {
    id: "docker.service",
    group: Group::Docker,
    asks: "Is each service that is configured there?",
    mend: "correct compose_project and compose_service, container or swarm_service in its \
           `[[service]]`; `docker ps --all` shows what there is",
};
const CLOCK: Check = Check {
    id: "docker.clock",
    group: Group::Docker,
    asks: "Do the clock of an engine on another machine and ours agree?",
    mend: "set the clock that is wrong: `timedatectl set-ntp true`, or chrony",
};
pub(super) const CHECKS: &[Check] = &[ENGINE, API, MANAGER, SERVICE, CLOCK];

/// The oldest API that the bot was tried with.
const OLDEST: (u32, u32) = (1, 41);

/// Looks at one engine and the services on it.
pub(super) async fn look(
    config: EngineConfig,
    services: Vec<Service>,
    limit: Limit,
) -> Vec<Finding> {
    let subject = config
        .name
        .clone()
        .unwrap_or_else(|| "the engine".to_owned());
    let (docker, swarm) = match (Docker::with(config.clone()), Swarm::with(config.clone())) {
        (Ok(docker), Ok(swarm)) => (docker, Arc::new(swarm)),
        (Err(error), _) | (_, Err(error)) => return vec![ENGINE.broken(&subject, error)],
    };
    let began = Timestamp::now();
    let about = match limit.ask(docker.about()).await {
        Ok(about) => about,
        Err(fault) => {
            let mut found = vec![ENGINE.broken(&subject, fault)];
            let why = "not looked at: its engine does not answer";
            found.extend(
                services
                    .iter()
                    .map(|one| SERVICE.unknown(one.name.as_str(), why)),
            );
            return found;
        }
    };
    let (version, api) = (&about.version, &about.api);
    let mut found = vec![ENGINE.ok(&subject, format!("Docker {version} answers"))];
    found.push(match numbers(api) {
        Some(numbers) if numbers >= OLDEST => API.ok(&subject, format!("its API is {api}")),
        Some(_) => API.warning(&subject, format!("its API is {api}")),
        None => API.unknown(&subject, "it does not tell the version of its API"),
    });
    let host = config.host.as_deref().unwrap_or("unix://");
    if let Some(theirs) = about.clock.filter(|_| !host.starts_with("unix://")) {
        found.push(CLOCK.clock(&subject, "the engine's", theirs, began));
    }
    let in_swarm = |one: &Service| matches!(one.target.platform(), PlatformKey::Swarm(_));
    if services.iter().any(in_swarm) {
        found.push(if about.manages {
            MANAGER.ok(&subject, "it manages a Swarm")
        } else {
            MANAGER.failed(&subject, "it is no manager of a Swarm")
        });
    }
    let docker = Arc::new(docker);
    let asked = services.iter().map(|one| {
        let driver: Arc<dyn Platform> = if in_swarm(one) {
            swarm.clone()
        } else {
            docker.clone()
        };
        let manages = about.manages;
        async move {
            if in_swarm(one) && !manages {
                let why = "not looked at: its engine is no manager of a Swarm";
                return SERVICE.unknown(one.name.as_str(), why);
            }
            service(SERVICE, &*driver, one, limit).await
        }
    });
    found.extend(futures_util::future::join_all(asked).await);
    found
}

/// Whether the platform has a service.
pub(super) async fn service(
    check: Check,
    driver: &dyn Platform,
    one: &Service,
    limit: Limit,
) -> Finding {
    let name = one.name.as_str();
    match limit.ask(driver.status(one)).await {
        Ok(status) => {
            let (all, well) = (status.replicas.len(), status.well());
            check.ok(name, format!("{}, {well} well", counted(all, "replica")))
        }
        Err(fault) => check.broken(name, fault),
    }
}

/// `1.41`
fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
