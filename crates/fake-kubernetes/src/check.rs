//! What the server refuses as invalid.

use k8s_openapi::api;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::{list, number, text};
use crate::resource::Kind;
use crate::select::Labels;
use crate::status::Status;

/// Field, reason and what is told of it.
type Problem = (&'static str, &'static str, String);

/// Refuses an object that is not one of its kind, or that may not become so from `old`.
pub fn object(kind: &Kind, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    typed(kind, object)?;
    let mut problems: Vec<Problem> = Vec::new();
    let name = text(object, "/metadata/name");
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.len() > 253
        || !name.chars().all(good)
        || !name.starts_with(ends)
        || !name.ends_with(ends)
    {
        problems.push(invalid(
            "metadata.name",
            name,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character",
        ));
    }
    labels(object, &mut problems);
    if kind.group == "apps" && object.pointer("/spec/template").is_some() {
        workload(kind, object, old, &mut problems);
    }
    if kind.plural == "pods"
        && let Some(old) = old
        && pod_shape(object) != pod_shape(old)
    {
        let told = "Forbidden: pod updates may not change fields other than \
                    `spec.containers[*].image`,`spec.initContainers[*].image`,\
                    `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
                    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 \
                    if it was previously negative)";
        problems.push(("spec", "FieldValueForbidden", told.to_owned()));
    }
    if kind.plural == "horizontalpodautoscalers" {
        let least = number(object, "/spec/minReplicas").unwrap_or(1);
        if number(object, "/spec/maxReplicas").unwrap_or(0) < least {
            problems.push(invalid(
                "spec.maxReplicas",
                &object["spec"]["maxReplicas"].to_string(),
                "must be greater than or equal to `minReplicas`",
            ));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(kind, name, &problems))
}

fn invalid(field: &'static str, value: &str, told: &str) -> Problem {
    let quoted = value.parse::<i64>().is_err();
    let value = if quoted {
        format!("{value:?}")
    } else {
        value.to_owned()
    };
    (
        field,
        "FieldValueInvalid",
        format!("Invalid value: {value}: {told}"),
    )
}

fn typed(kind: &Kind, object: &Value) -> Result<(), Status> {
    fn as_a<T: DeserializeOwned>(object: &Value) -> Result<(), serde_json::Error> {
        serde_json::from_value::<T>(object.clone()).map(drop)
    }
    let read = match kind.plural {
        "deployments" => as_a::<api::apps::v1::Deployment>(object),
        "replicasets" => as_a::<api::apps::v1::ReplicaSet>(object),
        "statefulsets" => as_a::<api::apps::v1::StatefulSet>(object),
        "daemonsets" => as_a::<api::apps::v1::DaemonSet>(object),
        "pods" => as_a::<api::core::v1::Pod>(object),
        "services" => as_a::<api::core::v1::Service>(object),
        "events" => as_a::<api::core::v1::Event>(object),
        "networkpolicies" => as_a::<api::networking::v1::NetworkPolicy>(object),
        "poddisruptionbudgets" => as_a::<api::policy::v1::PodDisruptionBudget>(object),
        "horizontalpodautoscalers" => as_a::<api::autoscaling::v2::HorizontalPodAutoscaler>(object),
        _ => Ok(()),
    };
    read.map_err(|error| {
        Status::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: json: {error}",
            kind.kind, kind.version, kind.kind
        ))
    })
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; at most 63.
fn is_word(text: &str) -> bool {
    text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn labels(object: &Value, problems: &mut Vec<Problem>) {
    for (field, pointer, values) in [
        ("metadata.labels", "/metadata/labels", true),
        ("metadata.annotations", "/metadata/annotations", false),
        (
            "spec.template.metadata.labels",
            "/spec/template/metadata/labels",
            true,
        ),
        (
            "spec.template.metadata.annotations",
            "/spec/template/metadata/annotations",
            false,
        ),
    ] {
        let map = object.pointer(pointer).and_then(Value::as_object);
        for (key, value) in map.into_iter().flatten() {
            let (prefix, name) = key.rsplit_once('/').unwrap_or(("a", key));
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            if !is_word(name) || prefix.is_empty() || !prefix.chars().all(good) {
                let told = "name part must consist of alphanumeric characters, '-', '_' or '.', \
                            and must start and end with an alphanumeric character";
                problems.push(invalid(field, key, told));
            }
            let value = value.as_str().unwrap_or("");
            if values && !value.is_empty() && !is_word(value) {
                let told = "a valid label must be an empty string or consist of alphanumeric \
                            characters, '-', '_' or '.', and must start and end with an \
                            alphanumeric character";
                problems.push(invalid(field, value, told));
            }
        }
    }
}

fn workload(kind: &Kind, object: &Value, old: Option<&Value>, problems: &mut Vec<Problem>) {
    if let Some(replicas) = number(object, "/spec/replicas")
        && replicas < 0
    {
        let told = "must be greater than or equal to 0";
        problems.push(invalid("spec.replicas", &replicas.to_string(), told));
    }
    let selector = &object["spec"]["selector"];
    let template = &object["spec"]["template"];
    if Labels::of(selector).is_empty() {
        let told = "Required value".to_owned();
        problems.push(("spec.selector", "FieldValueRequired", told));
    } else if !Labels::of(selector).matches(template) {
        let told = format!(
            "Invalid value: {}: `selector` does not match template `labels`",
            template["metadata"]["labels"]
        );
        problems.push(("spec.template.metadata.labels", "FieldValueInvalid", told));
    }
    let containers = list(template, "/spec/containers");
    if containers.is_empty() {
        let told = "Required value".to_owned();
        problems.push(("spec.template.spec.containers", "FieldValueRequired", told));
    }
    if containers.iter().any(|one| text(one, "/image").is_empty()) {
        let told = "Required value".to_owned();
        let field = "spec.template.spec.containers[0].image";
        problems.push((field, "FieldValueRequired", told));
    }
    let Some(old) = old else { return };
    if kind.plural == "statefulsets" {
        let rest = |one: &Value| {
            let mut spec = one["spec"].as_object().cloned().unwrap_or_default();
            spec.retain(|key, _| {
                !matches!(
                    key.as_str(),
                    "replicas"
                        | "ordinals"
                        | "template"
                        | "updateStrategy"
                        | "revisionHistoryLimit"
                        | "persistentVolumeClaimRetentionPolicy"
                        | "minReadySeconds"
                )
            });
            spec
        };
        if rest(object) != rest(old) {
            let told = "Forbidden: updates to statefulset spec for fields other than \
                        'replicas', 'ordinals', 'template', 'updateStrategy', \
                        'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                        'minReadySeconds' are forbidden";
            problems.push(("spec", "FieldValueForbidden", told.to_owned()));
        }
    } else if &old["spec"]["selector"] != selector {
        let told = format!("Invalid value: {selector}: field is immutable");
        problems.push(("spec.selector", "FieldValueInvalid", told));
    }
}

/// What may not change of a pod.
fn pod_shape(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    if let Some(map) = spec.as_object_mut() {
        map.remove("activeDeadlineSeconds");
        map.remove("tolerations");
        for list in ["containers", "initContainers"] {
            let items = map.get_mut(list).and_then(Value::as_array_mut);
            for item in items.into_iter().flatten() {
                item["image"] = Value::Null;
            }
        }
    }
    spec
}
