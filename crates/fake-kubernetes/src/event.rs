//! Events in both of their APIs: kept as `v1`, shown as `events.k8s.io/v1` too.

use serde_json::{Value, json};

use crate::json::{dense, micros, number, seconds, set, text};
use crate::resource::Kind;
use crate::state::State;
use crate::store::{Key, suffix};

/// The names of the same thing in `events.k8s.io/v1` and in `v1`.
const NAMES: [(&str, &str); 14] = [
    ("metadata", "metadata"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("series", "series"),
    ("action", "action"),
    ("related", "related"),
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("reportingInstance", "reportingInstance"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
];

/// An event of `v1` as one of `events.k8s.io/v1`.
pub fn to_new(event: &Value) -> Value {
    let mut new = json!({"kind": "Event", "apiVersion": "events.k8s.io/v1"});
    for (name, old) in NAMES {
        new[name] = event[old].clone();
    }
    new["deprecatedCount"] = event["count"].clone();
    dense(new)
}

/// An event of `events.k8s.io/v1` as one of `v1`.
pub fn to_core(event: &Value) -> Value {
    let mut old = json!({"kind": "Event", "apiVersion": "v1"});
    for (name, core) in NAMES {
        old[core] = event[name].clone();
    }
    old["count"] = event["deprecatedCount"].clone();
    dense(old)
}

/// A controller or a kubelet tells something of an object. What it told before is counted.
pub fn tell(
    state: &mut State,
    about: &Value,
    kind: &str,
    reason: &str,
    message: &str,
    component: &str,
) {
    let namespace = text(about, "/namespace").to_owned();
    let uid = text(about, "/uid");
    let now = jiff::Timestamp::now();
    let told = state
        .store
        .named("events", &namespace, &format!("{}.", text(about, "/name")));
    let same = told.into_iter().find(|(_, event)| {
        text(event, "/involvedObject/uid") == uid
            && text(event, "/reason") == reason
            && text(event, "/message") == message
    });
    let same = same.map(|(key, _)| key.clone());
    if let Some(key) = same {
        state.store.modify(&key, |event| {
            let count = number(event, "/count").unwrap_or(1) + 1;
            set(event, &["count"], json!(count));
            set(event, &["lastTimestamp"], json!(seconds(now)));
        });
        return;
    }
    let name = format!("{}.{}", text(about, "/name"), suffix(16));
    let mut event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"namespace": namespace, "name": name},
        "involvedObject": about, "type": kind, "reason": reason, "message": message, "count": 1,
        "source": {"component": component}, "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": seconds(now), "lastTimestamp": seconds(now), "eventTime": null,
    });
    // The scheduler writes by the new API: no count and no first time.
    if component == "default-scheduler" {
        event["eventTime"] = json!(micros(now));
        event["action"] = json!("Binding");
        event["reportingInstance"] = json!("default-scheduler-node-1");
        for key in ["count", "firstTimestamp", "lastTimestamp"] {
            event[key] = Value::Null;
        }
        event["source"] = json!({});
    }
    let event = dense(event);
    debug_assert!(state.store.get(&Key::of("events", &event)).is_none());
    state.store.insert(Kind::kept("events"), event);
}

/// An `ObjectReference` to an object.
pub fn reference(kind: &Kind, object: &Value) -> Value {
    let own = |field: &str| object["metadata"][field].clone();
    json!({
        "kind": kind.kind, "apiVersion": kind.api_version(), "name": own("name"),
        "namespace": own("namespace"), "uid": own("uid"),
        "resourceVersion": own("resourceVersion"),
    })
}
