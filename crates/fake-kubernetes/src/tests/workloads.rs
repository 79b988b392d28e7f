//! Controllers and kubelets.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{Raw, kube, web};
use crate::json::{condition, going, list, number, ready, text};
use crate::{Behaviour, Cluster, End};

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}})
}

async fn patch(cluster: &Cluster, patch: Value) {
    let api: Api<Deployment> = Api::namespaced(kube(cluster), "shop");
    let params = PatchParams::default();
    api.patch("web", &params, &Patch::Strategic(patch))
        .await
        .unwrap();
}

fn revision(object: &Value) -> &str {
    text(
        object,
        "/metadata/annotations/deployment.kubernetes.io~1revision",
    )
}

#[tokio::test]
async fn a_deployment_rolls_within_its_bounds_and_back() {
    let cluster = Cluster::start();
    cluster.create(&web(3, "web:1"));
    let first = cluster.settled("deployments", "shop", "web").await;
    assert_eq!(revision(&first), "1");
    let progress = condition(&first, "Progressing").unwrap();
    assert_eq!(progress["reason"], "NewReplicaSetAvailable");
    let version = cluster.with(|state| state.store.version());
    patch(&cluster, image("web:2")).await;
    let second = cluster.settled("deployments", "shop", "web").await;
    assert_eq!(revision(&second), "2");
    // From outside: never more than one too many, never one too few.
    cluster.with(|state| {
        let mut pods = std::collections::BTreeMap::new();
        for (key, pod) in state.store.at("pods", "shop", version) {
            pods.insert(key, pod);
        }
        for change in state
            .store
            .changes_after(version)
            .filter(|one| one.key.plural == "pods")
        {
            match change.what {
                crate::store::What::Deleted => drop(pods.remove(&change.key)),
                _ => drop(pods.insert(change.key.clone(), change.object.clone())),
            }
            let live = pods.values().filter(|pod| !going(pod));
            let well = live.clone().filter(|pod| ready(pod)).count();
            assert!(live.count() <= 4 && well >= 3);
        }
    });
    let sets = cluster.list("replicasets", "shop");
    assert_eq!(sets.len(), 2);
    for set in &sets {
        let hash = text(set, "/metadata/labels/pod-template-hash");
        assert_eq!(text(set, "/metadata/name"), format!("web-{hash}"));
    }
    // Back again: the old set gets a new number.
    patch(&cluster, image("web:1")).await;
    let back = cluster.settled("deployments", "shop", "web").await;
    assert_eq!(
        (revision(&back), cluster.list("replicasets", "shop").len()),
        ("3", 2)
    );
    let pods = cluster.list("pods", "shop");
    assert!(
        pods.iter()
            .all(|pod| text(pod, "/spec/containers/0/image") == "web:1")
    );
}

#[tokio::test]
async fn a_rollout_that_gets_nowhere_is_told() {
    let cluster = Cluster::start();
    let mut hasty = web(2, "web:1");
    // Times have whole seconds: of one second little may be left.
    hasty["spec"]["progressDeadlineSeconds"] = json!(2);
    cluster.create(&hasty);
    cluster.settled("deployments", "shop", "web").await;
    patch(&cluster, image("web:crash")).await;
    let late = |store: &crate::Store| {
        let key = crate::store::Key::new("deployments", "shop", "web");
        let object = store.get(&key)?;
        let progress = condition(object, "Progressing")?;
        (progress["reason"] == "ProgressDeadlineExceeded").then(|| (**object).clone())
    };
    let late = cluster.eventually("it is late", late).await;
    let progress = condition(&late, "Progressing").unwrap();
    assert_eq!(progress["status"], "False");
    assert!(text(progress, "/message").ends_with("has timed out progressing."));
    assert_eq!(number(&late, "/status/readyReplicas"), Some(2));
    assert_eq!(number(&late, "/status/updatedReplicas"), Some(1));
    assert_eq!(condition(&late, "Available").unwrap()["status"], "True");
    let looping = |store: &crate::Store| {
        let mut pods = store.list("pods", "shop").map(|(_, pod)| (**pod).clone());
        pods.find(|pod| {
            let reason = "/status/containerStatuses/0/state/waiting/reason";
            text(pod, reason) == "CrashLoopBackOff"
        })
    };
    let pod = cluster.eventually("it loops", looping).await;
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    assert!(status["restartCount"].as_u64().unwrap() >= 1);
    patch(&cluster, image("web:missing")).await;
    let missing = |store: &crate::Store| {
        let mut pods = store.list("pods", "shop");
        pods.any(|(_, pod)| {
            let reason = "/status/containerStatuses/0/state/waiting/reason";
            text(pod, reason) == "ImagePullBackOff"
        })
        .then_some(())
    };
    cluster.eventually("it can't be pulled", missing).await;
}

#[tokio::test]
async fn a_pod_whose_label_goes_is_released_and_replaced() {
    let cluster = Cluster::start();
    cluster.create(&web(2, "web:1"));
    cluster.create(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }));
    cluster.settled("deployments", "shop", "web").await;
    let addresses = |store: &crate::Store, count: usize| {
        let key = crate::store::Key::new("endpoints", "shop", "web");
        let endpoints = store.get(&key)?;
        let all = list(endpoints, "/subsets/0/addresses");
        let names: Vec<String> = all
            .iter()
            .map(|one| text(one, "/targetRef/name").to_owned())
            .collect();
        (names.len() == count).then_some(names)
    };
    let before = cluster
        .eventually("two behind it", |store| addresses(store, 2))
        .await;
    cluster.merge(
        "pods",
        "shop",
        &before[0],
        &json!({"metadata": {"labels": {"app": null}}}),
    );
    let replaced = |store: &crate::Store| {
        let now = addresses(store, 2)?;
        (!now.contains(&before[0])).then_some(now)
    };
    cluster.eventually("another one behind it", replaced).await;
    assert_eq!(cluster.list("pods", "shop").len(), 3);
    let alone = cluster.get("pods", "shop", &before[0]).unwrap();
    assert!(alone["metadata"].get("ownerReferences").is_none());
    // It is adopted again, and one is too many.
    cluster.merge(
        "pods",
        "shop",
        &before[0],
        &json!({"metadata": {"labels": {"app": "web"}}}),
    );
    let two = |store: &crate::Store| (store.list("pods", "shop").count() == 2).then_some(());
    cluster.eventually("two again", two).await;
    cluster.delete("deployments", "shop", "web");
    let none = |store: &crate::Store| (store.list("pods", "shop").count() == 0).then_some(());
    cluster.eventually("nothing is left", none).await;
}

#[tokio::test]
async fn stateful_and_daemon_sets_update_one_after_another() {
    let cluster = Cluster::start();
    for (kind, name) in [("StatefulSet", "db"), ("DaemonSet", "agent")] {
        let mut set = web(3, "web:1");
        set["kind"] = json!(kind);
        set["metadata"]["name"] = json!(name);
        for pointer in [
            "/spec/selector/matchLabels",
            "/spec/template/metadata/labels",
        ] {
            *set.pointer_mut(pointer).unwrap() = json!({"app": name});
        }
        if kind == "DaemonSet" {
            set["spec"].as_object_mut().unwrap().remove("replicas");
        }
        cluster.create(&set);
    }
    for (plural, name, pods) in [("statefulsets", "db", 3), ("daemonsets", "agent", 2)] {
        cluster.settled(plural, "shop", name).await;
        let own = || -> Vec<Value> {
            let all = cluster.list("pods", "shop").into_iter();
            all.filter(|pod| text(pod, "/metadata/labels/app") == name)
                .collect()
        };
        assert_eq!(own().len(), pods);
        cluster.merge(
            plural,
            "shop",
            name,
            &json!({"spec": {"template": {"metadata": {
            "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}),
        );
        cluster.settled(plural, "shop", name).await;
        assert!(own().iter().all(|pod| {
            text(
                pod,
                "/metadata/annotations/kubectl.kubernetes.io~1restartedAt",
            ) == "now"
        }));
    }
    let names: Vec<String> = cluster
        .list("pods", "shop")
        .iter()
        .map(|pod| text(pod, "/metadata/name").to_owned())
        .filter(|name| name.starts_with("db"))
        .collect();
    assert_eq!(names, ["db-0", "db-1", "db-2"]);
    assert_eq!(cluster.list("controllerrevisions", "shop").len(), 4);
}

#[tokio::test]
async fn logs_and_events_are_there() {
    let cluster = Cluster::start();
    let talks = Behaviour {
        words: vec!["hello".to_owned()],
        last_words: vec!["bye".to_owned()],
        ..Behaviour::default()
    };
    cluster.with(|state| state.kubelet.images.insert("web:1".to_owned(), talks));
    cluster.create(&web(1, "web:1"));
    cluster.settled("deployments", "shop", "web").await;
    let client = kube(&cluster);
    let pods: Api<Pod> = Api::namespaced(client, "shop");
    let params = ListParams::default().labels("app=web");
    let name = pods.list(&params).await.unwrap().items[0]
        .metadata
        .name
        .clone()
        .unwrap();
    let now = jiff::Timestamp::now();
    let before = now - jiff::SignedDuration::from_secs(100);
    cluster.log("shop", &name, &[(before, "early"), (now, "late")]);
    let whole = pods.logs(&name, &LogParams::default()).await.unwrap();
    assert_eq!(whole, "early\nhello\nlate\n");
    let some = LogParams {
        since_seconds: Some(50),
        tail_lines: Some(1),
        timestamps: true,
        ..LogParams::default()
    };
    let text_of = pods.logs(&name, &some).await.unwrap();
    assert!(
        text_of.ends_with("Z late\n") && text_of.lines().count() == 1,
        "{text_of}"
    );
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    let error = pods.logs(&name, &previous).await.unwrap_err().to_string();
    assert!(error.contains("previous terminated container"), "{error}");
    let end = End {
        after: Duration::ZERO,
        code: 137,
        oom: true,
    };
    let uid = pods.get(&name).await.unwrap().metadata.uid.unwrap();
    cluster.with(|state| state.kubelet.kill(&uid, end));
    let again = |store: &crate::Store| {
        let key = crate::store::Key::new("pods", "shop", &name);
        let pod = store.get(&key)?;
        let status = &pod["status"]["containerStatuses"][0];
        (status["restartCount"] == 1 && ready(pod)).then(|| status.clone())
    };
    let status = cluster.eventually("it runs again", again).await;
    assert_eq!(status["lastState"]["terminated"]["reason"], "OOMKilled");
    assert_eq!(
        pods.logs(&name, &previous).await.unwrap(),
        "early\nhello\nlate\nbye\n"
    );

    let raw = Raw::new(&cluster);
    let path = "/apis/events.k8s.io/v1/namespaces/shop/events?fieldSelector=regarding.name%3D";
    let (_, events) = raw.get(&format!("{path}{name}")).await;
    let reasons: Vec<&str> = list(&events, "/items")
        .iter()
        .map(|one| text(one, "/reason"))
        .collect();
    assert!(
        reasons.contains(&"Scheduled") && reasons.contains(&"Started"),
        "{reasons:?}"
    );
    let path = "/api/v1/namespaces/shop/events?fieldSelector=involvedObject.name%3D";
    let (_, events) = raw.get(&format!("{path}{name}")).await;
    assert_eq!(list(&events, "/items").len(), reasons.len());
}

#[tokio::test]
async fn scale_eviction_and_metrics_are_there() {
    let cluster = Cluster::start();
    cluster.create(&web(1, "web:1"));
    cluster.settled("deployments", "shop", "web").await;
    let pod = &cluster.list("pods", "shop")[0];
    let name = text(pod, "/metadata/name").to_owned();
    let raw = Raw::new(&cluster);
    let client = kube(&cluster);
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let api: Api<Deployment> = Api::namespaced(client, "shop");
    let scale = json!({"spec": {"replicas": 3}});
    let scaled = api
        .patch_scale("web", &PatchParams::default(), &Patch::Merge(scale))
        .await
        .unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    cluster.settled("deployments", "shop", "web").await;
    let scale = api.get_scale("web").await.unwrap().status.unwrap();
    assert_eq!(
        (scale.replicas, scale.selector.as_deref()),
        (3, Some("app=web"))
    );
    cluster.create(&json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}},
    }));
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    let path = format!("/api/v1/namespaces/shop/pods/{name}/eviction");
    let (code, body) = raw.send(reqwest::Method::POST, &path, &eviction).await;
    assert_eq!(code, 429, "{body}");
    let mut other = eviction.clone();
    other["deleteOptions"] = json!({"preconditions": {"uid": "another"}});
    let (code, body) = raw.send(reqwest::Method::POST, &path, &other).await;
    assert_eq!(code, 409, "{body}");
    cluster.delete("poddisruptionbudgets", "shop", "web");
    assert_eq!(
        raw.send(reqwest::Method::POST, &path, &eviction).await.0,
        201
    );
    let params = DeleteParams::default();
    let gone = async || pods.delete(&name, &params).await.err();
    super::eventually("the evicted one is gone", gone).await;
    let (_, usage) = raw
        .get("/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods")
        .await;
    assert_eq!(
        usage["items"][0]["containers"][0]["usage"]["memory"],
        "65536Ki"
    );
}
