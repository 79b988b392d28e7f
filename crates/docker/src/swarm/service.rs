//! A service's description: read, changed without losing what others wrote.

use std::collections::HashMap;

use bollard::models::{Service as Model, Task};
use bollard::query_parameters::ListTasksOptionsBuilder;
use serde_json::{Map, Value, json};

use super::super::PLATFORM;
use super::super::engine::{ASK, Engine};
use super::super::image;
use super::{Swarm, raw};
use treasury_ports::platform::PlatformError;

/// Our label for the intent of the newest restart.
pub(super) const INTENT: &str = "treasury-bot.intent";

/// So often a change is tried that others overtake.
const TRIES: usize = 6;

/// The most names that an error lists.
const NAMES: usize = 12;

/// A service and its tasks at a moment.
pub(super) struct Seen<'a> {
    pub(super) swarm: Swarm<'a>,
    pub(super) id: String,
    /// The description as it is, for writing.
    pub(super) spec: Value,
    /// What it was before the newest change.
    pub(super) previous: Value,
    /// The same and more, for reading.
    pub(super) model: Model,
    pub(super) tasks: Vec<Task>,
    /// Names of the Swarm's machines, by id.
    pub(super) nodes: HashMap<String, String>,
}

impl<'a> Seen<'a> {
    /// Asks for all of it.
    pub(super) async fn now(swarm: Swarm<'a>) -> Result<Self, PlatformError> {
        let engine = swarm.engine;
        let (service, nodes) = tokio::try_join!(read(swarm), nodes(engine))?;
        let id = text(&service["ID"]);
        let filters = HashMap::from([("service", vec![id.as_str()])]);
        let options = ListTasksOptionsBuilder::default().filters(&filters).build();
        let call = engine.client()?.list_tasks(Some(options));
        let tasks = engine.call("the list of tasks", ASK, call).await?;
        let model = serde_json::from_value(service.clone());
        let model: Model = model.map_err(|error| PlatformError::Failed {
            platform: PLATFORM,
            message: format!("a service that the bot can't read: {error}"),
            source: Some(Box::new(error)),
        })?;
        Ok(Self {
            swarm,
            id,
            spec: service["Spec"].clone(),
            previous: service["PreviousSpec"].clone(),
            model,
            tasks,
            nodes,
        })
    }

    /// How many tasks there should be; `None` for a service that has one on each machine.
    pub(super) fn wanted(&self) -> Option<u32> {
        let replicas = &self.spec["Mode"]["Replicated"];
        // The engine leaves out what is zero.
        replicas.is_object().then(|| {
            let replicas = replicas["Replicas"].as_u64().unwrap_or(0);
            u32::try_from(replicas).unwrap_or(u32::MAX)
        })
    }
}

/// Swarm's own view of the machines.
async fn nodes(engine: &Engine) -> Result<HashMap<String, String>, PlatformError> {
    let call = engine.client()?.list_nodes(None);
    let nodes = engine.call("the list of nodes", ASK, call).await;
    let nodes = nodes.map_err(|error| no_manager(engine, error))?;
    let name = |node: bollard::models::Node| {
        let id = node.id?;
        let name = node.description.and_then(|about| about.hostname);
        Some((id.clone(), name.unwrap_or(id)))
    };
    Ok(nodes.into_iter().filter_map(name).collect())
}

/// The description with all around it.
async fn read(swarm: Swarm<'_>) -> Result<Value, PlatformError> {
    let Swarm { engine, name, .. } = swarm;
    let path = format!("/services/{name}");
    match raw::get(engine, "the service", &path).await {
        // The engine also finds a service by the beginning of its id.
        Ok(service) if service["Spec"]["Name"] == *name => Ok(service),
        Ok(_) | Err(PlatformError::NotFound { .. }) => Err(missing(engine, name).await?),
        Err(error) => Err(no_manager(engine, error)),
    }
}

/// The error that tells which services there are instead.
async fn missing(engine: &Engine, name: &str) -> Result<PlatformError, PlatformError> {
    let services = raw::get(engine, "the list of services", "/services").await?;
    let services = services.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<&str> = services
        .iter()
        .filter_map(|service| service["Spec"]["Name"].as_str())
        .collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let there = match (names.len(), more) {
        (0, _) => "no services at all".to_owned(),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    };
    Ok(PlatformError::NotFound {
        platform: PLATFORM,
        what: format!("the Swarm service {name}"),
        hint: format!("there are: {there}. Mend `swarm_service` in the catalogue"),
    })
}

/// An engine that is no manager is not a failure but a mistake in the configuration.
fn no_manager(engine: &Engine, error: PlatformError) -> PlatformError {
    match error {
        PlatformError::Failed { message, .. } if message.contains("not a swarm manager") => {
            PlatformError::Unsupported(format!(
                "the engine at {} is no Swarm manager: let the service's `engine` be one where \
                 `docker node ls` works",
                engine.host()
            ))
        }
        error => error,
    }
}

/// Changes the description as long as `change` finds something to change. Whoever is overtaken by
/// another change looks at the new description and tries again: nothing is overwritten unseen.
pub(super) async fn change(
    swarm: Swarm<'_>,
    change: impl Fn(&mut Value) -> bool,
) -> Result<bool, PlatformError> {
    let mut tries = 0;
    loop {
        let mut service = read(swarm).await?;
        let (id, version) = (text(&service["ID"]), service["Version"]["Index"].clone());
        let spec = &mut service["Spec"];
        if !change(spec) {
            return Ok(false);
        }
        let path = format!("/services/{id}/update?version={version}&registryAuthFrom=spec");
        let what = format!("the change of {}", swarm.name);
        match raw::post(swarm.engine, &what, &path, spec).await {
            Ok(_) => return Ok(true),
            Err(PlatformError::Failed { message, .. })
                if message.contains("out of sequence") && tries < TRIES =>
            {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A label of a description.
pub(super) fn label<'s>(spec: &'s Value, name: &str) -> Option<&'s str> {
    spec["Labels"][name].as_str()
}

/// Sets a label of a description, or removes it. Labels of the service, not of its containers: a
/// change of them alone starts no task anew.
pub(super) fn set_label(spec: &mut Value, name: &str, value: Option<&str>) {
    if !spec["Labels"].is_object() {
        spec["Labels"] = Value::Object(Map::new());
    }
    match (value, spec["Labels"].as_object_mut()) {
        (Some(value), _) => spec["Labels"][name] = json!(value),
        (None, Some(labels)) => {
            labels.remove(name);
        }
        (None, None) => {}
    }
}

/// The image in a description.
pub(super) fn image_of(spec: &Value) -> &str {
    let image = &spec["TaskTemplate"]["ContainerSpec"]["Image"];
    image.as_str().unwrap_or_default()
}

/// An image for people: the name alone, or what was asked for where it is only an id.
pub(super) fn shown(image: &str, spec: &Value) -> String {
    if image::is_id(image) {
        let asked = label(spec, super::versions::ASKED).filter(|_| image_of(spec) == image);
        return asked.map_or_else(|| image.to_owned(), str::to_owned);
    }
    let named = image.split_once('@').map_or(image, |(name, _)| name);
    named.to_owned()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_changed_beside_others() {
        let mut spec = json!({"Labels": {"a": "1"}, "Name": "web"});
        set_label(&mut spec, INTENT, Some("7"));
        assert_eq!(label(&spec, INTENT), Some("7"));
        set_label(&mut spec, INTENT, None);
        assert_eq!(spec, json!({"Labels": {"a": "1"}, "Name": "web"}));
        let mut bare = json!({"Labels": null});
        set_label(&mut bare, INTENT, Some("7"));
        assert_eq!(bare, json!({"Labels": {INTENT: "7"}}));
    }

    #[test]
    fn an_image_is_shown_by_its_name() {
        let id = format!("sha256:{}", "0a".repeat(32));
        let spec = json!({"Labels": {super::super::versions::ASKED: "api:2"},
            "TaskTemplate": {"ContainerSpec": {"Image": id}}});
        assert_eq!(shown("api:1@sha256:77", &spec), "api:1");
        assert_eq!(shown(&id, &spec), "api:2");
        let other = id.replace("0a", "0b");
        assert_eq!(
            shown(&other, &spec),
            other,
            "the label tells of the present one only"
        );
    }
}
