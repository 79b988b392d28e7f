//! `treasury-bot verify`: an export, JSON or HTML, checked with nothing but itself.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::domain::counted;
use crate::report;

pub(super) fn run(file: &Path) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    match report::verify_export(&bytes) {
        Ok(verified) => {
            let (stream, entries, head) = (
                verified.stream,
                counted(verified.entries, "entry"),
                verified.head,
            );
            let file = file.display();
            println!("{file}: {stream} is complete and unchanged: {entries}, head {head}");
            println!(
                "Compare the head with the one that was said in Slack at the export: a file made up \
                 as a whole has another"
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => anyhow::bail!("{} does not verify: {error}", file.display()),
    }
}
