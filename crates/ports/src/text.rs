//! Texts of the platforms, made fit to be shown; names in the order that people expect.

use std::cmp::Ordering;

use treasury_domain::service::LogLine;
use treasury_domain::timeline::cut;

/// The text without terminal sequences, control characters and marks that turn the direction of
/// writing; a tab becomes a space. What a terminal would have written over (after a carriage return,
/// an erased line, a backspace) is gone.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    // What is written next stands at the start of the line.
    let mut is_at_start = false;
    while let Some(c) = rest.next() {
        match c {
            '\r' => is_at_start = true,
            // A line's end, which is left out.
            '\n' => is_at_start = false,
            '\u{8}' => {
                clean.pop();
            }
            '\t' => clean.push(' '),
            // `ESC [` or its one-character form: parameters, then a final character.
            '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                is_at_start |= goes_to_start(&mut rest);
            }
            '\u{9b}' => is_at_start |= goes_to_start(&mut rest),
            // A text for the terminal, such as a window title, up to BEL or `ESC \`.
            '\u{1b}'
                if rest
                    .next_if(|c| matches!(c, ']' | 'P' | 'X' | '^' | '_'))
                    .is_some() =>
            {
                while let Some(c) = rest.next() {
                    if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            '\u{1b}' => {
                while rest.next_if(|c| (' '..='/').contains(c)).is_some() {}
                rest.next_if(|c| ('0'..='~').contains(c));
            }
            c if c.is_control() || turns(c) => {}
            c => {
                if std::mem::take(&mut is_at_start) {
                    clean.clear();
                }
                clean.push(c);
            }
        }
    }
    clean
}

/// Skips the rest of a sequence; it erases the line, or goes to its first column.
fn goes_to_start(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut parameters = String::new();
    while let Some(c) = rest.next_if(|c| (' '..='?').contains(c)) {
        parameters.push(c);
    }
    let what = rest.next_if(|c| ('@'..='~').contains(c));
    match what {
        Some('K') => parameters == "2",
        Some('G') => matches!(parameters.as_str(), "" | "0" | "1"),
        _ => false,
    }
}

/// Characters that can make a text look like another one.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text of a platform without what could disturb who reads it, at most so many bytes of it.
pub fn shown(text: &str, most: usize) -> String {
    cut(&clean(text), most)
}

/// Cuts the text to the most bytes of a line.
pub fn fit(mut text: String) -> String {
    if text.len() > LogLine::MAX_BYTES {
        let room = LogLine::MAX_BYTES - '…'.len_utf8();
        text.truncate(text.floor_char_boundary(room));
        text.push('…');
    }
    text
}

/// The same around this text (in lower case), so that what was searched for can be seen.
pub fn fit_around(text: String, found: &str) -> String {
    if text.len() <= LogLine::MAX_BYTES {
        return text;
    }
    let at = text.to_lowercase().find(found).unwrap_or(0);
    if at + found.len() + '…'.len_utf8() < LogLine::MAX_BYTES {
        return fit(text);
    }
    // In lower case a text may be a few bytes longer or shorter: the middle stays near.
    let start = text.floor_char_boundary(at.saturating_sub(LogLine::MAX_BYTES / 2));
    fit(format!("…{}", &text[start..]))
}

/// Names in order, with a number at their end in numeric order: `web-2` before `web-10`.
pub fn by_name(a: &str, b: &str) -> Ordering {
    let split = |name: &str| {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        (name[..stem].to_owned(), name[stem..].parse::<u64>().ok())
    };
    split(a).cmp(&split(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_and_control_characters_go() {
        for (dirty, expected) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("a\tb\r\n", "a b"),
            ("\u{1b}]0;title\u{7}x\u{1b}]8;;http://a\u{1b}\\y", "xy"),
            ("\u{1b}(Bz\u{9b}2Kw\u{0}", "w"),
            ("evil\u{202e}txt", "eviltxt"),
            ("ends \u{1b}", "ends "),
            ("ends \u{1b}[", "ends "),
            (
                "\rpull: 1/3\rpull: 2/3\rerror: no space left\n",
                "error: no space left",
            ),
            ("kept\r\n", "kept"),
            ("kept\r", "kept"),
            ("12 %\u{1b}[2K\u{1b}[1Gdone", "done"),
            ("12 %\u{1b}[K", "12 %"),
            ("|\u{8}/\u{8}-", "-"),
            ("first\r\nsecond", "firstsecond"),
            ("ä€😀", "ä€😀"),
        ] {
            assert_eq!(clean(dirty), expected, "{dirty:?}");
        }
    }

    #[test]
    fn what_was_searched_for_is_seen_in_a_long_line() {
        let long = format!(
            "{}Settlement FAILED{}",
            "x".repeat(5_000),
            "y".repeat(5_000)
        );
        let fitted = fit_around(long, "settlement failed");
        assert!(fitted.contains("Settlement FAILED"), "{fitted}");
        assert!(
            fitted.len() <= LogLine::MAX_BYTES && fitted.starts_with('…') && fitted.ends_with('…')
        );
        assert_eq!(fit_around("short".to_owned(), "ort"), "short");
    }

    #[test]
    fn names_are_in_numeric_order() {
        let mut names = ["b-1", "a-10", "a-2", "a", "a-1"];
        names.sort_by(|a, b| by_name(a, b));
        assert_eq!(names, ["a", "a-1", "a-2", "a-10", "b-1"]);
    }
}
