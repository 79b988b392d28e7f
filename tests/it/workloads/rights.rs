//! The rights that `rbac` prints are enough for everything, and none is too much.

use serde_json::json;
use treasury_bot::domain::service::{Bounds, Intent, LogQuery, Service, WorkloadKind};
use treasury_bot::platform::kubernetes::rbac;
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use super::{SOON, driver, entry, now, workload};
use crate::kubernetes::{Cluster, Grant};

fn grants(services: &[Service]) -> Vec<Grant> {
    let roles = rbac::roles(services, None);
    let rules = roles.iter().flat_map(|role| {
        role.rules.iter().map(|rule| {
            let rule = json!({"apiGroups": [rule.group], "resources": rule.resources,
                "resourceNames": rule.names, "verbs": rule.verbs});
            Grant::of(Some(&role.namespace), &rule)
        })
    });
    rules.collect()
}

/// Everything that can be asked of the driver.
async fn everything(cluster: &Cluster, driver: &dyn Platform, service: &Service, kind: &str) {
    let quiet = ProgressSink::none();
    driver.ping().await.unwrap();
    let status = driver.status(service).await.unwrap();
    assert!(status.is_well());
    let query = LogQuery {
        lines: 10,
        since: None,
        grep: None,
        previous: false,
        container: None,
    };
    driver.logs(service, &query).await.unwrap();
    driver.stats(service).await.unwrap();
    driver.events(service, now()).await.unwrap();
    let intent = Intent::new(format!("1-{}", service.name), now());
    let only = [status.replicas[0].id.clone()];
    driver
        .restart(service, Some(&only), &intent, SOON, &quiet)
        .await
        .unwrap();
    driver
        .restart(service, None, &intent, SOON, &quiet)
        .await
        .unwrap();
    driver.restart_outcome(service, &[], &intent).await.unwrap();
    if kind != "DaemonSet" {
        driver.scalable(service, 3).await.unwrap();
        driver.scale(service, 3, SOON, &quiet).await.unwrap();
        cluster.create(&json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"minReplicas": 1, "maxReplicas": 6, "scaleTargetRef": {
                "apiVersion": "apps/v1", "kind": kind, "name": "web"}},
        }));
        let bounds = Bounds { min: 2, max: 5 };
        driver.set_bounds(service, bounds).await.unwrap();
    }
    let version = driver.deployable(service, "web:2").await.unwrap();
    driver
        .deploy(service, &version, SOON, &quiet)
        .await
        .unwrap();
    driver.versions(service).await.unwrap();
    let attachments = driver.attachments(service).await.unwrap();
    driver.evidence(service).await.unwrap();
    driver.isolate(service, &attachments, &quiet).await.unwrap();
    driver.release(service, &attachments, &quiet).await.unwrap();
}

#[tokio::test]
async fn the_printed_rights_are_enough_and_each_is_used() {
    for (kind, name, plural) in [
        (WorkloadKind::Deployment, "Deployment", "deployments"),
        (WorkloadKind::StatefulSet, "StatefulSet", "statefulsets"),
        (WorkloadKind::DaemonSet, "DaemonSet", "daemonsets"),
    ] {
        let cluster = Cluster::start();
        cluster.create(&workload(name, "web", 2, "web:1"));
        cluster.create(&json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}));
        cluster.settled(plural, "shop", "web").await;
        let service = entry(kind, "web");
        let services = [service.clone()];
        cluster.allow_only(grants(&services));
        let driver = driver(&cluster).await;
        everything(&cluster, &driver, &service, name).await;
        let asked = cluster.access();
        let refused: Vec<_> = asked.iter().filter(|one| one.code == 403).collect();
        assert!(refused.is_empty(), "{refused:?}");
        for role in rbac::roles(&services, None) {
            for rule in &role.rules {
                for (resource, verb) in rule
                    .resources
                    .iter()
                    .flat_map(|resource| rule.verbs.iter().map(move |verb| (resource, verb)))
                {
                    // Making by apply asks for both rights, and shows as a patch.
                    let verb = if *verb == "create" && *resource == "networkpolicies" {
                        "patch"
                    } else {
                        verb
                    };
                    let used = asked.iter().any(|one| {
                        one.verb == verb && one.resource.split('.').next() == Some(*resource)
                    });
                    assert!(used, "{name}: {verb} {resource} is too much");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_names_the_right_that_is_missing_and_the_mend() {
    let (cluster, driver, service) = super::web(1).await;
    let quiet = ProgressSink::none();
    let intent = Intent::new("1-1", now());
    cluster.forbid("patch", "deployments");
    let error = driver
        .restart(&service, None, &intent, SOON, &quiet)
        .await
        .unwrap_err();
    assert!(matches!(error, PlatformError::Denied { .. }));
    let text = error.to_string();
    assert!(
        text.contains("may not patch deployments (apps) in namespace shop"),
        "{text}"
    );
    assert!(text.contains("treasury-bot rbac"), "{text}");

    // What may not be watched is asked for.
    cluster.heal();
    cluster.forbid("watch", "pods");
    let driver = super::driver(&cluster).await;
    assert!(driver.status(&service).await.unwrap().is_well());
    cluster.forbid("list", "pods");
    let error = driver.status(&service).await.unwrap_err().to_string();
    assert!(
        error.contains("may not list pods in namespace shop"),
        "{error}"
    );
    // What scales it may stay unknown.
    cluster.heal();
    cluster.forbid("*", "horizontalpodautoscalers");
    let driver = super::driver(&cluster).await;
    assert!(driver.status(&service).await.unwrap().is_well());
}
