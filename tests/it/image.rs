//! The Dockerfile: what it is given to build from, and the image, built by it and run as users do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use crate::support::engine::{OBEYS, Stack, eventually};
use crate::support::free_port;
use crate::support::images::{bot, docker, good};
use crate::support::process;
use crate::support::stage::{HOME, words_of};

/// Where the project is, without links.
fn root() -> PathBuf {
    process::root().canonicalize().unwrap()
}

/// Files of a folder with this ending, those of its folders too.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path);
        }
    }
}

/// What the build of the binary reads beside `*.rs`: what is included, and what cargo's manifests
/// name.
fn read_by_the_build() -> BTreeSet<PathBuf> {
    let mut sources = Vec::new();
    for folder in ["src", "crates"] {
        files(&root().join(folder), ".rs", &mut sources);
    }
    let mut read = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(&source).unwrap();
        for (at, _) in text.match_indices("include_") {
            let rest = &text[at..];
            let include = ["include_str!(", "include_bytes!("]
                .iter()
                .find_map(|start| rest.strip_prefix(start));
            let Some(argument) = include.map(str::trim_start) else {
                continue;
            };
            // `concat!("../migrations/sqlite/", $file)`: the folder, then.
            let argument = argument.trim_start_matches("concat!(").trim_start();
            let path = argument
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next());
            let path = path.unwrap_or_else(|| panic!("{}: {argument:.40}", source.display()));
            let path = source.parent().unwrap().join(path);
            read.insert(
                path.canonicalize()
                    .unwrap_or_else(|_| panic!("{}", path.display())),
            );
        }
    }
    let manifest: toml::Table = read_manifest("Cargo.toml");
    for bench in manifest["bench"].as_array().unwrap() {
        let name = bench["name"].as_str().unwrap();
        read.insert(root().join(format!("benches/{name}.rs")));
    }
    let mut manifests = vec![root().join("Cargo.toml"), root().join("Cargo.lock")];
    files(&root().join("crates"), "Cargo.toml", &mut manifests);
    for manifest in &manifests {
        let script = manifest.with_file_name("build.rs");
        read.extend(script.exists().then_some(script));
    }
    read.extend(manifests);
    read
}

fn read_manifest(name: &str) -> toml::Table {
    let text = std::fs::read_to_string(root().join(name)).unwrap();
    text.parse().unwrap()
}

#[test]
fn everything_that_the_build_reads_gets_into_the_image() {
    let ignore = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let mut lines = ignore.lines();
    assert_eq!(lines.next(), Some("*"), "nothing but what is listed");
    let admitted: Vec<PathBuf> = lines
        .map(|line| root().join(line.strip_prefix('!').unwrap()))
        .collect();
    let read = read_by_the_build();
    for part in [
        "runbooks",
        "benches",
        "crates/store/migrations",
        "Cargo.lock",
    ] {
        let found = read.iter().any(|path| path.starts_with(root().join(part)));
        assert!(found, "this test looks for {part} in vain");
    }
    let missing: Vec<_> = read
        .iter()
        .filter(|path| !admitted.iter().any(|folder| path.starts_with(folder)))
        .collect();
    assert_eq!(
        missing,
        Vec::<&PathBuf>::new(),
        ".dockerignore leaves it out"
    );

    // All that is admitted is copied, once for the manifests and once for the build.
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let copies = dockerfile
        .lines()
        .filter(|line| *line == "COPY . .")
        .count();
    assert_eq!(copies, 2);
    let rust = read_manifest("Cargo.toml")["workspace"]["package"]["rust-version"].clone();
    let base = format!("ARG RUST_IMAGE=rust:{}-alpine", rust.as_str().unwrap());
    assert!(dockerfile.contains(&base), "{base}");
}

/// A container of the bot on the machine's own network; removed when dropped.
struct Container(String);

impl Container {
    /// Starts `serve` on a read-only root, with these further words for `docker run`.
    fn serve(sandbox: &Sandbox, folder: &Path, services: &str, words: &[&str]) -> Self {
        let (toml, port) = (folder.join("treasury-bot.toml"), free_port());
        let text = format!(
            "[slack]\napi_url = \"{}\"\n\n[policy]\nconfirm = []\n\n[access]\nviewers = [\"*\"]\n\
             responders = [\"U0ANA00001\"]\n\n{services}",
            sandbox.api_url()
        );
        std::fs::write(&toml, text).unwrap();
        let variables = [
            format!("TREASURY_BOT_SLACK_BOT_TOKEN={}", sandbox.bot_token()),
            format!("TREASURY_BOT_SLACK_APP_TOKEN={}", sandbox.app_token()),
            format!("TREASURY_BOT_WEB_LISTEN=127.0.0.1:{port}"),
            format!("TREASURY_BOT_HEALTH_URL=http://127.0.0.1:{port}/health/live"),
        ];
        let volumes = [
            "/var/run/docker.sock:/var/run/docker.sock".to_owned(),
            format!("{}:/etc/treasury-bot/treasury-bot.toml:ro", toml.display()),
        ];
        let mut all = vec!["run", "--detach", "--read-only", "--cap-drop", "ALL"];
        all.extend(["--security-opt", "no-new-privileges", "--network", "host"]);
        // How the image looks at itself is left to it, but for how often.
        all.extend(["--health-interval", "1s"]);
        all.extend(variables.iter().flat_map(|one| ["--env", one]));
        all.extend(volumes.iter().flat_map(|one| ["--volume", one]));
        all.extend(words);
        all.push(bot());
        let id = docker(&all);
        good(&id);
        Self(String::from_utf8(id.stdout).unwrap().trim().to_owned())
    }

    fn inspect(&self, format: &str) -> String {
        let seen = good(&docker(&["inspect", "--format", format, &self.0]));
        seen.trim().to_owned()
    }

    async fn becomes_healthy(&self) {
        eventually("the container is healthy", || async {
            let health = self.inspect("{{.State.Status}} {{.State.Health.Status}}");
            let logs = || good(&docker(&["logs", &self.0]));
            assert!(health.starts_with("running"), "{health}: {}", logs());
            (health == "running healthy").then_some(())
        })
        .await;
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

/// The group of the engine's socket, as `stat -c %g` prints it.
fn group() -> String {
    use std::os::unix::fs::MetadataExt;
    let socket = std::fs::metadata("/var/run/docker.sock").unwrap();
    socket.gid().to_string()
}

fn service(stack: &Stack) -> String {
    format!(
        "[[service]]\nname = \"frontend\"\ncompose_project = \"{}\"\ncompose_service = \
         \"frontend\"\n",
        stack.project
    )
}

/// Ana types; the words of the message that then has these.
async fn told(sandbox: &Sandbox, line: &str, words: &str) -> String {
    eventually("Slack lets the bot in", || async {
        let receipt = sandbox.person("ana").types(HOME, line).await.ok()?;
        receipt.acked.then_some(())
    })
    .await;
    eventually(words, || async {
        let seen = sandbox.person("ana").sees(HOME);
        seen.iter().map(words_of).find(|text| text.contains(words))
    })
    .await
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn as_nobody_on_a_read_only_root_it_becomes_healthy_and_restarts_a_container() {
    // First, since it may take minutes and no other stack is there while this one is.
    let image = bot();
    let stack = Stack::new("image").await;
    let id = stack.run("frontend", 1, OBEYS).await;
    let began = stack.inspect(&id).await.state.unwrap().started_at;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let group = group();
    let words = ["--group-add", &group];
    let container = Container::serve(&sandbox, folder.path(), &service(&stack), &words);
    container.becomes_healthy().await;
    let top = good(&docker(&["top", &container.0, "-eo", "pid,uid,args"]));
    let words: Vec<&str> = top.split_whitespace().collect();
    let who = words
        .windows(2)
        .any(|two| two == ["65532", "/usr/local/bin/treasury-bot"]);
    assert!(who, "{top}");

    told(
        &sandbox,
        "/treasury restart frontend",
        "frontend restarted in",
    )
    .await;
    let now = stack.inspect(&id).await.state.unwrap().started_at;
    assert_ne!(now, began);

    // What is under way is finished, and only then it ends.
    good(&docker(&["stop", &container.0]));
    assert_eq!(container.inspect("{{.State.ExitCode}}"), "0");
    sandbox.stop();

    let format = "{{.Config.User}} {{json .Config.Labels}}";
    let config = good(&docker(&["image", "inspect", "--format", format, image]));
    assert!(config.starts_with("65532:65532 "), "{config}");
    for label in [r#"version":"0.0.0-test""#, r#"licenses":"Apache-2.0""#] {
        let label = format!("org.opencontainers.image.{label}");
        assert!(config.contains(&label), "no {label} in {config}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_container_that_may_not_open_the_socket_says_which_group_to_add() {
    bot();
    let stack = Stack::new("imagegroup").await;
    stack.run("frontend", 1, OBEYS).await;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let container = Container::serve(&sandbox, folder.path(), &service(&stack), &[]);
    // Alive and no more: it can tell what it lacks.
    container.becomes_healthy().await;
    let words = told(&sandbox, "/treasury status frontend", "may not open").await;
    let group = group();
    for part in [
        format!("docker run --group-add {group}"),
        "stat -c %g /var/run/docker.sock".to_owned(),
    ] {
        assert!(words.contains(&part), "no “{part}” in: {words}");
    }
    sandbox.stop();
}

#[test]
#[ignore = "needs Docker"]
fn the_image_has_all_that_the_demo_takes_and_knows_when_nothing_answers() {
    let alone = ["run", "--rm", "--network", "none", "--read-only", bot()];
    let run = |words: &[&str]| docker(&[&alone[..], words].concat());
    let version = good(&run(&["--version"]));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let tour = good(&run(&["demo", "--tour"]));
    assert!(tour.contains("every step was as it should be"), "{tour}");
    // Certificates and time zones come with it.
    let sections = "[slack]\n[access]\n[[rotation]]\nname = \"primary\"\nmembers = \
                    [\"U03NRQ8LK\"]\nhandover = \"monday 09:00\"\ntimezone = \"Europe/Paris\"\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("treasury-bot.toml");
    std::fs::write(&file, sections).unwrap();
    let volume = format!("{}:/etc/treasury-bot/treasury-bot.toml", file.display());
    let checked = docker(&[
        "run",
        "--rm",
        "--volume",
        &volume,
        "--env=TREASURY_BOT_SLACK_BOT_TOKEN=xoxb-sandbox-bot-token",
        "--env=TREASURY_BOT_SLACK_APP_TOKEN=xapp-1-ATREASURY-sandbox-app-token",
        bot(),
        "config",
        "check",
    ]);
    assert!(good(&checked).contains("is good"));
    // Nothing answers in a fresh container: the health check says so by its exit code.
    assert_eq!(run(&["health"]).status.code(), Some(1));
}
