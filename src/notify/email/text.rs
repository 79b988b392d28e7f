//! A mail as plain text, for those who read it so.

use crate::domain::notification::Notification;
use crate::domain::{Line, Part, Span};

/// The plain text of a mail.
pub(super) fn render(mail: &Notification, small_print: &str) -> String {
    let message = &mail.message;
    let mut out = format!("{}\n", line(&message.title));
    for part in &message.parts {
        match part {
            Part::Text(text) => out.push_str(&format!("\n{}\n", line(text))),
            Part::Fields(fields) => {
                let width = fields.iter().map(|(label, _)| label.chars().count()).max();
                let width = width.unwrap_or(0) + 1;
                out.push('\n');
                for (label, value) in fields {
                    let label = format!("{label}:");
                    out.push_str(&format!("{label:width$} {}\n", line(value)));
                }
            }
            Part::Code(text) => {
                out.push('\n');
                for one in text.lines() {
                    out.push_str(&format!("    {one}\n"));
                }
            }
            Part::Divider => out.push_str("\n----\n"),
            // Nothing can be pressed in a mail.
            Part::Buttons(_) | Part::Menu { .. } => {}
        }
    }
    // Mail programs take what follows this line for a signature.
    out.push_str("\n-- \n");
    for note in &message.footer {
        out.push_str(&format!("{}\n", line(note)));
    }
    out.push_str(&format!("{small_print}\n"));
    out
}

/// A line with the addresses of its links; of one that is nothing else, the address alone.
fn line(line: &Line) -> String {
    let alone = line.0.len() == 1;
    let spans = line.0.iter().map(|span| match span {
        Span::Link { url, text } if alone || url == text => url.clone(),
        Span::Link { url, text } => format!("{text}: {url}"),
        other => Line(vec![other.clone()]).plain(),
    });
    spans.collect()
}
