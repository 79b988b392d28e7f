//! `export`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::history::{Exported, exported};
use crate::bot::incidents::meant;
use crate::bot::request::{Answer, Done};
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{Audience, Content, EntryKind, Line, Message, Stream, Tone, counted};
use crate::report::Format;

/// Export an incident's timeline as a file
#[derive(Debug, Args)]
pub struct Export {
    /// The incident, when it isn't the one of this channel
    #[arg(value_name = "ID")]
    incident: Option<String>,
    /// Markdown to read, JSON to verify, CSV to calculate, HTML to keep
    #[arg(long, default_value = "md")]
    format: ExportFormat,
}

impl Command for Export {
    const WORDS: &'static str = "export";

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let incident = meant(context, ask, self.incident.as_deref()).await?;
        let format = match self.format {
            ExportFormat::Md => Format::Markdown,
            ExportFormat::Json => Format::Json,
            ExportFormat::Csv => Format::Csv,
            ExportFormat::Html => Format::Html,
        };
        let id = incident.id;
        let exported = exported(context, &incident, format).await?;
        let (count, head) = (exported.file.entries, exported.head());
        let Exported { name, file, said } = exported;
        let person = ask.request.person.clone();
        let comment = Message::new(
            Tone::Good,
            Line::new()
                .text("Timeline of ")
                .bold(id)
                .text(format!(": {}, head ", counted(count, "entry")))
                .code(&head),
        );
        Ok(Effect::write(move |tx| {
            Box::pin(async move {
                // On the audit only: an entry on the timeline would outdate the export it tells of.
                tx.append(
                    &Stream::Audit,
                    Draft::new(&person, EntryKind::Exported, said),
                )
                .await?;
                let content = Content::File {
                    title: format!("{id} {}", cut(&incident.title, 100)),
                    name,
                    file: Box::new(file),
                    comment,
                };
                Ok(Done::from(Answer {
                    content,
                    audience: Audience::Everyone,
                }))
            })
        }))
    }
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// Markdown, to read.
    Md,
    /// JSON, to verify.
    Json,
    /// CSV, to calculate.
    Csv,
    /// HTML, to keep: a page with the JSON in it.
    Html,
}
