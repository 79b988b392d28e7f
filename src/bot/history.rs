//! Looking back: timeline, export, audit.

use std::time::Duration;

use super::request::{Answer, Ask, Done, Effect};
use super::{Context, Fault};
use crate::command::ExportFormat;
use crate::domain::timeline::{Draft, cut};
use crate::domain::{
    Audience, Content, Entry, EntryKind, Incident, Line, Message, Stream, Tone, duration,
};
use crate::report::{self, Format};
use crate::store::StoreError;

/// Entries of the audit shown at once.
const AUDIT_LINES: i64 = 50;

/// An export with what is said of it.
pub(super) struct Exported {
    pub(super) name: String,
    pub(super) text: String,
    /// How many entries.
    pub(super) count: i64,
    /// The beginning of the last entry's hash.
    pub(super) head: String,
    /// For the audit.
    pub(super) said: String,
}

pub(super) async fn timeline(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    lines: usize,
) -> Result<Effect, Fault> {
    let incident = crate::bot::incidents::meant(context, ask, given).await?;
    let (entries, more) = context
        .store()
        .entries_since(
            &Stream::Incident(incident.id),
            jiff::Timestamp::UNIX_EPOCH,
            None,
            lines as i64,
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
            "; {} entries, head {}",
            last.seq,
            &last.hash[..12]
        ));
    }
    message = message.footer(small);
    Ok(Effect::Say(Answer::to_all(message)))
}

pub(super) async fn export(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    format: ExportFormat,
) -> Result<Effect, Fault> {
    let incident = crate::bot::incidents::meant(context, ask, given).await?;
    let format = match format {
        ExportFormat::Md => Format::Markdown,
        ExportFormat::Json => Format::Json,
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Html => Format::Html,
    };
    let id = incident.id;
    let Exported {
        name,
        text,
        count,
        head,
        said,
    } = exported(context, &incident, format).await?;
    let person = ask.request.person.clone();
    let comment = Message::new(
        Tone::Good,
        Line::new()
            .text("Timeline of ")
            .bold(id)
            .text(format!(": {count} entries, head "))
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
                text,
                comment,
            };
            let answer = Answer {
                content,
                audience: Audience::Everyone,
            };
            Ok(Done {
                answer: Some(answer),
                ..Done::default()
            })
        })
    }))
}

/// An incident's whole timeline as a file, for whichever door.
pub(super) async fn exported(
    context: &Context,
    incident: &Incident,
    format: Format,
) -> Result<Exported, StoreError> {
    let id = incident.id;
    let entries = context.store().entries(&Stream::Incident(id)).await?;
    let now = context.store().now();
    let name = report::file_name(format, id, now);
    let (count, head) = entries.last().map_or((0, String::new()), |last| {
        (last.seq, last.hash[..12].to_owned())
    });
    Ok(Exported {
        text: report::export(format, incident, &entries, now),
        said: format!("{id} exported as {name}: {count} entries, head {head}"),
        name,
        count,
        head,
    })
}

pub(super) async fn audit(
    context: &Context,
    since: Duration,
    actor: Option<&str>,
) -> Result<Effect, Fault> {
    let person = match actor {
        Some(who) => Some(crate::bot::incidents::person(context, who).await?),
        None => None,
    };
    let (entries, more) = context
        .store()
        .entries_since(
            &Stream::Audit,
            context.store().now() - since,
            person.as_ref().map(|person| person.id.as_str()),
            AUDIT_LINES,
        )
        .await?;
    let text: Vec<String> = entries.iter().map(entry_line).collect();
    let title = format!(
        "{} entries of the audit in the last {}",
        if more {
            format!("The newest {}", entries.len())
        } else {
            entries.len().to_string()
        },
        duration::text(since)
    );
    Ok(Effect::Say(Answer::to_asker(
        Message::new(Tone::Plain, title)
            .code(text.join("\n"))
            .footer("Times are UTC, newest last"),
    )))
}

/// `03:04:05 ana note: it is slow`.
fn entry_line(entry: &Entry) -> String {
    let text = entry.text.replace('\n', "\n         ");
    format!(
        "{} {} {}: {}",
        entry.at.strftime("%m-%d %H:%M:%S"),
        entry.actor.name,
        entry.kind.as_str(),
        cut(&text, 400)
    )
}
