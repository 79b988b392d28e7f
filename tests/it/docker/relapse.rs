//! A container that does not survive its restart: the driver sees it running, the bot sees it end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{RestartPolicy, RestartPolicyNameEnum};
use tokio_util::sync::CancellationToken;
use treasury_bot::app::App;
use treasury_bot::bot::Catalogue;
use treasury_bot::domain::alert::WatchSettings;
use treasury_bot::domain::service::PlatformKey;
use treasury_bot::domain::{EntryKind, IncidentId, ServiceName, Stream};
use treasury_bot::platform::Platform;
use treasury_bot::platform::docker::Docker;
use treasury_bot::sandbox::slack::{Message, Sandbox, SandboxConfig};

use crate::support::engine::{OBEYS, Stack};
use crate::support::stage::{HOME, PATIENCE, Scenery, plan, said, words_of};

/// A bot that knows this stack's service `web`.
pub async fn bot(stack: &Stack, scenery: &Scenery) -> (Sandbox, App, tempfile::TempDir) {
    let mut service = stack.service("web");
    service.name = ServiceName::parse("web").unwrap();
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}", folder.path().join("bot.db").display());
    let docker: Arc<dyn Platform> = Arc::new(Docker::new(None).unwrap());
    let catalogue = Catalogue::new(vec![service], [(PlatformKey::Docker(None), docker)]);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let plan = plan(&sandbox, scenery, listen, store, catalogue);
    let app = App::start(plan, CancellationToken::new()).await.unwrap();
    sandbox.wait_for_sockets(1, PATIENCE).await.unwrap();
    (sandbox, app, folder)
}

/// Waits until these words stand on the timeline of the first incident or in what its alerts say.
async fn alert_says(app: &App, words: &str) -> String {
    let mut seen = String::new();
    for _ in 0..200 {
        let entries = app.store.entries(&Stream::Incident(IncidentId(1))).await;
        let entries = entries.unwrap_or_default();
        let data = entries.iter().map(|entry| entry.data.to_string());
        seen = data.collect::<Vec<_>>().join("\n");
        if seen.contains(words) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never “{words}”: {seen}");
}

fn watching() -> Scenery {
    let mut scenery = Scenery::default();
    scenery.alerts.watch = Some(WatchSettings {
        every: Duration::from_millis(300),
        lasting: Duration::from_secs(5),
        ..WatchSettings::default()
    });
    scenery
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_container_that_is_killed_for_lack_of_memory_is_an_alert_with_its_limit() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stack = Stack::new("memory").await;
    let script = "busybox sleep 1; \
                  held=$(busybox head -c 60000000 /dev/zero | busybox tr '\\0' x); busybox sleep 60";
    let mut body = stack.body("web", 1, script);
    let host = body.host_config.as_mut().unwrap();
    host.memory = Some(16 * 1024 * 1024);
    host.memory_swap = host.memory;
    stack.start(&stack.container("web", 1), body).await;
    let (sandbox, app, _folder) = bot(&stack, &watching()).await;
    let says = alert_says(&app, "was ended for lack of memory at ").await;
    assert!(says.contains("exit code 137, limit 16.0 MiB"), "{says}");
    assert!(says.contains("it does not run"), "{says}");
    app.stop().await;
    sandbox.stop();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_container_that_docker_starts_again_and_again_is_an_alert_with_its_exit_code() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stack = Stack::new("loop").await;
    let mut body = stack.body("web", 1, "busybox sleep 0.2; exit 3");
    body.host_config.as_mut().unwrap().restart_policy = Some(RestartPolicy {
        name: Some(RestartPolicyNameEnum::ALWAYS),
        ..RestartPolicy::default()
    });
    stack.start(&stack.container("web", 1), body).await;
    let (sandbox, app, _folder) = bot(&stack, &watching()).await;
    let says = alert_says(&app, "ends again and again, at last at ").await;
    assert!(
        says.contains("exit code 3, restarts by the platform: "),
        "{says}"
    );
    app.stop().await;
    sandbox.stop();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_container_that_ends_a_second_after_its_restart_is_told_in_the_same_message() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stack = Stack::new("relapse").await;
    // The second start ends by itself, later than the driver looks.
    let script = format!(
        "[ -f /b ] && {{ busybox sleep 1; echo no ledger >&2; exit 3; }}; echo > /b; {OBEYS}"
    );
    stack.run("web", 1, &script).await;
    let (sandbox, app, _folder) = bot(&stack, &Scenery::default()).await;
    let ana = sandbox.person("ana");
    let type_in = async |line: &str| ana.types(HOME, line).await.unwrap();

    type_in("/treasury incident declare Web is slow --service web").await;
    said(&sandbox, HOME, "INC-1 SEV3: Web is slow").await;
    type_in("/treasury restart web").await;
    let question = said(&sandbox, HOME, "Restart web?").await;
    ana.clicks(HOME, &question.ts, "Restart web").await.unwrap();

    // First that it runs again, then, in the same message, that it does not.
    let told = said(&sandbox, HOME, "web was restarted but did not stay up").await;
    assert_eq!(told.ts, question.ts, "the same message");
    let words = words_of(&told);
    assert!(
        words.contains("ended with exit code 3") && words.contains("> no ledger"),
        "{words}"
    );
    let before: Vec<&str> = told.revisions.iter().map(|one| one.text.as_str()).collect();
    assert!(
        before.iter().any(|text| text.contains("restarted in")),
        "{before:?}"
    );

    let incident = Stream::Incident(IncidentId(1));
    let timeline = app.store.entries(&incident).await.unwrap();
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.kind).collect();
    let (intent, outcome) = (EntryKind::Intent, EntryKind::Outcome);
    assert_eq!(kinds, [EntryKind::Declared, intent, outcome, outcome]);
    assert!(
        timeline[2].text.contains("restarted web"),
        "{}",
        timeline[2].text
    );
    assert!(
        timeline[3].text.contains("ended with exit code 3"),
        "{}",
        timeline[3].text
    );
    app.stop().await;
    sandbox.stop();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_second_restart_within_seconds_is_no_relapse_of_the_first() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stack = Stack::new("twice").await;
    stack.run("web", 1, OBEYS).await;
    let (sandbox, app, _folder) = bot(&stack, &Scenery::default()).await;
    let ana = sandbox.person("ana");
    let mut told = Vec::new();
    for reason in ["first", "second"] {
        let line = format!("/treasury restart web --reason {reason}");
        ana.types(HOME, &line).await.unwrap();
        let question = sandbox.wait_for(PATIENCE, |workspace| {
            let messages = &workspace.channel(HOME)?.messages;
            let is_new =
                |one: &&Message| words_of(one).contains("Restart web?") && !told.contains(&one.ts);
            messages.iter().find(is_new).cloned()
        });
        let question = question.await.unwrap();
        ana.clicks(HOME, &question.ts, "Restart web").await.unwrap();
        sandbox
            .wait_for(PATIENCE, |workspace| {
                let message = workspace.channel(HOME)?.message(&question.ts)?;
                words_of(message).contains("restarted in").then_some(())
            })
            .await
            .unwrap();
        told.push(question.ts);
    }
    // Longer than a restart is watched.
    tokio::time::sleep(Duration::from_secs(4)).await;
    for ts in told {
        let messages = sandbox.messages(HOME);
        let message = messages.iter().find(|one| one.ts == ts).unwrap();
        let words = words_of(message);
        assert!(words.contains("restarted in"), "{words}");
    }
    app.stop().await;
    sandbox.stop();
}
