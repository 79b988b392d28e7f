//! A service of a Swarm and its tasks at a moment.

use std::collections::HashMap;

use bollard::models::{Service as Model, Task};
use bollard::query_parameters::ListTasksOptionsBuilder;
use serde_json::Value;

use super::json_api;
use super::nodes::{Node, nodes};
use crate::engine::container::{list, some_names};
use crate::engine::{ContainerRef, Engine, Result, not_found, unsupported, unusable};
use treasury_domain::service::{Found, Service, ServiceName, Target};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::by_name;

/// Swarm's label for the name of the service, at its containers.
const SERVICE_NAME: &str = "com.docker.swarm.service.name";

/// The label of services that `docker stack deploy` made: the stack's name.
const STACK: &str = "com.docker.stack.namespace";

/// A service, and the manager that is asked of it.
#[derive(Clone, Copy)]
pub struct SwarmService<'a> {
    pub engine: &'a Engine,
    /// Its name in the Swarm.
    pub name: &'a str,
}

/// A service and its tasks at a moment.
pub struct Snapshot<'a> {
    pub service: SwarmService<'a>,
    pub id: String,
    /// The description as it is, for writing.
    pub spec: Value,
    /// What it was before the newest change.
    pub previous: Value,
    /// The same and more, for reading.
    pub model: Model,
    pub tasks: Vec<Task>,
    /// The Swarm's machines, by id.
    pub nodes: HashMap<String, Node>,
}

impl<'a> SwarmService<'a> {
    /// The service that an entry of the catalogue means.
    pub fn new(engine: &'a Engine, service: &'a Service) -> Result<Self> {
        match &service.target {
            Target::Swarm { service: name, .. } => Ok(Self { engine, name }),
            _ => Err(unsupported(format!(
                "{} is no service of a Swarm",
                service.name
            ))),
        }
    }

    /// The description with all around it.
    pub async fn read(self) -> Result<Value> {
        let Self { engine, name } = self;
        match json_api::get(engine, "the service", &format!("/services/{name}")).await {
            // The engine also finds a service by the beginning of its id.
            Ok(service) if service["Spec"]["Name"] == *name => Ok(service),
            Ok(_) | Err(PlatformError::NotFound { .. }) => Err(self.missing().await?),
            Err(error) => Err(no_manager(engine, error)),
        }
    }

    /// The error that tells which services there are instead.
    async fn missing(self) -> Result<PlatformError> {
        let services = json_api::get(self.engine, "the list of services", "/services").await?;
        let services = services.as_array().into_iter().flatten();
        let there = some_names(services.filter_map(|one| one["Spec"]["Name"].as_str()));
        let there = there.unwrap_or_else(|| "no services at all".to_owned());
        Ok(not_found(
            format!("the Swarm service {}", self.name),
            format!("there are: {there}. Correct `swarm_service` in the configuration"),
        ))
    }

    /// Its containers on this node, each by the name of its slot.
    pub async fn local_containers(self) -> Result<Vec<ContainerRef>> {
        let label = format!("{SERVICE_NAME}={}", self.name);
        let listed = list(self.engine, &[("label", &label)]).await?.into_iter();
        let mut found: Vec<ContainerRef> = listed.filter_map(ContainerRef::listed).collect();
        for one in &mut found {
            // The last part is the task's id, of no use to people.
            if let Some((slot, _)) = one.name.rsplit_once('.') {
                one.name = slot.to_owned();
            }
        }
        found.sort_by(|a, b| by_name(&a.name, &b.name));
        Ok(found)
    }
}

/// All services of the Swarm; those of a stack are called without its name.
pub async fn found(engine: &Engine) -> Result<Vec<Found>> {
    let services = json_api::get(engine, "the list of services", "/services").await?;
    let services = services.as_array().into_iter().flatten();
    let services = services.filter_map(|one| {
        let (spec, own) = (&one["Spec"], text(&one["Spec"]["Name"]));
        let stack = spec["Labels"][STACK].as_str();
        let short = stack.and_then(|stack| own.strip_prefix(stack)?.strip_prefix('_'));
        let name = ServiceName::parse(&short.unwrap_or(&own).to_lowercase()).ok()?;
        let image = text(&spec["TaskTemplate"]["ContainerSpec"]["Image"]);
        let (engine, service) = (None, own);
        Some(Found {
            service: Service::new(name, Target::Swarm { engine, service }),
            image: image.split('@').next().unwrap_or_default().to_owned(),
        })
    });
    let mut all: Vec<Found> = services.collect();
    all.sort_by(|a, b| a.service.name.cmp(&b.service.name));
    Ok(all)
}

impl<'a> Snapshot<'a> {
    /// Asks for all of it.
    pub async fn now(swarm: SwarmService<'a>) -> Result<Self> {
        let engine = swarm.engine;
        let (service, nodes) = tokio::try_join!(swarm.read(), nodes(engine))?;
        let id = text(&service["ID"]);
        let filters = HashMap::from([("service", vec![id.as_str()])]);
        let options = ListTasksOptionsBuilder::default().filters(&filters).build();
        let call = engine.client()?.list_tasks(Some(options));
        let tasks = engine.query("the list of tasks", call).await?;
        let model = serde_json::from_value(service.clone());
        let model = model.map_err(unusable("a service that the bot can't read"))?;
        Ok(Self {
            service: swarm,
            id,
            spec: service["Spec"].clone(),
            previous: service["PreviousSpec"].clone(),
            model,
            tasks,
            nodes,
        })
    }

    /// How many tasks there should be; `None` for a service that has one on each machine.
    pub fn desired(&self) -> Option<u32> {
        let replicas = &self.spec["Mode"]["Replicated"];
        // The engine leaves out what is zero.
        replicas.is_object().then(|| {
            let replicas = replicas["Replicas"].as_u64().unwrap_or(0);
            u32::try_from(replicas).unwrap_or(u32::MAX)
        })
    }
}

/// An engine that is no manager is not a failure but a mistake in the configuration.
pub fn no_manager(engine: &Engine, error: PlatformError) -> PlatformError {
    match error {
        PlatformError::Failed { message, .. } if message.contains("not a swarm manager") => {
            unsupported(format!(
                "the engine at {} is no Swarm manager: let the service's `engine` be one where \
                 `docker node ls` works",
                engine.host()
            ))
        }
        error => error,
    }
}

/// A text in JSON.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
