//! Watches.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::watcher::{self, Event};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Raw, kube, web};
use crate::{Cluster, Fault};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn map(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "shop", "name": name, "labels": labels},
    })
}

/// All that a watch tells until it ends.
async fn told(raw: &Raw<'_>, query: &str) -> Vec<(String, String, Value)> {
    let request = raw.request(Method::GET, &format!("{MAPS}?watch=true&{query}"));
    let text = request.send().await.unwrap().text().await.unwrap();
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let kind = line["type"].as_str().unwrap().to_owned();
        let name = line["object"]["metadata"]["name"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        (kind, name, line["object"].clone())
    });
    lines.collect()
}

fn short(told: &[(String, String, Value)]) -> Vec<String> {
    told.iter()
        .map(|(kind, name, _)| format!("{kind} {name}"))
        .collect()
}

#[tokio::test]
async fn a_watch_tells_what_comes_goes_and_no_longer_matches() {
    let cluster = Cluster::start();
    let first = cluster.create(&map("a", &json!({"x": "1"})));
    let from = first["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    cluster.create(&map("b", &json!({"x": "2"})));
    cluster.merge("configmaps", "shop", "b", &json!({"data": {"k": "v"}}));
    cluster.merge(
        "configmaps",
        "shop",
        "a",
        &json!({"metadata": {"labels": {"x": "2"}}}),
    );
    cluster.merge(
        "configmaps",
        "shop",
        "b",
        &json!({"metadata": {"labels": {"x": "1"}}}),
    );
    cluster.delete("configmaps", "shop", "a");
    let raw = Raw::new(&cluster);
    let all = told(&raw, &format!("resourceVersion={from}&timeoutSeconds=1")).await;
    let expected = [
        "ADDED b",
        "MODIFIED b",
        "MODIFIED a",
        "MODIFIED b",
        "DELETED a",
    ];
    assert_eq!(short(&all), expected);
    let some = format!("resourceVersion={from}&timeoutSeconds=1&labelSelector=x%3D2");
    let some = told(&raw, &some).await;
    let expected = ["ADDED b", "MODIFIED b", "ADDED a", "DELETED b", "DELETED a"];
    assert_eq!(short(&some), expected);
    assert_eq!(
        some[3].2["metadata"]["labels"]["x"], "2",
        "as it was seen last"
    );
    let version = |value: &Value| {
        value["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(version(&some[3].2) > version(&some[2].2));
    let now = told(&raw, "timeoutSeconds=1").await;
    assert_eq!(
        short(&now),
        ["ADDED b"],
        "without a version all that is there comes first"
    );

    cluster.compact();
    let old = told(&raw, &format!("resourceVersion={from}")).await;
    assert_eq!((old.len(), old[0].0.as_str()), (1, "ERROR"));
    assert_eq!(
        (&old[0].2["code"], &old[0].2["reason"]),
        (&json!(410), &json!("Expired"))
    );
    assert!(
        old[0].2["message"]
            .as_str()
            .unwrap()
            .starts_with("too old resource version: ")
    );
}

#[tokio::test]
async fn a_watch_sends_bookmarks_and_streams_a_list() {
    let cluster = Cluster::start();
    cluster.with(|state| state.bookmarks = Duration::from_millis(300));
    cluster.create(&map("a", &json!({})));
    let raw = Raw::new(&cluster);
    let query = "allowWatchBookmarks=true&sendInitialEvents=true&timeoutSeconds=1\
                 &resourceVersionMatch=NotOlderThan";
    let told = told(&raw, query).await;
    assert_eq!(short(&told)[..2], ["ADDED a", "BOOKMARK "]);
    assert_eq!(
        told[1].2["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    assert!(told.len() > 3 && told[3].0 == "BOOKMARK");
}

#[tokio::test]
async fn the_watcher_of_kube_survives_old_versions_cuts_and_restarts() {
    for streaming in [false, true] {
        let cluster = Cluster::start();
        cluster.create(&web(1, "web:1"));
        let api: Api<Deployment> = Api::namespaced(kube(&cluster), "shop");
        let mut config = watcher::Config::default();
        if streaming {
            config = config.streaming_lists();
        }
        let stream =
            ::kube::runtime::WatchStreamExt::default_backoff(watcher::watcher(api, config));
        let mut stream = stream.boxed();
        let seen = async |stream: &mut futures_util::stream::BoxStream<'_, _>, replicas: i32| {
            let seeing = async {
                loop {
                    let event = stream.try_next().await;
                    let Ok(Some(Event::Apply(one) | Event::InitApply(one))) = event else {
                        continue;
                    };
                    let one: Deployment = one;
                    if one.spec.replicas == Some(replicas) {
                        return;
                    }
                }
            };
            let seeing = tokio::time::timeout(Duration::from_secs(15), seeing).await;
            seeing.unwrap_or_else(|_| panic!("never saw {replicas}, streaming: {streaming}"));
        };
        seen(&mut stream, 1).await;
        let to = |replicas: u32| json!({"spec": {"replicas": replicas}});
        cluster.merge("deployments", "shop", "web", &to(2));
        seen(&mut stream, 2).await;
        cluster.restart_api();
        cluster.merge("deployments", "shop", "web", &to(3));
        seen(&mut stream, 3).await;
        cluster.fault(Fault::Gone, &["watch"], &[], Some(1));
        cluster.cut();
        cluster.merge("deployments", "shop", "web", &to(4));
        seen(&mut stream, 4).await;
    }
}

#[tokio::test]
async fn the_watcher_of_kube_lists_in_pages() {
    let cluster = Cluster::start();
    for number in 0..7 {
        cluster.create(&map(&format!("m{number}"), &json!({})));
    }
    let api: Api<ConfigMap> = Api::all(kube(&cluster));
    let config = watcher::Config::default().page_size(3);
    let mut stream = watcher::watcher(api, config).boxed();
    let mut count = 0;
    loop {
        match stream.try_next().await.unwrap().unwrap() {
            Event::InitApply(_) => count += 1,
            Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(count, 7);
}
