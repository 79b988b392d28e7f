//! Server-side apply.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::fields::{Entry, Path, entries, item_key, keys, leaves, told, write};
use crate::json::{now, set, text};
use crate::request::{Answer, Call, form, reply};
use crate::state::State;
use crate::status::Status;
use crate::store::Key;
use crate::write::{Writer, create, update};

pub fn answer(state: &mut State, call: &Call<'_>, old: Option<&Value>) -> Answer {
    let operation = call.operation;
    let manager = operation.word("fieldManager").to_owned();
    if manager.is_empty() {
        return Err(Status::plain(
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required \
             for apply patch",
        ));
    }
    let mut config = call.json()?;
    let word = |key: &str| text(&config, key).to_owned();
    let (kind, version) = (word("/kind"), word("/apiVersion"));
    if kind != operation.kind.kind || version != operation.kind.api_version() {
        return Err(Status::bad_request(format!(
            "invalid object type: {version}, Kind={kind}"
        )));
    }
    if config.pointer("/metadata/managedFields").is_some() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    set(&mut config, &["metadata", "name"], json!(operation.name));
    let Some(old) = old else {
        if !operation.sub.is_empty() {
            return Err(Status::not_found(operation.kind, &operation.name));
        }
        let empty = json!({"apiVersion": version, "kind": kind, "metadata": {}});
        let new = applied(&empty, &config, &manager, true, "").map_err(|status| *status)?;
        let made = create(
            state,
            operation.kind,
            &operation.namespace,
            new,
            &manager,
            call.dry_run(),
        )?;
        return Ok(reply(201, &form(call, &made)));
    };
    let new = applied(
        old,
        &config,
        &manager,
        operation.flag("force"),
        &operation.sub,
    );
    let mut new = new.map_err(|status| *status)?;
    // Only a version that was asked for is a condition.
    let condition = config["metadata"]["resourceVersion"].clone();
    set(&mut new, &["metadata", "resourceVersion"], condition);
    let key = Key::new(operation.kind.plural, &operation.namespace, &operation.name);
    let writer = Writer {
        manager,
        sub: operation.sub.clone(),
        noted: true,
        dry_run: call.dry_run(),
    };
    let done = update(state, operation.kind, &key, new, &writer)?;
    Ok(reply(200, &form(call, &done)))
}

/// The object with what a manager wants of it.
pub fn applied(
    old: &Value,
    config: &Value,
    manager: &str,
    force: bool,
    sub: &str,
) -> Result<Value, Box<Status>> {
    let wanted = leaves(config, sub);
    let live = leaves(old, sub);
    let mut all = entries(old);
    let own =
        |entry: &Entry| entry.manager == manager && entry.operation == "Apply" && entry.sub == sub;
    let mut conflicts: BTreeMap<String, Vec<Path>> = BTreeMap::new();
    for entry in all.iter_mut().filter(|entry| !own(entry)) {
        let lost: BTreeSet<Path> = entry
            .paths
            .iter()
            .filter(|path| {
                let want = wanted.get(*path);
                want.is_some() && live.get(*path) != want
            })
            .cloned()
            .collect();
        if lost.is_empty() {
            continue;
        }
        let name = match entry.operation.as_str() {
            "Apply" => format!("\"{}\"", entry.manager),
            _ => format!("\"{}\" using {}", entry.manager, entry.api_version),
        };
        entry.paths.retain(|path| !lost.contains(path));
        conflicts.entry(name).or_default().extend(lost);
    }
    if !conflicts.is_empty() && !force {
        return Err(Box::new(conflict(&conflicts)));
    }
    let mut new = old.clone();
    overlay(&mut new, config, "");
    let at = all.iter().position(own);
    let before = at.map(|at| all[at].paths.clone()).unwrap_or_default();
    for path in before
        .iter()
        .rev()
        .filter(|path| !wanted.contains_key(*path))
    {
        let others = all.iter().filter(|entry| !own(entry));
        let below: &[String] = match path.last().map(String::as_str) {
            Some(".") => &path[..path.len() - 1],
            _ => path,
        };
        let mut others = others.flat_map(|entry| &entry.paths);
        if !others.any(|other| other.starts_with(below)) {
            remove(&mut new, below, "");
        }
    }
    let paths: BTreeSet<Path> = wanted.into_keys().collect();
    match at {
        Some(at) if all[at].paths == paths => {}
        Some(at) => {
            all[at].paths = paths;
            all[at].time = now();
        }
        None => all.push(Entry {
            manager: manager.to_owned(),
            operation: "Apply".to_owned(),
            sub: sub.to_owned(),
            api_version: text(config, "/apiVersion").to_owned(),
            time: now(),
            paths,
        }),
    }
    write(&mut new, &all);
    Ok(new)
}

fn conflict(conflicts: &BTreeMap<String, Vec<Path>>) -> Status {
    let total: usize = conflicts.values().map(Vec::len).sum();
    let lines = conflicts
        .iter()
        .map(|(name, paths)| match paths.as_slice() {
            [one] => format!("conflict with {name}: {}", told(one)),
            many => {
                let paths: Vec<String> = many
                    .iter()
                    .map(|path| format!("\n- {}", told(path)))
                    .collect();
                format!("conflicts with {name}:{}", paths.concat())
            }
        });
    let lines: Vec<String> = lines.collect();
    let noun = if total == 1 { "conflict" } else { "conflicts" };
    let message = format!("Apply failed with {total} {noun}: {}", lines.join("\n"));
    let causes = conflicts.iter().flat_map(|(name, paths)| {
        paths.iter().map(move |path| {
            json!({
                "reason": "FieldManagerConflict", "field": told(path),
                "message": format!("conflict with {name}"),
            })
        })
    });
    let mut status = Status::plain(409, "Conflict", message);
    status.details = json!({"causes": causes.collect::<Vec<_>>()});
    status
}

/// Lays the configuration over the object: lists with keys by their items.
fn overlay(target: &mut Value, config: &Value, field: &str) {
    match config {
        Value::Object(map) if field != "selector" => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in map {
                let below = target.as_object_mut().unwrap();
                overlay(below.entry(key).or_insert(Value::Null), value, key);
            }
        }
        Value::Array(items) if field == "finalizers" => {
            let mut all = target.as_array().cloned().unwrap_or_default();
            all.extend(
                items
                    .iter()
                    .filter(|item| !all.contains(item))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
            *target = Value::Array(all);
        }
        Value::Array(items) if items.first().is_some_and(|one| keys(field, one).is_some()) => {
            if !target.is_array() {
                *target = json!([]);
            }
            let present = target.as_array_mut().unwrap();
            for item in items {
                let by = keys(field, item).unwrap_or(&["name"]);
                let name = item_key(by, item);
                match present.iter_mut().find(|one| item_key(by, one) == name) {
                    Some(one) => overlay(one, item, ""),
                    None => present.push(item.clone()),
                }
            }
        }
        value => *target = value.clone(),
    }
}

/// Removes what is at a path, and maps that it leaves empty.
fn remove(target: &mut Value, path: &[String], field: &str) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if let Some(key) = first.strip_prefix("f:") {
        let Some(map) = target.as_object_mut() else {
            return;
        };
        if rest.is_empty() {
            map.remove(key);
        } else if let Some(below) = map.get_mut(key) {
            remove(below, rest, key);
            let empty = below.as_object().is_some_and(serde_json::Map::is_empty)
                || below.as_array().is_some_and(Vec::is_empty);
            if empty {
                map.remove(key);
            }
        }
    } else if let Some(items) = target.as_array_mut() {
        let at = items.iter().position(|item| {
            let by = keys(field, item).unwrap_or(&["name"]);
            item_key(by, item) == *first || first.strip_prefix("v:") == Some(&item.to_string())
        });
        match at {
            Some(at) if rest.is_empty() => drop(items.remove(at)),
            Some(at) => remove(&mut items[at], rest, ""),
            None => {}
        }
    }
}
