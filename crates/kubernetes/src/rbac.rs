//! The rights that the driver takes for given services, and no more.

use std::collections::{BTreeMap, BTreeSet};

use crate::attachments::policy_name;
use treasury_domain::service::{Service, Target, WorkloadKind};

/// What may be done with resources of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty for the core's.
    pub group: &'static str,
    /// Resources and subresources.
    pub resources: Vec<&'static str>,
    /// Only the objects of these names; all where empty.
    pub names: Vec<String>,
    /// What may be done.
    pub verbs: Vec<&'static str>,
}

/// The rules of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The namespace.
    pub namespace: String,
    /// What is allowed in it.
    pub rules: Vec<Rule>,
}

/// The roles that the services of a cluster take, in the order of their namespaces.
pub fn roles(services: &[Service], cluster: Option<&str>) -> Vec<Role> {
    let mut spaces: BTreeMap<&str, BTreeMap<WorkloadKind, BTreeSet<&str>>> = BTreeMap::new();
    for service in services {
        if let Target::Kubernetes {
            cluster: of,
            namespace,
            kind,
            name,
        } = &service.target
            && of.as_deref() == cluster
        {
            let kinds = spaces.entry(namespace).or_default();
            kinds.entry(*kind).or_default().insert(name);
        }
    }
    let role = |(namespace, kinds): (&str, BTreeMap<WorkloadKind, BTreeSet<&str>>)| Role {
        namespace: namespace.to_owned(),
        rules: rules(&kinds),
    };
    spaces.into_iter().map(role).collect()
}

fn rules(kinds: &BTreeMap<WorkloadKind, BTreeSet<&str>>) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut policies = Vec::new();
    for (kind, names) in kinds {
        let (plural, scale) = match kind {
            WorkloadKind::Deployment => ("deployments", Some("deployments/scale")),
            WorkloadKind::StatefulSet => ("statefulsets", Some("statefulsets/scale")),
            WorkloadKind::DaemonSet => ("daemonsets", None),
        };
        policies.extend(names.iter().map(|name| policy_name(*kind, name)));
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        // A list can't be limited to names.
        rules.push(rule("apps", plural, &["list", "watch"], &[]));
        rules.push(rule("apps", plural, &["get", "patch"], &names));
        rules.extend(scale.map(|scale| rule("apps", scale, &["patch"], &names)));
    }
    if kinds.contains_key(&WorkloadKind::Deployment) {
        rules.push(rule("apps", "replicasets", &["list", "watch"], &[]));
    }
    if kinds.keys().any(|kind| *kind != WorkloadKind::Deployment) {
        rules.push(rule("apps", "controllerrevisions", &["list"], &[]));
    }
    let scales = kinds.keys().any(|kind| *kind != WorkloadKind::DaemonSet);
    let autoscalers: &[&'static str] = if scales {
        &["get", "list", "watch", "patch"]
    } else {
        &["list", "watch"]
    };
    let network = "networking.k8s.io";
    rules.extend([
        // patch: the label of pods that are cut off.
        rule("", "pods", &["get", "list", "watch", "patch"], &[]),
        rule("", "pods/log", &["get"], &[]),
        rule("", "pods/eviction", &["create"], &[]),
        rule("", "events", &["list"], &[]),
        rule("events.k8s.io", "events", &["list"], &[]),
        rule("autoscaling", "horizontalpodautoscalers", autoscalers, &[]),
        rule("metrics.k8s.io", "pods", &["list"], &[]),
        // isolate and release
        rule("", "services", &["get", "list", "patch"], &[]),
        rule(
            network,
            "networkpolicies",
            &["get", "list", "create", "patch"],
            &[],
        ),
        rule(network, "networkpolicies", &["delete"], &policies),
    ]);
    rules
}

fn rule(
    group: &'static str,
    resource: &'static str,
    verbs: &[&'static str],
    names: &[String],
) -> Rule {
    Rule {
        group,
        resources: vec![resource],
        names: names.to_vec(),
        verbs: verbs.to_vec(),
    }
}

/// The account that the bot runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The roles and their bindings as YAML for `kubectl apply`.
pub fn yaml(roles: &[Role], account: &Account) -> String {
    let documents = roles
        .iter()
        .flat_map(|role| [of_role(role), of_binding(role, account)]);
    documents.collect::<Vec<_>>().join("---\n")
}

fn head(kind: &str, namespace: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: treasury-bot\n  \
         namespace: {namespace}\n  labels:\n    app.kubernetes.io/name: treasury-bot\n"
    )
}

fn of_role(role: &Role) -> String {
    let mut text = head("Role", &role.namespace);
    text.push_str("rules:\n");
    for rule in &role.rules {
        text.push_str(&format!("  - apiGroups: {}\n", list(&[rule.group])));
        text.push_str(&format!("    resources: {}\n", list(&rule.resources)));
        if !rule.names.is_empty() {
            text.push_str(&format!("    resourceNames: {}\n", list(&rule.names)));
        }
        text.push_str(&format!("    verbs: {}\n", list(&rule.verbs)));
    }
    text
}

fn of_binding(role: &Role, account: &Account) -> String {
    format!(
        "{}roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: treasury-bot\n\
         subjects:\n  - kind: ServiceAccount\n    name: {}\n    namespace: {}\n",
        head("RoleBinding", &role.namespace),
        account.name,
        account.namespace
    )
}

/// Names hold no character that YAML would read otherwise within quotes.
fn list(texts: &[impl AsRef<str>]) -> String {
    let quoted = texts.iter().map(|text| format!("\"{}\"", text.as_ref()));
    format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use treasury_domain::ServiceName;

    fn service(name: &str, namespace: &str, kind: WorkloadKind) -> Service {
        Service {
            name: ServiceName::parse(name).unwrap(),
            target: Target::Kubernetes {
                cluster: None,
                namespace: namespace.into(),
                kind,
                name: name.into(),
            },
            min_replicas: 1,
            max_replicas: 3,
            health_url: None,
            check: Vec::new(),
            depends_on: Vec::new(),
            metrics: BTreeMap::new(),
            metrics_page: None,
        }
    }

    #[test]
    fn each_namespace_has_a_role_with_the_names_that_are_configured() {
        let services = [
            service("web", "shop", WorkloadKind::Deployment),
            service("api", "shop", WorkloadKind::Deployment),
            service("agent", "ops", WorkloadKind::DaemonSet),
        ];
        let roles = roles(&services, None);
        assert_eq!(roles.len(), 2);
        let may = |role: &Role, verb: &str, resource: &str| -> Option<Vec<String>> {
            let found = role
                .rules
                .iter()
                .find(|rule| rule.verbs.contains(&verb) && rule.resources.contains(&resource));
            found.map(|rule| rule.names.clone())
        };
        let [ops, shop] = roles.as_slice() else {
            panic!("{roles:?}");
        };
        assert_eq!(
            may(shop, "patch", "deployments"),
            Some(vec!["api".into(), "web".into()])
        );
        assert_eq!(may(shop, "patch", "statefulsets"), None);
        assert_eq!(may(shop, "list", "controllerrevisions"), None);
        assert_eq!(may(ops, "patch", "daemonsets"), Some(vec!["agent".into()]));
        assert_eq!(may(ops, "list", "replicasets"), None);
        assert!(
            roles
                .iter()
                .all(|role| may(role, "delete", "pods").is_none())
        );
        let all = ["secrets", "configmaps", "pods/exec"];
        for role in &roles {
            for resource in all {
                assert!(
                    role.rules
                        .iter()
                        .all(|rule| !rule.resources.contains(&resource))
                );
            }
        }
        assert_eq!(super::roles(&services, Some("other")), []);
    }
}
