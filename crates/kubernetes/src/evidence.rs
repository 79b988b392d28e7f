//! What is kept of pods before they are touched: logs, descriptions without values, events.
//!
//! Their processes are not: seeing them needs a command run inside, for which the bot has no right.

use jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;
use serde_json::Value;

use super::api::Line;
use super::find::{self, Place, Seen};
use super::workload::named;
use super::{PLATFORM, events, logs, pod};
use treasury_domain::service::Evidence;
use treasury_ports::platform::PlatformError;

/// What stands instead of a value that may be a secret.
const HIDDEN: &str = "***";

/// A copy of the whole object, values and all.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How far back events are kept.
const BACK: SignedDuration = SignedDuration::from_hours(24);

/// The pieces of all pods, and of the workload.
pub(super) async fn evidence(
    line: &Line,
    place: Place<'_>,
    seen: &Seen,
) -> Result<Vec<Evidence>, PlatformError> {
    let mut pieces = vec![piece(
        format!("{}-{}.json", place.kind.word(), place.name),
        description(seen.workload.object.clone())?,
    )];
    let since = Timestamp::now()
        .saturating_sub(BACK)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let events = match events::events(line, place, seen, since).await {
        Ok(events) => events.iter().fold(String::new(), |mut text, event| {
            let detail = event.detail.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "{} {} {} {detail}\n",
                event.at, event.replica, event.what
            ));
            text
        }),
        Err(error) => format!("The events can't be read: {error}\n"),
    };
    pieces.push(piece(format!("{}.events.txt", place.name), events));
    let described = find::objects(line, place, &named("", "v1", "Pod", "pods")).await?;
    let api = find::pods(line, place).await?;
    for pod in &seen.pods {
        let name = pod::name(pod);
        let call = async { super::api::if_there(described.get(name).await) };
        let Some(object) = line.call(&format!("reading {name}"), call).await? else {
            continue;
        };
        pieces.push(piece(format!("{name}.json"), description(object)?));
        for container in pod::containers(pod) {
            let text = match logs::whole(line, &api, name, &container.name).await {
                Ok(text) => text,
                // The rest of the evidence is worth having all the same.
                Err(error) => format!("The log can't be read: {error}\n"),
            };
            pieces.push(piece(format!("{name}.{}.logs.txt", container.name), text));
        }
    }
    Ok(pieces)
}

fn piece(name: String, mut text: String) -> Evidence {
    let surplus = text.len().saturating_sub(Evidence::MAX_BYTES);
    text.drain(..text.ceil_char_boundary(surplus));
    Evidence { name, text }
}

/// The server's description without the values of environment variables.
fn description(mut object: DynamicObject) -> Result<String, PlatformError> {
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove(APPLIED);
    }
    let failed = |error: serde_json::Error| PlatformError::Failed {
        platform: PLATFORM,
        message: format!("a description that can't be kept: {error}"),
        source: Some(Box::new(error)),
    };
    let mut facts = serde_json::to_value(object).map_err(failed)?;
    hide(&mut facts);
    serde_json::to_string_pretty(&facts).map_err(failed)
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let variables = value.as_array_mut().filter(|_| key == "env");
                match variables {
                    Some(all) => {
                        for value in all.iter_mut().filter_map(|one| one.get_mut("value")) {
                            *value = HIDDEN.into();
                        }
                    }
                    None => hide(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_tells_all_but_the_values_of_variables() {
        let object = json!({"metadata": {"name": "web", "annotations": {
                APPLIED: "hunter2", "team": "fx"}, "managedFields": [{"manager": "x"}]},
            "spec": {"template": {"spec": {"containers": [{"name": "web", "env": [
                {"name": "DB_PASSWORD", "value": "hunter2"},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "web", "key": "k"}}}]}]}}}});
        let text = description(serde_json::from_value(object).unwrap()).unwrap();
        assert!(
            !text.contains("hunter2") && !text.contains("managedFields"),
            "{text}"
        );
        for kept in ["DB_PASSWORD", HIDDEN, "secretKeyRef", "fx"] {
            assert!(text.contains(kept), "{kept}");
        }
    }
}
