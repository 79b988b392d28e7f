//! What installs the bot and delivers it is what those take who read it: kubectl, Terraform, GitHub.

mod helm;
mod kubernetes;
mod pipelines;
mod terraform;

use std::process::{Command, Output};

use crate::support::process::root;

/// One of the tools that `tests/run` installs from `tests/requirements.txt`, in the project's folder.
pub fn tool(name: &str) -> Command {
    let path = root().join("target/tools/python/bin").join(name);
    assert!(path.exists(), "{} is missing: ./tests/run", path.display());
    let mut command = Command::new(path);
    command.current_dir(root());
    command
}

fn told(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// What it prints; it has to succeed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What it says; it has to refuse.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?}\n{}", told(&output));
    told(&output)
}
