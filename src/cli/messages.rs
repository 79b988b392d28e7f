//! What the bot says, in a terminal.

use serde_json::{Value, json};

use super::terminal::Paint;
use crate::domain::{Content, Line, Message, Part, Span, Tone, duration};

/// What the bot says, as lines of text.
pub(super) fn content(content: &Content, paint: Paint) -> String {
    match content {
        Content::Message(message) | Content::Invite { message, .. } => text(message, paint),
        Content::File { comment, .. } => text(comment, paint),
        Content::Picture { alt, comment, .. } => format!("{}{alt}\n", text(comment, paint)),
        Content::Room { topic, .. } | Content::Topic { topic, .. } => topic.clone(),
    }
}

/// What the bot says, for scripts; how it ended, and the exit code.
/// `file`: the content of the file, if it is one.
pub(super) fn json(content: &Content, file: Option<&str>, result: &str, code: u8) -> Value {
    let mut named = Value::Null;
    let empty;
    let message = match content {
        Content::Message(message) | Content::Invite { message, .. } => message,
        Content::Picture { comment, .. } => comment,
        Content::File { name, .. } => {
            named = json!({"name": name, "text": file});
            empty = Message::new(Tone::Plain, name.clone());
            &empty
        }
        Content::Room { topic, .. } | Content::Topic { topic, .. } => {
            empty = Message::new(Tone::Plain, topic.clone());
            &empty
        }
    };
    let plain = |words: &Line| line(words, Paint(false));
    let (mut lines, mut fields, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::Text(words) => lines.push(plain(words)),
            Part::Code(code) => lines.extend(code.lines().map(clean)),
            Part::Fields(pairs) => fields.extend(
                pairs
                    .iter()
                    .map(|(name, value)| json!({"name": name, "value": plain(value)})),
            ),
            Part::Buttons(buttons) => commands.extend(
                buttons
                    .iter()
                    .map(|one| json!({"label": one.label, "command": one.sentence})),
            ),
            Part::Menu {
                sentence, choices, ..
            } => commands.extend(choices.iter().map(|(value, label)| {
                json!({"label": label, "command": sentence.replacen("{}", value, 1)})
            })),
            Part::Divider => {}
        }
    }
    lines.extend(message.footer.iter().map(plain));
    json!({
        "result": result,
        "code": code,
        "title": plain(&message.title),
        "lines": lines,
        "fields": fields,
        "commands": commands,
        "file": named,
    })
}

/// A message as lines of text.
pub(super) fn text(message: &Message, paint: Paint) -> String {
    let mark = match message.tone {
        Tone::Plain => "",
        Tone::Question => "? ",
        Tone::Progress => "… ",
        Tone::Good => "✓ ",
        Tone::Warning => "! ",
        Tone::Bad => "✗ ",
    };
    let colour = match message.tone {
        Tone::Plain => "1",
        Tone::Question | Tone::Progress => "1;36",
        Tone::Good => "1;32",
        Tone::Warning => "1;33",
        Tone::Bad => "1;31",
    };
    let mut out = paint.style(colour, &clean(&format!("{mark}{}", message.title.plain())));
    out.push('\n');
    for part in &message.parts {
        match part {
            Part::Text(words) => out.push_str(&format!("{}\n", line(words, paint))),
            Part::Fields(fields) => {
                let width = fields
                    .iter()
                    .map(|(name, _)| name.chars().count())
                    .max()
                    .unwrap_or(0);
                for (name, value) in fields {
                    let pad = " ".repeat(width - name.chars().count());
                    out.push_str(&format!(
                        "  {}{pad}  {}\n",
                        paint.style("2", name),
                        line(value, paint)
                    ));
                }
            }
            Part::Code(code) => {
                for row in code.lines() {
                    out.push_str(&format!("  {}\n", clean(row)));
                }
            }
            Part::Buttons(buttons) => {
                let labels: Vec<String> = buttons
                    .iter()
                    .map(|button| format!("[{}]", button.label))
                    .collect();
                out.push_str(&format!(
                    "  {}\n",
                    paint.style("2", &clean(&labels.join(" ")))
                ));
            }
            Part::Menu {
                placeholder,
                choices,
                ..
            } => {
                let labels: Vec<&str> = choices.iter().map(|(_, label)| label.as_str()).collect();
                out.push_str(&format!(
                    "  {}\n",
                    paint.style(
                        "2",
                        &clean(&format!("{placeholder}: {}", labels.join(", ")))
                    )
                ));
            }
            Part::Divider => out.push_str("  ────\n"),
        }
    }
    for words in &message.footer {
        out.push_str(&format!("  {}\n", paint.style("2", &clean(&words.plain()))));
    }
    out
}

fn line(words: &Line, paint: Paint) -> String {
    words
        .0
        .iter()
        .map(|span| match span {
            Span::Bold(text) => paint.style("1", &clean(text)),
            Span::Code(text) => paint.style("36", &clean(text)),
            Span::Plain(text) => clean(text),
            Span::Person(person) => format!("@{}", clean(&person.name)),
            Span::Link { url, text } => format!("{} <{}>", clean(text), clean(url)),
            Span::Channel(_) => clean(&Line(vec![span.clone()]).plain()),
            Span::Time(at) => duration::utc_text(*at),
        })
        .collect()
}

/// Control characters in somebody's text must not drive the terminal.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || *c == '\n' || *c == '\t')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Button;

    #[test]
    fn a_message_reads_well_and_no_text_drives_the_terminal() {
        let message = Message::new(
            Tone::Good,
            Line::new().code("frontend").text(" \x1b[31mrestarted"),
        )
        .part(Part::Fields(vec![
            ("Before".into(), "healthy 1/2".into()),
            ("By".into(), "ana".into()),
        ]))
        .code("a\nb\x07")
        .buttons(vec![Button::new("Status", "status frontend")])
        .footer("request 1");
        insta::assert_snapshot!(text(&message, Paint(false)), @"
        ✓ frontend [31mrestarted
          Before  healthy 1/2
          By      ana
          a
          b
          [Status]
          request 1
        ");
    }
}
