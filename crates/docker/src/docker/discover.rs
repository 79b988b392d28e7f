//! The services of an engine that no configuration names yet.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::ContainerSummary;

use super::find::{DEPENDS_ON, ONE_OFF, PROJECT, SERVICE, before_replaced};
use crate::engine::container::{list, listed_label};
use crate::engine::{ContainerRef, Engine, Result};
use treasury_domain::service::Found;
use treasury_domain::{Service, ServiceName, Target};

/// Labels of containers that a Swarm or a Kubernetes keeps: theirs to change.
const NOT_OURS: [&str; 2] = ["com.docker.swarm.service.id", "io.kubernetes.pod.name"];

/// All services of this engine; see [`Docker::found`](super::Docker::found).
pub async fn services(engine: &Engine, projects: &[String]) -> Result<Vec<Found>> {
    let mut compose = BTreeMap::new();
    let mut single = BTreeMap::new();
    for summary in list(engine, &[]).await? {
        let is_ours = |label: &&str| listed_label(&summary, label).is_none();
        if !NOT_OURS.iter().all(is_ours) || listed_label(&summary, ONE_OFF) == Some("True") {
            continue;
        }
        let label = |name| listed_label(&summary, name).map(str::to_owned);
        if let (Some(service), Some(project)) = (label(SERVICE), label(PROJECT)) {
            if projects.is_empty() || projects.contains(&project) {
                compose.entry((service, project)).or_insert(summary);
            }
        } else if projects.is_empty()
            && let Some(one) = ContainerRef::listed(summary.clone())
            && one.running
            && before_replaced(&one.name).is_none()
        {
            single.insert(one.name, summary);
        }
    }
    Ok(named(compose, single))
}

/// Gives each a name that people can type and no other has: its own, else its project's before it.
fn named(
    compose: BTreeMap<(String, String), ContainerSummary>,
    single: BTreeMap<String, ContainerSummary>,
) -> Vec<Found> {
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    let mut names = BTreeMap::new();
    for ((service, project), summary) in &compose {
        let Some(name) = free(&mut taken, [service, &format!("{project}.{service}")]) else {
            continue;
        };
        names.insert((project, service.as_str()), name.clone());
        let target = Target::Compose {
            engine: None,
            project: project.clone(),
            service: service.clone(),
        };
        found.push((entry(name, target, summary), project, summary));
    }
    let resolved = found.into_iter().map(|(mut one, project, summary)| {
        let listed = listed_label(summary, DEPENDS_ON).unwrap_or_default();
        let below = listed.split(',').filter_map(|one| one.split(':').next());
        let below = below.filter_map(|service| names.get(&(project, service)).cloned());
        one.service.depends_on = below.collect();
        one
    });
    let mut found: Vec<Found> = resolved.collect();
    for (container, summary) in &single {
        if let Some(name) = free(&mut taken, [container, &format!("container.{container}")]) {
            let (engine, own) = (None, container.clone());
            found.push(entry(
                name,
                Target::Container { engine, name: own },
                summary,
            ));
        }
    }
    found
}

fn entry(name: ServiceName, target: Target, summary: &ContainerSummary) -> Found {
    Found {
        service: Service::new(name, target),
        image: summary.image.clone().unwrap_or_default(),
    }
}

/// The first of these that is a name and is not taken.
fn free(taken: &mut BTreeSet<ServiceName>, wanted: [&str; 2]) -> Option<ServiceName> {
    let mut names = wanted.into_iter();
    let name = names.find_map(|one| {
        let name = ServiceName::parse(&one.to_lowercase()).ok()?;
        taken.insert(name.clone()).then_some(name)
    });
    if name.is_none() {
        tracing::warn!(service = wanted[0], "left out: it has no name of its own");
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn summary(image: &str, depends_on: &str) -> ContainerSummary {
        let label = (DEPENDS_ON.to_owned(), depends_on.to_owned());
        ContainerSummary {
            image: Some(image.to_owned()),
            labels: Some(HashMap::from([label])),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn services_of_two_projects_keep_apart_and_depend_on_their_own() {
        let key = |service: &str, project: &str| (service.to_owned(), project.to_owned());
        let compose = BTreeMap::from([
            (key("db", "shop"), summary("postgres:16", "")),
            (key("db", "treasury"), summary("postgres:17", "")),
            (
                key("web", "treasury"),
                summary(
                    "nginx",
                    "db:service_healthy:true,gone:service_started:false",
                ),
            ),
        ]);
        let single = BTreeMap::from([
            ("web".to_owned(), summary("caddy", "")),
            ("Tool_1".to_owned(), summary("tool", "")),
        ]);
        let found = named(compose, single);
        let shown: Vec<String> = found
            .iter()
            .map(|one| {
                let below = one.service.depends_on.iter().map(ServiceName::as_str);
                let below: Vec<&str> = below.collect();
                format!("{} {} {}", one.service.name, one.image, below.join(","))
            })
            .collect();
        let wanted = [
            "db postgres:16 ",
            "treasury.db postgres:17 ",
            "web nginx treasury.db",
            "tool_1 tool ",
            "container.web caddy ",
        ];
        assert_eq!(shown, wanted);
    }
}
