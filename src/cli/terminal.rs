//! The terminal of a command: its output, its colours, its log, its end.

use std::io::{ErrorKind, IsTerminal, Write};

/// Colours, where the terminal has them and nobody asked for none (<https://no-color.org>).
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    /// For standard output.
    pub(super) fn stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// For standard error.
    pub(super) fn stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    fn of(stream: &impl IsTerminal) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb)
    }

    /// Whether there are colours.
    pub(super) fn is_coloured(self) -> bool {
        self.0
    }

    /// The text in an ANSI style such as `1` (bold) or `31` (red).
    pub(super) fn style(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Writes to standard output. A reader that goes away early, as `head` does, is no failure.
pub(super) fn put(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
