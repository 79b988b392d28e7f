//! Services on Kubernetes, and the clusters they are in.

use super::*;
use crate::domain::service::WorkloadKind;
use crate::platform::kubernetes::Server;

fn target(cluster: Option<&str>, kind: WorkloadKind, name: &str) -> Target {
    Target::Kubernetes {
        cluster: cluster.map(str::to_owned),
        namespace: "treasury".to_owned(),
        kind,
        name: name.to_owned(),
    }
}

#[test]
fn a_workload_is_read_and_the_only_cluster_is_meant() {
    let text = "[[service]]\nname = 'web'\nplatform = 'kubernetes'\nnamespace = 'treasury'\n\
                workload = 'deployment/frontend'\n\
                [[service]]\nname = 'agent'\nnamespace = 'treasury'\nworkload = 'daemonset/agent'\n";
    let config = good(text);
    let [web, agent] = config.services.as_slice() else {
        panic!("{:?}", config.services)
    };
    assert_eq!(
        web.target,
        target(None, WorkloadKind::Deployment, "frontend")
    );
    assert_eq!(agent.target, target(None, WorkloadKind::DaemonSet, "agent"));
    assert_eq!((agent.min_replicas, agent.max_replicas), (1, 1));

    let config = good(&format!(
        "{text}[[cluster]]\nname = 'prod'\ncontext = 'p'\ntimeout = '9s'\n"
    ));
    let (_, cluster) = &config.platforms.clusters[0];
    let Server::Kubeconfig { path, context } = &cluster.server else {
        panic!("{cluster:?}")
    };
    assert_eq!(context.as_deref(), Some("p"));
    assert_eq!((cluster.timeout, path), (Duration::from_secs(9), &None));
    let web = &config.services[0].target;
    assert_eq!(
        *web,
        target(Some("prod"), WorkloadKind::Deployment, "frontend")
    );
}

#[test]
fn each_mistake_about_a_workload_is_found_where_it_is() {
    let clusters = "[[cluster]]\nname = 'prod'\n[[cluster]]\nname = 'test'\n";
    for (text, expected) in [
        (
            "workload = 'deployment/web'",
            "1:1 a workload without a `namespace` (add `namespace`, such as \"treasury\")",
        ),
        (
            "platform = 'kubernetes'\nnamespace = 'shop'",
            "1:1 a service without a place where it runs (add `workload`, such as \"deployment/frontend\")",
        ),
        (
            "namespace = 'shop'\nworkload = 'deploymnet/web'",
            "4:12 `service.workload` can't be `deploymnet/web` (did you mean `deployment/web`?)",
        ),
        (
            "namespace = 'shop'\nworkload = 'deployment/We b'",
            "4:12 `service.workload` can't be `deployment/We b` (write \"deployment/NAME\", \"statefulset/NAME\" or \"daemonset/NAME\")",
        ),
        (
            "namespace = 'Shop'\nworkload = 'deployment/web'",
            "3:13 `service.namespace` can't be `Shop` (write it as `kubectl get namespaces` shows it)",
        ),
        (
            "namespace = 'shop'\nworkload = 'deployment/web'\ncontainer = 'c'",
            "5:1 `container` is of services on the platform docker (a service runs in one place: leave the other's keys out)",
        ),
        (
            "container = 'c'\nnamespace = 'shop'",
            "4:1 `namespace` is of services on the platform kubernetes (a service runs in one place: leave the other's keys out)",
        ),
        (
            "namespace = 'shop'\nworkload = 'daemonset/web'\nscale = { max = 3 }",
            "5:9 a DaemonSet has one pod on each machine: it can't be scaled (leave `scale` out, or name a Compose service or another workload)",
        ),
    ] {
        let problems = bad(&format!("[[service]]\nname = 'a'\n{text}\n"));
        assert_eq!(told(&problems), [expected], "{text}");
    }
    let web = "[[service]]\nname = 'a'\nnamespace = 'shop'\nworkload = 'deployment/web'\n";
    let problems = bad(&format!("{web}{clusters}"));
    assert_eq!(
        told(&problems),
        ["1:1 which of the clusters? (add `cluster`: prod, test)"]
    );
    let problems = bad(&format!("{web}cluster = 'prdo'\n{clusters}"));
    assert_eq!(
        told(&problems),
        ["5:11 there is no cluster `prdo` (did you mean `prod`?)"]
    );
    let problems = bad("[[cluster]]\nname = 'a'\ntimeout = '1m'\n[[cluster]]\nname = 'a'\n");
    assert_eq!(
        told(&problems),
        [
            "3:1 `cluster.timeout` must be from 1s to 30s",
            "5:8 a second cluster `a` (the first is in line 2)"
        ]
    );
}
