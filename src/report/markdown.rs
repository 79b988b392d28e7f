//! The export to read, a week later.

use std::fmt::Write;

use jiff::Timestamp;

use crate::domain::duration::{self, between, utc_text};
use crate::domain::timeline::{FORM, GENESIS};
use crate::domain::{Entry, EntryKind, Incident, IncidentRole, counted};

pub(super) fn export(incident: &Incident, entries: &[Entry], exported_at: Timestamp) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write(&mut out, incident, entries, exported_at);
    out
}

fn write(
    out: &mut String,
    incident: &Incident,
    entries: &[Entry],
    exported_at: Timestamp,
) -> std::fmt::Result {
    writeln!(out, "# {}: {}\n", incident.id, inline(&incident.title))?;
    writeln!(out, "| | |\n|---|---|")?;
    writeln!(out, "| Severity | {} |", incident.severity)?;
    writeln!(out, "| Status | {} |", incident.status)?;
    let services: Vec<_> = incident.services.iter().map(ToString::to_string).collect();
    writeln!(out, "| Services | {} |", or_none(&services))?;
    for role in IncidentRole::ALL {
        let people = incident.with_role(role).map(|person| inline(&person.name));
        let people: Vec<String> = people.collect();
        if !people.is_empty() {
            writeln!(out, "| {role} | {} |", people.join(", "))?;
        }
    }
    let by = inline(&incident.declared_by.name);
    writeln!(
        out,
        "| Declared | {} by {by} |",
        utc_text(incident.declared_at)
    )?;
    for (name, at) in [
        ("Mitigated", incident.mitigated_at),
        ("Resolved", incident.resolved_at),
    ] {
        if let Some(at) = at {
            let after = duration::text(between(incident.declared_at, at));
            writeln!(
                out,
                "| {name} | {}, {after} after it was declared |",
                utc_text(at)
            )?;
        }
    }
    if !incident.links.is_empty() {
        let links: Vec<_> = incident.links.iter().map(ToString::to_string).collect();
        writeln!(out, "| Linked | {} |", links.join(", "))?;
    }
    let count = |kind| entries.iter().filter(|entry| entry.kind == kind).count();
    writeln!(out, "| Actions | {} |", count(EntryKind::Intent))?;
    writeln!(out, "| Notes | {} |", count(EntryKind::Note))?;

    writeln!(out, "\n## Timeline\n\nTimes are UTC.\n")?;
    writeln!(out, "| # | Time | Who | What | |\n|--:|---|---|---|---|")?;
    for entry in entries {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            entry.seq,
            utc_text(entry.at).trim_end_matches(" UTC"),
            inline(&entry.actor.name),
            entry.kind.as_str(),
            inline(&entry.text)
        )?;
    }
    if entries.is_empty() {
        writeln!(out, "\nNothing is on it.")?;
    }

    let head = entries.last().map_or(GENESIS, |last| &last.hash);
    writeln!(
        out,
        "\n## Verification\n\n\
         {}; the last one's hash is\n\n    {head}\n\n\
         Each entry carries the SHA-256 of its canonical form, a JSON array without white space of: \
         `\"{FORM}\"`, timeline, number, time (UTC, six decimals), actor id, actor name, kind, text, \
         data (object keys sorted), and the hash of the entry before (64 zeros for the first). A \
         changed, removed, added or moved entry breaks the chain.\n\n\
         To verify: `export {} --format json` in Slack, then `treasury-bot verify FILE.json`. Compare \
         the head with the one above.\n\n\
         Exported {}.",
        counted(entries.len(), "entry"),
        incident.id,
        utc_text(exported_at)
    )
}

fn or_none(items: &[String]) -> String {
    if items.is_empty() {
        "none named".to_owned()
    } else {
        items.join(", ")
    }
}

/// Markdown makes links of these without slashes, too.
fn ends_in_scheme(before: &str) -> bool {
    let before = before.to_lowercase();
    before.ends_with("mailto") || before.ends_with("xmpp")
}

/// Somebody's words as plain text in a table's cell: what Markdown or HTML would take for its own is
/// escaped, line breaks become `<br>`.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    for (at, c) in text.char_indices() {
        match c {
            '\n' => out.push_str("<br>"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            // A bare address must not become a link that somebody else chose.
            ':' if text[at..].starts_with(":/") || ends_in_scheme(&text[..at]) => {
                out.push_str("\\:");
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
