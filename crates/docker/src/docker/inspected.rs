//! What a container is, as the engine says it: with what bollard's models don't know.
//!
//! A setting of its configuration that they don't know goes into a copy as it is. One that lies deeper,
//! within a setting that a copy may have to change, is refused by name: it would be lost in silence.

use bollard::models::ContainerInspectResponse;
use serde_json::{Map, Value};

use crate::engine::container::name;
use crate::engine::{Engine, Result, json_api, unsupported, unusable};
use treasury_ports::platform::PlatformError;

/// The newest version that no engine is too new for: Docker 29.0 answers nothing older. In its words
/// `Config.MacAddress` is what was asked for in the container's own network; from 1.52 on only
/// addresses in use are shown.
const OLD: &str = "/v1.44";

const WHAT: &str = "the description of a container";

/// A container with what the models drop.
#[derive(Debug, Clone, Default)]
pub struct Inspected {
    pub facts: ContainerInspectResponse,
    /// Further settings of the container.
    pub config: Map<String, Value>,
    /// Further settings of its host's side.
    pub host: Map<String, Value>,
    /// The MAC address that was asked for, in its own network.
    pub mac: Option<String>,
}

impl Inspected {
    /// A container by its id; `None` if it is gone. What a copy could not have is refused by name.
    pub async fn of(engine: &Engine, id: &str) -> Result<Option<Self>> {
        let path = format!("/containers/{id}/json");
        let Some(raw) = raw(engine, &path).await? else {
            return Ok(None);
        };
        let mut inspected = Self::read(&raw)?;
        let mac = |raw: &Value| filled(&raw["Config"]["MacAddress"]);
        inspected.mac = match mac(&raw) {
            None => match json_api::get(engine, WHAT, &format!("{OLD}{path}")).await {
                // An engine that is older still has said all there is.
                Err(PlatformError::Failed { message, .. }) if message.contains("too new") => None,
                answer => mac(&answer?),
            },
            mac => mac,
        };
        Ok(Some(inspected))
    }

    /// Refuses by name what a copy of this container could not have.
    pub async fn copyable(engine: &Engine, id: &str) -> Result<()> {
        match raw(engine, &format!("/containers/{id}/json")).await? {
            Some(raw) => Self::read(&raw).map(drop),
            None => Ok(()),
        }
    }

    fn read(raw: &Value) -> Result<Self> {
        let what = "a container's description that can't be read";
        let facts = serde_json::from_value(raw.clone()).map_err(unusable(what))?;
        let facts: ContainerInspectResponse = facts;
        let known = serde_json::to_value(&facts).map_err(unusable(what))?;
        let (mut kept, mut deeper) = ([Map::new(), Map::new()], Vec::new());
        for (part, kept) in ["Config", "HostConfig"].into_iter().zip(&mut kept) {
            for (key, value) in raw[part].as_object().into_iter().flatten() {
                match known[part].get(key) {
                    Some(known) => unknown(&format!("{part}.{key}"), value, known, &mut deeper),
                    None if says_something(value) => {
                        kept.insert(key.clone(), value.clone());
                    }
                    None => {}
                }
            }
        }
        if let Some(path) = deeper.first() {
            return Err(unsupported(format!(
                "{} has the setting {path}, which this version of the bot can't give to a new \
                 container: `docker compose up -d` can. Nothing was done",
                name(&facts)
            )));
        }
        let [mut config, host] = kept;
        // It is carried by itself: engines differ in where it belongs.
        config.remove("MacAddress");
        Ok(Self {
            facts,
            config,
            host,
            mac: None,
        })
    }
}

/// A container as the engine writes it; `None` if it is gone.
async fn raw(engine: &Engine, path: &str) -> Result<Option<Value>> {
    match json_api::get(engine, WHAT, path).await {
        Err(PlatformError::NotFound { .. }) => Ok(None),
        answer => Ok(Some(answer?)),
    }
}

/// Collects the places of what says something and is not known.
fn unknown(path: &str, raw: &Value, known: &Value, found: &mut Vec<String>) {
    match (raw, known) {
        (Value::Object(raw), Value::Object(known)) => {
            for (key, value) in raw {
                let path = format!("{path}.{key}");
                match known.get(key) {
                    Some(known) => unknown(&path, value, known, found),
                    None if says_something(value) => found.push(path),
                    None => {}
                }
            }
        }
        (Value::Array(raw), Value::Array(known)) => {
            for (at, (raw, known)) in raw.iter().zip(known).enumerate() {
                unknown(&format!("{path}[{at}]"), raw, known, found);
            }
        }
        _ => {}
    }
}

/// It is not what the engine writes where nothing was asked for.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(all) => all.values().any(says_something),
    }
}

fn filled(text: &Value) -> Option<String> {
    let text = text.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_models_drop_is_kept_or_refused_by_name() {
        let raw = json!({
            "Name": "/web", "Config": {"Image": "web:1", "MacAddress": "02:42", "New": {"A": 1},
                "Empty": [], "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["CMD", "a"]}},
            "HostConfig": {"KernelMemory": 0, "KernelMemoryTCP": 7, "RestartPolicy":
                {"Name": "always", "MaximumRetryCount": 0}},
        });
        let read = Inspected::read(&raw).unwrap();
        assert_eq!(json!(read.config), json!({"New": {"A": 1}}));
        assert_eq!(json!(read.host), json!({"KernelMemoryTCP": 7}));
        let mut deeper = raw.clone();
        deeper["HostConfig"]["RestartPolicy"]["Patience"] = json!(3);
        deeper["HostConfig"]["Mounts"] =
            json!([{"Type": "bind", "Source": "/a", "Target": "/b", "Colour": ""}]);
        let told = Inspected::read(&deeper).unwrap_err().to_string();
        assert!(
            told.starts_with("web has the setting HostConfig.RestartPolicy.Patience,"),
            "{told}"
        );
        deeper["HostConfig"]["RestartPolicy"]["Patience"] = json!(0);
        Inspected::read(&deeper).unwrap();
        deeper["HostConfig"]["Mounts"][0]["Colour"] = json!("red");
        let told = Inspected::read(&deeper).unwrap_err().to_string();
        assert!(told.contains("HostConfig.Mounts[0].Colour"), "{told}");
    }
}
