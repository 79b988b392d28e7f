//! The file while it is read: its text, the environment, and all that was found wrong so far.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::kind::Kind;
use super::mask::{masked, masked_line};
use super::problem::{Level, Location, Problem};

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which secrets have to be there. Those that are there are checked in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// All: the bot serves.
    Needed,
    /// All but Slack's, which is not spoken to.
    ButSlacks,
    /// None, nor the files that hold them: nothing is connected, as in a pipeline.
    MayLack,
}

/// The longest excerpt of a line, in characters.
const MAX_EXCERPT: usize = 120;

/// One file.
pub(super) struct Source<'a> {
    text: &'a str,
    file: &'a str,
    env: Env<'a>,
    /// Which secrets have to be there.
    pub(super) secrets: Secrets,
    /// The kinds of sections that there are.
    pub(super) kinds: &'a [Kind],
    /// Each with the byte it is about, for the order.
    found: RefCell<Vec<(usize, Problem)>>,
    /// Kind and name of sections that are left out, because something is wrong with them.
    left_out: RefCell<BTreeSet<(&'static str, String)>>,
}

impl<'a> Source<'a> {
    /// Nothing found yet.
    pub(super) fn new(
        text: &'a str,
        file: &'a str,
        (env, secrets): (Env<'a>, Secrets),
        kinds: &'a [Kind],
    ) -> Self {
        Self {
            text,
            file,
            env,
            secrets,
            kinds,
            found: RefCell::default(),
            left_out: RefCell::default(),
        }
    }

    /// Remembers a section that is left out, so that who names it is not told that it isn't there.
    pub(super) fn leave_out(&self, kind: &'static str, name: &str) {
        self.left_out.borrow_mut().insert((kind, name.to_owned()));
    }

    /// The section of this name is written, but something is wrong with it, which is told.
    pub(super) fn is_left_out(&self, kind: &'static str, name: &str) -> bool {
        self.left_out.borrow().contains(&(kind, name.to_owned()))
    }

    /// An error at these bytes, or at no line at all; an empty hint is none.
    pub(super) fn error(
        &self,
        span: impl Into<Option<Range<usize>>>,
        message: impl AsRef<str>,
        hint: impl AsRef<str>,
    ) {
        self.add(Level::Error, span.into(), message.as_ref(), hint.as_ref());
    }

    /// What can't work, though the bot starts; an empty hint is none. Where there is an error already,
    /// that one is enough.
    pub(super) fn fiction(
        &self,
        span: impl Into<Option<Range<usize>>>,
        message: impl AsRef<str>,
        hint: impl AsRef<str>,
    ) {
        let span = span.into();
        let found = self.found.borrow();
        let is_wrong = |(order, one): &(usize, Problem)| {
            one.level == Level::Error && span.as_ref().is_some_and(|span| span.start == *order)
        };
        if found.iter().any(is_wrong) {
            return;
        }
        drop(found);
        self.add(Level::Fiction, span, message.as_ref(), hint.as_ref());
    }

    /// A warning at these bytes, or at no line at all; an empty hint is none.
    pub(super) fn warning(
        &self,
        span: impl Into<Option<Range<usize>>>,
        message: impl AsRef<str>,
        hint: impl AsRef<str>,
    ) {
        self.add(Level::Warning, span.into(), message.as_ref(), hint.as_ref());
    }

    fn add(&self, level: Level, span: Option<Range<usize>>, message: &str, hint: &str) {
        let order = span.as_ref().map_or(usize::MAX, |span| span.start);
        let problem = Problem {
            level,
            file: self.file.to_owned(),
            location: span.map(|span| locate(self.text, &span)),
            message: masked(&printable(message)),
            hint: (!hint.is_empty()).then(|| masked(&printable(hint))),
        };
        self.found.borrow_mut().push((order, problem));
    }

    /// The value of a variable without the space around it; an empty one counts as not set.
    pub(super) fn environment(&self, variable: &str) -> Option<SecretString> {
        let value = (self.env)(variable)?;
        let value = value.trim();
        (!value.is_empty()).then(|| SecretString::from(value))
    }

    /// Where a key belongs that was found in another place.
    pub(super) fn elsewhere(&self, key: &str) -> Option<String> {
        let has = |kind: &&Kind| kind.keys().any(|known| known == key);
        let kind = self.kinds.iter().find(has)?;
        Some(format!("`{key}` belongs in `{}`", kind.header()))
    }

    /// The path of a file that this file names.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        match Path::new(self.file).parent() {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// The line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        locate(self.text, &(at..at)).line
    }

    /// Errors, and the rest, each in the file's order.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(order, _)| *order);
        let problems = found.into_iter().map(|(_, problem)| problem);
        problems.partition(|problem| problem.level == Level::Error)
    }
}

/// The text with a space for each control character and a mark for what turns text around.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                '\u{fffd}'
            }
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

/// Line, column and excerpt of a span; what lies beyond the text is moved to its end.
fn locate(text: &str, span: &Range<usize>) -> Location {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    let end = floor(span.end).max(start);
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line_text = text.get(line_start..).unwrap_or_default();
    let line_text = line_text.split('\n').next().unwrap_or_default();
    let line_text = line_text.strip_suffix('\r').unwrap_or(line_text);
    let first = text
        .get(line_start..start)
        .unwrap_or_default()
        .chars()
        .count();
    let earlier = text.get(..line_start).unwrap_or_default();
    let shown = masked_line(earlier, &printable(line_text));
    let length = shown.chars().count();
    let first_shown = first.min(length);
    let width = text
        .get(start..end.min(line_start + line_text.len()))
        .map_or(1, |marked| marked.chars().count().max(1));
    // A long line is shown from shortly before the place.
    let skip = if length > MAX_EXCERPT {
        first_shown.saturating_sub(40)
    } else {
        0
    };
    let excerpt: String = shown.chars().skip(skip).take(MAX_EXCERPT).collect();
    Location {
        line: before.matches('\n').count() + 1,
        column: first + 1,
        excerpt,
        caret: first_shown - skip,
        width: width.min(MAX_EXCERPT - (first_shown - skip)),
    }
}

/// The text of a file of at most `limit` bytes, or why there is none.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("it is larger than {limit} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = String::from_utf8_lossy(good).matches('\n').count();
        format!("line {} is not UTF-8 text", line + 1)
    })
}
