//! The Compose files, run by Compose: the plugin, or Debian's `docker-compose`.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::engine::{OBEYS, Stack};
use crate::support::free_port;
use crate::support::images::{StandIns, bot, docker, good};
use crate::support::process::root;

/// How long a project may take until it is well.
const PATIENCE: Duration = Duration::from_secs(90);

/// A copy of `deploy/` and a project of its own, which goes with all its volumes.
struct Project {
    folder: tempfile::TempDir,
    file: &'static str,
    name: String,
    ports: [u16; 2],
    _images: StandIns,
}

impl Project {
    fn new(file: &'static str, name: &str) -> Self {
        bot();
        let folder = tempfile::tempdir().unwrap();
        let copied = Command::new("cp")
            .arg("-r")
            .arg(root().join("deploy"))
            .arg(folder.path())
            .output();
        good(&copied.unwrap());
        Self {
            folder,
            file,
            name: format!("tb{}{name}", std::process::id()),
            ports: [free_port(), free_port()],
            _images: StandIns::make(),
        }
    }

    fn change(&self, file: &str, change: impl Fn(&str) -> String) {
        let path = self.folder.path().join("deploy").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = change(&text);
        assert_ne!(changed, text, "{file}");
        std::fs::write(&path, changed).unwrap();
    }

    /// Compose with these words, in this project.
    fn command(&self, words: &[&str]) -> Command {
        let plugin = docker(&["compose", "version"]).status.success();
        let mut command = Command::new(if plugin { "docker" } else { "docker-compose" });
        command.args(plugin.then_some("compose"));
        let [chat, web] = self.ports.map(|port| port.to_string());
        command
            .args(["-p", &self.name, "-f", &format!("deploy/{}", self.file)])
            .args(words)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env("TREASURY_BOT_IMAGE", bot())
            .env("DOCKER_GID", group())
            .env("CHAT_PORT", chat)
            .env("TREASURY_BOT_PORT", web);
        command
    }

    fn compose(&self, words: &[&str]) -> String {
        good(&self.command(words).output().unwrap())
    }

    /// Ends when all containers of a service are healthy.
    async fn healthy(&self, service: &str, replicas: usize) {
        let well = async {
            loop {
                let ids = good(&docker(&[
                    "ps",
                    "--quiet",
                    "--filter",
                    &format!("label=com.docker.compose.project={}", self.name),
                    "--filter",
                    &format!("label=com.docker.compose.service={service}"),
                    "--filter",
                    "health=healthy",
                ]));
                if ids.lines().count() == replicas {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, well).await;
        assert!(
            in_time.is_ok(),
            "{service}:\n{}\n{}",
            self.compose(&["ps"]),
            self.compose(&["logs", service])
        );
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.command(&["down", "--volumes", "--remove-orphans"])
            .output()
            .ok();
    }
}

fn group() -> String {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/var/run/docker.sock")
        .unwrap()
        .gid()
        .to_string()
}

/// Compose 1 does not know `name:`; the project's is given on the command line anyway.
fn without_name(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("name: "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The block in this language of docs/containers.md that has these words.
fn block(language: &str, words: &str) -> String {
    let text = std::fs::read_to_string(root().join("docs/containers.md")).unwrap();
    let start = format!("```{language}\n");
    let blocks = text
        .split(&start)
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let mut found = blocks.filter(|block| block.contains(words));
    found
        .next()
        .unwrap_or_else(|| panic!("no {language} with {words}"))
        .to_owned()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn with_secrets_in_files_and_postgresql_it_acts_and_its_memory_outlives_it() {
    bot();
    let stack = Stack::new("compose").await;
    let id = stack.run("frontend", 1, OBEYS).await;
    let began = stack.inspect(&id).await.state.unwrap().started_at;
    let project = Project::new("compose.yml", "bot");
    project.change("compose.yml", without_name);

    // As docs/containers.md has it, but for the project and a Slack that is away.
    let secrets = Command::new("sh")
        .args(["-euc", &block("sh", "deploy/secrets")])
        .current_dir(project.folder.path())
        .env("TREASURY_BOT_SLACK_BOT_TOKEN", "xoxb-sandbox-bot-token")
        .env(
            "TREASURY_BOT_SLACK_APP_TOKEN",
            "xapp-1-ATREASURY-sandbox-app-token",
        )
        .output();
    good(&secrets.unwrap());
    let toml = block("toml", "[store]")
        .replace("\"treasury\"", &format!("{:?}", stack.project))
        .replace(
            "[slack]\n",
            "[slack]\napi_url = \"http://127.0.0.1:9/api\"\n",
        );
    let file = project.folder.path().join("deploy/treasury-bot.toml");
    std::fs::write(file, toml).unwrap();

    project.compose(&["up", "--detach"]);
    project.healthy("postgres", 1).await;
    project.healthy("bot", 1).await;
    let [_, web] = project.ports;
    let ready = reqwest::get(format!("http://127.0.0.1:{web}/health/ready"))
        .await
        .unwrap();
    assert!(ready.status().is_success(), "the store answers: {ready:?}");
    let exec = |words: &[&str]| {
        let all = [&["exec", "-T", "bot", "treasury-bot", "exec"][..], words].concat();
        project.compose(&all)
    };
    let status = exec(&["status"]);
    assert!(status.contains("running 1/1"), "{status}");
    let told = exec(&["--yes", "restart frontend"]);
    assert!(told.contains("frontend restarted in"), "{told}");
    let now = stack.inspect(&id).await.state.unwrap().started_at;
    assert_ne!(now, began);

    // Another container of the bot, on the same PostgreSQL.
    project.compose(&["up", "--detach", "--force-recreate", "--no-deps", "bot"]);
    project.healthy("bot", 1).await;
    let audit = exec(&["audit"]);
    assert!(audit.contains("restarting frontend"), "{audit}");

    // A backup, and what it brings back.
    let folder = project.folder.path();
    let dump = std::fs::File::create(folder.join("treasury-bot.dump")).unwrap();
    let words = "exec -T postgres pg_dump --username=treasury_bot --format=custom treasury_bot";
    assert!(block("sh", "pg_dump").contains(words));
    let words: Vec<&str> = words.split(' ').collect();
    assert!(
        project
            .command(&words)
            .stdout(dump)
            .status()
            .unwrap()
            .success()
    );
    project.compose(&["stop", "bot"]);
    let drop = "exec -T postgres psql --username=treasury_bot --quiet -c";
    let drop: Vec<&str> = drop
        .split(' ')
        .chain(["DROP SCHEMA public CASCADE; CREATE SCHEMA public"])
        .collect();
    project.compose(&drop);
    let words = "exec -T postgres pg_restore --username=treasury_bot --dbname=treasury_bot --clean --if-exists";
    assert!(block("sh", "pg_restore").contains(words));
    let words: Vec<&str> = words.split(' ').collect();
    let dump = std::fs::File::open(folder.join("treasury-bot.dump")).unwrap();
    good(&project.command(&words).stdin(dump).output().unwrap());
    project.compose(&["start", "bot"]);
    project.healthy("bot", 1).await;
    let audit = exec(&["audit"]);
    assert!(audit.contains("restarting frontend"), "{audit}");
}

/// A person at the chat page of the project's demo.
struct Chat {
    url: String,
    client: reqwest::Client,
}

impl Chat {
    async fn types(&self, text: &str) {
        let body = json!({"person": "ana", "channel": "#treasury-incidents", "text": text});
        let sent = self
            .client
            .post(format!("{}/sandbox/command", self.url))
            .json(&body)
            .send();
        let answer = sent.await.unwrap().text().await.unwrap();
        assert!(answer.contains("\"ok\":true"), "{text}: {answer}");
    }

    /// Ends when Ana sees these words.
    async fn shows(&self, words: &str) {
        let url = format!("{}/sandbox/state?person=ana", self.url);
        let seen = async {
            loop {
                let state = self
                    .client
                    .get(&url)
                    .send()
                    .await
                    .unwrap()
                    .text()
                    .await
                    .unwrap();
                let plain = state.replace(['*', '`'], "").replace("  ", " ");
                if plain.contains(words) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "never seen: {words}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_stack_to_try_it_on_is_watched_scaled_and_mended() {
    let project = Project::new("compose.dev.yml", "dev");
    project.change("compose.dev.yml", without_name);
    project.change("dev/treasury-bot.toml", |text| {
        text.replace("\"treasury-dev\"", &format!("{:?}", project.name))
    });
    project.compose(&["up", "--detach"]);
    for service in ["frontend", "api", "postgres", "redis", "bot"] {
        project.healthy(service, 1).await;
    }
    let [chat, web] = project.ports;
    let frontend = project.compose(&["port", "frontend", "80"]);
    let frontend = frontend.lines().next().unwrap();
    let chat = Chat {
        url: format!("http://127.0.0.1:{chat}"),
        client: reqwest::Client::new(),
    };
    chat.types("/treasury status").await;
    chat.shows("4 of 4 services are well").await;
    // The handbook's way to scale, and the bot sees it.
    project.compose(&["up", "--detach", "--scale", "frontend=3"]);
    project.healthy("frontend", 3).await;
    chat.types("/treasury status frontend").await;
    chat.shows("frontend healthy 3/3").await;

    let api = |path: &str| {
        let url = format!("http://{frontend}/api/{path}");
        async move { reqwest::get(url).await.unwrap().text().await.unwrap() }
    };
    assert_eq!(api("balances").await, "balances read 1 times\n");
    chat.types("/treasury db summary").await;
    chat.shows("database is up").await;
    chat.types("/treasury cache summary").await;
    chat.shows("redis is up").await;
    let metrics = api("metrics").await;
    assert!(
        metrics.contains("http_requests_total{code=\"200\"} 1"),
        "{metrics}"
    );
    let metrics = reqwest::get(format!("http://127.0.0.1:{web}/metrics"))
        .await
        .unwrap();
    assert!(metrics.status().is_success());

    // A leak is noticed without anybody asking.
    api("leak?mb=224").await;
    chat.shows("HighMemory").await;
}
