//! Questions on the terminal.

use std::io::{BufRead, Write};
use std::process::Command;

use anyhow::{Context, bail};
use secrecy::SecretString;

/// Asks; an empty answer is the default.
pub(super) fn ask(question: &str, default: &str) -> anyhow::Result<String> {
    let shown = match default {
        "" => String::new(),
        default => format!(" [{default}]"),
    };
    let answer = line(&format!("{question}{shown}: "))?;
    Ok(match answer.as_str() {
        "" => default.to_owned(),
        answer => answer.to_owned(),
    })
}

/// Asks for a yes or a no.
pub(super) fn agrees(question: &str, default: bool) -> anyhow::Result<bool> {
    let default = if default { "yes" } else { "no" };
    Ok(ask(question, default)?.to_lowercase().starts_with('y'))
}

/// Asks for a secret; what is typed is not shown.
pub(super) async fn hidden(question: &str) -> anyhow::Result<SecretString> {
    let echo = Echo::off()?;
    let question = format!("{question}: ");
    let typed = tokio::task::spawn_blocking(move || line(&question));
    // Ended by Ctrl-C, the terminal would stay as it is.
    let typed = tokio::select! {
        typed = typed => typed.context("the terminal can't be read")?,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped: nothing was written")),
    };
    drop(echo);
    println!();
    typed.map(SecretString::from)
}

fn line(question: &str) -> anyhow::Result<String> {
    let mut out = std::io::stdout().lock();
    out.write_all(question.as_bytes())?;
    out.flush()?;
    let mut typed = String::new();
    if std::io::stdin().lock().read_line(&mut typed)? == 0 {
        bail!("the terminal has ended: nothing was written");
    }
    Ok(typed.trim().to_owned())
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Echo;

impl Echo {
    fn off() -> anyhow::Result<Self> {
        if !stty("-echo") {
            bail!(
                "this terminal can't hide what is typed (`stty -echo` failed): put the tokens into \
                 the environment or into files"
            );
        }
        Ok(Self)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(word: &str) -> bool {
    let done = Command::new("stty").arg(word).status();
    done.is_ok_and(|status| status.success())
}
