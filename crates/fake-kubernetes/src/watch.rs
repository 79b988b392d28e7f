//! Watches: changes as lines of JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::path::Operation;
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
    let seconds = operation
        .word("timeoutSeconds")
        .parse()
        .map(Duration::from_secs);
    let watch = Watch {
        shared: Arc::clone(shared),
        selectors,
        accept: call.accept.to_owned(),
        from,
        initial,
        bookmarks: operation.flag("allowWatchBookmarks"),
        end: Instant::now() + seconds.unwrap_or(LONGEST),
        operation,
    };
    let (sender, lines) = mpsc::channel::<String>(16);
    tokio::spawn(async move { watch.run(&sender).await });
    Ok(stream(lines, "application/json"))
}

/// A watch that is under way.
struct Watch {
    shared: Arc<Shared>,
    operation: Operation,
    selectors: Selectors,
    accept: String,
    /// The version after which it begins.
    from: Option<u64>,
    /// It begins with all objects, though a version is given.
    initial: bool,
    bookmarks: bool,
    end: Instant,
}

impl Watch {
    fn call(&self) -> Call<'_> {
        Call {
            operation: &self.operation,
            content_type: "",
            accept: &self.accept,
            user_agent: "",
            body: b"",
        }
    }

    /// Sends lines until its time is over, nobody listens, or it can't go on; `None` then.
    async fn run(&self, sender: &mpsc::Sender<String>) -> Option<()> {
        let mut changed = self.shared.changed.subscribe();
        let every = self.shared.lock().bookmarks;
        let (first, mut version) = self.first();
        for one in first {
            sender.send(one).await.ok()?;
        }
        let mut next = Instant::now() + every;
        while let Some(seen) = version
            && Instant::now() < self.end
        {
            changed.borrow_and_update();
            let (lines, newest) = self.after(seen);
            version = newest;
            for one in lines {
                sender.send(one).await.ok()?;
            }
            let until = if self.bookmarks {
                self.end.min(next)
            } else {
                self.end
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = sender.closed() => return None,
                () = tokio::time::sleep_until(until) => {
                    if let Some(version) = version
                        && self.bookmarks
                    {
                        let line = bookmark(&self.call(), version, false);
                        sender.send(line).await.ok()?;
                    }
                    next = Instant::now() + every;
                }
            }
        }
        Some(())
    }

    /// The lines that it begins with, and the version from which it goes on.
    fn first(&self) -> (Vec<String>, Option<u64>) {
        let state = self.shared.lock();
        let store = &state.store;
        if let Some(from) = self.from.filter(|_| !self.initial) {
            if from >= store.forgotten() {
                return (Vec::new(), Some(from));
            }
            let status = Status::too_old(from, store.forgotten());
            return (vec![line("ERROR", &status.body())], None);
        }
        let (call, newest) = (self.call(), store.version());
        let all = store.list(self.operation.kind.plural, &self.operation.namespace);
        let all = all.filter(|(_, object)| self.selectors.matches(object));
        let mut lines: Vec<String> = all
            .map(|(_, object)| line("ADDED", &form(&call, object)))
            .collect();
        if self.initial && self.bookmarks {
            lines.push(bookmark(&call, newest, true));
        }
        (lines, Some(newest))
    }

    /// The lines of what happened after a version, and the version that they lead to.
    fn after(&self, seen: u64) -> (Vec<String>, Option<u64>) {
        let state = self.shared.lock();
        let store = &state.store;
        if seen < store.forgotten() {
            let status = Status::too_old(seen, store.forgotten());
            return (vec![line("ERROR", &status.body())], None);
        }
        let call = self.call();
        let changes = store.changes_after(seen);
        let lines = changes.filter_map(|change| told(&call, &self.selectors, change));
        (lines.collect(), Some(store.version().max(seen)))
    }
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
