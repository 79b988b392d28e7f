//! The patches that need no memory of who wrote what.

use serde_json::{Map, Value, json};

use crate::status::Status;

/// The object with a patch of this content type.
pub fn apply(content_type: &str, object: &Value, patch: &Value) -> Result<Value, Status> {
    let mut new = object.clone();
    match content_type {
        "application/merge-patch+json" => merge(&mut new, patch),
        "application/strategic-merge-patch+json" => strategic(&mut new, patch),
        "application/json-patch+json" => {
            let steps = patch.as_array().cloned().unwrap_or_default();
            for step in &steps {
                operate(&mut new, step).ok_or_else(|| {
                    Status::plain(
                        422,
                        "Invalid",
                        "the server rejected our request due to an error in our request",
                    )
                })?;
            }
        }
        other => return Err(Status::unsupported_patch(other)),
    }
    Ok(new)
}

/// RFC 7386.
pub fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// By which key the items of a list are merged; `None` for lists that are replaced.
fn merge_key(field: &str, items: &[Value]) -> Option<&'static str> {
    let has = |key: &str| items.iter().any(|item| item.get(key).is_some());
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets" => Some("name"),
        "ports" if has("containerPort") => Some("containerPort"),
        "ports" if has("port") => Some("port"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "hostAliases" => Some("ip"),
        "conditions" => Some("type"),
        "ownerReferences" => Some("uid"),
        "topologySpreadConstraints" => Some("topologyKey"),
        _ => None,
    }
}

fn strategic(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if patch.get("$patch") == Some(&json!("replace")) {
        let mut whole = patch.clone();
        whole.remove("$patch");
        *target = Value::Object(whole);
        return;
    }
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|key, _| kept.iter().any(|one| one == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().cloned().unwrap_or_default();
            if let Some(list) = target.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|one| !gone.contains(one));
            }
        } else if key.starts_with('$') {
        } else if value.is_null() {
            target.remove(key);
        } else if let Some(items) = value.as_array() {
            list(target, key, items);
        } else if value.is_object() && value.get("$patch") == Some(&json!("delete")) {
            target.remove(key);
        } else {
            strategic(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn list(target: &mut Map<String, Value>, field: &str, items: &[Value]) {
    let whole = items
        .iter()
        .any(|item| item == &json!({"$patch": "replace"}));
    let mut items: Vec<Value> = items.to_vec();
    items.retain(|item| item != &json!({"$patch": "replace"}));
    let present = target.entry(field).or_insert_with(|| json!([]));
    let Some(present) = present.as_array_mut() else {
        *present = Value::Array(items);
        return;
    };
    if field == "finalizers" && !whole {
        for item in items {
            if !present.contains(&item) {
                present.push(item);
            }
        }
        return;
    }
    let Some(by) = merge_key(field, &items).filter(|_| !whole) else {
        *present = items;
        return;
    };
    for item in items {
        let at = present.iter().position(|one| one.get(by) == item.get(by));
        let deleted = item.get("$patch") == Some(&json!("delete"));
        match at {
            Some(at) if deleted => drop(present.remove(at)),
            Some(at) => strategic(&mut present[at], &item),
            None if deleted => {}
            None => {
                let mut fresh = json!({});
                strategic(&mut fresh, &item);
                present.push(fresh);
            }
        }
    }
}

/// One operation of RFC 6902.
fn operate(target: &mut Value, step: &Value) -> Option<()> {
    let path = step["path"].as_str()?;
    let value = || step.get("value").cloned();
    match step["op"].as_str()? {
        "add" => add(target, path, value()?),
        "remove" => take(target, path).map(drop),
        "replace" => {
            *target.pointer_mut(path)? = value()?;
            Some(())
        }
        "test" => (target.pointer(path)? == &value()?).then_some(()),
        "copy" => {
            let copied = target.pointer(step["from"].as_str()?)?.clone();
            add(target, path, copied)
        }
        "move" => {
            let moved = take(target, step["from"].as_str()?)?;
            add(target, path, moved)
        }
        _ => None,
    }
}

fn parent<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (above, last) = path.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Some((target.pointer_mut(above)?, last))
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    let (above, last) = parent(target, path)?;
    match above {
        Value::Object(map) => drop(map.insert(last, value)),
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => {
            let at = last.parse().ok().filter(|at| *at <= list.len())?;
            list.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn take(target: &mut Value, path: &str) -> Option<Value> {
    let (above, last) = parent(target, path)?;
    match above {
        Value::Object(map) => map.remove(&last),
        Value::Array(list) => {
            let at = last.parse().ok().filter(|at| *at < list.len())?;
            Some(list.remove(at))
        }
        _ => None,
    }
}
