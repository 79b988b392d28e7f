//! What is kept of containers before they are touched.

use bollard::models::ContainerInspectResponse;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::find;
use crate::engine::container::replica;
use crate::engine::{ContainerRef, Engine, Result, logs, optional, unusable};
use treasury_domain::service::{Evidence, Service};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::clean;

/// What is shown instead of a value that may be a secret.
const HIDDEN: &str = "***";

/// Words in the names of options whose values may be secrets.
const SECRET: [&str; 6] = ["token", "secret", "passw", "key", "auth", "cred"];

/// Logs, description and processes of each container.
pub async fn evidence(engine: &Engine, service: &Service) -> Result<Vec<Evidence>> {
    let found = find::described(engine, service).await?.into_iter();
    let pieces = try_join_all(found.map(|facts| of_container(engine, facts)));
    Ok(pieces.await?.into_iter().flatten().collect())
}

/// The pieces of one container.
async fn of_container(engine: &Engine, facts: ContainerInspectResponse) -> Result<Vec<Evidence>> {
    let ContainerRef { id, name, .. } = ContainerRef::described(&facts);
    let running = facts.state.as_ref().and_then(|state| state.running) == Some(true);
    let log = match logs::whole(engine, &id, Evidence::MAX_BYTES).await {
        Ok(text) => text.unwrap_or_default(),
        // Some log drivers can't be read; the rest of the evidence is worth having all the same.
        Err(error @ (PlatformError::Failed { .. } | PlatformError::Unsupported(_))) => {
            format!("The log can't be read: {error}\n")
        }
        Err(error) => return Err(error),
    };
    let mut pieces = vec![
        Evidence::newest(format!("{name}.logs.txt"), log),
        Evidence::newest(format!("{name}.inspect.json"), description(facts, &name)?),
    ];
    if running {
        let table = match processes(engine, &id).await {
            // The engine calls the `ps` of its machine, and not every machine has one.
            Err(error @ PlatformError::Failed { .. }) => {
                Some(format!("The processes can't be listed: {error}\n"))
            }
            told => told?,
        };
        let piece = |table| Evidence::newest(format!("{name}.processes.txt"), table);
        pieces.extend(table.map(piece));
    }
    Ok(pieces)
}

/// The engine's description without values that may be secrets.
fn description(facts: ContainerInspectResponse, name: &str) -> Result<String> {
    let described = || {
        let mut facts = serde_json::to_value(facts)?;
        let env = facts.pointer_mut("/Config/Env");
        for line in env.and_then(Value::as_array_mut).into_iter().flatten() {
            let variable = line.as_str().unwrap_or_default();
            let variable = variable.split('=').next().unwrap_or_default();
            *line = format!("{variable}={HIDDEN}").into();
        }
        hide_options(&mut facts);
        serde_json::to_string_pretty(&facts)
    };
    let what = format!("a description of {name} that can't be kept");
    described().map_err(unusable(what))
}

/// Hides the options of log and volume drivers whose names sound like a secret.
fn hide_options(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let options = matches!(name.as_str(), "LogConfig" | "DriverConfig" | "DriverOpts");
                if options {
                    hide_named(value);
                } else {
                    hide_options(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_options),
        _ => {}
    }
}

fn hide_named(value: &mut Value) {
    let Value::Object(members) = value else {
        return;
    };
    for (name, value) in members {
        let name = name.to_lowercase();
        // A file system's options stand in `o`: `username=…,password=…`.
        let secret = name == "o" || SECRET.iter().any(|word| name.contains(word));
        match value {
            Value::String(text) if secret => HIDDEN.clone_into(text),
            other => hide_named(other),
        }
    }
}

/// The processes as a table; `None` if it has ended meanwhile.
async fn processes(engine: &Engine, id: &str) -> Result<Option<String>> {
    let call = engine.client()?.top_processes(id, None);
    let top = match engine.change("the processes", optional(call)).await {
        Ok(Some(top)) => top,
        Ok(None) => return Ok(None),
        Err(error) => {
            let now = replica(engine, id).await?;
            let ended = now.is_none_or(|now| now.finished_at.is_some());
            return if ended { Ok(None) } else { Err(error) };
        }
    };
    let mut table = String::new();
    for row in top.titles.iter().chain(top.processes.iter().flatten()) {
        let cells: Vec<String> = row.iter().map(|cell| clean(cell)).collect();
        table.push_str(&cells.join("\t"));
        table.push('\n');
    }
    Ok(Some(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_tells_all_but_the_secrets() {
        let facts = serde_json::json!({
            "Name": "/web", "Config": {"Env": ["DB_PASSWORD=hunter2", "EMPTY=", "BARE"],
                "Labels": {"team": "fx"}, "Cmd": ["serve", "--port=1"]},
            "HostConfig": {
                "LogConfig": {"Type": "splunk", "Config": {"splunk-token": "hunter2", "tag": "web"}},
                "Mounts": [{"Type": "volume", "Target": "/m", "VolumeOptions": {
                    "DriverConfig": {"Name": "local", "Options": {"o": "password=hunter2"}}}}]},
        });
        let text = description(serde_json::from_value(facts).unwrap(), "web").unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        for kept in [
            "DB_PASSWORD=***",
            "EMPTY=***",
            "BARE=***",
            "fx",
            "--port=1",
            "splunk",
            "\"tag\": \"web\"",
        ] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn the_end_of_a_long_text_is_kept() {
        let long = format!("ä{}", "x".repeat(Evidence::MAX_BYTES - 1));
        let kept = Evidence::newest("a".into(), long).text;
        assert_eq!(kept, "x".repeat(Evidence::MAX_BYTES - 1));
    }
}
