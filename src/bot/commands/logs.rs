//! `logs`.

use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::services::short_name;
use crate::bot::table::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::duration::{self, Human};
use crate::domain::service::{LogLine, LogQuery, Logs as Found, Service};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone};

/// Show the last log lines of a service
#[derive(Debug, PartialEq, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which log lines.")]
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
}

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
        let query = LogQuery {
            lines: self.lines.clamp(1, 500),
            since: self.since.map(|ago| context.store().now() - ago.0),
            grep: self.grep,
            previous: self.previous,
            container: self.container,
        };
        let logs = platform.logs(service, &query).await?;
        let message = message(service, &query, self.since.map(|since| since.0), &logs);
        let lines = Lines {
            count: logs.lines.len(),
            stderr: logs.lines.iter().filter(|line| line.stderr).count(),
            truncated: logs.truncated,
            lines: logs.lines,
        };
        Ok((lines, message))
    }
}

/// Log lines, newest last.
fn message(service: &Service, query: &LogQuery, since: Option<Duration>, logs: &Found) -> Message {
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
    let mut about = String::new();
    if let Some(grep) = &query.grep {
        about.push_str(&format!(" with “{}”", cut(grep, 80)));
    }
    if let Some(since) = since {
        about.push_str(&format!(" of the last {}", duration::text(since)));
    }
    if query.previous {
        about.push_str(" before the last restart");
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
    let message = Message::new(Tone::Plain, title).code(text);
    let mut small = Line::new().text("Times are UTC; ! marks standard error");
    if logs.truncated {
        small = small.text("; older lines were left out");
    }
    if count > 0 {
        message.footer(small)
    } else {
        message
    }
}
