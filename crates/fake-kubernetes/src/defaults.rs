//! What the server fills in.

use serde_json::{Value, json};

use crate::json::{default, list, text};
use crate::resource::Kind;

/// Fills in what was left out.
pub fn fill(kind: &Kind, object: &mut Value) {
    default(object, &["apiVersion"], json!(kind.api_version()));
    default(object, &["kind"], json!(kind.kind));
    match kind.plural {
        "deployments" => {
            workload(object);
            default(object, &["spec", "progressDeadlineSeconds"], json!(600));
            default(
                object,
                &["spec", "strategy", "type"],
                json!("RollingUpdate"),
            );
            if text(object, "/spec/strategy/type") == "RollingUpdate" {
                for limit in ["maxSurge", "maxUnavailable"] {
                    let path = &["spec", "strategy", "rollingUpdate", limit];
                    default(object, path, json!("25%"));
                }
            }
        }
        "replicasets" => {
            default(object, &["spec", "replicas"], json!(1));
            template(object, &["spec", "template", "spec"]);
        }
        "statefulsets" => {
            workload(object);
            default(
                object,
                &["spec", "podManagementPolicy"],
                json!("OrderedReady"),
            );
            default(object, &["spec", "serviceName"], json!(""));
            default(
                object,
                &["spec", "updateStrategy", "type"],
                json!("RollingUpdate"),
            );
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                let path = &["spec", "updateStrategy", "rollingUpdate", "partition"];
                default(object, path, json!(0));
            }
        }
        "daemonsets" => {
            default(object, &["spec", "revisionHistoryLimit"], json!(10));
            default(
                object,
                &["spec", "updateStrategy", "type"],
                json!("RollingUpdate"),
            );
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                let path = &["spec", "updateStrategy", "rollingUpdate"];
                crate::json::default(object, &[path.as_slice(), &["maxSurge"]].concat(), json!(0));
                crate::json::default(
                    object,
                    &[path.as_slice(), &["maxUnavailable"]].concat(),
                    json!(1),
                );
            }
            template(object, &["spec", "template", "spec"]);
        }
        "pods" => template(object, &["spec"]),
        "services" => {
            default(object, &["spec", "type"], json!("ClusterIP"));
            default(object, &["spec", "sessionAffinity"], json!("None"));
            if let Some(ports) = object
                .pointer_mut("/spec/ports")
                .and_then(Value::as_array_mut)
            {
                for port in ports {
                    default(port, &["protocol"], json!("TCP"));
                    let number = port["port"].clone();
                    default(port, &["targetPort"], number);
                }
            }
        }
        "horizontalpodautoscalers" => default(object, &["spec", "minReplicas"], json!(1)),
        "networkpolicies" if list(object, "/spec/policyTypes").is_empty() => {
            let mut types = vec!["Ingress"];
            if !list(object, "/spec/egress").is_empty() {
                types.push("Egress");
            }
            crate::json::set(object, &["spec", "policyTypes"], json!(types));
        }
        "namespaces" => default(object, &["spec", "finalizers"], json!(["kubernetes"])),
        _ => {}
    }
}

fn workload(object: &mut Value) {
    default(object, &["spec", "replicas"], json!(1));
    default(object, &["spec", "revisionHistoryLimit"], json!(10));
    template(object, &["spec", "template", "spec"]);
}

fn template(object: &mut Value, path: &[&str]) {
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
    ] {
        default(object, &[path, &[key]].concat(), value);
    }
    let pointer = format!("/{}/containers", path.join("/"));
    let containers = object.pointer_mut(&pointer).and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let image = text(container, "/image");
        let newest = image.ends_with(":latest")
            || !image.rsplit('/').next().unwrap_or("").contains([':', '@']);
        let pull = if newest { "Always" } else { "IfNotPresent" };
        default(container, &["imagePullPolicy"], json!(pull));
        default(container, &["resources"], json!({}));
        default(
            container,
            &["terminationMessagePath"],
            json!("/dev/termination-log"),
        );
        default(container, &["terminationMessagePolicy"], json!("File"));
        if let Some(ports) = container.get_mut("ports").and_then(Value::as_array_mut) {
            for port in ports {
                default(port, &["protocol"], json!("TCP"));
            }
        }
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            if container.get(probe).is_some() {
                for (key, value) in [
                    ("timeoutSeconds", 1),
                    ("periodSeconds", 10),
                    ("successThreshold", 1),
                    ("failureThreshold", 3),
                ] {
                    default(container, &[probe, key], json!(value));
                }
            }
        }
    }
}

/// The status that a new object has.
pub fn status(kind: &Kind, object: &Value) -> Value {
    match kind.plural {
        "pods" => json!({"phase": "Pending", "qosClass": quality(object)}),
        "namespaces" => json!({"phase": "Active"}),
        "nodes" => json!({
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        }),
        "services" => json!({"loadBalancer": {}}),
        "replicasets" | "statefulsets" => json!({"replicas": 0}),
        "daemonsets" => json!({
            "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0,
            "numberReady": 0,
        }),
        "horizontalpodautoscalers" => json!({"desiredReplicas": 0, "currentMetrics": null}),
        _ => json!({}),
    }
}

fn quality(pod: &Value) -> &'static str {
    let limits = list(pod, "/spec/containers")
        .iter()
        .map(|one| (&one["resources"]["limits"], &one["resources"]["requests"]));
    let limits: Vec<_> = limits.collect();
    if limits
        .iter()
        .all(|(limits, requests)| limits.is_null() && requests.is_null())
    {
        "BestEffort"
    } else if limits
        .iter()
        .all(|(limits, requests)| !limits.is_null() && (requests.is_null() || limits == requests))
    {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
