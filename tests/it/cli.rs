//! The binary from a terminal: exit codes, output, and the same road as from Slack.

use std::process::{Command, Output};

use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use crate::support::engine::{OBEYS, Stack};
use crate::support::process::Setup;

fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    (
        status.code().unwrap_or(-1),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_treasury-bot"))
}

#[test]
fn who_reads_only_the_beginning_gets_no_panic() {
    use std::io::Read;
    for words in [&["runbook", "schema"][..], &["probe", "--list"]] {
        let mut command = binary();
        command.args(words).stdout(std::process::Stdio::piped());
        let mut child = command
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // The pipe holds less than all of it.
        child
            .stdout
            .take()
            .unwrap()
            .read_exact(&mut [0; 10])
            .unwrap();
        let ended = child.wait_with_output().unwrap();
        let err = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success() && err.is_empty(), "{words:?}: {err}");
    }
}

#[test]
fn wrong_usage_and_a_missing_configuration_say_what_to_do() {
    let (code, _, err) = run(binary().arg("serv"));
    assert_eq!(code, 2);
    assert!(err.contains("serve"), "{err}");

    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = run(binary().current_dir(&folder).args(["config", "check"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("treasury-bot.toml"), "{err}");
}

#[test]
fn every_mistake_of_a_configuration_is_listed_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bot.toml");
    let text =
        "[slack]\nmode = \"sockett\"\n\n[web]\nlsiten = \"x\"\n\n[[service]]\nname = \"A B\"\n";
    std::fs::write(&file, text).unwrap();
    let (code, _, err) = run(binary().args(["config", "check", "--config"]).arg(&file));
    assert_eq!(code, 2);
    for part in [
        "bot.toml:2:",
        "bot.toml:5:",
        "did you mean `listen`",
        "bot.toml:8:",
    ] {
        assert!(err.contains(part), "no “{part}” in:\n{err}");
    }
}

#[test]
fn a_changed_export_does_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    std::fs::write(&file, "{\"format\": \"treasury-bot/export/v1\"}").unwrap();
    let (code, _, err) = run(binary().arg("verify").arg(&file));
    assert_eq!(code, 1);
    assert!(err.contains("does not verify"), "{err}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_command_from_the_terminal_takes_the_same_road_beside_a_running_bot() {
    let stack = Stack::new("exec").await;
    let id = stack.run("web", 1, OBEYS).await;
    let before = started(&stack, &id).await;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = Setup::new(
        false,
        &format!(
            "[[service]]\nname = \"web\"\ncompose_project = \"{}\"\ncompose_service = \"web\"\n",
            stack.project
        ),
    );
    let serve = setup.serve(&sandbox).await;
    let exec = |words: &[&str]| run(setup.command(&sandbox, "exec").args(words));

    let (code, out, _) = exec(&["status", "web"]);
    assert_eq!((code, out.contains("web running 1/1")), (0, true), "{out}");
    let (code, _, err) = exec(&["restart web"]);
    assert_eq!(code, 2, "nobody can be asked here");
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(started(&stack, &id).await, before, "nothing was done");

    let (code, out, err) = exec(&["--yes", "restart web --reason 'by hand'"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("web restarted in") && out.contains("by hand"),
        "{out}"
    );
    assert_ne!(started(&stack, &id).await, before);

    let (code, out, _) = exec(&["restart", "wbe"]);
    assert_eq!(
        (code, out.contains("There is no service wbe")),
        (2, true),
        "{out}"
    );
    exec(&["incident declare By hand"]);
    let (code, out, _) = exec(&["export", "--format", "json"]);
    assert_eq!(code, 0);
    let file = setup.folder.path().join("export.json");
    std::fs::write(&file, &out).unwrap();
    let (code, verified, err) = run(binary().arg("verify").arg(&file));
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(
        verified.contains("INC-1 is complete and unchanged: 1 entry"),
        "{verified}"
    );

    // A second serve on the same file would answer everything twice: it refuses.
    let (code, _, err) = run(&mut setup.command(&sandbox, "serve"));
    assert_eq!(code, 1);
    assert!(
        err.contains("can't listen") || err.contains("already used"),
        "{err}"
    );
    assert!(serve.end().await.success());
    sandbox.stop();
}

async fn started(stack: &Stack, id: &str) -> Option<String> {
    let options = None::<bollard::query_parameters::InspectContainerOptions>;
    let inspected = stack.client.inspect_container(id, options).await.unwrap();
    inspected.state.unwrap().started_at
}
