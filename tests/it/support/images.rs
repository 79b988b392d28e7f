//! Images, made here: nothing is pulled. The bot's is built by its own Dockerfile; what it is built
//! from, and the treasury stack, are made of this machine's packages (`tests/images/make.sh`).

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::process::root;

/// `docker` with these words.
pub fn docker(words: &[&str]) -> Output {
    let mut command = Command::new("docker");
    // Debian's has no plugin for BuildKit.
    command.args(words).env("DOCKER_BUILDKIT", "0");
    command.output().unwrap()
}

/// What a command wrote; it has to have ended well.
pub fn good(output: &Output) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    text
}

/// An image of this machine's packages: `rust`, `runtime` or `stack`.
pub fn made(kind: &str) -> String {
    let script = root().join("tests/images/make.sh");
    let output = Command::new(script).arg(kind).output().unwrap();
    good(&output);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The bot's image, built once by the Dockerfile from what Git has of this folder. The first time
/// takes minutes; what the bot stands on stays for the next.
pub fn bot() -> &'static str {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let (rust, runtime) = (made("rust"), made("runtime"));
        let clone = tempfile::tempdir().unwrap();
        let copy = "git ls-files -z | tar --null -T - -c | tar -x -C \"$1\"";
        let copied = Command::new("sh")
            .args(["-euc", copy, "sh"])
            .arg(clone.path())
            .current_dir(root())
            .output();
        good(&copied.unwrap());
        for (target, name) in [
            ("dependencies", "treasury-bot-test-dependencies"),
            ("build", "treasury-bot-test-build"),
            ("", BOT),
        ] {
            let before = id(name);
            let (rust, runtime) = (
                format!("RUST_IMAGE={rust}"),
                format!("BASE_IMAGE={runtime}"),
            );
            // Whatever else goes on comes first.
            let mut words = vec!["build", "--cpu-shares", "64", "--tag", name];
            words.extend(["--build-arg", &rust]);
            words.extend(["--build-arg", &runtime, "--build-arg", "PROFILE=dev"]);
            words.extend(["--build-arg", "VERSION=0.0.0-test"]);
            if !target.is_empty() {
                words.extend(["--target", target]);
            }
            words.push(clone.path().to_str().unwrap());
            good(&docker(&words));
            if let Some(before) = before
                && id(name).as_ref() != Some(&before)
            {
                docker(&["rmi", &before]);
            }
        }
    });
    BOT
}

const BOT: &str = "treasury-bot-test:latest";

fn id(name: &str) -> Option<String> {
    let output = docker(&["image", "inspect", "--format", "{{.Id}}", name]);
    output
        .status
        .success()
        .then(|| good(&output).trim().to_owned())
}

/// The treasury stack's images under the names that the Compose files give them, where this machine
/// has not got them; they go when this is dropped.
pub struct StandIns(Vec<&'static str>);

impl StandIns {
    /// Makes those that are not there.
    pub fn make() -> Self {
        let stack = made("stack");
        let all = [
            ("nginx:1.28-alpine", r#"CMD ["nginx", "-g", "daemon off;"]"#),
            ("python:3.13-alpine", r#"CMD ["python3"]"#),
            (
                "postgres:17-alpine",
                r#"ENTRYPOINT ["docker-entrypoint.sh"]"#,
            ),
            (
                "redis:7.4-alpine",
                r#"CMD ["redis-server", "--protected-mode", "no"]"#,
            ),
        ];
        let mut made = Self(Vec::new());
        for (name, start) in all.into_iter().filter(|(name, _)| id(name).is_none()) {
            let mut build = Command::new("docker")
                .args(["build", "--tag", name, "-"])
                .env("DOCKER_BUILDKIT", "0")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut file = build.stdin.take().unwrap();
            write!(file, "FROM {stack}\n{start}\n").unwrap();
            drop(file);
            made.0.push(name);
            good(&build.wait_with_output().unwrap());
        }
        made
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        for name in &self.0 {
            docker(&["rmi", "--force", name]);
        }
    }
}
