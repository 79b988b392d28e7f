//! Objects: reading, writing, and the words of a refusal.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Raw, kube, web};
use crate::{Cluster, Fault, Grant};

const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

#[tokio::test]
async fn refusals_are_worded_as_a_real_server_words_them() {
    let cluster = Cluster::start();
    cluster.create(&web(1, "web:1"));
    let raw = Raw::new(&cluster);
    let (code, body) = raw
        .get("/apis/apps/v1/namespaces/shop/deployments/nope")
        .await;
    assert_eq!(code, 404);
    assert_eq!(
        body,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "deployments.apps \"nope\" not found", "reason": "NotFound",
            "details": {"name": "nope", "group": "apps", "kind": "deployments"}, "code": 404,
        })
    );
    let (_, body) = raw.get("/api/v1/namespaces/shop/pods/nope").await;
    assert_eq!(body["message"], "pods \"nope\" not found");
    let (code, body) = raw.get("/apis/apps/v1/namespaces/shop/nothings").await;
    assert_eq!((code.as_u16(), body), (404, json!("404 page not found\n")));

    cluster.forbid("patch", "deployments");
    cluster.forbid("get", "pods/log");
    cluster.forbid("list", "events");
    let (code, body) = raw.patch(WEB, "merge-patch+json", &json!({})).await;
    assert_eq!(code, 403);
    let user = "system:serviceaccount:treasury:treasury-bot";
    assert_eq!(
        body["message"],
        format!(
            "deployments.apps \"web\" is forbidden: User \"{user}\" cannot patch resource \
             \"deployments\" in API group \"apps\" in the namespace \"shop\""
        )
    );
    let (_, body) = raw.get("/api/v1/namespaces/shop/pods/x/log").await;
    assert_eq!(
        body["message"],
        format!(
            "pods \"x\" is forbidden: User \"{user}\" cannot get resource \"pods/log\" in API \
             group \"\" in the namespace \"shop\""
        )
    );
    let (_, body) = raw.get("/api/v1/events").await;
    assert_eq!(
        body["message"],
        format!(
            "events is forbidden: User \"{user}\" cannot list resource \"events\" in API group \
             \"\" at the cluster scope"
        )
    );
    cluster.heal();
    assert_eq!(raw.get(WEB).await.0, 200);
    let rule = json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]});
    cluster.allow_only(vec![Grant::of(Some("shop"), &rule)]);
    assert_eq!(raw.get(WEB).await.0, 200);
    assert_eq!(raw.get("/apis/apps/v1/deployments").await.0, 403);

    let stranger = reqwest::get(format!("{}{WEB}", cluster.url()))
        .await
        .unwrap();
    assert_eq!(stranger.status(), 401);
}

#[tokio::test]
async fn a_write_on_an_old_version_is_a_conflict_and_one_that_changes_nothing_is_none() {
    let cluster = Cluster::start();
    cluster.create(&web(1, "web:1"));
    let raw = Raw::new(&cluster);
    let settled = cluster.settled("deployments", "shop", "web").await;
    assert_eq!(settled["metadata"]["generation"], 1);
    let mut changed = settled.clone();
    changed["spec"]["replicas"] = json!(2);
    let (code, body) = raw.send(Method::PUT, WEB, &changed).await;
    assert_eq!(
        (code.as_u16(), &body["metadata"]["generation"]),
        (200, &json!(2))
    );
    let (code, body) = raw.send(Method::PUT, WEB, &changed).await;
    assert_eq!(code, 409);
    assert_eq!(
        body["message"],
        "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; \
         please apply your changes to the latest version and try again"
    );
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 5}});
    for kind in ["merge-patch+json", "strategic-merge-patch+json"] {
        let (code, _) = raw.patch(WEB, kind, &stale).await;
        assert_eq!(code, 409, "{kind}");
    }
    let two = cluster.settled("deployments", "shop", "web").await;
    let same = json!({"spec": {"replicas": 2}});
    let (_, body) = raw.patch(WEB, "merge-patch+json", &same).await;
    assert_eq!(
        body["metadata"]["resourceVersion"],
        two["metadata"]["resourceVersion"]
    );
    // The status is not written by this way, and the generation does not count it.
    let status = json!({"status": {"replicas": 99}, "metadata": {"labels": {"a": "b"}}});
    let (_, body) = raw.patch(WEB, "merge-patch+json", &status).await;
    assert_eq!(body["status"]["replicas"], 2);
    assert_eq!(body["metadata"]["generation"], 2);
    assert_eq!(body["metadata"]["labels"]["a"], "b");

    cluster.conflicts(1);
    let up = json!({"spec": {"replicas": 3}});
    assert_eq!(raw.patch(WEB, "merge-patch+json", &up).await.0, 409);
    assert_eq!(raw.patch(WEB, "merge-patch+json", &up).await.0, 200);
    let (code, body) = raw
        .patch(
            WEB,
            "merge-patch+json",
            &json!({"spec": {"selector": {"matchLabels": {"app": "x"}}}}),
        )
        .await;
    assert_eq!(code, 422);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("field is immutable"),
        "{body}"
    );
}

#[tokio::test]
async fn patches_merge_lists_as_their_kind_says() {
    let cluster = Cluster::start();
    let mut two = web(1, "web:1");
    let sidecar = json!({"name": "side", "image": "side:1"});
    two["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(sidecar);
    cluster.create(&two);
    cluster.settled("deployments", "shop", "web").await;
    let raw = Raw::new(&cluster);
    let containers = |body: &Value| {
        let all = body["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap();
        let pairs = all
            .iter()
            .map(|one| format!("{}={}", one["name"], one["image"]));
        pairs.collect::<Vec<_>>().join(" ").replace('"', "")
    };
    let patch =
        |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let image = patch(json!([{"name": "side", "image": "side:2"}]));
    let (_, body) = raw.patch(WEB, "strategic-merge-patch+json", &image).await;
    assert_eq!(containers(&body), "web=web:1 side=side:2");
    let gone = patch(json!([{"name": "side", "$patch": "delete"}]));
    let (_, body) = raw.patch(WEB, "strategic-merge-patch+json", &gone).await;
    assert_eq!(containers(&body), "web=web:1");
    let step = json!([
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:3"},
        {"op": "add", "path": "/metadata/annotations/a~1b", "value": "c"},
    ]);
    let (code, body) = raw.patch(WEB, "json-patch+json", &step).await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(body["metadata"]["annotations"]["a/b"], "c");
    assert_eq!(containers(&body), "web=web:3");
    let wrong = json!([{"op": "test", "path": "/spec/replicas", "value": 7}]);
    assert_eq!(raw.patch(WEB, "json-patch+json", &wrong).await.0, 422);
    let (code, body) = raw
        .patch(WEB, "merge-patch+json", &patch(json!([{"name": "x"}])))
        .await;
    assert_eq!(code, 422, "a merge replaces the list: {body}");
    assert_eq!(raw.patch(WEB, "json", &json!({})).await.0, 415);
}

#[tokio::test]
async fn an_apply_owns_its_fields_and_meets_those_of_others() {
    let cluster = Cluster::start();
    cluster.create(&web(1, "web:1"));
    cluster.settled("deployments", "shop", "web").await;
    let api: Api<Deployment> = Api::namespaced(kube(&cluster), "shop");
    let want = |replicas: u32, note: Option<&str>| {
        let mut want = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
        });
        if let Some(note) = note {
            want["metadata"] = json!({"annotations": {"treasury/note": note}});
        }
        want
    };
    let params = PatchParams::apply("treasury-bot");
    let apply = async |params: &PatchParams, want: Value| {
        api.patch("web", params, &Patch::Apply(want)).await
    };
    let refused = apply(&params, want(4, None)).await.unwrap_err();
    let ::kube::Error::Api(status) = refused else {
        panic!("{refused}")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-create\" using apps/v1: .spec.replicas"
    );
    let done = apply(&params.clone().force(), want(4, Some("x")))
        .await
        .unwrap();
    assert_eq!(done.spec.replicas, Some(4));
    let other = PatchParams::apply("somebody");
    assert!(apply(&other, want(5, None)).await.is_err());
    assert!(
        apply(&other, want(4, None)).await.is_ok(),
        "the same value is shared"
    );
    // What is left out goes where nobody else owns it.
    let done = apply(
        &params,
        json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
    )
    .await
    .unwrap();
    let notes = done.metadata.annotations.unwrap_or_default();
    assert!(!notes.contains_key("treasury/note"), "{notes:?}");
    assert_eq!(done.spec.replicas, Some(4));
    let now = cluster.get("deployments", "shop", "web").unwrap();
    let managers = now["metadata"]["managedFields"].as_array().unwrap();
    let names: Vec<&str> = managers
        .iter()
        .map(|one| one["manager"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["kubectl-create", "somebody"]);
    let created = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"a": "b"},
    });
    let raw = Raw::new(&cluster);
    let path = "/api/v1/namespaces/shop/configmaps/new?fieldManager=treasury-bot";
    assert_eq!(raw.patch(path, "apply-patch+yaml", &created).await.0, 201);
    assert_eq!(raw.patch(path, "apply-patch+yaml", &created).await.0, 200);
}

#[tokio::test]
async fn lists_are_selected_and_come_in_parts() {
    let cluster = Cluster::start();
    for number in 0..5 {
        cluster.create(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": "shop", "name": format!("c{number}"),
                "labels": {"n": number.to_string(), "odd": (number % 2 == 1).to_string()}},
        }));
    }
    let raw = Raw::new(&cluster);
    let base = "/api/v1/namespaces/shop/configmaps";
    let names = |body: &Value| -> Vec<String> {
        let items = body["items"]
            .as_array()
            .unwrap_or_else(|| panic!("{body}"))
            .iter();
        items
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    for (query, expected) in [
        ("?labelSelector=odd%3Dtrue", vec!["c1", "c3"]),
        ("?labelSelector=odd!=true,n+notin+(0)", vec!["c2", "c4"]),
        ("?labelSelector=n+in+(1,2),!x", vec!["c1", "c2"]),
        // What lacks the label does not have that value.
        ("?labelSelector=x!=1,n+notin+(0,1,2)", vec!["c3", "c4"]),
        ("?fieldSelector=metadata.name%3Dc3", vec!["c3"]),
    ] {
        assert_eq!(
            names(&raw.get(&format!("{base}{query}")).await.1),
            expected,
            "{query}"
        );
    }
    let (code, body) = raw.get(&format!("{base}?fieldSelector=data.x%3Dy")).await;
    assert_eq!(
        (code.as_u16(), &body["message"]),
        (400, &json!("field label not supported: data.x"))
    );

    let (_, first) = raw.get(&format!("{base}?limit=2")).await;
    assert_eq!(first["kind"], "ConfigMapList");
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    assert!(first["items"][0].get("kind").is_none());
    // A part shows the state in which the list began.
    cluster.delete("configmaps", "shop", "c3");
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = raw.get(&format!("{base}?limit=9&continue={token}")).await;
    assert_eq!(names(&second), ["c2", "c3", "c4"]);
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    cluster.compact();
    let (code, body) = raw.get(&format!("{base}?limit=9&continue={token}")).await;
    assert_eq!((code.as_u16(), &body["reason"]), (410, &json!("Expired")));
}

#[tokio::test]
async fn faults_hit_what_they_are_for() {
    let cluster = Cluster::start();
    cluster.create(&web(1, "web:1"));
    let raw = Raw::new(&cluster);
    cluster.fault(Fault::Code(503), &["get"], &["deployments"], Some(1));
    assert_eq!(raw.get(WEB).await.0, 503);
    assert_eq!(raw.get(WEB).await.0, 200);
    cluster.fault(Fault::Drop, &["get"], &[], Some(1));
    assert!(raw.request(Method::GET, WEB).send().await.is_err());
    cluster.fault(Fault::DropAfter, &["patch"], &[], Some(1));
    let up = json!({"spec": {"replicas": 3}});
    let patch = raw
        .request(Method::PATCH, WEB)
        .header("content-type", "application/merge-patch+json");
    assert!(patch.body(up.to_string()).send().await.is_err());
    assert_eq!(
        raw.get(WEB).await.1["spec"]["replicas"],
        3,
        "it was carried out"
    );
    cluster.fault(Fault::Slow(Duration::from_secs(60)), &[], &[], Some(1));
    let slow = raw
        .request(Method::GET, WEB)
        .timeout(Duration::from_millis(200))
        .send()
        .await;
    assert!(slow.unwrap_err().is_timeout());
    cluster.close();
    let closed = async || raw.request(Method::GET, WEB).send().await.err();
    super::eventually("it is closed", closed).await;
    cluster.reopen();
    let open = async || raw.request(Method::GET, WEB).send().await.ok();
    let answer = super::eventually("it listens", open).await;
    assert_eq!(answer.status(), 200);
    let writes = cluster.writes("deployments");
    assert_eq!(writes.len(), 1);
    let one = &writes[0];
    assert_eq!((one.verb, &one.body), ("patch", &up));
    assert_eq!((&*one.namespace, &*one.name), ("shop", "web"));
    assert_eq!(one.content_type, "application/merge-patch+json");
}

#[tokio::test]
async fn the_server_tells_what_it_is_and_has() {
    let cluster = Cluster::start();
    let client = kube(&cluster);
    let version = client.apiserver_version().await.unwrap();
    assert_eq!(
        (version.major.as_str(), version.minor.as_str()),
        ("1", "33")
    );
    let groups = client.list_api_groups().await.unwrap().groups;
    let names = || groups.iter().map(|group| group.name.as_str());
    assert!(names().any(|name| name == "metrics.k8s.io"));
    let apps = client.list_api_group_resources("apps/v1").await.unwrap();
    let scale = apps
        .resources
        .iter()
        .find(|one| one.name == "deployments/scale")
        .unwrap();
    assert_eq!(scale.kind, "Scale");
    cluster.with(|state| state.metrics = false);
    let groups = client.list_api_groups().await.unwrap().groups;
    assert!(groups.iter().all(|group| group.name != "metrics.k8s.io"));
}
