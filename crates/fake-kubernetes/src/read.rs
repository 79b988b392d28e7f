//! GET of one object and of lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use serde_json::{Value, json};

use crate::request::{Answer, Call, Selectors, form, metadata_only, reply};
use crate::state::Shared;
use crate::status::Status;
use crate::store::Key;

pub fn get(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    let key = Key::new(operation.kind.plural, &operation.namespace, &operation.name);
    let found = shared.lock().store.get(&key).cloned();
    let found = found.ok_or_else(|| Status::not_found(operation.kind, &operation.name))?;
    Ok(reply(200, &form(call, &found)))
}

/// Where a list goes on: the version that it shows and the last name told.
fn go_on(token: &str) -> Option<(u64, String, String)> {
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token: Value = serde_json::from_slice(&engine.decode(token).ok()?).ok()?;
    let (namespace, name) = token["start"].as_str()?.split_once('/')?;
    Some((token["rv"].as_u64()?, namespace.to_owned(), name.to_owned()))
}

pub fn list(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    let selectors = Selectors::of(call)?;
    let plural = operation.kind.plural;
    let state = shared.lock();
    let store = &state.store;
    let mut version = store.version();
    if let Ok(least) = operation.word("resourceVersion").parse::<u64>() {
        if operation.word("resourceVersionMatch") == "Exact" {
            if least < store.forgotten() {
                let message = "The resourceVersion for the provided list is too old.";
                return Err(Status::plain(410, "Expired", message));
            }
            version = least;
        } else if least > version {
            let message = format!("Too large resource version: {least}, current: {version}");
            let mut status = Status::plain(504, "Timeout", message);
            status.details = json!({"causes": [{
                "reason": "ResourceVersionTooLarge", "message": "Too large resource version"
            }], "retryAfterSeconds": 1});
            return Err(status);
        }
    }
    let mut after = None;
    let token = operation.word("continue");
    if !token.is_empty() {
        let bad = || Status::bad_request("continue key is not valid");
        let (at, namespace, name) = go_on(token).ok_or_else(bad)?;
        if at < store.forgotten() {
            return Err(Status::expired_continue());
        }
        version = at;
        after = Some(Key::new(plural, &namespace, &name));
    }
    let objects: BTreeMap<Key, Arc<Value>> = store.at(plural, &operation.namespace, version);
    drop(state);
    let left = objects.iter().filter(|(key, object)| {
        after.as_ref().is_none_or(|after| *key > after) && selectors.matches(object)
    });
    let left: Vec<_> = left.collect();
    let limit = operation.word("limit").parse::<usize>().unwrap_or(0);
    let taken = if limit == 0 {
        left.len()
    } else {
        limit.min(left.len())
    };
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if taken < left.len() {
        let last = left[taken - 1].0;
        let token = json!({
            "v": "meta.k8s.io/v1", "rv": version,
            "start": format!("{}/{}", last.namespace, last.name),
        });
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        metadata["continue"] = json!(engine.encode(token.to_string()));
        if selectors.labels.is_empty() && selectors.fields.is_empty() {
            metadata["remainingItemCount"] = json!(left.len() - taken);
        }
    }
    let items = left[..taken].iter().map(|(_, object)| {
        let mut item = form(call, object);
        // Items of a list say nothing of their kind.
        if let Some(item) = item.as_object_mut()
            && !metadata_only(call.accept)
        {
            item.remove("kind");
            item.remove("apiVersion");
        }
        item
    });
    let items: Vec<Value> = items.collect();
    let (kind, version) = if metadata_only(call.accept) {
        (
            "PartialObjectMetadataList".to_owned(),
            "meta.k8s.io/v1".to_owned(),
        )
    } else {
        (
            format!("{}List", operation.kind.kind),
            operation.kind.api_version(),
        )
    };
    let list = json!({
        "kind": kind, "apiVersion": version, "metadata": metadata, "items": items,
    });
    Ok(reply(200, &list))
}
