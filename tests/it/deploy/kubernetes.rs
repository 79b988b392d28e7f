//! `deploy/kubernetes/`, as `kubectl apply -k` would send it.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::{apps, autoscaling, core, networking, policy, rbac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{printed, refused, tool};
use crate::support::process::root;

const OVERLAYS: [&str; 2] = ["overlays/staging", "overlays/production"];
const STACK: &str = "examples/stack";
/// The oldest and the newest that the files are for.
const VERSIONS: [&str; 2] = ["1.33", "1.37"];

fn folder() -> std::path::PathBuf {
    root().join("deploy/kubernetes")
}

/// All that `kubectl apply -k` sends for this folder, in its order.
pub(super) fn rendered(name: &str) -> String {
    printed(tool("kubectl").arg("kustomize").arg(folder().join(name)))
}

pub(super) fn documents(text: &str) -> Vec<Value> {
    let parts = text.split("\n---\n");
    let read =
        |part| serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{error}: {part}"));
    parts.map(read).collect()
}

fn of_kind<'a>(all: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    all.iter().filter(move |one| one["kind"] == kind)
}

/// Each text that is to be applied, with where it is from.
fn applied() -> Vec<(&'static str, String)> {
    let whole = OVERLAYS
        .into_iter()
        .chain([STACK])
        .map(|name| (name, rendered(name)));
    let single = ["examples/secret.yml", "examples/autoscaler.yml"].into_iter();
    let single = single.map(|name| (name, std::fs::read_to_string(folder().join(name)).unwrap()));
    whole.chain(single).collect()
}

fn validate(version: &str, text: &str) -> (Command, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    let mut command = tool("kubernetes-validate");
    command
        .args(["--strict", "--kubernetes-version", version])
        .arg(file.path());
    (command, file)
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

fn object(document: &Value) -> Value {
    match document["kind"].as_str().unwrap_or_default() {
        "Namespace" => typed::<core::v1::Namespace>(document),
        "ServiceAccount" => typed::<core::v1::ServiceAccount>(document),
        "ConfigMap" => typed::<core::v1::ConfigMap>(document),
        "Secret" => typed::<core::v1::Secret>(document),
        "Service" => typed::<core::v1::Service>(document),
        "PersistentVolumeClaim" => typed::<core::v1::PersistentVolumeClaim>(document),
        "Deployment" => typed::<apps::v1::Deployment>(document),
        "StatefulSet" => typed::<apps::v1::StatefulSet>(document),
        "PodDisruptionBudget" => typed::<policy::v1::PodDisruptionBudget>(document),
        "Ingress" => typed::<networking::v1::Ingress>(document),
        "NetworkPolicy" => typed::<networking::v1::NetworkPolicy>(document),
        "HorizontalPodAutoscaler" => typed::<autoscaling::v2::HorizontalPodAutoscaler>(document),
        "Role" => typed::<rbac::v1::Role>(document),
        "RoleBinding" => typed::<rbac::v1::RoleBinding>(document),
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn two_versions_of_kubernetes_take_every_object() {
    let texts = applied();
    let all: Vec<&str> = texts.iter().map(|(_, text)| text.trim_end()).collect();
    let (all, count) = (
        all.join("\n---\n"),
        texts.iter().flat_map(|(_, text)| documents(text)).count(),
    );
    for version in VERSIONS {
        let told = printed(&mut validate(version, &all).0);
        let passed = told
            .lines()
            .filter(|line| line.contains(" passed for resource "));
        assert_eq!(passed.count(), count, "{told}");
    }
    for (name, text) in &texts {
        for document in documents(text) {
            let mut strange = Vec::new();
            lost(&document, &object(&document), "", &mut strange);
            assert!(strange.is_empty(), "{name}: {strange:?}");
        }
    }
    // They would notice: a slip of the pen, and what only a newer Kubernetes has.
    let text = rendered("overlays/production");
    let slip = text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem");
    let answer = refused(&mut validate("1.37", &slip).0);
    assert!(
        answer.contains("'readOnlyRootFileSystem' was unexpected"),
        "{answer}"
    );
    let answer = refused(&mut validate("1.28", &text).0);
    assert!(answer.contains("'sleep' was unexpected"), "{answer}");
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn the_namespace_is_sent_first_and_is_the_strictest() {
    for name in OVERLAYS.into_iter().chain([STACK]) {
        let all = documents(&rendered(name));
        assert_eq!(all[0]["kind"], "Namespace", "{name}");
        let labels = &all[0]["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    }
}

/// What the profile "restricted" asks, and more.
fn is_nobody(workload: &Value, token: bool) {
    let pod = &workload["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], token, "{workload}");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let seccomp = &pod["securityContext"]["seccompProfile"]["type"];
    assert_eq!(seccomp, "RuntimeDefault");
    for container in pod["containers"].as_array().unwrap() {
        let guard = &container["securityContext"];
        assert_eq!(guard["readOnlyRootFilesystem"], true, "{container}");
        assert_eq!(guard["allowPrivilegeEscalation"], false);
        assert_eq!(guard["capabilities"]["drop"][0], "ALL");
        assert!(container["resources"]["limits"]["memory"].is_string());
        assert!(container["readinessProbe"].is_object(), "{container}");
    }
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn everything_runs_as_nobody_and_only_the_bot_has_a_token() {
    for name in OVERLAYS {
        let all = documents(&rendered(name));
        let [bot] = of_kind(&all, "Deployment").collect::<Vec<_>>()[..] else {
            panic!("{name}")
        };
        is_nobody(bot, true);
        let container = &bot["spec"]["template"]["spec"]["containers"][0];
        for (probe, path) in [
            ("startupProbe", "/health/live"),
            ("livenessProbe", "/health/live"),
            ("readinessProbe", "/health/ready"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
        }
        for account in of_kind(&all, "ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false);
        }
    }
    let stack = documents(&rendered(STACK));
    let workloads = of_kind(&stack, "Deployment").chain(of_kind(&stack, "StatefulSet"));
    assert_eq!(workloads.map(|one| is_nobody(one, false)).count(), 4);
}

/// `kind/namespace/name` of all objects.
fn names(all: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter()
        .map(|one| {
            let (kind, about) = (text(&one["kind"]), &one["metadata"]);
            format!(
                "{kind}/{}/{}",
                text(&about["namespace"]),
                text(&about["name"])
            )
        })
        .collect()
}

/// What an object names, as `names` has it.
fn named(one: &Value) -> Vec<String> {
    let (kind, spec) = (one["kind"].as_str().unwrap(), &one["spec"]);
    let namespace = one["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    let mut add = |kind: &str, name: &Value| {
        if let Some(name) = name.as_str() {
            found.push(format!("{kind}/{namespace}/{name}"));
        }
    };
    let pod = &spec["template"]["spec"];
    add("ServiceAccount", &pod["serviceAccountName"]);
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        add("ConfigMap", &volume["configMap"]["name"]);
        add(
            "PersistentVolumeClaim",
            &volume["persistentVolumeClaim"]["claimName"],
        );
    }
    add("Service", &spec["serviceName"]);
    add("Deployment", &spec["scaleTargetRef"]["name"]);
    for rule in spec["rules"].as_array().into_iter().flatten() {
        for path in rule["http"]["paths"].as_array().into_iter().flatten() {
            add("Service", &path["backend"]["service"]["name"]);
        }
    }
    if kind == "RoleBinding" {
        add("Role", &one["roleRef"]["name"]);
    }
    found
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn whatever_names_another_object_finds_it() {
    for name in OVERLAYS.into_iter().chain([STACK]) {
        let all = documents(&rendered(name));
        let there = names(&all);
        let wanted: Vec<String> = all.iter().flat_map(named).collect();
        assert!(wanted.len() > 2, "{name}: {wanted:?}");
        for one in &wanted {
            assert!(there.contains(one), "{name} has no {one}");
        }
        let label = "app.kubernetes.io/name";
        let pods = |namespace: &Value, labels: &Value| {
            all.iter().any(|one| {
                let template = &one["spec"]["template"];
                template["metadata"]["labels"][label] == labels[label]
                    && one["metadata"]["namespace"] == *namespace
            })
        };
        for one in &all {
            let spec = &one["spec"];
            for labels in [
                &spec["podSelector"]["matchLabels"],
                &spec["selector"]["matchLabels"],
            ] {
                if labels.is_object() {
                    assert!(pods(&one["metadata"]["namespace"], labels), "{one}");
                }
            }
            if one["kind"] == "Service" {
                assert!(
                    pods(&one["metadata"]["namespace"], &spec["selector"]),
                    "{one}"
                );
            }
        }
    }
}

/// Whether the policies let `port` of a namespace, or of the world, through.
fn lets(policies: &[&Value], way: &str, namespace: Option<&str>, port: u64) -> bool {
    let side = if way == "egress" { "to" } else { "from" };
    let peer_fits = |peer: &Value| {
        let name = &peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
        name.is_string() && name.as_str() == namespace
    };
    let rules = policies
        .iter()
        .flat_map(|one| one["spec"][way].as_array().into_iter().flatten());
    rules.into_iter().any(|rule| {
        let port_fits =
            |one: &Value| one["port"] == port || (one["port"] == "http" && port == 8080);
        rule[side]
            .as_array()
            .is_none_or(|peers| peers.iter().any(peer_fits))
            && rule["ports"]
                .as_array()
                .is_none_or(|ports| ports.iter().any(port_fits))
    })
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn the_network_lets_through_what_the_bot_asks_and_nothing_else() {
    let world = None;
    for name in OVERLAYS {
        let all = documents(&rendered(name));
        let policies: Vec<&Value> = of_kind(&all, "NetworkPolicy").collect();
        for (what, namespace, port) in [
            ("Slack", world, 443),
            ("the API server", world, 6443),
            ("names", Some("kube-system"), 53),
            ("a service's health", Some("treasury"), 8080),
            ("Prometheus", Some("monitoring"), 9090),
            ("Alertmanager", Some("monitoring"), 9093),
            ("Loki", Some("monitoring"), 3100),
            ("Elasticsearch, OpenSearch", Some("monitoring"), 9200),
            ("mail, STARTTLS", world, 587),
            ("mail, TLS", world, 465),
            ("mail, a relay", world, 25),
            ("PostgreSQL elsewhere", world, 5432),
            ("Redis elsewhere", world, 6379),
        ] {
            assert!(lets(&policies, "egress", namespace, port), "{name}: {what}");
        }
        for (what, namespace, port) in [
            ("a cloud's metadata", world, 80),
            ("a shell", world, 22),
            ("another's page", Some("elsewhere"), 8080),
            ("Prometheus elsewhere", world, 9090),
        ] {
            assert!(
                !lets(&policies, "egress", namespace, port),
                "{name}: {what}"
            );
        }
        let pages = name == "overlays/production";
        assert!(
            lets(&policies, "ingress", Some("monitoring"), 8080),
            "{name}: alerts"
        );
        assert_eq!(
            lets(&policies, "ingress", Some("traefik"), 8080),
            pages,
            "{name}"
        );
        assert!(
            !lets(&policies, "ingress", Some("treasury"), 8080),
            "{name}"
        );
        assert!(!lets(&policies, "ingress", world, 8080), "{name}");
    }
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn browsers_reach_the_pages_by_https_and_nothing_else() {
    let all = documents(&rendered("overlays/production"));
    let [ingress] = of_kind(&all, "Ingress").collect::<Vec<_>>()[..] else {
        panic!()
    };
    let rules = ingress["spec"]["rules"].as_array().unwrap();
    let paths = |rule: &Value| rule["http"]["paths"].as_array().unwrap().clone();
    let paths: Vec<Value> = rules.iter().flat_map(paths).collect();
    assert_eq!(paths.len(), 1);
    assert_eq!(paths[0]["path"], "/incidents");
    let host = rules[0]["host"].as_str().unwrap();
    assert_eq!(ingress["spec"]["tls"][0]["hosts"][0], host);
    let config = of_kind(&all, "ConfigMap").next().unwrap();
    let text = config["data"]["treasury-bot.toml"].as_str().unwrap();
    assert!(
        text.contains(&format!("public_url = \"https://{host}\"")),
        "{text}"
    );
    // Who signs the certificate is there, and answers through the same controller.
    let issuer = std::fs::read_to_string(folder().join("examples/cluster-issuer.yml")).unwrap();
    let issuer = &documents(&issuer)[0];
    let annotations = &ingress["metadata"]["annotations"];
    assert_eq!(
        annotations["cert-manager.io/cluster-issuer"],
        issuer["metadata"]["name"]
    );
    let solver = &issuer["spec"]["acme"]["solvers"][0]["http01"]["ingress"];
    assert_eq!(
        solver["ingressClassName"],
        ingress["spec"]["ingressClassName"]
    );
}

fn rbac_of(config: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treasury-bot"));
    // Without any of the bot's secrets.
    command
        .env_clear()
        .arg("rbac")
        .args(more)
        .arg("--config")
        .arg(config);
    command
}

#[test]
fn the_role_is_what_rbac_prints_for_the_configurations() {
    let kept = std::fs::read_to_string(folder().join("base/role.yml")).unwrap();
    for name in OVERLAYS {
        let config = folder().join(name).join("treasury-bot.toml");
        assert_eq!(printed(&mut rbac_of(&config, &[])), kept, "{name}");
        let other = rbac_of(&config, &["--cluster", "other"]).output().unwrap();
        assert_eq!(other.status.code(), Some(2));
    }
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn the_stack_to_try_is_the_one_that_staging_names() {
    let path = folder().join("overlays/staging/treasury-bot.toml");
    let config = std::fs::read_to_string(path).unwrap();
    let all = documents(&rendered(STACK));
    let mut workloads = Vec::new();
    for kind in ["Deployment", "StatefulSet"] {
        for one in of_kind(&all, kind) {
            let name = one["metadata"]["name"].as_str().unwrap();
            workloads.push(format!("workload = \"{}/{name}\"", kind.to_lowercase()));
        }
    }
    for line in &workloads {
        assert!(config.contains(line), "{line}");
    }
    assert_eq!(config.matches("workload = ").count(), workloads.len());
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn a_rollout_sends_the_overlay_with_the_image_it_is_given() {
    let rollout = |image: &str| {
        let kubectl = root().join("target/tools/python/bin");
        let path = format!("{}:{}", kubectl.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(folder().join("rollout"));
        command
            .args(["production", image, "--print"])
            .env("PATH", path);
        command
    };
    let plain = rendered("overlays/production");
    let is = "ghcr.io/your-organisation/treasury-bot:0.1.0";
    assert_eq!(plain.matches(is).count(), 1);
    let digest = "0123456789abcdef".repeat(4);
    for image in [
        format!("ghcr.io/acme/treasury-bot@sha256:{digest}"),
        "registry.acme.example:5000/treasury-bot:2".to_owned(),
    ] {
        assert_eq!(printed(&mut rollout(&image)), plain.replace(is, &image));
    }
    let told = refused(&mut rollout("ghcr.io/acme/treasury-bot"));
    assert!(told.contains("neither digest nor tag"), "{told}");
}
