//! `timeline`.

use clap::Args;

use super::logs::lines;
use crate::bot::entry::Command;
use crate::bot::incidents::meant;
use crate::bot::request::Answer;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Entry, Line, Message, Stream, Tone, counted};

/// Show the newest entries of an incident's timeline
#[derive(Debug, Args)]
pub struct Timeline {
    /// The incident, when it isn't the one of this channel
    #[arg(value_name = "ID")]
    incident: Option<String>,
    /// How many entries, newest last
    #[arg(long, default_value_t = 20, value_parser = lines)]
    lines: usize,
}

impl Command for Timeline {
    const WORDS: &'static str = "timeline";

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let incident = meant(context, ask, self.incident.as_deref()).await?;
        let (entries, more) = context
            .store()
            .entries_since(
                &Stream::Incident(incident.id),
                jiff::Timestamp::UNIX_EPOCH,
                self.lines as i64,
            )
            .await?;
        let text: Vec<String> = entries.iter().map(entry_line).collect();
        let mut message = Message::new(
            Tone::Plain,
            Line::new()
                .text("Timeline of ")
                .bold(incident.id)
                .text(format!(": {}", incident.title)),
        )
        .code(text.join("\n"));
        let mut small = "Times are UTC, newest last".to_owned();
        if more {
            small.push_str("; older entries were left out");
        }
        if let Some(last) = entries.last() {
            small.push_str(&format!(
                "; {}, head {}",
                counted(last.seq, "entry"),
                &last.hash[..12]
            ));
        }
        message = message.footer(small);
        Ok(Effect::Say(Answer::to_all(message)))
    }
}

/// `03:04:05 ana note: it is slow`.
pub(super) fn entry_line(entry: &Entry) -> String {
    let text = entry.text.replace('\n', "\n         ");
    format!(
        "{} {} {}: {}",
        entry.at.strftime("%m-%d %H:%M:%S"),
        entry.actor.name,
        entry.kind.as_str(),
        cut(&text, 400)
    )
}
