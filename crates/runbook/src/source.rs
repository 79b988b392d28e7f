//! Where something stands in a runbook's text, and what is found wrong there.

use std::fmt;
use std::sync::Arc;

/// A range of a runbook's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One behind the last byte.
    pub end: usize,
}

impl Span {
    /// A range.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> At<T> {
    /// A value at a place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The runbook can't be run.
    Error,
    /// It can, but probably not as it is meant.
    Warning,
}

treasury_domain::words!(Severity {
    Error: "error",
    Warning: "warning",
});

/// Something wrong in a runbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// What is wrong, one line.
    pub message: String,
    /// What would help.
    pub help: Option<String>,
}

impl Finding {
    /// An error here.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            message: message.into(),
            help: None,
        }
    }

    /// A warning here.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, message)
        }
    }

    /// Adds what would help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds `did you mean …?` if a known word is near.
    #[must_use]
    pub fn near<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// The same; other help where no known word is near.
    #[must_use]
    pub fn near_or<'a>(
        self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
        help: impl Into<String>,
    ) -> Self {
        let near = self.near(word, known);
        if near.help.is_some() {
            near
        } else {
            near.help(help)
        }
    }
}

/// The known word nearest to a mistyped one, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// A runbook's text and the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For people, such as `runbooks/memory-leak.yml`.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

/// Most characters of a line that an excerpt shows.
const EXCERPT: usize = 110;

impl Source {
    /// A text with its name.
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let before = &self.text[..offset];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// The part of the text.
    pub fn slice(&self, span: Span) -> &str {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end).max(start);
        &self.text[start..end]
    }

    /// A finding as people read it: place, message, the line with a mark under it, the help.
    ///
    /// ```text
    /// error: unknown key `tiemout`
    ///   --> runbooks/a.yml:7:5
    ///    |
    ///  7 |     tiemout: 5m
    ///    |     ^^^^^^^
    ///    = help: did you mean `timeout`?
    /// ```
    pub fn explain(&self, finding: &Finding) -> Explained {
        let (line, column) = self.position(finding.span.start);
        let text = self.text.lines().nth(line - 1).unwrap_or_default();
        // A long line is shown around the place.
        let skip = column.saturating_sub(EXCERPT * 3 / 4);
        let shown: String = text
            .chars()
            .skip(skip)
            .take(EXCERPT)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let length = self
            .slice(finding.span)
            .lines()
            .next()
            .map_or(1, |part| part.trim_end().chars().count())
            .max(1);
        let indent = column - 1 - skip;
        let length = length.min(EXCERPT.saturating_sub(indent).max(1));
        Explained {
            severity: finding.severity,
            file: self.name.to_string(),
            line,
            column,
            message: finding.message.clone(),
            excerpt: shown,
            indent,
            length,
            help: finding.help.clone(),
        }
    }
}

/// A finding with its surroundings.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explained {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line's text.
    pub excerpt: String,
    /// Characters before the mark.
    #[serde(skip)]
    pub indent: usize,
    /// Characters of the mark.
    #[serde(skip)]
    pub length: usize,
    /// What would help.
    pub help: Option<String>,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.severity;
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        writeln!(f, "{word}: {}", self.message)?;
        writeln!(f, "{gap}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{gap} |")?;
        writeln!(f, "{number} | {}", self.excerpt)?;
        write!(
            f,
            "{gap} | {}{}",
            " ".repeat(self.indent),
            "^".repeat(self.length)
        )?;
        if let Some(help) = &self.help {
            write!(f, "\n{gap} = help: {help}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_shown_with_its_line_and_a_mark() {
        let source = Source::new("a.yml", "name: x\nstëps:\n  - tiemout: 5m\n");
        let start = source.text.find("tiemout").unwrap();
        let finding = Finding::error(Span::new(start, start + 7), "unknown key `tiemout`")
            .near("tiemout", ["timeout", "title"]);
        let explained = source.explain(&finding);
        assert_eq!((explained.line, explained.column), (3, 5));
        assert_eq!(
            explained.to_string(),
            "error: unknown key `tiemout`\n --> a.yml:3:5\n  |\n3 |   - tiemout: 5m\n  |     ^^^^^^^\n  = help: did you mean `timeout`?"
        );
    }

    #[test]
    fn no_place_is_too_far_out_or_within_a_character() {
        let source = Source::new("a.yml", "ä: ö");
        for offset in 0..12 {
            for end in offset..12 {
                let finding = Finding::error(Span::new(offset, end), "x");
                assert!(source.explain(&finding).to_string().contains("a.yml:1:"));
            }
        }
        let empty = Source::new("b.yml", "");
        assert!(
            empty
                .explain(&Finding::error(Span::new(5, 9), "x"))
                .to_string()
                .contains("b.yml:1:1")
        );
    }
}
