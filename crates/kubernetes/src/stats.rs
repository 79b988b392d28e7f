//! The use of resources, from the metrics API.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use serde_json::Value;

use super::api::{Line, code_of};
use super::find::{self, Place, Seen};
use super::pod;
use super::workload::named;
use treasury_domain::service::{ReplicaStats, ServiceStats};
use treasury_ports::platform::PlatformError;

/// One sample of each pod that has one.
pub(super) async fn stats(
    line: &Line,
    place: Place<'_>,
    seen: &Seen,
) -> Result<ServiceStats, PlatformError> {
    let resource = named("metrics.k8s.io", "v1beta1", "PodMetrics", "pods");
    let api = find::objects(line, place, &resource).await?;
    let selector = seen.workload.selector()?;
    let all = match find::all(line, "the metrics", &api, Some(&selector)).await {
        Ok(all) => all,
        Err(error @ PlatformError::Denied { .. }) => return Err(error),
        Err(error) => {
            // 503: it is registered, but who serves it is down.
            let absent = matches!(
                error,
                PlatformError::NotFound { .. } | PlatformError::Unreachable { .. }
            ) || code_of(&error).is_some_and(|code| code >= 500);
            // Whether the server is there at all is known: the workload was just read.
            if !absent {
                return Err(error);
            }
            return Err(PlatformError::Unsupported(format!(
                "the cluster has no metrics API (metrics.k8s.io), so the use of resources of {} \
                 is not known. Install the metrics-server: `kubectl top pods` must work",
                place.service
            )));
        }
    };
    let samples: HashMap<&str, &DynamicObject> = all
        .iter()
        .filter_map(|one| Some((one.metadata.name.as_deref()?, one)))
        .collect();
    let mut taken_at: Option<Timestamp> = None;
    let mut replicas = Vec::new();
    for pod in seen.living() {
        let Some(sample) = samples.get(pod::name(pod)) else {
            continue;
        };
        let at = sample.data.get("timestamp").and_then(Value::as_str);
        if let Some(at) = at.and_then(|at| at.parse::<Timestamp>().ok()) {
            taken_at = Some(taken_at.map_or(at, |oldest| oldest.min(at)));
        }
        replicas.push(of(pod, &sample.data));
    }
    Ok(ServiceStats {
        taken_at: taken_at.unwrap_or_else(Timestamp::now),
        replicas,
        note: None,
    })
}

/// All containers of a pod together.
fn of(pod: &Pod, sample: &Value) -> ReplicaStats {
    let containers = sample.get("containers").and_then(Value::as_array);
    let sum = |key: &str| -> f64 {
        let used = containers.into_iter().flatten();
        let used = used.filter_map(|one| one.pointer(&format!("/usage/{key}"))?.as_str());
        used.filter_map(quantity).sum()
    };
    ReplicaStats {
        replica: pod::name(pod).to_owned(),
        cpu_percent: sum("cpu") * 100.0,
        memory_bytes: sum("memory") as u64,
        memory_limit_bytes: memory_limit(pod),
        network_rx_bytes: 0,
        network_tx_bytes: 0,
        block_read_bytes: 0,
        block_write_bytes: 0,
        pids: 0,
    }
}

/// The limits of its containers together; `None` where one has none.
fn memory_limit(pod: &Pod) -> Option<u64> {
    let limits = pod::containers(pod).iter().map(|one| {
        let limits = one.resources.as_ref()?.limits.as_ref()?;
        quantity(&limits.get("memory")?.0)
    });
    limits.sum::<Option<f64>>().map(|bytes| bytes as u64)
}

/// A quantity such as `250m`, `128Mi` or `1e3`.
fn quantity(text: &str) -> Option<f64> {
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Pi" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        other => {
            let exponent: i32 = other.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_f64.powi(exponent)
        }
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("250m", 0.25),
            ("2", 2.0),
            ("1500000n", 0.0015),
            ("128Mi", 134_217_728.0),
            ("1G", 1e9),
            ("1e3", 1000.0),
            ("0.5", 0.5),
        ] {
            let read = quantity(text).unwrap();
            assert!((read - expected).abs() < 1e-9, "{text}: {read}");
        }
        for bad in ["", "x", "1Zi", "1e"] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_pod_uses_what_its_containers_use_and_has_a_limit_if_all_have() {
        let pod = |second: Value| -> Pod {
            serde_json::from_value(
                json!({"metadata": {"name": "web-1"}, "spec": {"containers": [
                {"name": "web", "resources": {"limits": {"memory": "64Mi"}}},
                {"name": "proxy", "resources": second}]}}),
            )
            .unwrap()
        };
        let sample = json!({"containers": [
            {"name": "web", "usage": {"cpu": "250m", "memory": "32Mi"}},
            {"name": "proxy", "usage": {"cpu": "50m", "memory": "16Mi"}}]});
        let one = of(&pod(json!({"limits": {"memory": "64Mi"}})), &sample);
        assert!((one.cpu_percent - 30.0).abs() < 1e-9);
        assert_eq!(one.memory_bytes, 48 << 20);
        assert_eq!(one.memory_limit_bytes, Some(128 << 20));
        assert_eq!(of(&pod(json!({})), &sample).memory_limit_bytes, None);
    }
}
