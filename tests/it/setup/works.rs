//! What it finds, makes and writes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{bot, file, run, setup, workspace};
use crate::kubernetes::{Cluster, TOKEN};
use crate::support::dockerd::Dockerd;
use crate::support::engine::{OBEYS, Stack};
use crate::support::free_port;
use crate::support::slack::{APP, BOT, Channel};

#[tokio::test]
async fn with_both_tokens_it_makes_the_channel_says_hello_and_a_second_run_changes_nothing() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let mut command = setup(folder.path(), &slack);
    command.args(["--responder", "@ana", "--responder", "U0BEN00001"]);
    let (code, out, err) = run(command).await;
    assert_eq!(code, 0, "{out}{err}");
    for line in [
        "✅ Slack: both tokens are good; the bot is @treasury-bot of Acme Treasury",
        "✅ Scopes: all 12 are granted",
        "✅ #treasury-incidents: made; the responders are invited",
        "➖ Docker: none here",
        "➖ Kubernetes: none here",
        "✅ treasury-bot.toml written",
        "⚠️ there is no service",
        "✅ treasury-bot.toml is good: 0 services",
        "✅ Said hello in #treasury-incidents",
        "Next: treasury-bot serve",
    ] {
        assert!(out.contains(line), "no “{line}” in:\n{out}");
    }
    let written = file(folder.path());
    assert_eq!(
        written,
        format!(
            "[slack]\napi_url = \"{}\"\n[access]\nviewers = [\"*\"]\n\
             responders = [\"U0ANA00001\", \"U0BEN00001\"]  # ana\n",
            slack.api_url()
        )
    );
    {
        let mut world = slack.world();
        assert_eq!(world.invited, ["U0ANA00001", "U0BEN00001"]);
        let [(channel, said)] = world.said.as_slice() else {
            panic!("{:?}", world.said)
        };
        assert_eq!(channel, "treasury-incidents");
        assert!(
            said["text"]
                .as_str()
                .unwrap()
                .contains("`/treasury status`"),
            "{said}"
        );
        world.calls.clear();
    }

    let bytes = || std::fs::read(folder.path().join("treasury-bot.toml")).unwrap();
    let before = bytes();
    let (code, out, err) = run(setup(folder.path(), &slack)).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("✅ treasury-bot.toml is there and stays as it is"),
        "{out}"
    );
    assert!(
        out.contains("✅ #treasury-incidents: the bot is in it"),
        "{out}"
    );
    assert_eq!(bytes(), before);
    let calls = slack.world().calls.join(" ");
    let reading = ["auth.test", "apps.connections.open", "conversations.list"];
    assert!(
        calls.split(' ').all(|call| reading.contains(&call)),
        "{calls}"
    );
}

#[tokio::test]
async fn a_public_channel_that_is_there_is_joined() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let mut command = setup(folder.path(), &slack);
    command.args(["--channel", "#general"]);
    let (code, out, err) = run(command).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("✅ #general: the bot has joined it"), "{out}");
    assert!(file(folder.path()).contains("channel = \"#general\"\n"));
}

#[tokio::test]
async fn what_lacks_of_the_optional_scopes_is_told_with_what_is_done_without() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    {
        let mut world = slack.world();
        world
            .scopes
            .retain(|scope| scope != "files:write" && scope != "channels:manage");
        world.channels.push(Channel {
            name: "treasury-incidents".to_owned(),
            member: false,
            private: false,
        });
    }
    let (code, out, err) = run(setup(folder.path(), &slack)).await;
    assert_eq!(code, 0, "{out}{err}");
    for line in [
        "⚠️ Scopes: those that are needed are granted; without",
        "channels:manage: a thread in the main channel",
        "files:write: a message says that it can't",
    ] {
        assert!(out.contains(line), "no “{line}” in:\n{out}");
    }
}

#[tokio::test]
async fn workloads_of_the_kubeconfigs_namespace_are_found() {
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let cluster = Cluster::start();
    for (kind, name, image) in [
        ("Deployment", "frontend", "nginx:1.27"),
        ("StatefulSet", "ledger", "postgres:16"),
        ("DaemonSet", "agent", "agent:1"),
    ] {
        let labels = json!({"app": name});
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"namespace": "shop", "name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": name, "image": image}]},
                },
            },
        });
        if kind == "StatefulSet" {
            object["spec"]["serviceName"] = name.into();
        }
        cluster.create(&object);
    }
    let kubeconfig = folder.path().join("kubeconfig");
    let (url, text) = (cluster.url(), |url: &str| {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": url}}],
            "users": [{"name": "bot", "user": {"token": TOKEN}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "here", "user": "bot", "namespace": "shop"}}
            ],
        })
        .to_string()
    });
    std::fs::write(&kubeconfig, text(&url)).unwrap();
    let mut command = setup(folder.path(), &slack);
    command.env("KUBECONFIG", &kubeconfig);
    let (code, out, err) = run(command).await;
    assert_eq!(code, 0, "{out}{err}");
    let line = "✅ Kubernetes: frontend (frontend), ledger (database), agent (namespace shop)";
    assert!(out.contains(line), "{out}");
    let written = file(folder.path());
    let service =
        "[[service]]\nname = \"ledger\"\nnamespace = \"shop\"\nworkload = \"statefulset/ledger\"\n";
    assert!(written.contains(service), "{written}");

    // A cluster that is configured and does not answer is a fault, and can be left out.
    std::fs::remove_file(folder.path().join("treasury-bot.toml")).unwrap();
    std::fs::write(
        &kubeconfig,
        text(&format!("http://127.0.0.1:{}", free_port())),
    )
    .unwrap();
    let mut command = setup(folder.path(), &slack);
    command.env("KUBECONFIG", &kubeconfig);
    let (code, out, _) = run(command).await;
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("❌ Kubernetes is here, but tells nothing"),
        "{out}"
    );
    assert!(out.contains("leave it out: --on docker,swarm"), "{out}");
}

/// The issue's own measure: an empty folder, the binary, a Slack; no file edited by hand.
#[tokio::test]
#[ignore = "needs Docker"]
async fn from_an_empty_folder_to_the_first_status_on_a_real_engine() {
    let stack = Stack::new("setup").await;
    let running = ["redis", "postgres", "frontend"];
    for (name, below) in [
        ("redis", ""),
        ("postgres", ""),
        (
            "frontend",
            "postgres:service_healthy:false,redis:service_started:true",
        ),
    ] {
        let mut body = stack.body(name, 1, OBEYS);
        let label = ("com.docker.compose.depends_on".to_owned(), below.to_owned());
        body.labels.as_mut().unwrap().extend([label]);
        stack.start(&stack.container(name, 1), body).await;
    }
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let port = free_port();
    let tokens = [
        ("TREASURY_BOT_SLACK_BOT_TOKEN", BOT),
        ("TREASURY_BOT_SLACK_APP_TOKEN", APP),
    ];
    let started = Instant::now();

    let mut command = bot(folder.path());
    command.args([
        "setup",
        "--yes",
        "--project",
        &stack.project,
        "--on",
        "docker",
    ]);
    command.args([
        "--api-url",
        &slack.api_url(),
        "--listen",
        &format!("127.0.0.1:{port}"),
    ]);
    let (code, out, err) = run({
        command.envs(tokens);
        command
    })
    .await;
    assert_eq!(code, 0, "{out}{err}");
    let set_up = started.elapsed();
    let line = "✅ Docker: frontend (frontend), postgres (database), redis (cache)";
    assert!(out.contains(line), "{out}");
    let project = &stack.project;
    let service = |name: &str, more: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\ncompose_project = \"{project}\"\n\
             compose_service = \"{name}\"\n{more}"
        )
    };
    let wanted = [
        format!("[slack]\napi_url = \"{}\"\n", slack.api_url()),
        format!("[web]\nlisten = \"127.0.0.1:{port}\"\n"),
        "[access]\nviewers = [\"*\"]\n".to_owned(),
        service("frontend", "depends_on = [\"postgres\", \"redis\"]\n"),
        service("postgres", ""),
        service("redis", ""),
    ];
    assert_eq!(file(folder.path()), wanted.concat());

    let mut doctor = bot(folder.path());
    doctor.arg("doctor").envs(tokens);
    let (code, out, err) = run(doctor).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("1 warning, 0 broken") && out.contains("✅ frontend: 1 replica, 1 well"),
        "{out}{err}"
    );

    let mut serve = bot(folder.path());
    let mut serve = serve.arg("serve").envs(tokens).spawn().unwrap();
    let id = format!("C{:08}", 1);
    slack.types(&id, "status").await;
    let answered = slack.eventually("an answer", |world| {
        let said = world.said.iter().map(|(_, said)| said.to_string());
        said.into_iter()
            .find(|said| said.contains("3 of 3 services"))
    });
    let answer = answered.await;
    let all = started.elapsed();
    // An orderly end.
    let mut end = std::process::Command::new("kill");
    end.args(["-TERM", &serve.id().to_string()]);
    end.status().unwrap();
    let status = tokio::task::spawn_blocking(move || serve.wait().unwrap())
        .await
        .unwrap();
    assert!(status.success());
    for name in running {
        assert!(answer.contains(name), "{answer}");
    }
    eprintln!("setup took {set_up:.1?}; to the first status: {all:.1?}");
    assert!(all < Duration::from_secs(60), "{all:?}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn services_of_a_swarm_are_found_and_their_containers_are_not() {
    let engine = Dockerd::swarm().await;
    engine.import("nginx:1", OBEYS).await;
    engine.serve("shop", "nginx:1", Some(1)).await;
    engine.run("tool", "nginx:1").await;
    let (folder, slack) = (tempfile::tempdir().unwrap(), workspace().await);
    let mut command = setup(folder.path(), &slack);
    command.env("DOCKER_HOST", engine.host());
    let (code, out, err) = run(command).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("✅ Docker: tool (frontend)"), "{out}");
    assert!(out.contains("✅ Swarm: shop (frontend)"), "{out}");
    let written = file(folder.path());
    assert!(
        written.contains("name = \"tool\"\ncontainer = \"tool\"\n"),
        "{written}"
    );
    assert!(
        written.contains("name = \"shop\"\nswarm_service = \"shop\"\n"),
        "{written}"
    );
}
