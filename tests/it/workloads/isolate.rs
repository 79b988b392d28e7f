//! A service is cut off and joined again.

use serde_json::{Value, json};
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use super::{entry, patch, web, with_variable, workload};
use crate::kubernetes::Cluster;
use treasury_bot::domain::service::WorkloadKind;

/// What can be cut: labels of pods, selectors of services, all policies.
fn joins(cluster: &Cluster) -> Value {
    let all = |plural: &str, pointer: &str| -> Vec<Value> {
        let all = cluster.list(plural, "shop");
        let one = |one: &Value| json!([one["metadata"]["name"], one.pointer(pointer)]);
        all.iter().map(one).collect()
    };
    json!({
        "pods": all("pods", "/metadata/labels"),
        "services": all("services", "/spec"),
        "policies": all("networkpolicies", "/spec"),
    })
}

fn surroundings(cluster: &Cluster) {
    let about = |kind: &str, version: &str, name: &str, spec: Value| {
        cluster.create(&json!({"apiVersion": version, "kind": kind,
            "metadata": {"namespace": "shop", "name": name}, "spec": spec}));
    };
    let ports = json!([{"port": 80}]);
    about(
        "Service",
        "v1",
        "web",
        json!({"selector": {"app": "web"}, "ports": ports}),
    );
    about(
        "Service",
        "v1",
        "front",
        json!({"selector": {"tier": "front"}, "ports": ports}),
    );
    let policy = |selector: Value| {
        json!({"podSelector": selector, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}]}]})
    };
    let version = "networking.k8s.io/v1";
    about(
        "NetworkPolicy",
        version,
        "front",
        policy(json!({"matchLabels": {"tier": "front"}})),
    );
    about("NetworkPolicy", version, "all", policy(json!({})));
    about(
        "NetworkPolicy",
        version,
        "db",
        policy(json!({"matchLabels": {"tier": "db"}})),
    );
}

#[tokio::test]
async fn an_isolated_service_is_joined_again_exactly_as_it_was() {
    let (cluster, driver, service) = web(2).await;
    // Another workload behind one of the services.
    cluster.create(&workload("Deployment", "other", 1, "other:1"));
    cluster.settled("deployments", "shop", "other").await;
    surroundings(&cluster);
    let before = joins(&cluster);
    let quiet = ProgressSink::none();

    let attachments = driver.attachments(&service).await.unwrap();
    let to: Vec<&str> = attachments
        .iter()
        .map(|attachment| attachment.to.as_str())
        .collect();
    assert_eq!(
        to,
        [
            "the network",
            "the network",
            "the network",
            "what the policy all allows",
            "what the policy front allows",
            "service web"
        ]
    );
    let status = driver
        .isolate(&service, &attachments, &quiet)
        .await
        .unwrap();
    assert_eq!(status.replicas.len(), 2, "the processes go on");
    assert_eq!(driver.attachments(&service).await.unwrap(), []);
    let cut = joins(&cluster);
    assert_ne!(cut, before);
    // The service leads nowhere; what both share goes on for the other.
    let ends = |name: &str| -> usize {
        let slices = cluster.list("endpointslices", "shop");
        let own = slices
            .iter()
            .filter(|one| one["metadata"]["labels"]["kubernetes.io/service-name"] == name);
        own.map(|one| one["endpoints"].as_array().map_or(0, Vec::len))
            .sum()
    };
    let looked = cluster
        .eventually("web has no endpoints", |_| Some(()))
        .await;
    assert_eq!(looked, ());
    let mut left = ends("web");
    for _ in 0..100 {
        if left == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        left = ends("web");
    }
    assert_eq!((left, ends("front")), (0, 3));
    cluster.clear_access();
    driver
        .isolate(&service, &attachments, &quiet)
        .await
        .unwrap();
    assert_eq!(joins(&cluster), cut, "the same again changes nothing");

    let status = driver
        .release(&service, &attachments, &quiet)
        .await
        .unwrap();
    assert_eq!(status.replicas.len(), 2);
    assert_eq!(joins(&cluster), before);
    driver
        .release(&service, &attachments, &quiet)
        .await
        .unwrap();
    assert_eq!(joins(&cluster), before);
    assert_eq!(
        driver.attachments(&service).await.unwrap().len(),
        attachments.len()
    );
}

#[tokio::test]
async fn a_release_after_pods_were_replaced_leaves_none_cut_off() {
    let (cluster, driver, service) = web(2).await;
    surroundings(&cluster);
    let quiet = ProgressSink::none();
    let attachments = driver.attachments(&service).await.unwrap();
    driver
        .isolate(&service, &attachments, &quiet)
        .await
        .unwrap();
    let pod = cluster.list("pods", "shop")[0]["metadata"]["name"].clone();
    cluster.delete("pods", "shop", pod.as_str().unwrap());
    cluster.settled("deployments", "shop", "web").await;
    // A service that somebody removes meanwhile is no reason to leave the rest cut.
    cluster.delete("services", "shop", "web");
    driver
        .release(&service, &attachments, &quiet)
        .await
        .unwrap();
    let text = joins(&cluster).to_string();
    assert!(!text.contains("treasury-bot"), "{text}");
}

#[tokio::test]
async fn pods_on_their_machines_network_can_not_be_cut_off() {
    let cluster = Cluster::start();
    let mut agent = workload("DaemonSet", "agent", 0, "agent:1");
    agent["spec"]["template"]["spec"]["hostNetwork"] = true.into();
    cluster.create(&agent);
    cluster.settled("daemonsets", "shop", "agent").await;
    let driver = super::driver(&cluster).await;
    let error = driver
        .attachments(&entry(WorkloadKind::DaemonSet, "agent"))
        .await
        .unwrap_err();
    assert!(matches!(error, PlatformError::Unsupported(_)), "{error}");
}

#[tokio::test]
async fn the_evidence_has_logs_and_descriptions_and_no_values() {
    let (cluster, driver, service) = web(1).await;
    patch(&cluster, &with_variable()).await;
    let status = driver.status(&service).await.unwrap();
    let pod = status.replicas[0].name.clone();
    cluster.log("shop", &pod, &[(super::now(), "paid 5 EUR")]);
    cluster.clear_access();
    let pieces = driver.evidence(&service).await.unwrap();
    let piece = |name: &str| {
        let found = pieces.iter().find(|one| one.name == name);
        found.map_or_else(|| panic!("no {name}"), |one| one.text.as_str())
    };
    assert!(piece(&format!("{pod}.web.logs.txt")).contains("paid 5 EUR"));
    assert!(piece(&format!("{pod}.json")).contains("TOKEN"));
    assert!(piece("deployment-web.json").contains("TOKEN"));
    assert!(piece("web.events.txt").contains("ScalingReplicaSet"));
    assert!(pieces.iter().all(|one| !one.text.contains("hunter2")));
    assert_eq!(cluster.writes("").len(), 0);
}
