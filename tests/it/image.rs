//! The Dockerfile, built and run: its base images by stand-ins, because nothing is pulled here. The
//! stand-in for Rust has a `cargo` that hands out the binary these tests were built with.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::process::root;

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker")
        .args(arguments)
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap()
}

fn good(output: &Output) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    text
}

/// Images of this test, the build's layers included; removed at its end.
struct Images(String, Vec<String>);

impl Images {
    fn tag(&self, name: &str) -> String {
        format!("{}-{name}", self.0)
    }

    /// Imports a folder as an image.
    fn import(&self, name: &str, folder: &Path) {
        let tar = folder.with_extension("tar");
        let made = Command::new("tar")
            .arg("-C")
            .arg(folder)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status();
        assert!(made.unwrap().success());
        good(&docker(&["import", tar.to_str().unwrap(), &self.tag(name)]));
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        for name in ["bot", "rust", "base"] {
            docker(&["rmi", "-f", &self.tag(name)]);
        }
        for layer in self.1.iter().rev() {
            docker(&["rmi", layer]);
        }
    }
}

#[test]
#[ignore = "needs Docker"]
fn the_image_is_built_and_its_bot_works_as_another_user() {
    let mut images = Images(
        format!("treasury-bot-test-{}", std::process::id()),
        Vec::new(),
    );
    let folder = tempfile::tempdir().unwrap();

    // The runtime: the host's C library, nothing else.
    let base = folder.path().join("base");
    let binary = env!("CARGO_BIN_EXE_treasury-bot");
    let needed = good(&Command::new("ldd").arg(binary).output().unwrap());
    for word in needed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let target = base.join(word.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(std::fs::canonicalize(word).unwrap(), target).unwrap();
    }
    let tmp = base.join("tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    std::fs::set_permissions(&tmp, std::fs::Permissions::from_mode(0o1777)).unwrap();
    images.import("base", &base);

    // The builder: a shell and that cargo.
    let rust = folder.path().join("rust");
    std::fs::create_dir_all(rust.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", rust.join("bin/busybox")).unwrap();
    for applet in ["sh", "mkdir", "cp"] {
        std::os::unix::fs::symlink("busybox", rust.join("bin").join(applet)).unwrap();
    }
    std::fs::copy(binary, rust.join("treasury-bot")).unwrap();
    let cargo = "#!/bin/sh\nmkdir -p target/dist && cp /treasury-bot target/dist/\n";
    std::fs::write(rust.join("bin/cargo"), cargo).unwrap();
    good(
        &Command::new("chmod")
            .arg("755")
            .arg(rust.join("bin/cargo"))
            .output()
            .unwrap(),
    );
    images.import("rust", &rust);

    let (rust, base, bot) = (images.tag("rust"), images.tag("base"), images.tag("bot"));
    let built = good(&docker(&[
        "build",
        "--build-arg",
        &format!("RUST_IMAGE={rust}"),
        "--build-arg",
        &format!("BASE_IMAGE={base}"),
        "-t",
        &bot,
        root().to_str().unwrap(),
    ]));
    images.1 = built
        .lines()
        .filter_map(|line| line.trim().strip_prefix("---> "))
        .filter(|id| id.len() == 12)
        .map(str::to_owned)
        .collect();

    let version = good(&docker(&["run", "--rm", &bot, "--version"]));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    // Without network, on a read-only root, as nobody: the whole demo.
    let tour = good(&docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",
        &bot,
        "demo",
        "--tour",
    ]));
    assert!(tour.contains("every step was as it should be"), "{tour}");
    let format = "{{.Config.User}} {{json .Config.Healthcheck.Test}}";
    let inspected = good(&docker(&["inspect", "--format", format, &bot]));
    assert!(inspected.starts_with("65532"), "{inspected}");
    assert!(inspected.contains(r#""health""#), "{inspected}");
    // Nothing answers in a fresh container: the health check says so by its exit code.
    let unhealthy = docker(&["run", "--rm", &bot, "health"]);
    assert_eq!(unhealthy.status.code(), Some(1));
}
