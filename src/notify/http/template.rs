//! Texts with placeholders. Which there are is fixed, and each is encoded for where it stands: what
//! people or senders of alerts wrote never becomes a field, a header or an address of its own.

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// One line: what is asked.
    Title,
    /// The whole of it, several lines.
    Text,
    /// One line: what it is about.
    Subject,
    /// Acknowledges, once; empty without one.
    Link,
    /// The same at each attempt.
    Id,
    /// `SEV1` to `SEV4`.
    Severity,
    /// `INC-7`; empty without one.
    Incident,
    /// Who is asked.
    Person,
    /// What the way knows them by.
    To,
    /// The way's secret.
    Token,
    /// The same for all about one incident.
    Thread,
    /// `trigger`, `acknowledge` or `resolve`.
    Event,
}

impl Field {
    /// All with their names.
    pub const ALL: [(&str, Self); 12] = [
        ("title", Self::Title),
        ("text", Self::Text),
        ("subject", Self::Subject),
        ("link", Self::Link),
        ("id", Self::Id),
        ("severity", Self::Severity),
        ("incident", Self::Incident),
        ("person", Self::Person),
        ("to", Self::To),
        ("token", Self::Token),
        ("thread", Self::Thread),
        ("event", Self::Event),
    ];
}

/// What the placeholders stand for in one notification.
#[derive(Debug, Clone, Default)]
pub(super) struct Values([String; Field::ALL.len()]);

impl Values {
    /// With this value.
    pub(super) fn with(mut self, field: Field, value: impl Into<String>) -> Self {
        self.0[field as usize] = value.into();
        self
    }

    pub(super) fn of(&self, field: Field) -> &str {
        &self.0[field as usize]
    }
}

/// A text with placeholders: `{title}`; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

/// Why a text is no template.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// There is no such placeholder.
    #[error("there is no placeholder `{{{0}}}`")]
    Unknown(String),
    /// A lone brace.
    #[error("a brace without its other half; write `{{{{` or `}}}}` for the character itself")]
    Brace,
}

impl Template {
    /// Reads a text.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let (mut plain, mut rest) = (String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = (&rest[at..=at], &rest[at + 1..]);
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let inner = (brace == "{").then(|| after.split_once('}')).flatten();
            let (name, after) = inner.ok_or(TemplateError::Brace)?;
            let field = Field::ALL.iter().find(|(known, _)| *known == name.trim());
            let (_, field) = field.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Field(*field));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// A placeholder alone.
    pub(super) fn field(field: Field) -> Self {
        Self(vec![Piece::Field(field)])
    }

    /// It holds this placeholder.
    pub fn uses(&self, field: Field) -> bool {
        self.0.contains(&Piece::Field(field))
    }

    /// It holds no placeholder.
    pub fn is_fixed(&self) -> bool {
        !self.0.iter().any(|piece| matches!(piece, Piece::Field(_)))
    }

    /// What stands before the first placeholder.
    pub fn beginning(&self) -> &str {
        match self.0.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// The text, with each value encoded for where it stands.
    pub(super) fn fill(&self, values: &Values, encode: fn(&str) -> String) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(field) => encode(values.of(*field)),
        });
        pieces.collect()
    }
}

/// As it is: the place has an encoding of its own, such as a JSON string's.
pub(super) fn plain(text: &str) -> String {
    text.to_owned()
}

/// For a path or a query: all but letters, digits, `-`, `_` and `~` as `%XX` (RFC 3986), full stops
/// too, so that no value is a step up.
pub(super) fn in_url(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}

/// For a header: one line of ASCII, `?` for what is none (RFC 9110 5.5).
pub(super) fn in_header(text: &str) -> String {
    let chars = text.chars().map(|c| match c {
        c if c.is_control() => ' ',
        c if c.is_ascii() => c,
        _ => '?',
    });
    chars.collect()
}

/// For XML.
pub(super) fn in_xml(text: &str) -> String {
    let chars = text.chars().map(|c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    });
    chars.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_encoded_for_where_they_stand() {
        let nasty = "a b&c=d/../\"\r\nX: y\n{token} é";
        let values = Values::default()
            .with(Field::Title, nasty)
            .with(Field::Token, "S3CRET");
        let template = Template::parse("<{title}> {{x}} { link }").unwrap();
        for (encode, expected) in [
            (plain as fn(&str) -> String, format!("<{nasty}> {{x}} ")),
            (
                in_url,
                "<a%20b%26c%3Dd%2F%2E%2E%2F%22%0D%0AX%3A%20y%0A%7Btoken%7D%20%C3%A9> {x} ".into(),
            ),
            (in_header, "<a b&c=d/../\"  X: y {token} ?> {x} ".to_owned()),
            (
                in_xml,
                "<a b&amp;c=d/../&quot;  X: y {token} é> {x} ".to_owned(),
            ),
        ] {
            assert_eq!(template.fill(&values, encode), expected);
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let unknown = |name: &str| Err(TemplateError::Unknown(name.to_owned()));
        assert_eq!(Template::parse("{titel}"), unknown("titel"));
        assert_eq!(Template::parse("{}"), unknown(""));
        for text in ["{", "}", "a } b", "{title"] {
            assert_eq!(Template::parse(text), Err(TemplateError::Brace), "{text}");
        }
        for (index, (_, field)) in Field::ALL.iter().enumerate() {
            assert_eq!(*field as usize, index);
        }
    }
}
