//! A service on Kubernetes through the whole bot: one rollout in all, whatever dies.

use std::time::Duration;

use serde_json::json;
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use crate::kubernetes::json::{number, ready};
use crate::kubernetes::{Behaviour, Cluster, Store, TOKEN};
use crate::support::process::Setup;
use crate::support::stage::{HOME, PATIENCE, words_of};

/// The deployment `web`, whose new pods take a while to get ready.
async fn cluster(ready: Duration) -> Cluster {
    let cluster = Cluster::start();
    cluster.create(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "web", "image": "web:1",
                    "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
                }]},
            },
        },
    }));
    cluster.settled("deployments", "shop", "web").await;
    cluster.with(|state| {
        state.kubelet.usual = Behaviour {
            ready: Some(ready),
            ..Behaviour::default()
        };
    });
    cluster
}

fn setup(cluster: &Cluster) -> Setup {
    let setup = Setup::new(
        false,
        "[watch]\nevery = \"1s\"\nlasting = \"1s\"\n\n[policy]\nconfirm_within = \"10m\"\n\n\
         [[cluster]]\nname = \"shop\"\nkubeconfig = \"kubeconfig\"\n\n\
         [[service]]\nname = \"frontend\"\nplatform = \"kubernetes\"\nnamespace = \"shop\"\n\
         workload = \"deployment/web\"\n",
    );
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": cluster.url()}}],
        "users": [{"name": "it", "user": {"token": TOKEN}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    let file = setup.folder.path().join("kubeconfig");
    std::fs::write(file, kubeconfig.to_string()).unwrap();
    setup
}

/// Asks for a restart; the message with the question.
async fn ask(sandbox: &Sandbox) -> String {
    let ana = sandbox.person("ana");
    let receipt = ana.types(HOME, "/treasury restart frontend").await.unwrap();
    assert!(receipt.acked, "{receipt:?}");
    sandbox
        .wait_for(PATIENCE, |workspace| {
            let messages = &workspace.channel(HOME)?.messages;
            let asked = messages
                .iter()
                .find(|m| words_of(m).contains("Restart frontend?"));
            asked.map(|m| m.ts.clone())
        })
        .await
        .unwrap()
}

async fn becomes(sandbox: &Sandbox, ts: &str, words: &str) -> String {
    let said = sandbox.wait_for(Duration::from_secs(60), |workspace| {
        let text = words_of(workspace.channel(HOME)?.message(ts)?);
        text.contains(words).then_some(text)
    });
    said.await
        .unwrap_or_else(|error| panic!("never “{words}”: {error}"))
}

/// How often the template was changed, how many replica sets there are, and how many processes
/// have started: 2, 2 and 4 after one rollout.
fn rollouts(cluster: &Cluster) -> (i64, usize, usize) {
    let now = cluster.get("deployments", "shop", "web").unwrap();
    let generation = number(&now, "/metadata/generation").unwrap();
    let sets = cluster.list("replicasets", "shop").len();
    (
        generation,
        sets,
        cluster.with(|state| state.kubelet.started),
    )
}

fn generation(store: &Store) -> Option<i64> {
    let (_, deployment) = store.list("deployments", "shop").next()?;
    number(deployment, "/metadata/generation")
}

#[tokio::test]
async fn five_clicks_on_a_restart_are_one_rollout_and_it_is_told() {
    let cluster = cluster(Duration::from_millis(200)).await;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = setup(&cluster);
    let serve = setup.serve(&sandbox).await;
    let ts = ask(&sandbox).await;
    let ana = sandbox.person("ana");
    let clicks = (0..5).map(|_| ana.clicks(HOME, &ts, "Restart frontend"));
    futures_util::future::join_all(clicks).await;
    let told = becomes(&sandbox, &ts, "frontend restarted in").await;
    assert!(told.contains("2/2"), "{told}");
    assert_eq!(rollouts(&cluster), (2, 2, 4));
    let pods = cluster.list("pods", "shop");
    assert!(
        pods.iter().filter(|pod| ready(pod)).count() == 2,
        "{pods:?}"
    );
    assert!(serve.end().await.success());
    sandbox.stop();
}

#[tokio::test]
async fn killed_during_a_rollout_there_is_one_rollout_in_all() {
    let cluster = cluster(Duration::from_secs(2)).await;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = setup(&cluster);
    let serve = setup.serve(&sandbox).await;
    let ts = ask(&sandbox).await;
    sandbox
        .person("ana")
        .clicks(HOME, &ts, "Restart frontend")
        .await
        .unwrap();
    let begun = |store: &Store| (generation(store)? > 1).then_some(());
    cluster.eventually("the rollout begins", begun).await;
    serve.kill();

    let serve = setup.serve(&sandbox).await;
    let told = becomes(&sandbox, &ts, "frontend restarted in").await;
    assert!(told.contains("found after an interruption"), "{told}");
    cluster.settled("deployments", "shop", "web").await;
    assert_eq!(rollouts(&cluster), (2, 2, 4), "one rollout in all");
    assert!(serve.end().await.success());
    sandbox.stop();
}

#[tokio::test]
async fn what_the_bot_may_not_do_is_told_with_verb_and_resource() {
    let cluster = cluster(Duration::from_millis(50)).await;
    for verb in ["patch", "update"] {
        cluster.forbid(verb, "deployments");
    }
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = setup(&cluster);
    let serve = setup.serve(&sandbox).await;
    let ts = ask(&sandbox).await;
    sandbox
        .person("ana")
        .clicks(HOME, &ts, "Restart frontend")
        .await
        .unwrap();
    let told = becomes(&sandbox, &ts, "denied").await;
    let verb = told.contains("patch") || told.contains("update");
    assert!(
        verb && told.contains("deployments") && told.contains("shop"),
        "{told}"
    );
    assert_eq!(rollouts(&cluster), (1, 1, 2));
    assert!(serve.end().await.success());
    sandbox.stop();
}

#[tokio::test]
async fn a_status_from_memory_survives_old_versions_and_a_restart_of_the_api_server() {
    use treasury_bot::platform::Platform;
    let cluster = cluster(Duration::from_millis(50)).await;
    let driver = crate::contract::kubernetes_driver(&cluster).await;
    let service = crate::contract::kubernetes_service("web");
    let sees = async |replicas: usize| {
        let sees = async || {
            let status = driver.status(&service).await.ok()?;
            (status.is_well() && status.replicas.len() == replicas).then_some(())
        };
        crate::support::engine::eventually(&format!("{replicas} replicas"), sees).await;
    };
    let to = |replicas: u32| json!({"spec": {"replicas": replicas}});
    sees(2).await;
    cluster.restart_api();
    cluster.merge("deployments", "shop", "web", &to(3));
    sees(3).await;
    let gone = crate::kubernetes::Fault::Gone;
    cluster.fault(gone, &["watch"], &[], Some(3));
    cluster.cut();
    cluster.merge("deployments", "shop", "web", &to(1));
    sees(1).await;
    // And then the API server is not asked any more.
    let quiet = async || {
        let before = cluster.access().len();
        for _ in 0..20 {
            driver.status(&service).await.unwrap();
        }
        (cluster.access().len() == before).then_some(())
    };
    crate::support::engine::eventually("it answers from memory", quiet).await;
}

#[tokio::test]
async fn what_ends_for_lack_of_memory_in_a_cluster_is_an_alert_of_its_own() {
    let cluster = cluster(Duration::from_millis(50)).await;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let serve = setup(&cluster).serve(&sandbox).await;
    let image = json!({"spec": {"template": {"spec": {
        "containers": [{"name": "web", "image": "web:oom"}]}}}});
    cluster.merge("deployments", "shop", "web", &image);
    let told = sandbox.wait_for(Duration::from_secs(60), |workspace| {
        let messages = workspace.channels.values().flat_map(|one| &one.messages);
        let mut words = messages.map(words_of);
        words.find(|words| words.contains("🔥 OutOfMemory"))
    });
    let told = told.await.unwrap();
    for part in ["web-", "was ended for lack of memory at ", "exit code 137"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(serve.end().await.success());
    sandbox.stop();
}
