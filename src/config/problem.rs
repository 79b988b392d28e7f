//! What is wrong with a configuration, shown in the style of rustc.

use std::fmt;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The bot can't start with it.
    Error,
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
    /// The warnings found beside them, in file order.
    pub warnings: Vec<Problem>,
}

impl ConfigErrors {
    /// All errors for a person at a terminal; `color` adds ANSI colours.
    pub fn render(&self, color: bool) -> String {
        self.problems
            .iter()
            .map(|problem| problem.render(color))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

const RESET: &str = "\u{1b}[0m";
const BOLD: &str = "\u{1b}[1m";
const BLUE: &str = "\u{1b}[1;34m";
const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";

impl Problem {
    /// The problem in the style of rustc, with a line end; `color` adds ANSI colours.
    pub fn render(&self, color: bool) -> String {
        let paint = |style: &str, text: &str| {
            if color {
                format!("{style}{text}{RESET}")
            } else {
                text.to_owned()
            }
        };
        let (word, style) = match self.level {
            Level::Error => ("error", RED),
            Level::Warning => ("warning", YELLOW),
        };
        let mut out = format!(
            "{}{}\n",
            paint(style, word),
            paint(BOLD, &format!(": {}", self.message))
        );
        let number = self
            .location
            .as_ref()
            .map_or(String::new(), |at| at.line.to_string());
        let margin = " ".repeat(number.len().max(1) + 1);
        let arrow = paint(BLUE, &format!("{margin}-->"));
        let bar = paint(BLUE, &format!("{margin} |"));
        match &self.location {
            None => out.push_str(&format!("{arrow} {}\n", self.file)),
            Some(at) => {
                let gutter = paint(BLUE, &format!(" {number} |"));
                let caret = paint(style, &"^".repeat(at.width.max(1)));
                out.push_str(&format!(
                    "{arrow} {}:{}:{}\n",
                    self.file, at.line, at.column
                ));
                out.push_str(&format!(
                    "{bar}\n{}\n",
                    format!("{gutter} {}", at.excerpt).trim_end()
                ));
                out.push_str(&format!("{bar} {}{caret}\n", " ".repeat(at.caret)));
            }
        }
        if let Some(hint) = &self.hint {
            let label = paint(BOLD, "help");
            out.push_str(&format!(
                "{} {label}: {hint}\n",
                paint(BLUE, &format!("{margin} ="))
            ));
        }
        out
    }
}
