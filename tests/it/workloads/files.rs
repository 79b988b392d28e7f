//! The files for installing the bot.

use std::path::PathBuf;
use std::process::Command;

use k8s_openapi::api::{apps, autoscaling, core, networking, policy, rbac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::support::process::root;

fn documents() -> Vec<(String, Value)> {
    let folder = root().join("deploy/kubernetes");
    let files = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "yml"))
    };
    let all = files(folder.clone()).chain(files(folder.join("examples")));
    all.flat_map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let parts: Vec<(String, Value)> = text
            .split("\n---\n")
            .map(|part| {
                let read = serde_saphyr::from_str(part);
                (
                    name.clone(),
                    read.unwrap_or_else(|error| panic!("{name}: {error}")),
                )
            })
            .collect();
        parts
    })
    .collect()
}

fn typed<K: DeserializeOwned + Serialize>(document: &Value) -> Value {
    let object: K = serde_json::from_value(document.clone()).unwrap();
    serde_json::to_value(object).unwrap()
}

/// What of `all` is not in `known`.
fn lost(all: &Value, known: &Value, path: &str, found: &mut Vec<String>) {
    match (all, known) {
        (Value::Object(all), Value::Object(_)) => {
            for (key, value) in all {
                lost(value, &known[key], &format!("{path}/{key}"), found);
            }
        }
        (Value::Array(all), Value::Array(known)) if all.len() == known.len() => {
            for (n, (one, known)) in all.iter().zip(known).enumerate() {
                lost(one, known, &format!("{path}/{n}"), found);
            }
        }
        (one, known) if one == known => {}
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn each_file_is_what_kubernetes_reads() {
    let mut kinds = Vec::new();
    for (name, document) in documents() {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        let read = match kind.as_str() {
            "Namespace" => typed::<core::v1::Namespace>(&document),
            "ServiceAccount" => typed::<core::v1::ServiceAccount>(&document),
            "ConfigMap" => typed::<core::v1::ConfigMap>(&document),
            "Secret" => typed::<core::v1::Secret>(&document),
            "Service" => typed::<core::v1::Service>(&document),
            "Deployment" => typed::<apps::v1::Deployment>(&document),
            "PodDisruptionBudget" => typed::<policy::v1::PodDisruptionBudget>(&document),
            "NetworkPolicy" => typed::<networking::v1::NetworkPolicy>(&document),
            "HorizontalPodAutoscaler" => {
                typed::<autoscaling::v2::HorizontalPodAutoscaler>(&document)
            }
            "Role" => typed::<rbac::v1::Role>(&document),
            "RoleBinding" => typed::<rbac::v1::RoleBinding>(&document),
            other => panic!("{name}: {other}"),
        };
        let mut strange = Vec::new();
        lost(&document, &read, "", &mut strange);
        assert!(strange.is_empty(), "{name}: {strange:?}");
        kinds.push(kind);
    }
    kinds.sort();
    assert_eq!(kinds.len(), 11, "{kinds:?}");
}

#[test]
fn the_bot_is_nobody_and_writes_nowhere() {
    let all = documents();
    let bot = all.iter().find(|(_, one)| one["kind"] == "Deployment");
    let pod = &bot.unwrap().1["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(
        container["securityContext"]["allowPrivilegeEscalation"],
        false
    );
    for key in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert!(container[key]["httpGet"]["path"].is_string(), "{key}");
    }
    assert!(container["resources"]["limits"]["memory"].is_string());
}

#[test]
fn the_role_is_what_rbac_prints_for_the_configuration_beside_it() {
    let all = documents();
    let config = all.iter().find(|(_, one)| one["kind"] == "ConfigMap");
    let text = config.unwrap().1["data"]["treasury-bot.toml"]
        .as_str()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("treasury-bot.toml");
    std::fs::write(&path, text).unwrap();
    // Without any of the bot's secrets.
    let output = Command::new(env!("CARGO_BIN_EXE_treasury-bot"))
        .env_clear()
        .args(["rbac", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let kept = std::fs::read_to_string(root().join("deploy/kubernetes/role.yml")).unwrap();
    assert_eq!(printed, kept);

    let other = Command::new(env!("CARGO_BIN_EXE_treasury-bot"))
        .env_clear()
        .args(["rbac", "--cluster", "other", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(2));
}
