//! Texts of the platforms, made fit to be shown; names in the order that people expect.

use std::cmp::Ordering;

use treasury_domain::service::LogLine;
use treasury_domain::timeline::cut;

/// The text without terminal sequences, control characters and marks that turn the direction of
/// writing; a tab becomes a space.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\t' => clean.push(' '),
            // `ESC [` or its one-character form: parameters, then a final character.
            '\u{1b}' if rest.next_if_eq(&'[').is_some() => skip_csi(&mut rest),
            '\u{9b}' => skip_csi(&mut rest),
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
            c => clean.push(c),
        }
    }
    clean
}

fn skip_csi(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
    rest.next_if(|c| ('@'..='~').contains(c));
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
            ("\u{1b}(Bz\u{9b}2Kw\u{0}", "zw"),
            ("evil\u{202e}txt", "eviltxt"),
            ("ends \u{1b}", "ends "),
            ("ends \u{1b}[", "ends "),
            ("ä€😀", "ä€😀"),
        ] {
            assert_eq!(clean(dirty), expected, "{dirty:?}");
        }
    }

    #[test]
    fn names_are_in_numeric_order() {
        let mut names = ["b-1", "a-10", "a-2", "a", "a-1"];
        names.sort_by(|a, b| by_name(a, b));
        assert_eq!(names, ["a", "a-1", "a-2", "a-10", "b-1"]);
    }
}
