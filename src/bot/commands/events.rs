//! `events`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::entry::{Probe, Question};
use crate::bot::services::short_name;
use crate::bot::{Context, Fault};
use crate::domain::duration::{self, Human};
use crate::domain::service::{Event, Events as Seen, Service};
use crate::domain::{Line, Message, Tone};

/// Show what the platform saw happen to a service
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// How far back: 10m, 2h, 1d …
    #[arg(long, default_value = "1h")]
    #[serde(default = "an_hour")]
    #[schemars(description = "How far back.")]
    since: Human,
}

fn an_hour() -> Human {
    Human(Duration::from_secs(3_600))
}

/// What happened.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Happened {
    /// How many.
    count: usize,
    /// Events, oldest first, at most 200.
    events: Vec<Event>,
    /// The platform remembers no further back than this, though more was asked for.
    reaches: Option<Timestamp>,
    /// What else the platform can't know, such as what happened on other machines.
    note: Option<String>,
}

impl Question for Events {
    const WORDS: &'static str = "events";
}

impl Probe for Events {
    const STEP: &'static str = "service.events";
    const SUMMARY: &'static str = "What the platform saw happen to a service";
    type Found = Happened;

    async fn look(self, context: &Context) -> Result<(Happened, Message), Fault> {
        let (service, platform) = context
            .catalogue()
            .find(&self.service, |near| format!("events {near}"))?;
        let since = self.since.0;
        let events = platform
            .events(service, context.store().now() - since)
            .await?;
        let message = message(service, since, &events);
        let result = Happened {
            count: events.list.len(),
            events: events.list,
            reaches: events.reaches,
            note: events.note,
        };
        Ok((result, message))
    }
}

/// What happened, newest first.
fn message(service: &Service, since: Duration, happened: &Seen) -> Message {
    let events = &happened.list;
    let text: Vec<String> = events
        .iter()
        .rev()
        .map(|event| {
            let detail = event
                .detail
                .as_ref()
                .map(|d| format!(" ({d})"))
                .unwrap_or_default();
            format!(
                "{} {} {}{detail}",
                event.at.strftime("%H:%M:%S"),
                short_name(&event.replica),
                event.what
            )
        })
        .collect();
    let title = Line::new()
        .text(match events.len() {
            0 if happened.reaches.is_some() || happened.note.is_some() => {
                "No event is remembered of ".to_owned()
            }
            0 => "Nothing happened to ".to_owned(),
            1 => "1 event of ".to_owned(),
            n => format!("{n} events of "),
        })
        .code(&service.name)
        .text(format!(" in the last {}", duration::text(since)));
    let mut message = Message::new(Tone::Plain, title).code(text.join("\n"));
    if let Some(reaches) = happened.reaches {
        let line = Line::new()
            .text("The platform remembers back to ")
            .time(reaches);
        message = message.text(line.text(" only: what was before it is not known"));
    }
    if let Some(note) = &happened.note {
        message = message.text(note.as_str());
    }
    if events.is_empty() {
        message
    } else {
        message.footer("Times are UTC, newest first")
    }
}
