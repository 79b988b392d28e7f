//! Swarm services, on an engine of the test's own that is a manager.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::mpsc;
use treasury_bot::domain::service::{
    Intent, LogQuery, Logs, Patience, ReplicaMark, ReplicaOutcome, Service, ServiceStatus, Target,
};
use treasury_bot::domain::{EntryKind, Stream};
use treasury_bot::platform::docker::{EngineConfig, Swarm};
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

use super::swarm_nodes::well;
use crate::support::dockerd::Dockerd;
use crate::support::engine::{IGNORES, OBEYS, entry, eventually};
use crate::support::process::Setup;
use crate::support::stage::{HOME, PATIENCE, words_of};

const SOON: Patience = Patience {
    stop: Duration::from_secs(2),
    healthy: Duration::from_secs(20),
};

pub(super) fn service(name: &str) -> Service {
    entry(Target::Swarm {
        engine: None,
        service: name.to_owned(),
    })
}

/// A manager with a service `web` of so many tasks, all of them running; and a driver for it.
async fn swarm(image: &str, script: &str, replicas: i64) -> (Dockerd, Swarm) {
    let engine = Dockerd::swarm().await;
    let driver = Swarm::with(EngineConfig::at(Some(&engine.host()))).unwrap();
    engine.import(image, script).await;
    engine.serve("web", image, Some(replicas)).await;
    well(&driver, "web", replicas as usize).await;
    (engine, driver)
}

fn says(text: &str) -> String {
    format!("echo {text}; {OBEYS}")
}

fn names(status: &ServiceStatus) -> Vec<&str> {
    let replicas = status.replicas.iter();
    replicas.map(|replica| replica.name.as_str()).collect()
}

fn images(status: &ServiceStatus) -> Vec<&str> {
    let replicas = status.replicas.iter();
    replicas.map(|replica| replica.image.as_str()).collect()
}

fn marks(status: &ServiceStatus) -> Vec<ReplicaMark> {
    status.replicas.iter().map(ReplicaMark::from).collect()
}

async fn logs(driver: &Swarm, previous: bool, grep: Option<&str>) -> Logs {
    let query = LogQuery {
        lines: 10,
        since: None,
        grep: grep.map(str::to_owned),
        previous,
        container: None,
    };
    driver.logs(&service("web"), &query).await.unwrap()
}

fn lines(logs: &Logs) -> Vec<(String, String)> {
    let lines = logs.lines.iter();
    let mut lines: Vec<_> = lines
        .map(|line| (line.replica.clone(), line.text.clone()))
        .collect();
    lines.sort();
    lines
}

fn pair(replica: &str, text: &str) -> (String, String) {
    (replica.to_owned(), text.to_owned())
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_service_is_looked_at_and_restarted_once_for_five_equal_intents() {
    let began = Timestamp::now();
    let (engine, driver) = swarm("web:1", &says("hello"), 2).await;
    let web = service("web");
    let before = driver.status(&web).await.unwrap();
    assert_eq!(names(&before), ["web.1", "web.2"]);
    assert_eq!(images(&before), ["web:1", "web:1"]);
    assert_eq!(before.facts, ["desired 2, running 2"]);
    assert!(
        before
            .replicas
            .iter()
            .all(|one| one.node.is_some() && one.restarts == 0)
    );
    let said = eventually("both have said hello", || async {
        let logs = logs(&driver, false, Some("HELLO")).await;
        (logs.lines.len() == 2).then_some(logs)
    })
    .await;
    let hello = [pair("web.1", "hello"), pair("web.2", "hello")];
    assert_eq!(lines(&said), hello);
    assert_eq!(
        logs(&driver, true, None).await.lines,
        [],
        "there was no task before"
    );
    let stats = driver.stats(&web).await.unwrap();
    assert_eq!((stats.replicas.len(), &stats.note), (2, &None));
    assert_eq!(stats.replicas[1].replica, "web.2");

    let intent = Intent::new("7-1", Timestamp::now());
    let described = engine.described("web").await.spec.unwrap();
    let untouched = driver.restart_outcome(&web, &marks(&before), &intent).await;
    assert_eq!(untouched.unwrap(), [ReplicaOutcome::Untouched; 2]);
    let (sender, mut steps) = mpsc::channel(999);
    let sink = ProgressSink::new(sender);
    let once = || driver.restart(&web, None, &intent, SOON, &sink);
    for status in join_all([once(), once(), once(), once(), once()]).await {
        assert!(status.unwrap().is_well());
    }
    assert_eq!(engine.forced("web").await, 1, "five times the same is once");
    let after = driver.status(&web).await.unwrap();
    assert_eq!(names(&after), names(&before));
    assert!(
        before
            .replicas
            .iter()
            .zip(&after.replicas)
            .all(|(a, b)| a.started_at < b.started_at),
        "{after:?}"
    );
    let outcome = driver.restart_outcome(&web, &marks(&before), &intent).await;
    assert_eq!(outcome.unwrap(), [ReplicaOutcome::Restarted; 2]);
    drop(sink);
    let mut told = Vec::new();
    while let Some(step) = steps.recv().await {
        told.push(step);
    }
    assert!(
        told.iter().any(|step| step.line.starts_with("web.")),
        "{told:?}"
    );
    let last = told.last().unwrap();
    assert_eq!((last.done, last.total), (2, 2), "{told:?}");

    // Nothing but the count and the mark has changed.
    let mut now = engine.described("web").await.spec.unwrap();
    let labels = now.labels.as_mut().unwrap();
    assert_eq!(labels.remove("treasury-bot.intent").as_deref(), Some("7-1"));
    now.task_template.as_mut().unwrap().force_update = Some(0);
    assert_eq!(now, described);

    assert_eq!(
        lines(&logs(&driver, true, None).await),
        hello,
        "before the restart"
    );
    let events = driver.events(&web, began).await.unwrap().list;
    let of = |what: &str| events.iter().filter(|event| event.what == what).count();
    assert!(of("start") >= 4, "{events:?}");
    let ended = |event: &&treasury_bot::domain::service::Event| {
        event.replica == "web" && event.detail.as_deref() == Some("rollout completed")
    };
    assert_eq!(events.iter().filter(ended).count(), 1, "{events:?}");

    // The other intent is another restart.
    let other = Intent::new("8-1", Timestamp::now());
    let none = ProgressSink::none();
    driver
        .restart(&web, None, &other, SOON, &none)
        .await
        .unwrap();
    assert_eq!(engine.forced("web").await, 2);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_number_of_tasks_is_changed_and_what_can_not_be_is_refused() {
    let (engine, driver) = swarm("web:1", OBEYS, 1).await;
    let (web, none) = (service("web"), ProgressSink::none());
    for wanted in [3, 3, 1, 0] {
        driver.scalable(&web, wanted).await.unwrap();
        let status = driver.scale(&web, wanted, SOON, &none).await.unwrap();
        assert_eq!(status.replicas.len(), wanted as usize, "{status:?}");
        let fact = format!("desired {wanted}, running {wanted}");
        assert_eq!(status.facts, [fact]);
    }
    let intent = Intent::new("1-1", Timestamp::now());
    let error = driver.restart(&web, None, &intent, SOON, &none).await;
    assert!(error.unwrap_err().to_string().contains("scale it up first"));

    engine.serve("agent", "web:1", None).await;
    let agent = service("agent");
    let status = eventually("the agent runs", || async {
        let status = driver.status(&agent).await.ok()?;
        status.is_well().then_some(status)
    })
    .await;
    assert_eq!(status.facts, ["one on each node, running 1 of 1"]);
    let error = driver.scalable(&agent, 2).await.unwrap_err();
    assert!(error.is_refusal(), "{error:?}");
    assert!(error.to_string().contains("agent is global"), "{error}");
    assert_eq!(
        driver
            .restart(&agent, None, &intent, SOON, &none)
            .await
            .unwrap()
            .well(),
        1
    );
    let sampled = driver.stats(&agent).await.unwrap();
    assert_eq!(sampled.replicas[0].replica, status.replicas[0].name);

    for error in [
        driver.attachments(&agent).await.map(drop),
        driver.isolate(&agent, &[], &none).await.map(drop),
        driver.release(&agent, &[], &none).await.map(drop),
    ] {
        let error = error.unwrap_err();
        assert!(
            error.is_refusal() && error.to_string().contains("can't be isolated"),
            "{error}"
        );
    }
    let error = driver.status(&service("wbe")).await.unwrap_err();
    assert!(
        error.to_string().contains("there are: agent, web"),
        "{error}"
    );
    // Too much: what does not run is told with its reason, and the number that is left.
    let crash = "echo no ledger; exit 3";
    engine.import("bad:1", crash).await;
    engine.serve("bad", "bad:1", Some(0)).await;
    let error = driver
        .scale(&service("bad"), 1, SOON, &none)
        .await
        .unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, PlatformError::Unwell { .. }), "{told}");
    for part in [
        "bad.1 failed: task: non-zero exit (3)",
        "> no ledger",
        "stays at 1",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let bad = service("bad");
    eventually("its failures are counted", || async {
        let status = driver.status(&bad).await.ok()?;
        (!status.is_well() && status.replicas[0].restarts >= 1).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn another_image_is_rolled_out_and_back_and_a_bad_one_is_put_back() {
    let (engine, driver) = swarm("web:1", &says("one"), 2).await;
    let (web, none) = (service("web"), ProgressSink::none());
    engine.import("web:2", &says("two")).await;
    let versions = driver.versions(&web).await.unwrap();
    assert_eq!(versions.len(), 1);
    assert!(
        versions[0].id.starts_with("sha256:"),
        "exactly: {versions:?}"
    );
    let two = driver.deployable(&web, "web:2").await.unwrap();
    let status = driver.deploy(&web, &two, SOON, &none).await.unwrap();
    assert_eq!(images(&status), ["web:2", "web:2"]);
    let said = eventually("both have said two", || async {
        let logs = logs(&driver, false, Some("two")).await;
        (logs.lines.len() == 2).then_some(logs)
    })
    .await;
    assert_eq!(lines(&said), [pair("web.1", "two"), pair("web.2", "two")]);
    let version = engine.described("web").await.version;
    driver.deploy(&web, &two, SOON, &none).await.unwrap();
    assert_eq!(engine.described("web").await.version, version, "once");

    // A restart in between does not make Swarm's former description ours.
    let intent = Intent::new("1-1", Timestamp::now());
    driver
        .restart(&web, None, &intent, SOON, &none)
        .await
        .unwrap();
    let versions = driver.versions(&web).await.unwrap();
    let listed: Vec<_> = versions.iter().map(|one| one.image.as_str()).collect();
    assert_eq!(listed, ["web:2", "web:1"]);

    // One that ends at once: the first task shows it, the other one is not touched.
    engine.import("web:3", "echo no ledger; exit 3").await;
    let three = driver.deployable(&web, "web:3").await.unwrap();
    let error = driver.deploy(&web, &three, SOON, &none).await.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, PlatformError::Unwell { .. }), "{told}");
    for part in [
        "the rollout stopped",
        "failed: task: non-zero exit (3)",
        "> no ledger",
        "web was put back to web:2 and is well",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let status = well(&driver, "web", 2).await;
    assert_eq!(images(&status), ["web:2", "web:2"]);
    let versions = driver.versions(&web).await.unwrap();
    let listed: Vec<_> = versions.iter().map(|one| one.image.as_str()).collect();
    assert_eq!(listed, ["web:2", "web:1"], "the bad one leaves no trace");
    let labels = engine.described("web").await.spec.unwrap().labels.unwrap();
    assert_eq!(labels["owner"], "ana", "others' labels stay");

    // Rolling back is deploying what was before.
    let status = driver
        .deploy(&web, &versions[1], SOON, &none)
        .await
        .unwrap();
    assert_eq!(images(&status), ["web:1", "web:1"]);
    let listed = driver.versions(&web).await.unwrap();
    assert_eq!(listed[1].image, "web:2");

    for (image, why) in [
        ("web:4", "is not on the manager"),
        ("../x", "is not an image"),
    ] {
        let error = driver.deployable(&web, image).await.unwrap_err();
        assert!(
            error.is_refusal() && error.to_string().contains(why),
            "{error}"
        );
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_restart_that_does_not_get_well_is_told() {
    let (engine, driver) = swarm("web:1", OBEYS, 1).await;
    let (web, none) = (service("web"), ProgressSink::none());
    // The image's name means another one now, and Swarm takes it at the next start.
    engine.import("web:1", "echo no ledger; exit 3").await;
    let intent = Intent::new("1-1", Timestamp::now());
    let error = driver
        .restart(&web, None, &intent, SOON, &none)
        .await
        .unwrap_err();
    let told = error.to_string();
    for part in [
        "the rollout stopped: update paused",
        "web.1 failed",
        "> no ledger",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    eventually("the service is seen as it is", || async {
        let status = driver.status(&web).await.ok()?;
        let paused = status
            .facts
            .iter()
            .any(|fact| fact.starts_with("rollout paused"));
        (paused && !status.is_well()).then_some(())
    })
    .await;
    assert_eq!(engine.forced("web").await, 1);
    let events = driver.events(&web, intent.since).await.unwrap().list;
    assert!(
        events.iter().any(|event| event.what == "task failed"),
        "{events:?}"
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_engine_that_is_no_manager_is_a_mistake_in_the_configuration() {
    let engine = Dockerd::start(&[]).await;
    let driver = Swarm::with(EngineConfig::at(Some(&engine.host()))).unwrap();
    let error = driver.status(&service("web")).await.unwrap_err();
    assert!(error.is_refusal(), "{error:?}");
    let told = error.to_string();
    assert!(
        told.contains("is no Swarm manager") && told.contains(&engine.host()),
        "{told}"
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn killed_in_the_middle_of_a_rollout_there_is_one_rollout_in_all() {
    let (engine, driver) = swarm("web:1", IGNORES, 2).await;
    let before = driver.status(&service("web")).await.unwrap();
    let setup = Setup::new(
        false,
        &format!(
            "[docker]\nhost = \"{}\"\n\n[[service]]\nname = \"web\"\nswarm_service = \"web\"\n",
            engine.host()
        ),
    );
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let serve = setup.serve(&sandbox).await;
    let ana = sandbox.person("ana");
    ana.types(HOME, "/treasury restart web").await.unwrap();
    let ts = sandbox
        .wait_for(PATIENCE, |workspace| {
            let messages = &workspace.channel(HOME)?.messages;
            let mut asked = messages.iter();
            let asked = asked.find(|one| words_of(one).contains("Restart web?"));
            asked.map(|message| message.ts.clone())
        })
        .await
        .unwrap();
    ana.clicks(HOME, &ts, "Restart web").await.unwrap();
    // Each task takes two seconds to be killed: Swarm is at the first one now.
    eventually("Swarm has taken the restart", || async {
        (engine.forced("web").await == 1).then_some(())
    })
    .await;
    serve.kill();

    let serve = setup.serve(&sandbox).await;
    let told = sandbox
        .wait_for(Duration::from_secs(60), |workspace| {
            let text = words_of(workspace.channel(HOME)?.message(&ts)?);
            text.contains("web restarted in").then_some(text)
        })
        .await
        .unwrap();
    assert!(
        told.contains("found after an interruption: 2 of 2 replicas had been restarted"),
        "{told}"
    );
    assert_eq!(engine.forced("web").await, 1, "one rollout in all");
    let after = driver.status(&service("web")).await.unwrap();
    assert!(
        before
            .replicas
            .iter()
            .zip(&after.replicas)
            .all(|(a, b)| a.started_at < b.started_at),
        "{after:?}"
    );
    assert!(serve.end().await.success());
    let store = Store::open(&setup.store_url(), Use::Visit).await.unwrap();
    let audit = store.entries(&Stream::Audit).await.unwrap();
    let count = |kind| audit.iter().filter(|entry| entry.kind == kind).count();
    assert_eq!(
        (count(EntryKind::Intent), count(EntryKind::Outcome)),
        (1, 1)
    );
    store.close().await;
    sandbox.stop();
}
