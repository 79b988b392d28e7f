//! The use of resources, from the metrics API.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::object::or_default;
use crate::{Kind, Metadata, Pod, Result, Scope, Snapshot, code_of};
use treasury_domain::service::{ReplicaStats, ServiceStats};
use treasury_ports::platform::PlatformError;

/// What a pod used when it was measured.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PodMetrics {
    metadata: Metadata,
    timestamp: Option<Timestamp>,
    /// Quantities such as `250m`, under `usage`.
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Value>,
}

/// One sample of each pod that has one.
pub(crate) async fn stats(scope: Scope<'_>, seen: &Snapshot) -> Result<ServiceStats> {
    let selector = seen.workload.selector()?;
    let all = scope.all(Kind::POD_METRICS).list(Some(&selector)).await;
    let all: Vec<PodMetrics> = all.map_err(|error| {
        // Whether the server is there at all is known: the workload was just read. 503: it is
        // registered, but who serves it is down.
        let absent = matches!(
            error,
            PlatformError::NotFound { .. } | PlatformError::Unreachable { .. }
        ) || code_of(&error).is_some_and(|code| code >= 500);
        if !absent {
            return error;
        }
        PlatformError::Unsupported(format!(
            "the cluster has no metrics API (metrics.k8s.io), so the use of resources of {} is not \
             known. Install the metrics-server: `kubectl top pods` must work",
            scope.target.service
        ))
    })?;
    let samples: HashMap<&str, &PodMetrics> = all
        .iter()
        .map(|one| (one.metadata.name.as_str(), one))
        .collect();
    let living = seen.living();
    let measured: Vec<(&Pod, &PodMetrics)> = living
        .filter_map(|pod| Some((&**pod, *samples.get(pod.name())?)))
        .collect();
    let oldest = measured
        .iter()
        .filter_map(|(_, sample)| sample.timestamp)
        .min();
    Ok(ServiceStats {
        taken_at: oldest.unwrap_or_else(Timestamp::now),
        replicas: measured
            .iter()
            .map(|(pod, sample)| of(pod, sample))
            .collect(),
        note: None,
    })
}

/// All containers of a pod together.
fn of(pod: &Pod, sample: &PodMetrics) -> ReplicaStats {
    let sum = |key: &str| -> f64 {
        let used = sample.containers.iter().map(|one| &one["usage"][key]);
        used.filter_map(|used| quantity(used.as_str()?)).sum()
    };
    ReplicaStats {
        replica: pod.name().to_owned(),
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
pub(crate) fn memory_limit(pod: &Pod) -> Option<u64> {
    let all = pod.spec.containers.iter();
    let limits = all.map(|one| quantity(one.resources.limits.get("memory")?));
    limits.sum::<Option<f64>>().map(|bytes| bytes as u64)
}

/// A quantity such as `250m`, `128Mi` or `1e3`.
fn quantity(text: &str) -> Option<f64> {
    let is_digit = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    let digits = text.find(|c| !is_digit(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let power = |base: f64, units: &str, unit: &str| {
        let at = units.find(unit).filter(|_| unit.len() == 1)?;
        Some(base.powi(at as i32 + 1))
    };
    let factor = match (unit, unit.strip_suffix('i')) {
        ("", _) => 1.0,
        ("n", _) => 1e-9,
        ("u", _) => 1e-6,
        ("m", _) => 1e-3,
        (_, Some(unit)) => power(1024.0, "KMGTPE", unit)?,
        _ => match unit
            .strip_prefix(['e', 'E'])
            .filter(|power| !power.is_empty())
        {
            Some(exponent) => 10_f64.powi(exponent.parse().ok()?),
            None => power(1000.0, "kMGTPE", unit)?,
        },
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
        let sample = serde_json::from_value(sample).unwrap();
        let one = of(&pod(json!({"limits": {"memory": "64Mi"}})), &sample);
        assert!((one.cpu_percent - 30.0).abs() < 1e-9);
        assert_eq!(one.memory_bytes, 48 << 20);
        assert_eq!(one.memory_limit_bytes, Some(128 << 20));
        assert_eq!(of(&pod(json!({})), &sample).memory_limit_bytes, None);
    }
}
