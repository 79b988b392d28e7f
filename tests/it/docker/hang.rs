//! Others hang on a container: they are named before it is touched, and brought along once.

use bollard::models::ContainerCreateBody;
use treasury_bot::domain::action::{ActionKind, Deployment, Isolation, Rejoining, Scaling};
use treasury_bot::domain::service::{
    Consequence, Dependant, DependencyKind, Health, Intent, ReplicaOutcome, Service, Target,
    foretold,
};
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use super::change::patience;
use super::relapse::bot;
use crate::support::engine::{IGNORES, OBEYS, Stack, check, entry, eventually};
use crate::support::stage::{HOME, Scenery, said, words_of};

/// A container in the network of another one.
fn within(stack: &Stack, service: &str, other: &str) -> ContainerCreateBody {
    let mut body = stack.body(service, 1, OBEYS);
    body.networking_config = None;
    let host = body.host_config.as_mut().unwrap();
    host.network_mode = Some(format!("container:{other}"));
    body
}

fn alone(stack: &Stack, service: &str) -> Service {
    entry(Target::Container {
        engine: None,
        name: stack.container(service, 1),
    })
}

fn depends_on(body: &mut ContainerCreateBody, on: &str) {
    let label = "com.docker.compose.depends_on".to_owned();
    body.labels.as_mut().unwrap().insert(label, on.to_owned());
}

async fn touches(stack: &Stack, service: &Service, change: &ActionKind) -> Vec<Dependant> {
    stack.driver.touches(service, change).await.unwrap()
}

async fn refused(stack: &Stack, service: &Service, change: &ActionKind) -> String {
    let error = stack.driver.touches(service, change).await.unwrap_err();
    assert!(matches!(error, PlatformError::Unsupported(_)), "{error}");
    error.to_string()
}

/// The intent of a change that brings these along.
fn with(along: Vec<Dependant>) -> Intent {
    Intent {
        along,
        ..Intent::new("1", jiff::Timestamp::now())
    }
}

/// Its network has an interface besides `lo`.
async fn has_network(stack: &Stack, name: &str) -> bool {
    let (_, said) = stack.exec(name, "busybox ls /sys/class/net").await;
    said.contains("eth")
}

async fn started(stack: &Stack, name: &str) -> String {
    stack.inspect(name).await.state.unwrap().started_at.unwrap()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_shares_a_restarted_container_is_restarted_after_it_in_order() {
    let stack = Stack::new("hang").await;
    let [vpn, tool, pid, web, api, idle] =
        ["vpn", "tool", "pid", "web", "api", "idle"].map(|one| stack.container(one, 1));
    let id = stack.run("vpn", 1, OBEYS).await;
    stack.start(&tool, within(&stack, "tool", &id)).await;
    let mut body = stack.body("pid", 1, OBEYS);
    body.host_config.as_mut().unwrap().pid_mode = Some(format!("container:{vpn}"));
    stack.start(&pid, body).await;
    let mut body = stack.body("web", 1, OBEYS);
    depends_on(
        &mut body,
        "tool:service_started:true,other:service_healthy:true",
    );
    stack.start(&web, body).await;
    let mut body = stack.body("api", 1, OBEYS);
    depends_on(&mut body, "vpn:service_started:false");
    stack.start(&api, body).await;
    // What does not run has nothing to lose.
    stack.make(&idle, within(&stack, "idle", &id)).await;
    let service = alone(&stack, "vpn");

    let along = touches(&stack, &service, &ActionKind::Restart).await;
    assert_eq!(
        foretold(&along).unwrap(),
        format!(
            "{tool} uses the network of {vpn} and is restarted after it. {pid} shares the processes \
             of {vpn} and is restarted after it. {web} depends on {tool} and is restarted after it. \
             {api} depends on {vpn} and is left as it is"
        )
    );
    let before = started(&stack, &api).await;
    let quiet = ProgressSink::none();
    let restart = async |intent: &Intent, only: Option<&[String]>| {
        let driver = &stack.driver;
        let done = driver.restart(&service, only, intent, patience(5, 20), &quiet);
        assert!(done.await.unwrap().is_well());
    };
    let intent = with(along);
    restart(&intent, None).await;
    assert!(has_network(&stack, &tool).await);
    let mut order = Vec::new();
    for name in [&vpn, &tool, &pid, &web] {
        order.push(started(&stack, name).await);
    }
    assert!(order.is_sorted() && before < order[0], "{order:?}");
    assert_eq!(started(&stack, &api).await, before);
    // The same once more, as after a crash: they were brought along already.
    restart(&intent, Some(&[])).await;
    for (name, at) in [&vpn, &tool, &pid, &web].into_iter().zip(order) {
        assert_eq!(started(&stack, name).await, at, "{name}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_hangs_on_a_container_that_came_back_ill_is_brought_along_all_the_same() {
    let stack = Stack::new("ill").await;
    let mut body = stack.body("vpn", 1, OBEYS);
    body.healthcheck = Some(check("echo no tunnel; exit 1", 1));
    let id = stack.start(&stack.container("vpn", 1), body).await;
    let tool = stack.container("tool", 1);
    stack.start(&tool, within(&stack, "tool", &id)).await;
    let service = alone(&stack, "vpn");
    let intent = with(touches(&stack, &service, &ActionKind::Restart).await);
    let quiet = ProgressSink::none();
    let restarted = stack
        .driver
        .restart(&service, None, &intent, patience(5, 3), &quiet);
    let told = restarted.await.unwrap_err().to_string();
    assert!(told.contains("no tunnel"), "{told}");
    assert!(
        told.contains(&format!("restarted after it all the same: {tool}")),
        "{told}"
    );
    assert!(has_network(&stack, &tool).await);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_container_whose_network_is_gone_is_not_well_and_a_restart_says_what_it_lacks() {
    let stack = Stack::new("gone").await;
    let id = stack.run("vpn", 1, OBEYS).await;
    let (vpn, tool) = (stack.container("vpn", 1), stack.container("tool", 1));
    stack.start(&tool, within(&stack, "tool", &id)).await;
    let service = alone(&stack, "tool");
    let look = async || {
        stack
            .driver
            .status(&service)
            .await
            .unwrap()
            .replicas
            .remove(0)
    };
    assert_eq!(
        (look().await.health, look().await.note),
        (Health::Unchecked, None)
    );

    stack.client.restart_container(&id, None).await.unwrap();
    let now = look().await;
    assert!(!has_network(&stack, &tool).await);
    assert!(!now.is_well());
    let note = now.note.unwrap();
    let why = format!("it has no network: {vpn}, whose network it used, was started after it");
    assert!(note.starts_with(&why), "{note}");
    stack.client.restart_container(&tool, None).await.unwrap();
    assert!(look().await.is_well());

    stack.client.stop_container(&id, None).await.unwrap();
    let note = look().await.note.unwrap();
    assert!(
        note.contains(&format!("{vpn}, whose network it uses, does not run")),
        "{note}"
    );
    let restart = ActionKind::Restart;
    let why = refused(&stack, &service, &restart).await;
    assert!(
        why.contains(&format!(
            "{tool} uses the network of {vpn}, which does not run"
        )),
        "{why}"
    );

    stack.remove(&id).await;
    let note = look().await.note.unwrap();
    assert!(
        note.contains("the container whose network it used is gone"),
        "{note}"
    );
    let why = refused(&stack, &service, &restart).await;
    assert!(
        why.contains(&id[..12]) && why.contains("docker compose up -d tool"),
        "{why}"
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn no_replica_is_removed_on_which_somebody_else_hangs() {
    let stack = Stack::new("spare").await;
    let web = stack.service("web");
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(stack.run("web", number, OBEYS).await);
    }
    let side = stack.container("side", 1);
    stack.start(&side, within(&stack, "side", &ids[2])).await;
    let to = |replicas| ActionKind::Scale(Scaling { replicas });
    let spared = touches(&stack, &web, &to(2)).await;
    assert_eq!(
        foretold(&spared).unwrap(),
        format!(
            "{side} uses the network of {}, which stays",
            stack.container("web", 3)
        )
    );
    let quiet = ProgressSink::none();
    let two = stack
        .driver
        .scale(&web, 2, patience(5, 20), &quiet)
        .await
        .unwrap();
    let names: Vec<&str> = two.replicas.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names,
        [stack.container("web", 1), stack.container("web", 3)]
    );
    assert!(has_network(&stack, &side).await);

    // Volumes and links are held by a container, too.
    let mut body = stack.body("more", 1, OBEYS);
    body.host_config.as_mut().unwrap().volumes_from = Some(vec![format!("{}:ro", ids[0])]);
    let more = stack.container("more", 1);
    stack.make(&more, body).await;
    let why = refused(&stack, &web, &to(1)).await;
    assert!(
        why.contains(&format!("{side} uses the network of")),
        "{why}"
    );
    let scaled = stack.driver.scale(&web, 1, patience(5, 20), &quiet).await;
    assert!(
        matches!(scaled, Err(PlatformError::Unsupported(_))),
        "{scaled:?}"
    );
    assert_eq!(
        stack.driver.status(&web).await.unwrap().replicas,
        two.replicas
    );
    stack.remove(&side).await;
    stack
        .driver
        .scale(&web, 1, patience(5, 20), &quiet)
        .await
        .unwrap();
    let left = stack.driver.status(&web).await.unwrap().replicas;
    assert_eq!(left[0].id, ids[0], "the one whose volumes are used");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn whoever_shares_the_network_is_cut_off_and_joined_with_it() {
    let stack = Stack::new("cut").await;
    let id = stack.run("vpn", 1, OBEYS).await;
    let tool = stack.container("tool", 1);
    stack.start(&tool, within(&stack, "tool", &id)).await;
    let service = alone(&stack, "vpn");
    let attachments = stack.driver.attachments(&service).await.unwrap();
    let isolate = ActionKind::Isolate(Isolation {
        attachments: attachments.clone(),
    });
    let cut = touches(&stack, &service, &isolate).await;
    let told = |cut: &[Dependant]| -> Vec<(String, DependencyKind, Consequence)> {
        let told = cut
            .iter()
            .map(|one| (one.mark.name.clone(), one.tie, one.fate));
        told.collect()
    };
    assert_eq!(
        told(&cut),
        [(tool.clone(), DependencyKind::Network, Consequence::CutOff)]
    );
    let quiet = ProgressSink::none();
    stack
        .driver
        .isolate(&service, &attachments, &quiet)
        .await
        .unwrap();
    assert!(!has_network(&stack, &tool).await);
    let release = ActionKind::Release(Rejoining {
        attachments: attachments.clone(),
    });
    let joined = touches(&stack, &service, &release).await;
    assert_eq!(
        told(&joined),
        [(tool.clone(), DependencyKind::Network, Consequence::Joined)]
    );
    stack
        .driver
        .release(&service, &attachments, &quiet)
        .await
        .unwrap();
    assert!(has_network(&stack, &tool).await);
    // It has the network of a former run of the other one: a release gives it nothing.
    stack.client.restart_container(&id, None).await.unwrap();
    assert_eq!(touches(&stack, &service, &release).await, []);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_the_engine_is_bringing_along_is_under_way_and_what_ended_with_it_is_not() {
    let stack = Stack::new("under").await;
    let id = stack.run("vpn", 1, OBEYS).await;
    let (pid, tool) = (stack.container("pid", 1), stack.container("tool", 1));
    let mut body = within(&stack, "tool", &id);
    body.cmd.as_mut().unwrap()[3] = IGNORES.to_owned();
    stack.start(&tool, body).await;
    let mut body = stack.body("pid", 1, OBEYS);
    body.host_config.as_mut().unwrap().pid_mode = Some(format!("container:{id}"));
    stack.start(&pid, body).await;
    let service = alone(&stack, "vpn");
    let along = touches(&stack, &service, &ActionKind::Restart).await;
    let marks: Vec<_> = along.iter().map(|one| one.mark.clone()).collect();
    assert_eq!(
        marks.iter().map(|one| &one.name).collect::<Vec<_>>(),
        [&tool, &pid]
    );
    let intent = with(along);
    let outcomes = async || {
        let asked = stack.driver.restart_outcome(&service, &marks, &intent);
        asked.await.unwrap()
    };
    stack.client.restart_container(&id, None).await.unwrap();
    eventually("the end of what shares its processes", async || {
        let state = stack.inspect(&pid).await.state.unwrap();
        (state.running == Some(false)).then_some(())
    })
    .await;
    assert_eq!(
        outcomes().await,
        [ReplicaOutcome::Untouched, ReplicaOutcome::UnderWay]
    );

    let (client, name) = (stack.client.clone(), tool.clone());
    let bot = tokio::spawn(async move { client.restart_container(&name, None).await });
    let under_way = async || (outcomes().await[0] == ReplicaOutcome::UnderWay).then_some(());
    eventually("the restart is under way", under_way).await;
    bot.abort();
    let restarted = async || (outcomes().await[0] == ReplicaOutcome::Restarted).then_some(());
    eventually("the engine has done it", restarted).await;
    let untouched = async || (outcomes().await[1] == ReplicaOutcome::Untouched).then_some(());
    eventually("what ended stays ended", untouched).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_deployment_is_followed_by_whoever_compose_would_restart_and_once() {
    let stack = Stack::new("follow").await;
    let two = stack.import("two", "LABEL version=2").await;
    stack.run("db", 1, OBEYS).await;
    let [web, api] = ["web", "api"].map(|one| stack.container(one, 1));
    for (name, restart) in [(&web, "true"), (&api, "false")] {
        let mut body = stack.body(if *name == web { "web" } else { "api" }, 1, OBEYS);
        depends_on(&mut body, &format!("db:service_started:{restart}"));
        stack.start(name, body).await;
    }
    let db = stack.service("db");
    let version = stack.driver.deployable(&db, &two).await.unwrap();
    let deployment = ActionKind::Deploy(Deployment {
        version: version.clone(),
        former: None,
        back: false,
    });
    let along = touches(&stack, &db, &deployment).await;
    let fates: Vec<_> = along.iter().map(|one| (&one.mark.name, one.fate)).collect();
    assert_eq!(
        fates,
        [(&web, Consequence::Restarted), (&api, Consequence::Left)]
    );
    let before = started(&stack, &api).await;
    let (intent, quiet) = (with(along), ProgressSink::none());
    let driver = &stack.driver;
    let mut at = Vec::new();
    // The second time, as after a crash, there is nothing left to do.
    for _ in 0..2 {
        let deployed = driver.deploy(&db, &version, patience(5, 20), &quiet);
        assert!(deployed.await.unwrap().is_well());
        let brought = driver.bring_along(&db, &intent, patience(5, 20), &quiet);
        brought.await.unwrap();
        at.push(started(&stack, &web).await);
    }
    assert!(at[0] > started(&stack, &stack.container("db", 1)).await);
    assert_eq!((&at[0], started(&stack, &api).await), (&at[1], before));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn people_are_told_before_and_after_and_in_a_rehearsal_who_hangs_on_a_service() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stack = Stack::new("told").await;
    let id = stack.run("web", 1, OBEYS).await;
    let [web, tool] = ["web", "tool"].map(|one| stack.container(one, 1));
    stack.start(&tool, within(&stack, "tool", &id)).await;
    let (sandbox, app, _folder) = bot(&stack, &Scenery::default()).await;
    let ana = sandbox.person("ana");
    let hangs = format!("{tool} uses the network of {web}");

    ana.types(
        HOME,
        "/treasury runbook rehearse restart-service service=web",
    )
    .await
    .unwrap();
    said(&sandbox, HOME, "Rehearsal 1").await;
    // The step's line has it once the step is done.
    let told = said(
        &sandbox,
        HOME,
        &format!("; {hangs} and is restarted after it"),
    )
    .await;
    assert!(words_of(&told).contains("would call service.restart"));

    sandbox
        .person("ben")
        .types(HOME, "/treasury isolate web")
        .await
        .unwrap();
    let told = words_of(&said(&sandbox, HOME, "Cut web off?").await);
    assert!(
        told.contains(&format!("{hangs} and is cut off with it")),
        "{told}"
    );

    ana.types(HOME, "/treasury restart web").await.unwrap();
    let question = said(&sandbox, HOME, "Restart web?").await;
    let told = words_of(&question);
    assert!(
        told.contains(&format!("{hangs} and is restarted after it")),
        "{told}"
    );
    ana.clicks(HOME, &question.ts, "Restart web").await.unwrap();
    let told = words_of(&said(&sandbox, HOME, "web restarted in").await);
    assert!(
        told.contains(&format!("; {tool} was restarted after it")),
        "{told}"
    );
    assert!(has_network(&stack, &tool).await);

    let image = stack.image();
    ana.types(HOME, &format!("/treasury deploy web {image}"))
        .await
        .unwrap();
    let told = words_of(&said(&sandbox, HOME, "and would lose it").await);
    assert!(
        told.contains(&hangs) && told.contains("docker compose up -d"),
        "{told}"
    );
    app.stop().await;
    sandbox.stop();
}
