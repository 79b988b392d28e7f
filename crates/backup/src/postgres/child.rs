//! The programs of PostgreSQL as children of ours.

use std::path::Path;
use std::process::ExitStatus;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::Fault;

/// A program without our environment, which ends with us.
pub(super) fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").kill_on_drop(true);
    for kept in ["PATH", "HOME", "PGPASSFILE", "TMPDIR"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// What a program said at its end: the last of it, since a lock's time-out names all tables (100 kB).
pub(super) async fn last_words(err: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Fault> {
    const KEPT: usize = 4096;
    let mut err = err.ok_or_else(piped)?;
    let mut all = Vec::new();
    let mut piece = [0; KEPT];
    loop {
        let read = err.read(&mut piece).await?;
        if read == 0 {
            return Ok(all);
        }
        all.extend_from_slice(piece.get(..read).unwrap_or_default());
        let surplus = all.len().saturating_sub(KEPT);
        // The first lines say what happened; of the rest the end.
        if surplus > 0 {
            all.drain(KEPT / 2..KEPT / 2 + surplus);
        }
    }
}

pub(super) fn piped() -> Fault {
    Fault::Io(std::io::Error::other("a program has no pipe"))
}

/// A program that did not end well, with the lines in which it said why.
pub(super) fn end_of(program: &str, ended: ExitStatus, told: &[u8]) -> Fault {
    let told = String::from_utf8_lossy(told);
    let mut words: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("error:"))
        .collect();
    if words.is_empty() {
        words.extend(told.lines().rev().take(1));
    }
    let words: Vec<String> = words
        .iter()
        .take(3)
        .map(|line| line.chars().take(300).collect())
        .collect();
    Fault::Refused(format!(
        "{program} ended with {ended}: {}",
        words.join(" · ")
    ))
}

/// Hands bytes to a program; that it has closed its input is for its exit code to tell.
pub(super) async fn hand(to: &mut Option<tokio::process::ChildStdin>, bytes: &[u8]) {
    if let Some(open) = to
        && open.write_all(bytes).await.is_err()
    {
        *to = None;
    }
}
