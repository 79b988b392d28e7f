//! What is kept of pods before they are touched: logs, descriptions without values, events.
//!
//! Their processes are not: seeing them needs a command run inside, for which the bot has no right.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::edit::remove;
use crate::{Kind, Resource, Result, Scope, Snapshot, events, if_there, logs};
use treasury_domain::service::Evidence;

/// What stands instead of a value that may be a secret.
const HIDDEN: &str = "***";

/// A copy of the whole object, values and all.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How far back events are kept.
const BACK: SignedDuration = SignedDuration::from_hours(24);

/// The pieces of all pods, and of the workload.
pub(crate) async fn evidence(scope: Scope<'_>, seen: &Snapshot) -> Result<Vec<Evidence>> {
    let (kind, name) = (scope.target.kind.word(), scope.target.name);
    let mut pieces = Vec::new();
    let described = description(&scope.workloads(), name).await?;
    pieces.extend(described.map(|text| piece(format!("{kind}-{name}.json"), text)));
    let since = Timestamp::now()
        .saturating_sub(BACK)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let events = match events::events(scope, seen, since).await {
        Ok(events) => events.iter().fold(String::new(), |text, event| {
            let detail = event.detail.as_deref().unwrap_or_default();
            text + &format!("{} {} {} {detail}\n", event.at, event.replica, event.what)
        }),
        Err(error) => format!("The events can't be read: {error}\n"),
    };
    pieces.push(piece(format!("{name}.events.txt"), events));
    let pods = scope.all(Kind::POD);
    for pod in &seen.pods {
        let name = pod.name();
        let Some(described) = description(&pods, name).await? else {
            continue;
        };
        pieces.push(piece(format!("{name}.json"), described));
        for container in &pod.spec.containers {
            let container = &container.name;
            // Without it the rest of the evidence is worth having all the same.
            let text = logs::whole(scope, name, container)
                .await
                .unwrap_or_else(|error| format!("The log can't be read: {error}\n"));
            pieces.push(piece(format!("{name}.{container}.logs.txt"), text));
        }
    }
    Ok(pieces)
}

fn piece(name: String, mut text: String) -> Evidence {
    let surplus = text.len().saturating_sub(Evidence::MAX_BYTES);
    text.drain(..text.ceil_char_boundary(surplus));
    Evidence { name, text }
}

/// The server's description of an object; `None` where it is gone.
async fn description(resource: &Resource, name: &str) -> Result<Option<String>> {
    let object = if_there(resource.get(name).await)?;
    Ok(object.map(without_values))
}

/// The description without the values of environment variables.
fn without_values(mut object: Value) -> String {
    remove(&mut object, &["metadata"], "managedFields");
    remove(&mut object, &["metadata", "annotations"], APPLIED);
    hide(&mut object);
    format!("{object:#}")
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
        let text = without_values(object);
        assert!(
            !text.contains("hunter2") && !text.contains("managedFields"),
            "{text}"
        );
        for kept in ["DB_PASSWORD", HIDDEN, "secretKeyRef", "fx"] {
            assert!(text.contains(kept), "{kept}");
        }
    }
}
