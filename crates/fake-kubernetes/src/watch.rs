//! Watches: changes as lines of JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::request::{Answer, Call, Selectors, form, stream};
use crate::state::Shared;
use crate::status::Status;
use crate::store::{Change, What};

/// How long a watch lasts that named no time.
const LONGEST: Duration = Duration::from_secs(1800);

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

/// A watch whose version is too old, whatever it is.
pub fn gone(shared: &Shared) -> Response<Body> {
    let version = shared.lock().store.version();
    let (sender, lines) = mpsc::channel(1);
    sender
        .try_send(line("ERROR", &Status::too_old(1, version).body()))
        .ok();
    stream(lines, "application/json")
}

pub fn answer(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation.clone();
    let mut selectors = Selectors::of(call)?;
    if !operation.name.is_empty() {
        let only = format!("metadata.name={}", operation.name);
        selectors.fields = crate::select::Fields::parse(&only, operation.kind.plural)?;
    }
    let from = operation.word("resourceVersion").to_owned();
    let initial = operation.flag("sendInitialEvents");
    if initial && operation.word("resourceVersionMatch") != "NotOlderThan" {
        let kind = operation.kind.kind;
        let message = "resourceVersionMatch is required when sendInitialEvents is set";
        return Err(Status::plain(
            422,
            "Invalid",
            format!("{kind}.meta.k8s.io \"\" is invalid: {message}"),
        ));
    }
    let from = match from.as_str() {
        "" | "0" => None,
        version => Some(version.parse::<u64>().map_err(|_| {
            Status::bad_request(format!(
                "invalid resource version \"{version}\": must be a number"
            ))
        })?),
    };
    let accept = call.accept.to_owned();
    let bookmarks = operation.flag("allowWatchBookmarks");
    let seconds = operation
        .word("timeoutSeconds")
        .parse()
        .map(Duration::from_secs);
    let end = Instant::now() + seconds.unwrap_or(LONGEST);
    let (sender, lines) = mpsc::channel::<String>(16);
    let shared = Arc::clone(shared);
    let watching = async move {
        let call = Call {
            operation: &operation,
            content_type: "",
            accept: &accept,
            user_agent: "",
            body: b"",
        };
        let mut changed = shared.changed.subscribe();
        let mut first = Vec::new();
        let (mut version, every) = {
            let state = shared.lock();
            let newest = state.store.version();
            let everything = initial || from.is_none();
            if let Some(from) = from.filter(|_| !initial)
                && from < state.store.forgotten()
            {
                let status = Status::too_old(from, state.store.forgotten());
                first.push(line("ERROR", &status.body()));
                (None, state.bookmarks)
            } else if everything {
                let all = state
                    .store
                    .list(operation.kind.plural, &operation.namespace);
                let all = all.filter(|(_, object)| selectors.matches(object));
                first.extend(all.map(|(_, object)| line("ADDED", &form(&call, object))));
                if initial && bookmarks {
                    first.push(bookmark(&call, newest, true));
                }
                (Some(newest), state.bookmarks)
            } else {
                (from, state.bookmarks)
            }
        };
        for one in first {
            if sender.send(one).await.is_err() {
                return;
            }
        }
        let mut next = Instant::now() + every;
        while let Some(seen) = version {
            changed.borrow_and_update();
            let (lines, newest) = {
                let state = shared.lock();
                if seen < state.store.forgotten() {
                    let status = Status::too_old(seen, state.store.forgotten());
                    (vec![line("ERROR", &status.body())], None)
                } else {
                    let changes = state.store.changes_after(seen);
                    let lines = changes.filter_map(|change| told(&call, &selectors, change));
                    let newest = state.store.version().max(seen);
                    (lines.collect::<Vec<_>>(), Some(newest))
                }
            };
            version = newest;
            for one in lines {
                if sender.send(one).await.is_err() {
                    return;
                }
            }
            let until = if bookmarks { end.min(next) } else { end };
            tokio::select! {
                _ = changed.changed() => {}
                () = sender.closed() => return,
                () = tokio::time::sleep_until(until) => {
                    if let Some(version) = version
                        && bookmarks
                        && sender.send(bookmark(&call, version, false)).await.is_err()
                    {
                        return;
                    }
                    next = Instant::now() + every;
                }
            }
            if Instant::now() >= end {
                return;
            }
        }
    };
    tokio::spawn(watching);
    Ok(stream(lines, "application/json"))
}

/// What a watch tells of a change, if it concerns it.
fn told(call: &Call<'_>, selectors: &Selectors, change: &Change) -> Option<String> {
    let operation = call.operation;
    let concerned = change.key.plural == operation.kind.plural
        && (operation.namespace.is_empty() || change.key.namespace == operation.namespace);
    if !concerned {
        return None;
    }
    let before = change.before.as_deref();
    let was = before.is_some_and(|before| selectors.matches(before));
    let is = change.what != What::Deleted && selectors.matches(&change.object);
    let (kind, object) = match (was, is) {
        (false, true) => ("ADDED", (*change.object).clone()),
        (true, true) => ("MODIFIED", (*change.object).clone()),
        (true, false) => {
            // The last state that it was seen in, with the version of its end.
            let mut last = before.cloned().unwrap_or_default();
            let version = change.object["metadata"]["resourceVersion"].clone();
            last["metadata"]["resourceVersion"] = version;
            ("DELETED", last)
        }
        (false, false) => return None,
    };
    Some(line(kind, &form(call, &object)))
}

fn bookmark(call: &Call<'_>, version: u64, initial: bool) -> String {
    let kind = call.operation.kind;
    let mut metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
    if initial {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let mut object = json!({
        "kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata,
    });
    match kind.plural {
        "deployments" | "statefulsets" | "daemonsets" | "replicasets" => {
            object["spec"] = json!({
                "selector": null,
                "template": {"metadata": {"creationTimestamp": null}, "spec": {"containers": null}},
            });
            if kind.plural == "statefulsets" {
                object["spec"]["serviceName"] = json!("");
            }
            object["status"] = match kind.plural {
                "daemonsets" => json!({
                    "currentNumberScheduled": 0, "numberMisscheduled": 0,
                    "desiredNumberScheduled": 0, "numberReady": 0,
                }),
                "replicasets" | "statefulsets" => json!({"replicas": 0}),
                _ => json!({}),
            };
        }
        "pods" => {
            object["spec"] = json!({"containers": null});
            object["status"] = json!({});
        }
        _ => {}
    }
    line("BOOKMARK", &object)
}
