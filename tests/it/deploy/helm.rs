//! `deploy/helm/`: the same objects as the overlays, set by values.

use std::process::Command;

use serde_json::{Value, json};

use super::kubernetes::{documents, rendered};
use super::{printed, refused, tool};
use crate::support::process::root;

const IMAGE: &str = "image=ghcr.io/your-organisation/treasury-bot:0.1.0";

/// `helm COMMAND` for the chart with the configuration of this overlay.
fn helm(command: &str, overlay: &str) -> Command {
    let kubernetes = root().join("deploy/kubernetes");
    let config = kubernetes
        .join("overlays")
        .join(overlay)
        .join("treasury-bot.toml");
    let mut helm = tool("helm");
    helm.arg(command).arg("deploy/helm/treasury-bot");
    helm.args(["--namespace", "treasury-bot", "--set", IMAGE]);
    helm.arg("--set-file")
        .arg(format!("config={}", config.display()));
    let role = kubernetes.join("base/role.yml");
    helm.arg("--set-file")
        .arg(format!("role={}", role.display()));
    helm
}

const PRODUCTION: &str = "replicas=2,volume.enabled=false,ingress.enabled=true,\
    resources.requests.cpu=100m,resources.requests.memory=128Mi,resources.limits.memory=512Mi";

/// By kind and name, without what each way says of the same in its own words.
fn alike(all: Vec<Value>) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = all
        .into_iter()
        .filter(|one| one.is_object() && one["kind"] != "Namespace")
        .map(|mut one| {
            if one["kind"] == "ConfigMap" {
                one["metadata"] = json!({"name": "treasury-bot"});
            }
            if one["kind"] == "Deployment" {
                let template = &mut one["spec"]["template"];
                let notes = template["metadata"]["annotations"].as_object_mut().unwrap();
                notes.remove("checksum/config");
                let pod = &mut template["spec"];
                for volume in pod["volumes"].as_array_mut().unwrap() {
                    if volume["name"] == "config" {
                        volume["configMap"]["name"] = json!("treasury-bot");
                    }
                }
                let by_name = |one: &Value| one["name"].to_string();
                pod["volumes"].as_array_mut().unwrap().sort_by_key(by_name);
                let mounts = pod["containers"][0]["volumeMounts"].as_array_mut();
                mounts.unwrap().sort_by_key(by_name);
            }
            let (kind, name) = (&one["kind"], &one["metadata"]["name"]);
            (format!("{kind} {name}"), one)
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn the_chart_makes_what_the_overlays_make() {
    for (overlay, values) in [("production", PRODUCTION), ("staging", "replicas=1")] {
        printed(helm("lint", overlay).args(["--strict", "--set", values]));
        let chart = printed(helm("template", overlay).args(["--set", values]));
        let kustomize = rendered(&format!("overlays/{overlay}"));
        let (chart, kustomize) = (alike(documents(&chart)), alike(documents(&kustomize)));
        let names =
            |all: &[(String, Value)]| all.iter().map(|one| one.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&chart), names(&kustomize), "{overlay}");
        for (one, other) in chart.iter().zip(&kustomize) {
            assert_eq!(one, other, "{overlay}");
        }
    }
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn the_chart_says_what_it_lacks() {
    let told = |values: &str| refused(helm("template", "staging").args(["--set", values]));
    let chart = ["deploy/helm/treasury-bot", "--namespace", "treasury-bot"];
    let bare = refused(tool("helm").arg("template").args(chart));
    assert!(
        bare.contains("--set-file config=treasury-bot.toml"),
        "{bare}"
    );
    assert!(told("image=").contains("with a digest or a tag"));
    assert!(told("replicas=2").contains("several replicas share a PostgreSQL"));
    let told = refused(helm("template", "staging").args(["--namespace", "elsewhere"]));
    assert!(
        told.contains("install into the namespace treasury-bot"),
        "{told}"
    );
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn a_changed_configuration_makes_new_pods() {
    let pods = |overlay: &str| {
        let all = documents(&printed(&mut helm("template", overlay)));
        let bot = all
            .into_iter()
            .find(|one| one["kind"] == "Deployment")
            .unwrap();
        bot["spec"]["template"]["metadata"]["annotations"]["checksum/config"].clone()
    };
    assert_ne!(pods("staging"), pods("production"));
    assert_eq!(pods("staging"), pods("staging"));
}
