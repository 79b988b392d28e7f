//! Cut off, and joined again.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig,
    NetworkCreateRequest, NetworkingConfig,
};
use tokio::sync::mpsc;
use treasury_bot::domain::service::Attachment;
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use super::change::patience;
use crate::support::engine::{OBEYS, Stack, intent};

/// A network with a subnet of its own, on which addresses can be asked for. Returns the first
/// three numbers of its addresses.
async fn fixed(stack: &Stack, name: &str) -> String {
    let labels = HashMap::from([(
        "com.docker.compose.project".to_owned(),
        stack.project.clone(),
    )]);
    // Other runs may have taken some of these.
    for third in 0..250 {
        let third = (third + std::process::id()) % 250;
        let subnet = format!("10.213.{third}");
        let request = NetworkCreateRequest {
            name: stack.network(name),
            labels: Some(labels.clone()),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(format!("{subnet}.0/24")),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            ..NetworkCreateRequest::default()
        };
        if stack.client.create_network(request).await.is_ok() {
            return subnet;
        }
    }
    panic!("no free subnet");
}

/// A replica in this network only.
fn body(
    stack: &Stack,
    service: &str,
    number: u32,
    network: &str,
    address: Option<String>,
) -> ContainerCreateBody {
    let mut body = stack.body(service, number, OBEYS);
    let network = stack.network(network);
    body.host_config.as_mut().unwrap().network_mode = Some(network.clone());
    let endpoint = EndpointSettings {
        aliases: Some(vec![service.to_owned(), format!("{service}-alias")]),
        ipam_config: address.map(|address| EndpointIpamConfig {
            ipv4_address: Some(address),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    body.networking_config = Some(NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network, endpoint)])),
    });
    body
}

async fn reaches(stack: &Stack, from: &str, host: &str) -> bool {
    let script = format!("busybox ping -c1 -W1 {host}");
    stack.exec(from, &script).await.0
}

async fn address(stack: &Stack, id: &str, network: &str) -> Option<String> {
    let networks = stack.inspect(id).await.network_settings?.networks?;
    networks.get(&stack.network(network))?.ip_address.clone()
}

/// Releases the ties and returns what was told.
async fn release(
    stack: &Stack,
    attachments: &[Attachment],
) -> (Result<(), PlatformError>, Vec<String>) {
    let (sender, mut steps) = mpsc::channel(99);
    let sink = ProgressSink::new(sender);
    let web = stack.service("web");
    let released = stack
        .driver
        .release(&web, attachments, &sink)
        .await
        .map(drop);
    drop(sink);
    let mut told = Vec::new();
    while let Some(step) = steps.recv().await {
        told.push(step.line);
    }
    (released, told)
}

/// The networks, each with the names that a container has there.
fn names(attachments: &[Attachment]) -> Vec<(String, serde_json::Value)> {
    let one = |attachment: &Attachment| {
        let aliases = attachment.detail["endpoint"]["Aliases"].clone();
        (attachment.to.clone(), aliases)
    };
    attachments.iter().map(one).collect()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_service_is_cut_off_and_comes_back_with_its_names_and_addresses() {
    let stack = Stack::new("cut").await;
    let subnet = fixed(&stack, "fixed").await;
    let peer = stack
        .start(
            &stack.container("peer", 1),
            body(&stack, "peer", 1, "fixed", None),
        )
        .await;
    // It goes meanwhile, so that there is a free address before and after the given one.
    let early = body(&stack, "early", 1, "fixed", None);
    let early = stack.start(&stack.container("early", 1), early).await;
    // One address was asked for, the other one was given.
    let asked = format!("{subnet}.77");
    let first = body(&stack, "web", 1, "fixed", Some(asked.clone()));
    let first = stack.start(&stack.container("web", 1), first).await;
    let second = body(&stack, "web", 2, "fixed", None);
    let second = stack.start(&stack.container("web", 2), second).await;
    stack.join(&second, "back", "behind").await;
    let given = address(&stack, &second, "fixed").await.unwrap();
    let begun = stack.inspect(&second).await.state.unwrap().started_at;
    for host in ["web", "web-alias", &asked, &given] {
        assert!(reaches(&stack, &peer, host).await, "{host}");
    }

    let web = stack.service("web");
    let attachments = stack.driver.attachments(&web).await.unwrap();
    let to: Vec<_> = attachments
        .iter()
        .map(|attachment| (attachment.id.as_str(), attachment.to.clone()))
        .collect();
    let network = |name: &str| format!("network {}", stack.network(name));
    let expected = [
        (first.as_str(), network("fixed")),
        (second.as_str(), network("fixed")),
        (second.as_str(), network("back")),
    ];
    assert_eq!(to, expected, "the network it was made in comes first");
    // They survive being written down.
    let text = serde_json::to_string(&attachments).unwrap();
    let attachments: Vec<Attachment> = serde_json::from_str(&text).unwrap();

    let quiet = ProgressSink::none();
    for _ in 0..2 {
        let cut = stack
            .driver
            .isolate(&web, &attachments, &quiet)
            .await
            .unwrap();
        assert!(cut.is_well(), "the processes go on");
        assert_eq!(stack.driver.attachments(&web).await.unwrap(), []);
    }
    for host in ["web", "web-alias", &asked, &given] {
        assert!(!reaches(&stack, &peer, host).await, "{host}");
    }
    assert!(!reaches(&stack, &first, &given).await);
    assert_eq!(
        stack.inspect(&second).await.state.unwrap().started_at,
        begun
    );
    // A new container would not be cut off.
    let error = stack
        .driver
        .deployable(&web, &stack.image())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Release it first"), "{error}");
    stack.remove(&early).await;
    // It is restarted while it is cut off.
    let only = [first.clone()];
    let soon = patience(5, 20);
    stack
        .driver
        .restart(&web, Some(&only), &intent(), soon, &quiet)
        .await
        .unwrap();
    assert_eq!(stack.driver.attachments(&web).await.unwrap(), []);

    let (released, told) = release(&stack, &attachments).await;
    released.unwrap();
    let first_told = format!(
        "{}: joined to {} again",
        stack.container("web", 1),
        network("fixed")
    );
    assert_eq!(told[0], first_told);
    assert_eq!(address(&stack, &first, "fixed").await, Some(asked.clone()));
    assert_eq!(address(&stack, &second, "fixed").await, Some(given.clone()));
    for host in ["web", "web-alias", &asked, &given] {
        assert!(reaches(&stack, &peer, host).await, "{host}");
    }
    let now = stack.driver.attachments(&web).await.unwrap();
    assert_eq!(names(&now), names(&attachments));
    let (again, told) = release(&stack, &attachments).await;
    again.unwrap();
    assert!(told.iter().all(|line| line.contains("already")), "{told:?}");
    assert_eq!(stack.driver.attachments(&web).await.unwrap(), now);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_address_that_can_not_be_asked_for_is_told_to_be_new() {
    let stack = Stack::new("moved").await;
    let id = stack.run("web", 1, OBEYS).await;
    let web = stack.service("web");
    let attachments = stack.driver.attachments(&web).await.unwrap();
    let quiet = ProgressSink::none();
    let had = address(&stack, &id, "back").await.unwrap();
    stack
        .driver
        .isolate(&web, &attachments, &quiet)
        .await
        .unwrap();
    // Another one comes in meanwhile.
    stack.run("other", 1, OBEYS).await;
    let (released, told) = release(&stack, &attachments).await;
    released.unwrap();
    let has = address(&stack, &id, "back").await.unwrap();
    let news = format!("its address is new: {has}, was {had}");
    assert!(has != had && told[0].contains(&news), "{told:?} {has}");
    let peer = stack.run("peer", 1, OBEYS).await;
    assert!(reaches(&stack, &peer, "web").await);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_gone_is_left_out_and_does_not_keep_the_others() {
    let stack = Stack::new("gone").await;
    fixed(&stack, "fixed").await;
    let first = stack.run("web", 1, OBEYS).await;
    let second = stack.run("web", 2, OBEYS).await;
    stack.join(&second, "front", "www").await;
    stack.join(&second, "fixed", "xxx").await;
    let web = stack.service("web");
    let attachments = stack.driver.attachments(&web).await.unwrap();
    assert_eq!(attachments.len(), 4);
    let quiet = ProgressSink::none();
    stack
        .driver
        .isolate(&web, &attachments, &quiet)
        .await
        .unwrap();
    stack.remove(&first).await;
    let removed = stack.network("fixed");
    stack.client.remove_network(&removed).await.unwrap();
    let anew = stack.network("front");
    stack.client.remove_network(&anew).await.unwrap();
    let request = NetworkCreateRequest {
        name: anew,
        labels: Some(HashMap::from([(
            "com.docker.compose.project".to_owned(),
            stack.project.clone(),
        )])),
        ..NetworkCreateRequest::default()
    };
    stack.client.create_network(request).await.unwrap();

    let (released, told) = release(&stack, &attachments).await;
    let error = released.unwrap_err().to_string();
    assert!(
        error.contains(&removed) && error.contains("docker network create"),
        "{error}"
    );
    assert!(told[0].contains("is gone"), "{told:?}");
    assert!(
        told.iter().any(|line| line.contains("made anew")),
        "{told:?}"
    );
    for network in ["back", "front"] {
        assert!(
            address(&stack, &second, network).await.is_some(),
            "{network}"
        );
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_network_that_is_not_its_own_is_refused_with_a_mend() {
    let stack = Stack::new("host").await;
    let mut host = stack.body("web", 1, OBEYS);
    host.networking_config = None;
    host.host_config.as_mut().unwrap().network_mode = Some("host".into());
    stack.start(&stack.container("web", 1), host).await;
    let error = stack
        .driver
        .attachments(&stack.service("web"))
        .await
        .unwrap_err();
    assert!(
        error.is_refusal() && error.to_string().contains("docker pause"),
        "{error}"
    );
}
