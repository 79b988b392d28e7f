//! Creating and replacing objects, with optimistic concurrency.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::json::{going, list, number, seconds, set, text};
use crate::request::Call;
use crate::resource::Kind;
use crate::state::State;
use crate::status::Status;
use crate::store::{Key, suffix};
use crate::{check, defaults, fields};

/// Metadata that only the server writes.
const OURS: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "name",
    "namespace",
];

/// How a write is noted in the managed fields.
#[derive(Debug, Clone)]
pub struct Writer {
    pub manager: String,
    /// The subresource, or empty.
    pub sub: String,
    /// The managed fields of the new state are right already.
    pub noted: bool,
    pub dry_run: bool,
}

impl Writer {
    pub fn of(call: &Call<'_>) -> Self {
        Self {
            manager: call.manager(),
            sub: call.operation.sub.clone(),
            noted: false,
            dry_run: call.dry_run(),
        }
    }
}

/// Creates an object.
pub fn create(
    state: &mut State,
    kind: &Kind,
    namespace: &str,
    mut object: Value,
    manager: &str,
    dry_run: bool,
) -> Result<Arc<Value>, Status> {
    if kind.namespaced {
        let home = Key::new("namespaces", "", namespace);
        if state.store.get(&home).is_none() {
            return Err(Status::not_found(Kind::kept("namespaces"), namespace));
        }
        set(&mut object, &["metadata", "namespace"], json!(namespace));
    }
    let prefix = text(&object, "/metadata/generateName").to_owned();
    if text(&object, "/metadata/name").is_empty() && !prefix.is_empty() {
        let name = format!("{prefix}{}", suffix(5));
        set(&mut object, &["metadata", "name"], json!(name));
    }
    let name = text(&object, "/metadata/name").to_owned();
    if name.is_empty() {
        let required = "Required value: name or generateName is required".to_owned();
        let problem = ("metadata.name", "FieldValueRequired", required);
        return Err(Status::invalid(kind, "", &[problem]));
    }
    let key = Key::new(kind.plural, namespace, &name);
    for field in ["deletionTimestamp", "resourceVersion"] {
        set(&mut object, &["metadata", field], Value::Null);
    }
    defaults::fill(kind, &mut object);
    check::object(kind, &object, None)?;
    if state.store.get(&key).is_some() {
        return Err(Status::already_exists(kind, &name));
    }
    if kind.status {
        let status = defaults::status(kind, &object);
        set(&mut object, &["status"], status);
    }
    if list(&object, "/metadata/managedFields").is_empty() {
        fields::track(None, &mut object, manager, "");
    }
    if dry_run {
        return Ok(Arc::new(object));
    }
    Ok(state.store.insert(kind, object))
}

/// Replaces an object by its new state.
pub fn update(
    state: &mut State,
    kind: &Kind,
    key: &Key,
    mut new: Value,
    writer: &Writer,
) -> Result<Arc<Value>, Status> {
    let found = state.store.get(key).cloned();
    let old = found.ok_or_else(|| Status::not_found(kind, &key.name))?;
    let version = text(&new, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(&old, "/metadata/resourceVersion") {
        return Err(Status::modified(kind, &key.name));
    }
    let (uid, own) = (text(&new, "/metadata/uid"), text(&old, "/metadata/uid"));
    if !uid.is_empty() && uid != own {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}");
        return Err(Status::conflict(kind, &key.name, &why));
    }
    for field in OURS {
        set(
            &mut new,
            &["metadata", field],
            old["metadata"][field].clone(),
        );
    }
    if !writer.noted {
        let managed = old["metadata"]["managedFields"].clone();
        set(&mut new, &["metadata", "managedFields"], managed);
    }
    if writer.sub == "status" {
        let (status, managed) = (
            new["status"].take(),
            new["metadata"]["managedFields"].take(),
        );
        new = (*old).clone();
        set(&mut new, &["status"], status);
        set(&mut new, &["metadata", "managedFields"], managed);
    } else if kind.status {
        set(&mut new, &["status"], old["status"].clone());
    }
    defaults::fill(kind, &mut new);
    check::object(kind, &new, Some(&old))?;
    if !writer.noted {
        fields::track(Some(&old), &mut new, &writer.manager, &writer.sub);
    }
    if writer.dry_run {
        return Ok(Arc::new(new));
    }
    let last = going(&new) && list(&new, "/metadata/finalizers").is_empty();
    let held = !list(&old, "/metadata/finalizers").is_empty();
    let done = state.store.replace(key, new);
    if last && held && key.plural != "pods" {
        return Ok(state.store.remove(key).unwrap_or(old));
    }
    Ok(done.unwrap_or(old))
}

/// Marks an object as one that is to go.
pub fn ask_to_go(state: &mut State, key: &Key, grace: i64) {
    state.store.modify(key, |object| {
        let until = Timestamp::now() + jiff::SignedDuration::from_secs(grace);
        let earlier = number(object, "/metadata/deletionGracePeriodSeconds");
        if going(object) && earlier.is_some_and(|earlier| earlier <= grace) {
            return;
        }
        set(
            object,
            &["metadata", "deletionTimestamp"],
            json!(seconds(until)),
        );
        set(
            object,
            &["metadata", "deletionGracePeriodSeconds"],
            json!(grace),
        );
    });
}
