//! Managed fields: who wrote what.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::json::{list, now, set, text};

/// A path in the words of `fieldsV1`: `f:spec`, `k:{"name":"web"}`, `.` for an item itself.
pub type Path = Vec<String>;

/// Metadata that nobody owns.
const UNOWNED: [&str; 11] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "generateName",
];

/// By which fields the items of a list are told apart; `None` for lists that are one value.
pub fn keys(field: &str, item: &Value) -> Option<&'static [&'static str]> {
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets" => Some(&["name"]),
        "ports" if item.get("containerPort").is_some() => Some(&["containerPort", "protocol"]),
        "ports" if item.get("port").is_some() => Some(&["port", "protocol"]),
        "volumeMounts" => Some(&["mountPath"]),
        "conditions" => Some(&["type"]),
        "ownerReferences" => Some(&["uid"]),
        _ => None,
    }
}

/// The name of an item in a list.
pub fn item_key(keys: &[&str], item: &Value) -> String {
    let named = keys.iter().map(|key| {
        let value = item.get(*key).cloned();
        let value = value.unwrap_or_else(|| {
            if *key == "protocol" {
                json!("TCP")
            } else {
                json!("")
            }
        });
        ((*key).to_owned(), value)
    });
    format!("k:{}", Value::Object(named.collect()))
}

/// All ends of an object with their values; items of lists with `.` and `Null`.
pub fn leaves(object: &Value, sub: &str) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        let concerned = match key.as_str() {
            "apiVersion" | "kind" => false,
            "status" => sub == "status" || object.get("spec").is_none(),
            _ => sub != "status",
        };
        if !concerned {
            continue;
        }
        let mut path = vec![format!("f:{key}")];
        if key == "metadata" {
            for (key, value) in value.as_object().into_iter().flatten() {
                if !UNOWNED.contains(&key.as_str()) {
                    path.push(format!("f:{key}"));
                    walk(value, key, &mut path, &mut found);
                    path.pop();
                }
            }
        } else {
            walk(value, key, &mut path, &mut found);
        }
    }
    found
}

fn walk(value: &Value, field: &str, path: &mut Path, found: &mut BTreeMap<Path, Value>) {
    match value {
        // A selector is one value.
        Value::Object(map) if !map.is_empty() && field != "selector" => {
            for (key, value) in map {
                path.push(format!("f:{key}"));
                walk(value, key, path, found);
                path.pop();
            }
        }
        Value::Array(items) if field == "finalizers" => {
            for item in items {
                path.push(format!("v:{item}"));
                found.insert(path.clone(), item.clone());
                path.pop();
            }
        }
        Value::Array(items) if items.first().is_some_and(|one| keys(field, one).is_some()) => {
            for item in items {
                path.push(item_key(keys(field, item).unwrap_or(&["name"]), item));
                path.push(".".to_owned());
                found.insert(path.clone(), Value::Null);
                path.pop();
                for (key, value) in item.as_object().into_iter().flatten() {
                    path.push(format!("f:{key}"));
                    walk(value, key, path, found);
                    path.pop();
                }
                path.pop();
            }
        }
        value => drop(found.insert(path.clone(), value.clone())),
    }
}

/// One entry of the managed fields.
#[derive(Debug, Clone)]
pub struct Entry {
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    pub sub: String,
    pub api_version: String,
    pub time: String,
    pub paths: BTreeSet<Path>,
}

pub fn entries(object: &Value) -> Vec<Entry> {
    let all = list(object, "/metadata/managedFields").iter();
    all.map(|one| {
        let mut paths = BTreeSet::new();
        read(&one["fieldsV1"], &mut Vec::new(), &mut paths);
        Entry {
            manager: text(one, "/manager").to_owned(),
            operation: text(one, "/operation").to_owned(),
            sub: text(one, "/subresource").to_owned(),
            api_version: text(one, "/apiVersion").to_owned(),
            time: text(one, "/time").to_owned(),
            paths,
        }
    })
    .collect()
}

fn read(fields: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
    for (key, below) in fields.as_object().into_iter().flatten() {
        path.push(key.clone());
        if below.as_object().is_none_or(Map::is_empty) {
            found.insert(path.clone());
        } else {
            read(below, path, found);
        }
        path.pop();
    }
}

/// Writes the entries that own something into the object.
pub fn write(object: &mut Value, entries: &[Entry]) {
    let entries = entries.iter().filter(|entry| !entry.paths.is_empty());
    let entries = entries.map(|entry| {
        let mut fields = json!({});
        for path in &entry.paths {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            crate::json::map(&mut fields, &path);
        }
        let mut one = json!({
            "manager": entry.manager, "operation": entry.operation,
            "apiVersion": entry.api_version, "time": entry.time,
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        });
        if !entry.sub.is_empty() {
            one["subresource"] = json!(entry.sub);
        }
        one
    });
    let entries: Value = entries.collect();
    set(object, &["metadata", "managedFields"], entries);
}

/// Notes what a write that is no apply changed.
pub fn track(old: Option<&Value>, new: &mut Value, manager: &str, sub: &str) {
    let before = old.map(|old| leaves(old, sub)).unwrap_or_default();
    let after = leaves(new, sub);
    let written = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(value));
    let written: BTreeSet<Path> = written.map(|(path, _)| path.clone()).collect();
    let removed = before.keys().filter(|path| !after.contains_key(*path));
    let removed: BTreeSet<Path> = removed.cloned().collect();
    if written.is_empty() && removed.is_empty() {
        return;
    }
    let mut all = entries(new);
    for entry in &mut all {
        entry
            .paths
            .retain(|path| !written.contains(path) && !removed.contains(path));
    }
    let own = all
        .iter_mut()
        .find(|entry| entry.manager == manager && entry.operation == "Update" && entry.sub == sub);
    if let Some(own) = own {
        own.paths.extend(written);
        own.time = now();
    } else if !written.is_empty() {
        all.push(Entry {
            manager: manager.to_owned(),
            operation: "Update".to_owned(),
            sub: sub.to_owned(),
            api_version: text(new, "/apiVersion").to_owned(),
            time: now(),
            paths: written,
        });
    }
    write(new, &all);
}

/// A path as people read it: `.spec.template.spec.containers[name="web"].image`.
pub fn told(path: &Path) -> String {
    let parts = path.iter().map(|part| {
        if let Some(field) = part.strip_prefix("f:") {
            format!(".{field}")
        } else if let Some(key) = part.strip_prefix("k:") {
            let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let pairs: Vec<String> = key
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("[{}]", pairs.join(","))
        } else if let Some(value) = part.strip_prefix("v:") {
            format!("[{value}]")
        } else {
            String::new()
        }
    });
    parts.collect()
}
