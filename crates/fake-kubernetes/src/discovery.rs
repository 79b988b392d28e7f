//! What the server says of itself.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Response, header};
use serde_json::{Value, json};

use crate::request::reply;
use crate::resource::{KINDS, Kind, METRICS, REVIEW};

fn plain(code: u16, text: &'static str) -> Response<Body> {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Body::from(text))
        .unwrap()
}

/// What is answered to everybody.
pub fn health(path: &str) -> Option<Response<Body>> {
    match path {
        "/healthz" | "/livez" | "/readyz" => Some(plain(200, "ok")),
        "/version" => Some(reply(
            200,
            &json!({
                "major": "1", "minor": "33", "gitVersion": "v1.33.1", "gitCommit": "emulated",
                "gitTreeState": "clean", "buildDate": "2025-05-15T08:19:08Z",
                "goVersion": "go1.24.2", "compiler": "gc", "platform": "linux/amd64",
            }),
        )),
        _ => None,
    }
}

fn kinds(metrics: bool) -> impl Iterator<Item = &'static Kind> {
    let served = METRICS.iter().filter(move |_| metrics);
    KINDS.iter().chain(served).chain([&REVIEW])
}

/// The documents below `/api` and `/apis`; anything else is not there.
pub fn answer(path: &str, metrics: bool) -> Response<Body> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api"] => reply(
            200,
            &json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [
                    {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}
                ],
            }),
        ),
        ["apis"] => {
            let groups: BTreeSet<(&str, &str)> = kinds(metrics)
                .filter(|kind| !kind.group.is_empty())
                .map(|kind| (kind.group, kind.version))
                .collect();
            let groups: Vec<Value> = groups.into_iter().map(group).collect();
            reply(
                200,
                &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}),
            )
        }
        ["apis", name] => match kinds(metrics).find(|kind| kind.group == *name) {
            Some(kind) => {
                let mut group = group((kind.group, kind.version));
                group["kind"] = json!("APIGroup");
                group["apiVersion"] = json!("v1");
                reply(200, &group)
            }
            None => plain(404, "404 page not found\n"),
        },
        ["api", version] => resources("", version, metrics),
        ["apis", name, version] => resources(name, version, metrics),
        _ => plain(404, "404 page not found\n"),
    }
}

fn group((group, version): (&str, &str)) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str, version: &str, metrics: bool) -> Response<Body> {
    let mut all = Vec::new();
    for kind in kinds(metrics).filter(|kind| kind.group == group && kind.version == version) {
        let entry = |name: String, of: &str, verbs: &[&str]| {
            json!({
                "name": name, "singularName": kind.kind.to_lowercase(), "kind": of,
                "namespaced": kind.namespaced, "verbs": verbs,
            })
        };
        let verbs: &[&str] = match group {
            "metrics.k8s.io" => &["get", "list"],
            "authorization.k8s.io" => &["create"],
            _ => &[
                "create",
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "update",
                "watch",
            ],
        };
        let mut whole = entry(kind.plural.to_owned(), kind.kind, verbs);
        if !kind.short.is_empty() {
            whole["shortNames"] = json!(kind.short);
        }
        all.push(whole);
        let sub = |name: &str| format!("{}/{name}", kind.plural);
        let write = ["get", "patch", "update"];
        if kind.status {
            all.push(entry(sub("status"), kind.kind, &write));
        }
        if kind.scale {
            let mut scale = entry(sub("scale"), "Scale", &write);
            scale["group"] = json!("autoscaling");
            scale["version"] = json!("v1");
            all.push(scale);
        }
        if kind.plural == "pods" && group.is_empty() {
            all.push(entry(sub("log"), "Pod", &["get"]));
            let mut eviction = entry(sub("eviction"), "Eviction", &["create"]);
            eviction["group"] = json!("policy");
            eviction["version"] = json!("v1");
            all.push(eviction);
        }
    }
    if all.is_empty() {
        return plain(404, "404 page not found\n");
    }
    let version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    reply(
        200,
        &json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": all,
        }),
    )
}
