//! Which containers are a service's.

use std::collections::{BTreeSet, HashMap};

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::{Docker, NAME, QUICK};
use crate::domain::{Service, ServiceName, Target};
use crate::platform::PlatformError;

pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
pub(super) const NUMBER: &str = "com.docker.compose.container-number";
pub(super) const ONE_OFF: &str = "com.docker.compose.oneoff";

/// A container of a service.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) id: String,
    /// Without the leading slash.
    pub(super) name: String,
    /// Compose's number, 1 where there is none.
    pub(super) number: u32,
    pub(super) running: bool,
    /// Made, never started.
    pub(super) created: bool,
}

impl Docker {
    /// The service's containers, running or not, by number; `NotFound` when there is none.
    pub(super) async fn find(&self, service: &Service) -> Result<Vec<Found>, PlatformError> {
        let filters = match &service.target {
            Target::Compose { project, service } => HashMap::from([(
                "label".to_owned(),
                vec![
                    format!("{PROJECT}={project}"),
                    format!("{SERVICE}={service}"),
                ],
            )]),
            // The engine takes the name for a pattern; the exact one is picked below.
            Target::Container { name } => HashMap::from([("name".to_owned(), vec![name.clone()])]),
            Target::Simulated { .. } => {
                return Err(PlatformError::Unsupported(format!(
                    "{} does not run on Docker",
                    service.name
                )));
            }
        };
        let listed = self.list(filters).await?;
        let mut found: Vec<Found> = listed
            .into_iter()
            .filter(|summary| label(summary, ONE_OFF) != Some("True"))
            .filter_map(|summary| {
                let name = summary
                    .names
                    .as_ref()?
                    .first()?
                    .trim_start_matches('/')
                    .to_owned();
                let state = summary
                    .state
                    .map(|state| state.to_string())
                    .unwrap_or_default();
                Some(Found {
                    number: label(&summary, NUMBER)
                        .and_then(|n| n.parse().ok())
                        .unwrap_or(1),
                    running: matches!(state.as_str(), "running" | "restarting" | "paused"),
                    created: state == "created",
                    id: summary.id?,
                    name,
                })
            })
            .filter(|found| match &service.target {
                Target::Container { name } => found.name == *name,
                _ => true,
            })
            .collect();
        if found.is_empty() {
            return Err(self.not_found(service).await);
        }
        found.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        Ok(found)
    }

    async fn list(
        &self,
        filters: HashMap<String, Vec<String>>,
    ) -> Result<Vec<ContainerSummary>, PlatformError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        self.call(
            "list containers",
            QUICK,
            self.client.list_containers(Some(options)),
        )
        .await
    }

    /// Says what was looked for, and what is there instead.
    async fn not_found(&self, service: &Service) -> PlatformError {
        let (what, mend) = match &service.target {
            Target::Compose {
                project,
                service: wanted,
            } => {
                let filters =
                    HashMap::from([("label".to_owned(), vec![format!("{PROJECT}={project}")])]);
                let there: BTreeSet<String> = self
                    .list(filters)
                    .await
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|summary| label(summary, SERVICE).map(str::to_owned))
                    .collect();
                let mend = if there.is_empty() {
                    format!(
                        "no container has the label {PROJECT}={project}: is it up \
                         (`docker compose -p {project} up -d`), and is compose_project right?"
                    )
                } else {
                    let names: Vec<_> = there.into_iter().collect();
                    format!(
                        "the project `{project}` has the services {}",
                        names.join(", ")
                    )
                };
                (
                    format!("the Compose service `{wanted}` of the project `{project}`"),
                    mend,
                )
            }
            Target::Container { name } => (
                format!("the container `{name}`"),
                "is it made (`docker ps -a`), and is `container` right?".to_owned(),
            ),
            Target::Simulated { name } => (name.clone(), "it does not run on Docker".to_owned()),
        };
        PlatformError::NotFound {
            platform: NAME,
            what,
            mend,
        }
    }

    /// The Compose services of this engine, for a demo without a configuration.
    pub async fn discover(&self) -> Result<Vec<Service>, PlatformError> {
        let filters = HashMap::from([("label".to_owned(), vec![SERVICE.to_owned()])]);
        let mut known = BTreeSet::new();
        for summary in self.list(filters).await? {
            if let (Some(project), Some(service)) =
                (label(&summary, PROJECT), label(&summary, SERVICE))
            {
                known.insert((service.to_owned(), project.to_owned()));
            }
        }
        let mut names = BTreeSet::new();
        Ok(known
            .into_iter()
            .filter_map(|(service, project)| {
                // Two projects may have a service of the same name.
                let plain = ServiceName::parse(&service.to_lowercase()).ok()?;
                let name = if names.insert(plain.clone()) {
                    plain
                } else {
                    ServiceName::parse(&format!("{project}.{service}").to_lowercase()).ok()?
                };
                Some(Service {
                    name,
                    target: Target::Compose { project, service },
                    min_replicas: 1,
                    max_replicas: 10,
                    health_url: None,
                })
            })
            .collect())
    }
}

fn label<'a>(summary: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    summary.labels.as_ref()?.get(name).map(String::as_str)
}
