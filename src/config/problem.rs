//! What is wrong with a configuration, shown in the style of rustc.

use std::fmt;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The bot can't start with it.
    Error,
    /// The bot starts, but this can't work: it names what isn't there.
    Fiction,
    /// The bot starts; somebody should look.
    Warning,
}

/// Where in the file a problem lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line (or the part around the column), secrets masked, no control characters.
    pub excerpt: String,
    /// How many characters of the excerpt come before the caret.
    pub caret: usize,
    /// How many characters are underlined, at least one.
    pub width: usize,
}

/// One thing that is wrong. Its texts hold no secret, so it may be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub level: Level,
    /// The name of the file, as it was given.
    pub file: String,
    /// Where in the file; `None` where it lies in no line of it, such as a missing section.
    pub location: Option<Location>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that keeps the bot from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The errors in file order, those without a line last; never empty.
    pub problems: Vec<Problem>,
    /// What is found beside them that would not keep the bot from starting, in the same order.
    pub others: Vec<Problem>,
}

impl ConfigErrors {
    /// All of it for a person at a terminal; `color` adds ANSI colours.
    pub fn render(&self, color: bool) -> String {
        let all = self.problems.iter().chain(&self.others);
        let all: Vec<_> = all.map(|one| one.render(color)).collect();
        all.join("\n")
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}

impl Problem {
    /// The problem in the style of rustc, with a line end; `color` adds ANSI colours.
    pub fn render(&self, color: bool) -> String {
        const BLUE: &str = "1;34";
        let paint = |style: &str, text: String| {
            let painted = color.then(|| format!("\u{1b}[{style}m{text}\u{1b}[0m"));
            painted.unwrap_or(text)
        };
        let (word, style) = match self.level {
            Level::Error | Level::Fiction => ("error", "1;31"),
            Level::Warning => ("warning", "1;33"),
        };
        let number = self.location.as_ref().map(|at| at.line.to_string());
        let margin = " ".repeat(number.as_ref().map_or(1, String::len) + 1);
        let arrow = paint(BLUE, format!("{margin}-->"));
        let title = paint("1", format!(": {}", self.message));
        let mut out = format!(
            "{}{title}\n{arrow} {}",
            paint(style, word.to_owned()),
            self.file
        );
        if let (Some(at), Some(number)) = (&self.location, number) {
            let bar = paint(BLUE, format!("{margin} |"));
            let gutter = paint(BLUE, format!(" {number} |"));
            let excerpt = format!("{gutter} {}", at.excerpt);
            let indent = " ".repeat(at.caret);
            let caret = paint(style, "^".repeat(at.width.max(1)));
            out.push_str(&format!(":{}:{}\n{bar}\n", at.line, at.column));
            out.push_str(&format!("{}\n{bar} {indent}{caret}", excerpt.trim_end()));
        }
        out.push('\n');
        if let Some(hint) = &self.hint {
            let (equals, help) = (
                paint(BLUE, format!("{margin} =")),
                paint("1", "help".to_owned()),
            );
            out.push_str(&format!("{equals} {help}: {hint}\n"));
        }
        out
    }
}
