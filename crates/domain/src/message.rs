//! What the bot says, in plain words; each door renders it in its own way (blocks, terminal).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Person;
use super::person::is_slack_user_id;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What kind of news it is.
    pub tone: Tone,
    /// One line; also the notification on the phone.
    pub title: Line,
    /// The rest.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Small print: request id, age of figures.
    #[serde(default)]
    pub footer: Vec<Line>,
}

/// What kind of news a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Plain information.
    Plain,
    /// Something awaits an answer.
    Question,
    /// Work goes on.
    Progress,
    /// It went well.
    Good,
    /// Worth a look.
    Warning,
    /// It went wrong.
    Bad,
}

/// Who is to see a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Everybody in the channel.
    Everyone,
    /// Only who asked.
    #[serde(rename = "asker")]
    Requester,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// A paragraph.
    Text(Line),
    /// Label and value pairs, shown side by side where there is room.
    Fields(Vec<(String, Line)>),
    /// Preformatted text (logs, tables). Cut at its *beginning* when too long: the newest is last.
    Code(String),
    /// A row of buttons.
    Buttons(Vec<Button>),
    /// A menu; the chosen value is put in place of `{}` in the sentence.
    Menu {
        /// Shown before anything is chosen.
        placeholder: String,
        /// Sentence with one `{}`.
        #[serde(rename = "says")]
        sentence: String,
        /// Value and label of each choice, at most 100.
        choices: Vec<(String, String)>,
    },
    /// A line across.
    Divider,
}

/// A button: pressing it says the sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// Its label, at most 75 characters.
    pub label: String,
    /// What pressing it says to the bot, without the command's name.
    #[serde(rename = "says")]
    pub sentence: String,
    /// How it looks.
    pub style: Style,
}

impl Button {
    /// A plain button.
    pub fn new(label: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            sentence: sentence.into(),
            style: Style::Plain,
        }
    }

    /// The same, in another style.
    pub fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
}

/// How a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Grey.
    Plain,
    /// The one that is meant.
    Primary,
    /// The one that can hurt.
    Danger,
}

/// A line of text. What users typed goes in as [`Span::Plain`] or [`Span::Code`] and is escaped by
/// the renderer, so that it can never mention anybody or forge a link.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Line(pub Vec<Span>);

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Span {
    /// As it is.
    Plain(String),
    /// Literals: names, commands, ids.
    Code(String),
    /// Emphasis.
    Bold(String),
    /// Somebody; mentioned where the door can.
    Person(Person),
    /// A link.
    Link {
        /// Where to.
        url: String,
        /// What is shown.
        text: String,
    },
    /// A channel by its id, or `id|name` where its name is known.
    Channel(String),
    /// A moment, shown in the reader's own time zone where the door can.
    Time(Timestamp),
}

impl Line {
    /// An empty line to build on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds plain text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.0.push(Span::Plain(text.into()));
        self
    }

    /// Adds a literal.
    pub fn code(mut self, text: impl ToString) -> Self {
        self.0.push(Span::Code(text.to_string()));
        self
    }

    /// Adds emphasised text.
    pub fn bold(mut self, text: impl ToString) -> Self {
        self.0.push(Span::Bold(text.to_string()));
        self
    }

    /// Adds somebody.
    pub fn person(mut self, person: &Person) -> Self {
        self.0.push(Span::Person(person.clone()));
        self
    }

    /// Adds a channel by id.
    pub fn channel(mut self, id: impl Into<String>) -> Self {
        self.0.push(Span::Channel(id.into()));
        self
    }

    /// Adds a moment.
    pub fn time(mut self, at: Timestamp) -> Self {
        self.0.push(Span::Time(at));
        self
    }

    /// Adds the spans of another line.
    pub fn line(mut self, other: Line) -> Self {
        self.0.extend(other.0);
        self
    }

    /// What somebody typed, in which Slack marks the people (`<@U1>`) and channels (`<#C1|name>`) that
    /// they mentioned. Nothing else of it mentions anybody.
    pub fn mentioning(text: &str) -> Self {
        let mut line = Self::new();
        let (mut plain, mut rest) = (0, 0);
        while let Some(found) = text[rest..].find('<') {
            let at = rest + found;
            let end = text[at..].find('>').map(|length| at + length);
            let Some((end, span)) = end.and_then(|end| Some((end, mention(&text[at + 1..end])?)))
            else {
                rest = at + 1;
                continue;
            };
            if plain < at {
                line = line.text(&text[plain..at]);
            }
            line.0.push(span);
            plain = end + 1;
            rest = plain;
        }
        if plain < text.len() {
            line = line.text(&text[plain..]);
        }
        line
    }

    /// The text without any marks: for notifications, the timeline, logs.
    pub fn plain(&self) -> String {
        let mut out = String::new();
        for span in &self.0 {
            match span {
                Span::Plain(text)
                | Span::Code(text)
                | Span::Bold(text)
                | Span::Link { text, .. } => out.push_str(text),
                Span::Person(person) => out.push_str(&person.name),
                Span::Channel(channel) => match channel.split_once('|') {
                    Some((_, name)) => out.push_str(&format!("#{name}")),
                    None => out.push_str(channel),
                },
                Span::Time(at) => out.push_str(&super::duration::utc_text(*at)),
            }
        }
        out
    }
}

/// What stands between `<` and `>`, if it mentions somebody or a channel.
fn mention(inner: &str) -> Option<Span> {
    let (target, name) = inner.split_once('|').unwrap_or((inner, ""));
    if let Some(id) = target.strip_prefix('@') {
        return is_slack_user_id(id).then(|| {
            Span::Person(Person {
                id: id.to_owned(),
                name: id.to_owned(),
            })
        });
    }
    let id = target.strip_prefix('#')?;
    let upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let good = (2..=64).contains(&id.len()) && id.starts_with(['C', 'G']) && id.bytes().all(upper);
    good.then(|| Span::Channel(if name.is_empty() { id } else { &inner[1..] }.to_owned()))
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new().text(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new().text(text)
    }
}

impl Message {
    /// A message with only a title.
    pub fn new(tone: Tone, title: impl Into<Line>) -> Self {
        Self {
            tone,
            title: title.into(),
            parts: Vec::new(),
            footer: Vec::new(),
        }
    }

    /// Adds a part.
    pub fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Adds a paragraph.
    pub fn text(self, line: impl Into<Line>) -> Self {
        self.part(Part::Text(line.into()))
    }

    /// Adds preformatted text, unless it is empty.
    pub fn code(self, text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() {
            self
        } else {
            self.part(Part::Code(text))
        }
    }

    /// Adds a row of buttons, unless it is empty.
    pub fn buttons(self, buttons: Vec<Button>) -> Self {
        if buttons.is_empty() {
            self
        } else {
            self.part(Part::Buttons(buttons))
        }
    }

    /// Adds small print.
    pub fn footer(mut self, line: impl Into<Line>) -> Self {
        self.footer.push(line.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_people_and_channels_are_mentioned() {
        let person = |id: &str| {
            let (id, name) = (id.to_owned(), id.to_owned());
            Span::Person(Person { id, name })
        };
        let plain = |text: &str| Span::Plain(text.to_owned());
        let channel = |text: &str| Span::Channel(text.to_owned());
        for (text, spans) in [
            (
                "cc <@U0BEN00001|ben>, <#C0INC|room> a < b",
                vec![
                    plain("cc "),
                    person("U0BEN00001"),
                    plain(", "),
                    channel("C0INC|room"),
                    plain(" a < b"),
                ],
            ),
            ("<@U1><#C1>", vec![person("U1"), channel("C1")]),
            ("<<@U1>", vec![plain("<"), person("U1")]),
        ] {
            assert_eq!(Line::mentioning(text).0, spans, "{text}");
        }
        for text in [
            "<!channel> <!here> @here",
            "<@u1> <@> <#c> <# <@U1",
            "<https://a.example|x>",
            "é<",
        ] {
            assert_eq!(Line::mentioning(text).0, [plain(text)], "{text}");
        }
        assert!(Line::mentioning("").0.is_empty());
        assert_eq!(Line::mentioning("in <#C1|room>").plain(), "in #room");
    }
}
