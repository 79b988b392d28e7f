//! More and fewer replicas.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, PortBinding};
use bollard::query_parameters::InspectContainerOptions;
use treasury_bot::domain::service::{ServiceStatus, Target};
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use super::change::patience;
use crate::support::engine::{OBEYS, Stack, check, entry, eventually};

async fn scale(stack: &Stack, to: u32) -> Result<ServiceStatus, PlatformError> {
    let web = stack.service("web");
    let quiet = ProgressSink::none();
    stack.driver.scale(&web, to, patience(5, 20), &quiet).await
}

async fn inspect(stack: &Stack, name: &str) -> ContainerInspectResponse {
    let options = None::<InspectContainerOptions>;
    stack.client.inspect_container(name, options).await.unwrap()
}

fn names(status: &ServiceStatus) -> Vec<String> {
    status.replicas.iter().map(|one| one.name.clone()).collect()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn further_replicas_are_copies_and_the_newest_go_first() {
    let stack = Stack::new("scale").await;
    let mut body = stack.body("web", 1, OBEYS);
    body.healthcheck = Some(check("true", 3));
    body.env.as_mut().unwrap().push("COLOUR=blue".into());
    let host = body.host_config.as_mut().unwrap();
    host.binds = Some(vec!["/tmp:/shared:ro".into()]);
    let first = stack.make(&stack.container("web", 1), body).await;
    stack.join(&first, "front", "www").await;
    let up = scale(&stack, 1).await.unwrap();
    assert!(
        up.is_well(),
        "the one that was made and not started is started"
    );
    let web = stack.service("web");
    stack.driver.scalable(&web, 3).await.unwrap();

    let three = scale(&stack, 3).await.unwrap();
    assert!(three.is_well());
    assert_eq!(names(&three), [1, 2, 3].map(|n| stack.container("web", n)));
    assert_eq!(three.replicas[0], up.replicas[0]);
    let copy = inspect(&stack, &stack.container("web", 3)).await;
    let config = copy.config.unwrap();
    let id = copy.id.unwrap();
    assert_eq!(config.hostname.as_deref(), Some(&id[..12]));
    assert!(config.env.unwrap().contains(&"COLOUR=blue".to_owned()));
    let labels = config.labels.unwrap();
    assert_eq!(labels["com.docker.compose.container-number"], "3");
    assert_eq!(config.image, Some(stack.image()));
    assert_eq!(
        copy.host_config.unwrap().binds.unwrap(),
        ["/tmp:/shared:ro"]
    );
    let networks = copy.network_settings.unwrap().networks.unwrap();
    let aliases = |network: &str| {
        let mut all = networks[&stack.network(network)].aliases.clone().unwrap();
        // Engines before 25 name the start of its id among them.
        all.retain(|alias| !id.starts_with(alias.as_str()));
        all
    };
    assert_eq!(aliases("back"), ["web"]);
    assert_eq!(aliases("front"), ["www"]);

    assert_eq!(scale(&stack, 3).await.unwrap(), three, "nothing changes");
    let one = scale(&stack, 1).await.unwrap();
    assert_eq!(one.replicas, up.replicas);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_a_crash_left_is_made_anew() {
    let stack = Stack::new("left").await;
    stack.run("web", 1, OBEYS).await;
    let left = stack
        .make(&stack.container("web", 2), stack.body("web", 2, "exit 9"))
        .await;
    let two = scale(&stack, 2).await.unwrap();
    assert!(two.is_well());
    assert_eq!(names(&two), [1, 2].map(|n| stack.container("web", n)));
    assert_ne!(two.replicas[1].id, left);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_replica_that_fails_is_removed_again() {
    let stack = Stack::new("fails").await;
    // The first makes a mark outside of itself; those that find it fail.
    let dir = tempfile::tempdir().unwrap();
    let script = format!("[ -f /s/b ] && {{ echo taken; exit 4; }}; echo > /s/b; {OBEYS}");
    let mut body = stack.body("web", 1, &script);
    let host = body.host_config.as_mut().unwrap();
    host.binds = Some(vec![format!("{}:/s", dir.path().display())]);
    stack.start(&stack.container("web", 1), body).await;
    let mark = dir.path().join("b");
    eventually("the mark", async || mark.exists().then_some(())).await;
    let result = scale(&stack, 2).await;
    let Err(PlatformError::Unwell { what }) = result else {
        panic!("{result:?}");
    };
    for part in ["exited with code 4", "> taken", "web-2 was removed again"] {
        assert!(what.contains(part), "{part}: {what}");
    }
    let left = stack.driver.status(&stack.service("web")).await.unwrap();
    assert_eq!(names(&left), [stack.container("web", 1)]);
    assert!(left.is_well());
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_can_not_be_copied_is_refused_with_a_mend() {
    let stack = Stack::new("refused").await;
    let mut body = stack.body("port", 1, OBEYS);
    let binding = PortBinding {
        host_ip: Some("127.0.0.1".into()),
        host_port: Some("48123".into()),
    };
    let host = body.host_config.as_mut().unwrap();
    host.port_bindings = Some(HashMap::from([("80/tcp".into(), Some(vec![binding]))]));
    stack.make(&stack.container("port", 1), body).await;
    let fixed = format!("{}fixed", stack.project);
    stack.start(&fixed, stack.body("fixed", 1, OBEYS)).await;
    let alone = entry(Target::Container {
        engine: None,
        name: fixed,
    });
    for (service, replicas, word) in [
        (stack.service("port"), 2, "48123"),
        (stack.service("fixed"), 2, "container_name"),
        (stack.service("fixed"), 0, "copy"),
        (alone, 2, "Compose"),
    ] {
        let error = stack.driver.scalable(&service, replicas).await.unwrap_err();
        assert!(matches!(error, PlatformError::Unsupported(_)), "{error}");
        assert!(error.to_string().contains(word), "{error}");
        let quiet = ProgressSink::none();
        let scaled = stack
            .driver
            .scale(&service, replicas, patience(5, 20), &quiet)
            .await;
        assert!(
            matches!(scaled, Err(PlatformError::Unsupported(_))),
            "{scaled:?}"
        );
    }
    stack
        .driver
        .scalable(&stack.service("fixed"), 1)
        .await
        .unwrap();
}

/// The first of so many ports in a row that nobody has; below those that the kernel gives out.
fn free_ports(count: u16) -> u16 {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let begin = 20_000 + (std::process::id() % 900) as u16 * 10;
    let mut firsts = (begin..30_000).step_by(usize::from(count));
    let found = firsts.find(|first| (*first..first + count).all(is_free));
    found.unwrap()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn each_replica_takes_the_next_free_port_of_a_range() {
    let stack = Stack::new("range").await;
    let first = free_ports(9);
    let binding = |ports: &str| {
        Some(vec![PortBinding {
            host_ip: Some("127.0.0.1".into()),
            host_port: Some(ports.into()),
        }])
    };
    let mut body = stack.body("web", 1, OBEYS);
    body.host_config.as_mut().unwrap().port_bindings = Some(HashMap::from([
        (
            "8000/tcp".into(),
            binding(&format!("{first}-{}", first + 2)),
        ),
        (
            "9000/tcp".into(),
            binding(&format!("{}-{}", first + 3, first + 8)),
        ),
    ]));
    body.exposed_ports = Some(vec!["8000/tcp".into(), "9000/tcp".into()]);
    stack.start(&stack.container("web", 1), body).await;
    let three = scale(&stack, 3).await.unwrap();
    assert!(three.is_well());
    let mut taken = Vec::new();
    for number in 1..=3 {
        let facts = inspect(&stack, &stack.container("web", number)).await;
        let ports = facts.network_settings.unwrap().ports.unwrap();
        for port in ["8000/tcp", "9000/tcp"] {
            let bound = ports[port].as_ref().unwrap();
            taken.push(bound[0].host_port.clone().unwrap());
        }
    }
    taken.sort();
    let next: Vec<String> = (first..first + 6).map(|port| port.to_string()).collect();
    assert_eq!(taken, next);
    let why = scale(&stack, 4).await.unwrap_err().to_string();
    let enough = format!("{first}-{}, which are enough for 3", first + 2);
    assert!(why.contains(&enough), "{why}");
    assert_eq!(scale(&stack, 3).await.unwrap(), three);
}
