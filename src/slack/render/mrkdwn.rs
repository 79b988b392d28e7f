//! Slack's markup: spans to text, measured and cut between its smallest parts.

use jiff::Timestamp;

use crate::domain::duration::utc_text;
use crate::domain::{Line, Span, counted};

const CUT: &str = " […]";
/// Longest literal, emphasis or link that is kept whole; longer ones are cut inside their marks.
const MARKED: usize = 600;

/// The length as Slack may count it, after escaping: UTF-16 is the strictest way.
pub(super) fn size(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Makes a text harmless: no mention, no link, no entity can come of it. Control characters,
/// which Slack refuses or shows as boxes, are dropped.
pub(in crate::slack) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_escaped(c, &mut out));
    out
}

fn push_escaped(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '\n' | '\t' => out.push(c),
        c if c.is_control() => {}
        c => out.push(c),
    }
}

/// Escapes and cuts a plain text.
pub(super) fn cut_plain(text: &str, max: usize) -> String {
    let mut atoms = Atoms::default();
    atoms.plain(text);
    atoms.fit(max, "…").unwrap_or_default()
}

/// A text in pieces that must not be cut: characters, entities, mentions, marked spans.
#[derive(Default)]
pub(super) struct Atoms(Vec<String>);

impl Atoms {
    /// A message's title: bold, on one line, after its sign.
    pub fn title(title: &Line, emoji: &str) -> Self {
        let mut line = Self::default();
        for span in &title.0 {
            match span {
                // Bold in bold ends it.
                Span::Bold(text) | Span::Plain(text) => line.plain(&text.replace('\n', " ")),
                other => line.span(other),
            }
        }
        let mut out = Self::default();
        if !emoji.is_empty() {
            out.whole(format!("{emoji} "));
        }
        let text = line.0.concat();
        let text = text.trim();
        // An asterisk would end the bold half-way; long titles would be cut inside it.
        if text.is_empty() {
            out.whole(if emoji.is_empty() { "…" } else { "" }.to_owned());
        } else if text.contains(['*', '\n']) || size(text) > MARKED {
            out.0.extend(line.0);
        } else {
            out.whole(format!("*{text}*"));
        }
        out
    }

    /// Adds a piece as it is; it must be harmless already.
    pub fn whole(&mut self, text: String) {
        self.0.push(text);
    }

    /// Adds text, escaped.
    pub fn plain(&mut self, text: &str) {
        for c in text.chars() {
            let mut piece = String::new();
            push_escaped(c, &mut piece);
            if !piece.is_empty() {
                self.0.push(piece);
            }
        }
    }

    /// Adds a line.
    pub fn line(&mut self, line: &Line) {
        line.0.iter().for_each(|span| self.span(span));
    }

    fn span(&mut self, span: &Span) {
        match span {
            Span::Plain(text) => self.plain(text),
            Span::Code(text) => self.marked('`', &text.replace('`', "ˋ")),
            Span::Bold(text) => self.marked('*', &text.replace('*', "∗")),
            Span::Person(person) if person.is_on_slack() => self.whole(format!("<@{}>", person.id)),
            Span::Person(person) => self.plain(&person.name),
            Span::Link { url, text } => self.link(url, text),
            Span::Channel(channel) => {
                let id = channel.split('|').next().unwrap_or_default();
                if is_channel_id(id) {
                    self.whole(format!("<#{id}>"));
                } else {
                    self.plain(channel);
                }
            }
            Span::Time(at) => self.whole(date(*at)),
        }
    }

    /// Text between two marks, which must hug it and stay on its line.
    fn marked(&mut self, mark: char, text: &str) {
        let text = text
            .split(['\n', '\r'])
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ");
        let text = cut_plain(text.trim(), MARKED);
        if !text.is_empty() {
            self.whole(format!("{mark}{text}{mark}"));
        }
    }

    fn link(&mut self, url: &str, text: &str) {
        let text = text.replace(['|', '\n'], " ");
        let label = cut_plain(
            if text.trim().is_empty() {
                url
            } else {
                text.trim()
            },
            MARKED / 2,
        );
        let address = url
            .replace('&', "&amp;")
            .replace('<', "%3C")
            .replace('>', "%3E")
            .replace('|', "%7C");
        let is_link = ["https://", "http://", "mailto:"]
            .iter()
            .any(|s| url.starts_with(s))
            && !address.contains(|c: char| c.is_whitespace() || c.is_control())
            && size(&address) <= MARKED * 2;
        if is_link {
            self.whole(format!("<{address}|{label}>"));
        } else {
            self.whole(label);
        }
    }

    /// The text, or its beginning with a mark when it is longer than `max`.
    pub fn cut(&self, max: usize) -> String {
        self.fit(max, CUT).unwrap_or_default()
    }

    /// The text in pieces of at most `max`, cut between words where that is near; what doesn't
    /// fit in `count` pieces is cut off and marked.
    pub fn chunks(self, max: usize, count: usize) -> Vec<String> {
        let mut chunks = Vec::new();
        let mut rest = self.0.as_slice();
        while !rest.is_empty() && chunks.len() + 1 < count {
            let mut used = 0;
            let fitting = rest.iter().take_while(|piece| {
                used += size(piece);
                used <= max
            });
            let mut end = fitting.count().max(1);
            if end < rest.len() {
                let near = end.saturating_sub(400);
                let border = |mark: &str| rest[near..end].iter().rposition(|piece| piece == mark);
                if let Some(at) = border("\n").or_else(|| border(" ")) {
                    end = near + at + 1;
                }
            }
            chunks.push(rest[..end].concat());
            rest = &rest[end..];
        }
        if !rest.is_empty() {
            chunks.push(Self(rest.to_vec()).cut(max));
        }
        chunks
    }

    fn fit(&self, max: usize, mark: &str) -> Option<String> {
        let total: usize = self.0.iter().map(|piece| size(piece)).sum();
        if total <= max {
            return Some(self.0.concat());
        }
        let room = max.checked_sub(size(mark))?;
        let mut out = String::new();
        let mut used = 0;
        for piece in &self.0 {
            used += size(piece);
            if used > room {
                break;
            }
            out.push_str(piece);
        }
        out.truncate(out.trim_end().len());
        out.push_str(mark);
        Some(out)
    }
}

fn date(at: Timestamp) -> String {
    let fallback = utc_text(at);
    format!(
        "<!date^{}^{{date_short_pretty}} {{time_secs}}|{fallback}>",
        at.as_second()
    )
}

fn is_channel_id(id: &str) -> bool {
    (2..=64).contains(&id.len())
        && id.starts_with(['C', 'G', 'D'])
        && id
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Preformatted text in sections of at most `max`, at most `count` of them: the newest lines, which
/// are the last. What is left out is said above.
pub(super) fn code_chunks(text: &str, max: usize, count: usize) -> Vec<String> {
    const FENCE: usize = "```\n\n```".len();
    // Room for the sentence about what is left out.
    const NOTE: usize = 60;
    let room = max.saturating_sub(FENCE + NOTE).max(20);
    let lines: Vec<String> = text.lines().map(|line| tidy(line, room)).collect();
    let mut chunks: Vec<Vec<&str>> = Vec::new();
    let mut used = 0;
    let mut shown = 0;
    for line in lines.iter().rev() {
        let more = size(line) + 1;
        let is_full = chunks.len() == count;
        match chunks.last_mut() {
            Some(chunk) if used + more <= room => {
                chunk.push(line);
                used += more;
            }
            _ if is_full => break,
            _ => {
                chunks.push(vec![line]);
                used = more;
            }
        }
        shown += 1;
    }
    let mut sections: Vec<String> = chunks
        .into_iter()
        .rev()
        .map(|chunk| {
            let chunk = chunk.into_iter().rev().collect::<Vec<_>>().join("\n");
            // An empty fence is shown as six backticks.
            let chunk = if chunk.trim().is_empty() {
                " ".to_owned()
            } else {
                chunk
            };
            format!("```\n{chunk}\n```")
        })
        .collect();
    let older = lines.len() - shown;
    if older > 0
        && let Some(first) = sections.first_mut()
    {
        let left_out = counted(older, "older line");
        first.insert_str(0, &format!("… {left_out} left out\n"));
    }
    sections
}

/// One line of a log: without colours and fences, and not longer than `max` (its end counts least).
fn tidy(line: &str, max: usize) -> String {
    cut_plain(&without_colours(line).replace("```", "ˋˋˋ"), max)
}

fn without_colours(line: &str) -> String {
    if !line.contains('\u{1b}') {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' && characters.peek() == Some(&'[') {
            // `ESC [ … letter`
            for c in characters.by_ref().skip(1) {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            out.push(c);
        }
    }
    out
}
