//! What a notification says, as plain text.

use crate::domain::{Line, Message, Part, Span};

/// All but the title and the small print, a paragraph a part.
pub(super) fn body(message: &Message) -> String {
    let mut out = String::new();
    for part in &message.parts {
        if !out.is_empty() {
            out.push('\n');
        }
        match part {
            Part::Text(text) => out.push_str(&format!("{}\n", line(text))),
            Part::Fields(fields) => {
                let width = fields.iter().map(|(label, _)| label.chars().count()).max();
                let width = width.unwrap_or(0) + 1;
                for (label, value) in fields {
                    let label = format!("{label}:");
                    out.push_str(&format!("{label:width$} {}\n", line(value)));
                }
            }
            Part::Code(text) => {
                for one in text.lines() {
                    out.push_str(&format!("    {one}\n"));
                }
            }
            Part::Divider => out.push_str("----\n"),
            // Nothing can be pressed.
            Part::Buttons(_) | Part::Menu { .. } => {}
        }
    }
    out
}

/// A line with the addresses of its links; of one that is nothing else, the address alone.
pub(super) fn line(line: &Line) -> String {
    let alone = line.0.len() == 1;
    let spans = line.0.iter().map(|span| match span {
        Span::Link { url, text } if alone || url == text => url.clone(),
        Span::Link { url, text } => format!("{text}: {url}"),
        other => Line(vec![other.clone()]).plain(),
    });
    spans.collect()
}
