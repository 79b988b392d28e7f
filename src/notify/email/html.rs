//! A mail as HTML. Mail programs know little of it: no style sheets, no scripts, no pictures from
//! elsewhere; each element carries its own style.

use maud::{DOCTYPE, Markup, html};

use crate::domain::notification::{Notification, one_line};
use crate::domain::{Line, Part, Span, Tone};

const PAGE: &str = "margin:0;padding:24px 12px;background:#f1f5f9;color:#0f172a;\
    font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const LABEL: &str = "padding:4px 16px 4px 0;color:#64748b;white-space:nowrap;vertical-align:top;\
    text-align:left;font-weight:normal";
const VALUE: &str = "padding:4px 0;vertical-align:top;overflow-wrap:anywhere";
const CODE: &str = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px;\
    background:#f1f5f9;border-radius:4px;padding:1px 5px;overflow-wrap:anywhere";
const BLOCK: &str = "margin:16px 0;padding:12px;background:#f1f5f9;border-radius:6px;\
    font:13px/1.45 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;\
    overflow-wrap:anywhere";
const SMALL: &str = "margin:0;color:#64748b;font-size:12px";

/// The HTML of a mail.
pub(super) fn render(mail: &Notification, small_print: &str) -> String {
    let message = &mail.message;
    let colour = colour(message.tone);
    let card = format!(
        "max-width:600px;margin:0 auto;background:#ffffff;border-radius:8px;\
         border-top:4px solid {colour};padding:20px 24px"
    );
    let heading = format!("margin:0 0 12px;font-size:19px;line-height:1.3;color:{colour}");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (one_line(&mail.thread.subject)) }
            }
            body style=(PAGE) {
                div style=(card) {
                    p style=(SMALL) { (one_line(&mail.thread.subject)) }
                    h1 style=(heading) { (line(&message.title)) }
                    @for one in &message.parts { (part(one)) }
                }
                div style="max-width:600px;margin:12px auto 0;padding:0 24px" {
                    @for note in &message.footer { p style=(SMALL) { (line(note)) } }
                    p style=(SMALL) { (small_print) }
                }
            }
        }
    }
    .into_string()
}

fn part(part: &Part) -> Markup {
    html! {
        @match part {
            Part::Text(text) => p style="margin:12px 0;white-space:pre-line" { (line(text)) },
            Part::Fields(fields) => {
                table role="presentation" style="border-collapse:collapse;margin:12px 0" {
                    @for (label, value) in fields {
                        tr {
                            th style=(LABEL) { (label) }
                            td style=(VALUE) { (line(value)) }
                        }
                    }
                }
            },
            Part::Code(text) => pre style=(BLOCK) { (text) },
            Part::Divider => hr style="border:0;border-top:1px solid #e2e8f0;margin:16px 0";,
            // Nothing can be pressed in a mail.
            Part::Buttons(_) | Part::Menu { .. } => {},
        }
    }
}

fn line(line: &Line) -> Markup {
    html! {
        @for span in &line.0 {
            @match span {
                Span::Code(text) => code style=(CODE) { (text) },
                Span::Bold(text) => b { (text) },
                // Only what begins so is a link; anything else could run a script.
                Span::Link { url, text }
                    if url.starts_with("https://") || url.starts_with("http://") =>
                {
                    a href=(url) style="color:#1d4ed8" { (text) }
                },
                other => (Line(vec![other.clone()]).plain()),
            }
        }
    }
}

/// Dark enough to be read on white.
fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Bad => "#b91c1c",
        Tone::Warning | Tone::Question => "#b45309",
        Tone::Good => "#15803d",
        Tone::Plain | Tone::Progress => "#1e3a8a",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::text;
    use super::*;
    use crate::domain::Message;
    use crate::domain::mail::Mailbox;
    use crate::domain::notification::{Purpose, Recipient, Thread};

    fn mail() -> Notification {
        let link = |url: &str| {
            Line(vec![Span::Link {
                url: url.into(),
                text: "graph".into(),
            }])
        };
        let message = Message::new(Tone::Bad, Line::new().bold("INC-1").text(" <script>"))
            .text(Line::new().text("Type ").code("/treasury ack INC-1"))
            .part(Part::Fields(vec![
                (
                    "Fires since".into(),
                    Line::new().time(Timestamp::from_second(1_764_255_600).unwrap()),
                ),
                (
                    "Graph".into(),
                    link("https://prometheus.example/graph?a=1&b=2"),
                ),
                ("Trap".into(), link("javascript:alert(1)")),
            ]))
            .code("a < b\n  & c")
            .footer("run 3");
        Notification {
            key: "k".into(),
            to: Recipient::Email(Mailbox::parse("ana@example.com").unwrap()),
            purpose: Purpose::Escalation,
            incident: None,
            thread: Thread::new("t".into(), "[INC-1] \"quoted\" & <b>"),
            message,
            at: Timestamp::from_second(1_764_255_600).unwrap(),
            ack: None,
        }
    }

    #[test]
    fn what_is_written_is_shown_and_never_markup() {
        let page = render(&mail(), "small");
        for part in [
            "<b>INC-1</b> &lt;script&gt;",
            "/treasury ack INC-1</code>",
            "2025-11-27 15:00:00 UTC",
            "href=\"https://prometheus.example/graph?a=1&amp;b=2\"",
            "a &lt; b\n  &amp; c</pre>",
            "[INC-1] &quot;quoted&quot; &amp; &lt;b&gt;",
            "small",
        ] {
            assert!(page.contains(part), "{part}:\n{page}");
        }
        assert!(!page.contains("javascript:"), "{page}");
    }

    #[test]
    fn the_plain_text_says_the_same() {
        let expected = "INC-1 <script>

Type /treasury ack INC-1

Fires since: 2025-11-27 15:00:00 UTC
Graph:       https://prometheus.example/graph?a=1&b=2
Trap:        javascript:alert(1)

    a < b
      & c

-- 
run 3
small
";
        assert_eq!(text::render(&mail(), "small"), expected);
    }
}
