//! `logs`.

use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::entry::{Probe, Question};
use crate::bot::services::short_name;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::duration::{self, Human};
use crate::domain::service::{LogLine, LogQuery, Logs as Found, Service};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Tone};
use crate::probe::log_store::{Flavour, Search};

/// Show the last log lines of a service
#[derive(Debug, PartialEq, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub(super) service: String,
    /// How many lines, newest last.
    #[arg(long, default_value_t = thirty(), value_parser = lines)]
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 500))]
    pub(super) lines: usize,
    /// Only lines of the last 90s, 10m, 2h …
    #[arg(long)]
    #[serde(default)]
    #[schemars(description = "Only lines of this last time.")]
    pub(super) since: Option<Human>,
    /// Only lines that contain this text, in any case.
    #[arg(long)]
    #[serde(default)]
    pub(super) grep: Option<String>,
    /// The lines before the last restart.
    #[arg(long)]
    #[serde(default)]
    pub(super) previous: bool,
    /// Which container of a pod that has several.
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub(super) container: Option<String>,
    /// From the log store: also what containers no longer have.
    #[arg(long)]
    #[serde(default)]
    pub(super) stored: bool,
}

const HOUR: Duration = Duration::from_secs(3_600);

fn thirty() -> usize {
    30
}

pub(super) fn lines(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=500).contains(n))
        .ok_or_else(|| "write a number from 1 to 500".to_owned())
}

/// Log lines.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Lines {
    /// How many.
    count: usize,
    /// Lines on standard error.
    stderr: usize,
    /// Older matching lines were left out.
    truncated: bool,
    /// Whose lines could not be read, and why.
    partial: Option<String>,
    /// The lines, oldest first.
    lines: Vec<LogLine>,
}

impl Question for Logs {
    const WORDS: &'static str = "logs";
}

impl Probe for Logs {
    const STEP: &'static str = "service.logs";
    const SUMMARY: &'static str = "The last log lines of a service";
    type Found = Lines;

    async fn look(self, context: &Context) -> Result<(Lines, Message), Fault> {
        let (service, platform) = context
            .catalogue()
            .find(&self.service, |near| format!("logs {near}"))?;
        if self.stored {
            return self.look_in_store(context, service).await;
        }
        let query = LogQuery {
            lines: self.lines.clamp(1, 500),
            since: self.since.map(|ago| context.store().now() - ago.0),
            grep: self.grep,
            previous: self.previous,
            container: self.container,
        };
        let logs = platform.logs(service, &query).await?;
        let about = about(query.grep.as_deref(), self.since, query.previous);
        let mut message = message(service, &about, &logs, Vec::new());
        if logs.lines.is_empty() && context.catalogue().logs().is_some() {
            let says = format!("logs {} --stored", service.name);
            message = message.buttons(vec![Button::new("Search the log store", says)]);
        }
        Ok((Lines::from(logs), message))
    }
}

impl From<Found> for Lines {
    fn from(logs: Found) -> Self {
        Self {
            count: logs.lines.len(),
            stderr: logs.lines.iter().filter(|line| line.stderr).count(),
            truncated: logs.truncated,
            partial: logs.partial,
            lines: logs.lines,
        }
    }
}

impl Logs {
    /// The lines that the log store has, of the last hour where nothing else is said.
    async fn look_in_store(
        self,
        context: &Context,
        service: &Service,
    ) -> Result<(Lines, Message), Fault> {
        let store = context.catalogue().logs().ok_or_else(|| {
            Refusal::new("No log store is configured")
                .detail("Add [logs] with its `kind` and `url` to treasury-bot.toml")
        })?;
        if self.previous || self.container.is_some() {
            let refusal = Refusal::new("The log store has the lines of all runs and containers");
            return Err(refusal
                .detail("Leave --previous and --container out")
                .into());
        }
        let since = self.since.unwrap_or(Human(HOUR));
        let now = context.now();
        let search = Search {
            lines: self.lines.clamp(1, 500),
            since: now - since.0,
            until: now,
            grep: self.grep,
        };
        let found = store.search(service.name.as_str(), &search).await?;
        let about = about(search.grep.as_deref(), Some(since), false);
        let (field, name) = store.place(service.name.as_str());
        let flavour = store.flavour();
        let mut notes = vec![format!("from {}, where {field} is {name}", flavour.name())];
        if search.grep.is_some() && flavour != Flavour::Loki {
            notes.push("whole words are found only".to_owned());
        }
        if let Some(partial) = &found.partial {
            notes.push(format!("lines may be missing: {}", cut(partial, 200)));
        }
        let message = message(service, &about, &found.logs, notes);
        Ok((Lines::from(found.logs), message))
    }
}

/// ` with “text” of the last 2h before the last restart`.
fn about(grep: Option<&str>, since: Option<Human>, previous: bool) -> String {
    let mut about = String::new();
    if let Some(grep) = grep {
        about.push_str(&format!(" with “{}”", cut(grep, 80)));
    }
    if let Some(since) = since {
        about.push_str(&format!(" of the last {}", duration::text(since.0)));
    }
    if previous {
        about.push_str(" before the last restart");
    }
    about
}

/// Log lines, newest last. `notes`: what to know of them.
fn message(service: &Service, about: &str, logs: &Found, mut notes: Vec<String>) -> Message {
    let many = logs
        .lines
        .iter()
        .any(|line| line.replica != logs.lines[0].replica);
    let mut text = String::new();
    for line in &logs.lines {
        if let Some(at) = line.at {
            text.push_str(&at.strftime("%H:%M:%S ").to_string());
        }
        if many {
            text.push_str(short_name(&line.replica));
            text.push(' ');
        }
        if line.stderr {
            text.push_str("! ");
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    let count = logs.lines.len();
    let title = Line::new()
        .text(match count {
            0 => "No log lines of ".to_owned(),
            1 => "Last log line of ".to_owned(),
            n => format!("Last {n} log lines of "),
        })
        .code(&service.name)
        .text(about);
    let mut message = Message::new(Tone::Plain, title);
    if let Some(partial) = &logs.partial {
        message = Message::new(Tone::Warning, message.title);
        message = message.text(format!("Lines are missing {partial}"));
    }
    let message = message.code(text);
    if logs.truncated {
        notes.insert(0, "older lines were left out".to_owned());
    }
    if count > 0 {
        notes.insert(0, "Times are UTC; ! marks standard error".to_owned());
    }
    if notes.is_empty() {
        message
    } else {
        message.footer(notes.join("; "))
    }
}
