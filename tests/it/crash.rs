//! kill -9 in the middle of a restart of a real container: one restart in all, an honest timeline.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use treasury_bot::domain::timeline::verify;
use treasury_bot::domain::{Entry, EntryKind, IncidentId, Stream};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

use crate::support::engine::{IGNORES, OBEYS, Stack, eventually};
use crate::support::process::Setup;
use crate::support::stage::{HOME, PATIENCE, words_of};

/// Asks, confirms, and returns the message that tells of it.
async fn ask(sandbox: &Sandbox, service: &str) -> String {
    let ana = sandbox.person("ana");
    let receipt = ana
        .types(HOME, &format!("/treasury restart {service}"))
        .await
        .unwrap();
    assert!(receipt.acked, "{receipt:?}");
    let title = format!("Restart {service}?");
    sandbox
        .wait_for(PATIENCE, |workspace| {
            let messages = &workspace.channel(HOME)?.messages;
            messages
                .iter()
                .find(|m| words_of(m).contains(&title))
                .map(|m| m.ts.clone())
        })
        .await
        .unwrap()
}

async fn becomes(sandbox: &Sandbox, ts: &str, words: &str) -> String {
    sandbox
        .wait_for(Duration::from_secs(60), |workspace| {
            let text = words_of(workspace.channel(HOME)?.message(ts)?);
            text.contains(words).then_some(text)
        })
        .await
        .unwrap()
}

/// How often the engine saw each action of a container since a moment.
async fn seen(stack: &Stack, id: &str, since: jiff::Timestamp) -> HashMap<String, usize> {
    let filters = HashMap::from([("container", vec![id.to_owned()])]);
    let until = jiff::Timestamp::now();
    let options = EventsOptionsBuilder::default()
        .since(&precise(since))
        .until(&format!(
            "{}.{:09}",
            until.as_second(),
            until.subsec_nanosecond()
        ))
        .filters(&filters)
        .build();
    let mut count = HashMap::new();
    let mut events = stack.client.events(Some(options));
    while let Some(event) = events.next().await {
        *count.entry(event.unwrap().action.unwrap()).or_insert(0) += 1;
    }
    count
}

/// The engine takes fractions of a second.
fn precise(at: jiff::Timestamp) -> String {
    format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

async fn timeline(setup: &Setup, stream: &Stream) -> Vec<Entry> {
    let store = Store::open(&setup.store_url(), Use::Visit).await.unwrap();
    let entries = store.entries(stream).await.unwrap();
    store.close().await;
    entries
}

fn setup(stack: &Stack, http: bool) -> Setup {
    Setup::new(
        http,
        &format!(
            "[policy]\nstop_grace = \"3s\"\nconfirm_within = \"10m\"\n\n\
             [[service]]\nname = \"web\"\ncompose_project = \"{}\"\ncompose_service = \"web\"\n",
            stack.project
        ),
    )
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn killed_while_the_engine_restarts_it_finds_out_and_tells() {
    let stack = Stack::new("crash").await;
    // It ignores the request to stop: the engine waits three seconds before it kills it.
    let id = stack.run("web", 1, IGNORES).await;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = setup(&stack, false);
    let serve = setup.serve(&sandbox).await;
    let since = jiff::Timestamp::now();
    let ana = sandbox.person("ana");
    ana.types(HOME, "/treasury incident declare Slow --service web")
        .await
        .unwrap();

    let ts = ask(&sandbox, "web").await;
    ana.clicks(HOME, &ts, "Restart web").await.unwrap();
    // The engine has told the container to stop and waits for it: now.
    eventually("the engine sends the signal", || async {
        seen(&stack, &id, since)
            .await
            .contains_key("kill")
            .then_some(())
    })
    .await;
    serve.kill();

    let serve = setup.serve(&sandbox).await;
    let told = becomes(&sandbox, &ts, "web restarted in").await;
    assert!(
        told.contains("found after an interruption: 1 of 1 replicas had been restarted"),
        "{told}"
    );
    let seen = seen(&stack, &id, since).await;
    assert_eq!(
        (seen["restart"], seen["start"]),
        (1, 1),
        "one restart in all: {seen:?}"
    );
    assert!(serve.end().await.success());

    let entries = timeline(&setup, &Stream::Incident(IncidentId(1))).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [EntryKind::Declared, EntryKind::Intent, EntryKind::Outcome]
    );
    assert!(
        entries[2].text.contains("found after an interruption"),
        "{}",
        entries[2].text
    );
    verify(&Stream::Incident(IncidentId(1)), &entries).unwrap();
    sandbox.stop();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn killed_at_any_moment_after_the_click_there_is_one_restart_in_all() {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    for (round, delay_ms) in [0, 5, 20, 60, 400].into_iter().enumerate() {
        let stack = Stack::new("moment").await;
        let id = stack.run("web", 1, OBEYS).await;
        let setup = setup(&stack, false);
        let serve = setup.serve(&sandbox).await;
        let since = jiff::Timestamp::now();
        // A fresh question each round: the newest message that asks.
        let ana = sandbox.person("ana");
        let reason = format!("round {round}");
        ana.types(HOME, &format!("/treasury restart web --reason '{reason}'"))
            .await
            .unwrap();
        let ts = sandbox
            .wait_for(PATIENCE, |workspace| {
                let messages = &workspace.channel(HOME)?.messages;
                let asks = |text: &str| text.contains("Restart web?") && text.contains(&reason);
                messages
                    .iter()
                    .find(|m| asks(&words_of(m)))
                    .map(|m| m.ts.clone())
            })
            .await
            .unwrap();
        let click = {
            let (ana, ts) = (sandbox.person("ana"), ts.clone());
            tokio::spawn(async move { ana.clicks(HOME, &ts, "Restart web").await })
        };
        // The moment of the crash is the subject: any will do.
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        serve.kill();
        let _ = click.await.unwrap();

        let serve = setup.serve(&sandbox).await;
        // Whether or not the first click was taken in: a person would press again.
        let still_asks = sandbox.look(|workspace| {
            let message = workspace
                .channel(HOME)
                .and_then(|c| c.message(&ts).cloned());
            message.is_some_and(|m| words_of(&m).contains("Restart web?"))
        });
        if still_asks {
            let _ = ana.clicks(HOME, &ts, "Restart web").await;
        }
        becomes(&sandbox, &ts, "web restarted in").await;
        let seen = seen(&stack, &id, since).await;
        assert_eq!(
            seen.get("restart"),
            Some(&1),
            "after {delay_ms} ms: {seen:?}"
        );
        let audit = timeline(&setup, &Stream::Audit).await;
        let count = |kind| audit.iter().filter(|entry| entry.kind == kind).count();
        assert_eq!(
            (count(EntryKind::Intent), count(EntryKind::Outcome)),
            (1, 1)
        );
        verify(&Stream::Audit, &audit).unwrap();
        serve.kill();
    }
    sandbox.stop();
}

/// `tool` lives in the network of `web`. The bot dies when this is seen of one of them.
async fn killed_before_all_is_brought_along(of_tool: bool, what: &str, script: &str) {
    let stack = Stack::new("along").await;
    let id = stack.run("web", 1, OBEYS).await;
    let mut body = stack.body("tool", 1, script);
    body.networking_config = None;
    let host = body.host_config.as_mut().unwrap();
    host.network_mode = Some(format!("container:{id}"));
    let tool = stack.start(&stack.container("tool", 1), body).await;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = setup(&stack, false);
    let serve = setup.serve(&sandbox).await;
    let since = jiff::Timestamp::now();
    let ts = ask(&sandbox, "web").await;
    let ana = sandbox.person("ana");
    ana.clicks(HOME, &ts, "Restart web").await.unwrap();
    let watched = if of_tool { &tool } else { &id };
    eventually("the moment to die at", || async {
        seen(&stack, watched, since)
            .await
            .contains_key(what)
            .then_some(())
    })
    .await;
    serve.kill();

    let serve = setup.serve(&sandbox).await;
    let told = becomes(&sandbox, &ts, "web restarted in").await;
    let name = stack.container("tool", 1);
    for part in [
        "found after an interruption: 1 of 1 replicas had been restarted",
        &format!("; {name} was restarted after it"),
    ] {
        assert!(told.contains(part), "no “{part}” in: {told}");
    }
    for id in [&id, &tool] {
        let seen = seen(&stack, id, since).await;
        assert_eq!((seen["restart"], seen["start"]), (1, 1), "{seen:?}");
    }
    let (_, said) = stack.exec(&tool, "busybox ls /sys/class/net").await;
    assert!(said.contains("eth0"), "{said}");
    let audit = timeline(&setup, &Stream::Audit).await;
    let intent = audit
        .iter()
        .find(|one| one.kind == EntryKind::Intent)
        .unwrap();
    let along = format!(
        "; {name} uses the network of {} and is restarted after it",
        stack.container("web", 1)
    );
    assert!(intent.text.contains(&along), "{}", intent.text);
    let outcome = audit
        .iter()
        .find(|one| one.kind == EntryKind::Outcome)
        .unwrap();
    let along = format!("restarted web; {name} was restarted after it in ");
    assert!(outcome.text.contains(&along), "{}", outcome.text);
    assert!(serve.end().await.success());
    sandbox.stop();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn killed_between_a_restart_and_what_hangs_on_it_that_is_restarted_once() {
    killed_before_all_is_brought_along(false, "start", OBEYS).await;
    // The engine waits three seconds for this one, and goes on without the bot.
    killed_before_all_is_brought_along(true, "kill", IGNORES).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn by_http_the_same_request_five_times_at_once_restarts_a_real_container_once() {
    for http in [true, false] {
        let stack = Stack::new("five").await;
        let id = stack.run("web", 1, OBEYS).await;
        let setup = setup(&stack, http);
        let delivery = if http {
            treasury_bot::sandbox::slack::Delivery::Http {
                base_url: format!("http://127.0.0.1:{}", setup.port),
            }
        } else {
            treasury_bot::sandbox::slack::Delivery::Socket
        };
        let config = SandboxConfig {
            delivery,
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::start(config).await.unwrap();
        let serve = setup.serve(&sandbox).await;
        let since = jiff::Timestamp::now();
        let ana = sandbox.person("ana");
        for receipt in ana
            .types_times(HOME, "/treasury restart web", 5)
            .await
            .unwrap()
        {
            assert!(receipt.acked, "{receipt:?}");
        }
        let ts = ask(&sandbox, "web").await;
        for receipt in ana.clicks_times(HOME, &ts, "Restart web", 5).await.unwrap() {
            assert!(receipt.acked, "{receipt:?}");
        }
        let told = becomes(&sandbox, &ts, "web restarted in").await;
        assert!(told.contains("Before") && told.contains("After"), "{told}");
        assert_eq!(seen(&stack, &id, since).await.get("restart"), Some(&1));
        assert!(serve.end().await.success());
        sandbox.stop();
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn killed_during_each_step_of_memory_leak_each_replica_is_restarted_once() {
    let stack = Stack::new("leak").await;
    // What its first process holds a restart frees.
    let leaks = format!(
        "[ -e /held ] || {{ : > /held; held=$(busybox head -c 30000000 /dev/zero | busybox tr '\\0' x); }}; {OBEYS}"
    );
    let ids = [
        stack.run("web", 1, &leaks).await,
        stack.run("web", 2, &leaks).await,
    ];
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = setup(&stack, false);
    let since = jiff::Timestamp::now();
    let mut serve = setup.serve(&sandbox).await;
    let ana = sandbox.person("ana");
    // Without a memory limit it is not high, so that it asks: one more thing to survive.
    ana.types(
        HOME,
        "/treasury runbook run memory-leak service=web settle=2s",
    )
    .await
    .unwrap();
    let find = |words: &'static str| {
        sandbox.wait_for(Duration::from_secs(60), move |workspace| {
            let messages = &workspace.channel(HOME)?.messages;
            messages
                .iter()
                .find(|m| words_of(m).contains(words))
                .map(|m| m.ts.clone())
        })
    };
    let run = find("Run 1 of Memory leak").await.unwrap();
    let store = Store::open(&setup.store_url(), Use::Visit).await.unwrap();
    let mut seen_steps = std::collections::BTreeSet::new();
    let mut kills = 0;
    loop {
        // The moment a step is under way that was not before, or the run is over.
        let now: Vec<String> = eventually("the run goes on", || async {
            let row = store.run(1).await.unwrap()?;
            let steps = store.run_steps(1).await.unwrap();
            let paths: Vec<String> = steps.into_iter().map(|(path, _)| path).collect();
            let new = paths.iter().any(|path| !seen_steps.contains(path));
            (new || row.verdict.is_some()).then_some(paths)
        })
        .await;
        let over = store.run(1).await.unwrap().unwrap().verdict.is_some();
        if over {
            break;
        }
        let asks = now.contains(&"agree".to_owned()) && !seen_steps.contains("agree");
        seen_steps.extend(now);
        if asks {
            find("Restart it all the same?").await.unwrap();
        }
        serve.kill();
        kills += 1;
        serve = setup.serve(&sandbox).await;
        if asks {
            let question = find("can approve").await.unwrap();
            ana.clicks(HOME, &question, "Approve").await.unwrap();
        }
    }
    becomes(&sandbox, &run, "succeeded").await;
    // Several steps last less than a look: those are what the simulation of the engine is for.
    assert!(kills >= 3, "{kills} kills at {seen_steps:?}");
    for id in &ids {
        let seen = seen(&stack, id, since).await;
        assert_eq!(seen.get("restart"), Some(&1), "{kills} kills: {seen:?}");
    }
    store.close().await;
    assert!(serve.end().await.success());
    let entries = timeline(&setup, &Stream::Audit).await;
    let told = |words: &str| entries.iter().filter(|e| e.text.contains(words)).count();
    assert!(told("the bot was interrupted at") > 0, "{entries:#?}");
    let count = |kind| entries.iter().filter(|e| e.kind == kind).count();
    assert_eq!(
        (count(EntryKind::Intent), count(EntryKind::Outcome)),
        (1, 1)
    );
    verify(&Stream::Audit, &entries).unwrap();
    sandbox.stop();
}
