//! Another image, and back.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{RemoveImageOptions, StopContainerOptions};
use treasury_bot::domain::service::{ReplicaState, ServiceStatus, Target, Version};
use treasury_bot::platform::docker::Docker;
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use super::change::patience;
use crate::support::engine::{IGNORES, OBEYS, Stack, entry, eventually};

/// An image whose own command runs a script.
async fn image(stack: &Stack, tag: &str, script: &str) -> Version {
    let command = serde_json::json!(["/bin/busybox", "sh", "-c", script]);
    let change = format!("CMD {command}\nENV PATH=/bin VERSION={tag}\nLABEL version={tag}");
    let image = stack.import(tag, &change).await;
    let web = stack.service("web");
    let known = stack.driver.deployable(&web, &image).await;
    match known {
        Ok(version) => version,
        // Before there is a service.
        Err(PlatformError::NotFound { .. }) => Version {
            id: stack
                .client
                .inspect_image(&image)
                .await
                .unwrap()
                .id
                .unwrap(),
            image,
            since: None,
            changes: Vec::new(),
        },
        Err(error) => panic!("{error}"),
    }
}

/// A replica that leaves command and environment to its image.
fn body(stack: &Stack, number: u32, version: &Version) -> ContainerCreateBody {
    let mut body = stack.body("web", number, "");
    body.image = Some(version.image.clone());
    body.cmd = None;
    body.env = Some(vec!["TEAM=fx".into()]);
    body
}

async fn deploy(stack: &Stack, version: &Version) -> Result<ServiceStatus, PlatformError> {
    let web = stack.service("web");
    let quiet = ProgressSink::none();
    let patience = patience(5, 20);
    stack.driver.deploy(&web, version, patience, &quiet).await
}

async fn status(stack: &Stack) -> ServiceStatus {
    stack.driver.status(&stack.service("web")).await.unwrap()
}

async fn versions(stack: &Stack) -> Vec<Version> {
    stack.driver.versions(&stack.service("web")).await.unwrap()
}

fn volume(facts: &ContainerInspectResponse) -> Option<String> {
    let mounts = facts.mounts.as_ref().unwrap();
    let data = mounts
        .iter()
        .find(|one| one.destination.as_deref() == Some("/data"));
    data.and_then(|one| one.name.clone())
}

async fn stop(stack: &Stack, id: &str) {
    let now = None::<StopContainerOptions>;
    stack.client.stop_container(id, now).await.unwrap();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_deployment_happens_once_and_can_be_rolled_back() {
    let stack = Stack::new("deploy").await;
    let one = image(&stack, "one", &format!("echo kept > /data/x; {OBEYS}")).await;
    let mut of = body(&stack, 1, &one);
    of.volumes = Some(vec!["/data".into()]);
    let id = stack.start(&stack.container("web", 1), of).await;
    stack.join(&id, "front", "www").await;
    let second = stack
        .start(&stack.container("web", 2), body(&stack, 2, &one))
        .await;
    stack.remove(&second).await;
    stack
        .start(&stack.container("web", 10), body(&stack, 10, &one))
        .await;
    let two = image(&stack, "two", &format!("busybox cat /data/x; {OBEYS}")).await;
    let before = stack.inspect(&id).await;
    let only = versions(&stack).await;
    assert_eq!(
        (only.len(), &only[0].id, &only[0].image),
        (1, &one.id, &one.image)
    );
    assert!(only[0].since.is_some());

    let after = deploy(&stack, &two).await.unwrap();
    assert!(after.is_well());
    let names = [1, 10].map(|number| stack.container("web", number));
    assert_eq!(stack.names().await, names, "nothing is left over");
    assert!(after.replicas.iter().all(|one| one.image == two.image));
    let facts = stack.inspect(&names[0]).await;
    assert_eq!(volume(&facts), volume(&before));
    let config = facts.config.unwrap();
    let cmd = config.cmd.unwrap();
    assert!(
        cmd[3].contains("cat /data/x"),
        "the new image's own: {cmd:?}"
    );
    let mut env = config.env.unwrap();
    env.sort();
    assert_eq!(env, ["PATH=/bin", "TEAM=fx", "VERSION=two"]);
    let labels = config.labels.unwrap();
    assert_eq!(labels["version"], "two");
    assert_eq!(labels["com.docker.compose.container-number"], "1");
    let kept = stack.exec(&names[0], "busybox cat /data/x").await;
    assert_eq!(kept, (true, "kept\n".to_owned()));
    // Both aliases answer another container.
    let peer = stack
        .start(&stack.container("peer", 1), stack.body("peer", 1, OBEYS))
        .await;
    stack.join(&peer, "front", "peer").await;
    for alias in ["web", "www"] {
        let (well, said) = stack
            .exec(&peer, &format!("busybox ping -c1 -W2 {alias}"))
            .await;
        assert!(well, "{alias}: {said}");
    }

    assert_eq!(
        deploy(&stack, &two).await.unwrap(),
        after,
        "the same again changes nothing"
    );
    let known = versions(&stack).await;
    let listed: Vec<&str> = known.iter().map(|one| one.image.as_str()).collect();
    assert_eq!(listed, [&two.image, &one.image]);

    let back = deploy(&stack, &known[1]).await.unwrap();
    assert!(
        back.replicas
            .iter()
            .all(|replica| replica.image == one.image)
    );
    let listed = versions(&stack).await;
    let listed: Vec<&str> = listed.iter().map(|one| one.image.as_str()).collect();
    assert_eq!(listed, [&one.image, &two.image]);
    // What the engine has no more is no version to go back to.
    let gone = stack
        .client
        .remove_image(&two.image, None::<RemoveImageOptions>, None);
    gone.await.unwrap();
    assert_eq!(versions(&stack).await.len(), 1);
    let error = deploy(&stack, &two).await.unwrap_err();
    assert!(error.to_string().contains("docker pull"), "{error}");
    assert_eq!(status(&stack).await, back);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_image_that_fails_is_taken_back_and_the_others_are_left_alone() {
    let stack = Stack::new("broken").await;
    let one = image(&stack, "one", OBEYS).await;
    for number in [1, 2] {
        let of = body(&stack, number, &one);
        stack.start(&stack.container("web", number), of).await;
    }
    let before = status(&stack).await;
    let broken = image(&stack, "broken", "echo boom >&2; exit 3").await;
    let error = deploy(&stack, &broken).await.unwrap_err();
    assert!(matches!(error, PlatformError::Unwell { .. }), "{error}");
    let told = error.to_string();
    for part in [
        "web-1",
        "exited with code 3",
        "> boom",
        "put back",
        "is well",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let after = status(&stack).await;
    assert!(after.is_well());
    assert_eq!(after.replicas[0].id, before.replicas[0].id);
    assert!(after.replicas[0].started_at > before.replicas[0].started_at);
    assert_eq!(after.replicas[1], before.replicas[1], "not touched");
    assert_eq!(
        stack.names().await,
        [1, 2].map(|n| stack.container("web", n))
    );
    assert_eq!(versions(&stack).await.len(), 1, "it never ran");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_a_crash_left_is_mended_by_the_next_call() {
    let stack = Stack::new("crash").await;
    let one = image(&stack, "one", OBEYS).await;
    let two = image(&stack, "two", OBEYS).await;
    let three = image(&stack, "three", OBEYS).await;
    let name = stack.container("web", 1);
    let waiting = format!("{name}-treasury-bot-old");
    let mut id = stack.start(&name, body(&stack, 1, &one)).await;

    // It was renamed, no more: the service is still there.
    stack.rename(&id, &waiting).await;
    let seen = status(&stack).await;
    assert_eq!((seen.replicas.len(), &seen.replicas[0].name), (1, &waiting));
    let done = deploy(&stack, &two).await.unwrap();
    assert!(done.is_well() && done.replicas[0].image == two.image);
    assert_eq!(stack.names().await, std::slice::from_ref(&name));

    // Renamed and stopped, and now the former version is wanted again.
    id.clone_from(&done.replicas[0].id);
    stop(&stack, &id).await;
    stack.rename(&id, &waiting).await;
    let back = deploy(&stack, &two).await.unwrap();
    assert!(back.is_well());
    assert_eq!((&back.replicas[0].id, &back.replicas[0].name), (&id, &name));

    // The new one was made and not started.
    stop(&stack, &id).await;
    stack.rename(&id, &waiting).await;
    let new = stack.make(&name, body(&stack, 1, &three)).await;
    let seen = status(&stack).await;
    assert_eq!(
        (seen.replicas.len(), seen.replicas[0].state),
        (1, ReplicaState::Created)
    );
    let done = deploy(&stack, &three).await.unwrap();
    assert!(done.is_well() && done.replicas[0].id == new, "{done:?}");
    assert_eq!(stack.names().await, std::slice::from_ref(&name));

    // Another version was begun, and is not well: the old one is still the replica.
    stop(&stack, &new).await;
    stack.rename(&new, &waiting).await;
    stack.make(&name, body(&stack, 1, &one)).await;
    let back = deploy(&stack, &three).await.unwrap();
    assert!(back.is_well() && back.replicas[0].id == new, "{back:?}");
    assert_eq!(stack.names().await, std::slice::from_ref(&name));

    // The new one is well, only the old one was not removed yet.
    stop(&stack, &new).await;
    stack.rename(&new, &waiting).await;
    let well = stack.start(&name, body(&stack, 1, &one)).await;
    let done = deploy(&stack, &one).await.unwrap();
    assert!(done.is_well() && done.replicas[0].id == well);
    assert_eq!(stack.names().await, std::slice::from_ref(&name));

    // A former call was finished but for that, and a third version is wanted.
    let left = stack.make(&waiting, body(&stack, 1, &two)).await;
    let done = deploy(&stack, &three).await.unwrap();
    assert!(done.is_well() && done.replicas[0].image == three.image && left != well);
    assert_eq!(versions(&stack).await[1].image, one.image);
    assert_eq!(stack.names().await, [name]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_bot_that_dies_while_the_old_process_will_not_end_leaves_something_to_go_on_with() {
    let stack = Stack::new("dies").await;
    let stubborn = image(&stack, "stubborn", IGNORES).await;
    let two = image(&stack, "two", OBEYS).await;
    let name = stack.container("web", 1);
    stack.start(&name, body(&stack, 1, &stubborn)).await;
    let (driver, web, version) = (
        Docker::new(None).unwrap(),
        stack.service("web"),
        two.clone(),
    );
    let bot = tokio::spawn(async move {
        let quiet = ProgressSink::none();
        driver
            .deploy(&web, &version, patience(60, 20), &quiet)
            .await
    });
    let waiting = format!("{name}-treasury-bot-old");
    eventually("the other name", async || {
        (stack.names().await == [waiting.clone()]).then_some(())
    })
    .await;
    bot.abort();
    assert!(bot.await.unwrap_err().is_cancelled());
    let seen = status(&stack).await;
    assert!(seen.is_well() && seen.replicas[0].name == waiting);

    let web = stack.service("web");
    let quiet = ProgressSink::none();
    let short = patience(1, 20);
    let done = stack
        .driver
        .deploy(&web, &two, short, &quiet)
        .await
        .unwrap();
    assert!(done.is_well() && done.replicas[0].image == two.image);
    assert_eq!(stack.names().await, [name]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_can_not_be_deployed_is_refused_with_a_mend() {
    let stack = Stack::new("refuses").await;
    let one = image(&stack, "one", OBEYS).await;
    let two = image(&stack, "two", OBEYS).await;
    let id = stack
        .start(&stack.container("web", 1), body(&stack, 1, &one))
        .await;
    let web = stack.service("web");
    let fine = stack.driver.deployable(&web, &two.image).await.unwrap();
    assert_eq!(fine, two);
    // By its id it is still shown by its name.
    assert_eq!(stack.driver.deployable(&web, &two.id).await.unwrap(), two);
    for (image, word) in [
        (format!("{}:9", stack.project), "docker pull"),
        ("../containers/json".to_owned(), "not an image"),
        ("web?x=1".to_owned(), "not an image"),
    ] {
        let error = stack.driver.deployable(&web, &image).await.unwrap_err();
        assert!(
            error.is_refusal() && error.to_string().contains(word),
            "{error}"
        );
    }
    let before = status(&stack).await;
    // Another container lives in its network.
    let mut guest = stack.body("guest", 1, OBEYS);
    guest.networking_config = None;
    guest.host_config.as_mut().unwrap().network_mode = Some(format!("container:{id}"));
    let guest = stack.start(&stack.container("guest", 1), guest).await;
    let error = deploy(&stack, &two).await.unwrap_err();
    assert!(error.to_string().contains("would lose it"), "{error}");
    stack.remove(&guest).await;
    assert_eq!(status(&stack).await, before, "nothing was touched");

    let mut passing = stack.body("passing", 1, OBEYS);
    passing.host_config.as_mut().unwrap().auto_remove = Some(true);
    let name = stack.container("passing", 1);
    stack.start(&name, passing).await;
    let alone = entry(Target::Container { engine: None, name });
    let error = stack
        .driver
        .deployable(&alone, &two.image)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("--rm"), "{error}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_container_by_its_name_keeps_what_it_was_given() {
    let stack = Stack::new("alone").await;
    let one = image(&stack, "one", "exit 1").await;
    let two = image(&stack, "two", "exit 1").await;
    let name = format!("{}alone", stack.project);
    let mut of = stack.body("alone", 1, OBEYS);
    of.image = Some(one.image.clone());
    of.labels = Some(HashMap::from([(
        "com.docker.compose.project".to_owned(),
        stack.project.clone(),
    )]));
    of.working_dir = Some("/bin".into());
    stack.start(&name, of).await;
    // The reference has moved on since it was looked up: the id counts.
    stack.import("two", "CMD [\"/bin/other\"]").await;
    let alone = entry(Target::Container {
        engine: None,
        name: name.clone(),
    });
    let quiet = ProgressSink::none();
    let patience = patience(5, 20);
    let done = stack.driver.deploy(&alone, &two, patience, &quiet).await;
    let done = done.unwrap();
    assert!(done.is_well());
    let facts = stack.inspect(&name).await;
    assert_eq!(facts.image.as_deref(), Some(two.id.as_str()));
    let config = facts.config.unwrap();
    assert_eq!(config.cmd.unwrap()[3], OBEYS, "it was given this command");
    assert_eq!(config.working_dir.as_deref(), Some("/bin"));
    let known = stack.driver.versions(&alone).await.unwrap();
    assert_eq!((&known[0].image, &known[1].id), (&two.image, &one.id));
    assert!(known[0].since.unwrap() > known[1].since.unwrap());
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_fixed_mac_address_and_all_that_was_asked_for_survive_a_deployment_and_the_way_back() {
    const MAC: &str = "02:42:ac:1e:aa:01";
    let stack = Stack::new("mac").await;
    let two = stack.import("two", "LABEL version=2").await;
    for network in [stack.network("back"), "bridge".to_owned()] {
        let name = stack.container("app", 1);
        let mut body = stack.body("app", 1, OBEYS);
        let host = body.host_config.as_mut().unwrap();
        host.network_mode = Some(network.clone());
        host.shm_size = Some(33_554_432);
        host.sysctls = Some(HashMap::from([("net.core.somaxconn".into(), "99".into())]));
        host.extra_hosts = Some(vec!["db:10.0.0.9".into()]);
        if network == "bridge" {
            body.networking_config = None;
        }
        // The model has no such field.
        let mut body = serde_json::to_value(body).unwrap();
        body["MacAddress"] = MAC.into();
        // From API 1.44 on it belongs there.
        body["NetworkingConfig"]["EndpointsConfig"][&network]["MacAddress"] = MAC.into();
        let made = std::process::Command::new("curl")
            .args([
                "-sS",
                "--unix-socket",
                "/var/run/docker.sock",
                "-d",
                &body.to_string(),
            ])
            .args(["-H", "Content-Type: application/json"])
            .arg(format!("http://d/containers/create?name={name}"))
            .output()
            .expect("curl");
        let id = serde_json::from_slice::<serde_json::Value>(&made.stdout).unwrap();
        let id = id["Id"].as_str().unwrap().to_owned();
        stack.client.start_container(&id, None).await.unwrap();
        let app = entry(Target::Container {
            engine: None,
            name: name.clone(),
        });
        let look = async || {
            let (_, link) = stack.exec(&name, "busybox ip link show eth0").await;
            assert!(link.contains(MAC), "{network}: {link}");
            serde_json::to_value(stack.inspect(&name).await.host_config).unwrap()
        };
        let before = look().await;
        let quiet = ProgressSink::none();
        for image in [two.clone(), stack.image()] {
            let version = stack.driver.deployable(&app, &image).await.unwrap();
            let deployed = stack.driver.deploy(&app, &version, patience(5, 20), &quiet);
            assert_eq!(deployed.await.unwrap().replicas[0].image, image);
            assert_eq!(look().await, before, "{network}");
        }
        let web = stack.service("app");
        let why = stack
            .driver
            .scalable(&web, 2)
            .await
            .unwrap_err()
            .to_string();
        assert!(why.contains(&format!("fixed MAC address {MAC}")), "{why}");
        stack.remove(&name).await;
    }
}
