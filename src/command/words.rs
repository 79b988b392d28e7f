//! Splitting a sentence into words, forgivingly: people type on phones, at night.
//!
//! Like a shell, single or double quotes keep words together; unlike a shell, a quote counts only
//! at the start of a word (or of an option's value, after `=`), so that `it's` is a word; a quote
//! that is never closed is an ordinary character; and nothing is ever expanded. The dash that a
//! phone makes of `--` is one.

use std::ops::Range;

/// A word, and where it stands in the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without its quotes.
    pub text: String,
    /// Its bytes, quotes included.
    pub at: Range<usize>,
    /// It begins with two dashes, or what a phone makes of them, outside of quotes.
    pub is_option: bool,
}

/// Splits a sentence into words.
pub fn split(text: &str) -> Vec<String> {
    located(text).into_iter().map(|word| word.text).collect()
}

/// Splits a sentence into words that know where they stand.
pub fn located(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let start = text.len() - rest.len();
        let (word, after) = dash(rest).map_or_else(|| next(rest, ""), |name| next(name, "--"));
        words.push(Word {
            text: word,
            at: start..text.len() - after.len(),
            is_option: rest.starts_with("--") || dash(rest).is_some(),
        });
        rest = after.trim_start();
    }
    words
}

/// What follows the one dash that a phone makes of two, before a letter.
fn dash(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(['—', '–'])?;
    rest.starts_with(char::is_alphabetic).then_some(rest)
}

/// The word that begins with `before` and goes on here, and what follows it.
fn next<'a>(text: &'a str, before: &str) -> (String, &'a str) {
    let mut word = before.to_owned();
    let mut rest = text;
    loop {
        let Some(c) = rest.chars().next() else {
            return (word, rest);
        };
        if c.is_whitespace() {
            return (word, rest);
        }
        let opens = matches!(c, '"' | '\'')
            && (word.is_empty() || (word.starts_with("--") && word.ends_with('=')));
        if opens && let Some((inside, after)) = quoted(rest, c) {
            word.push_str(&inside);
            // `''` is an empty word: what follows the quote ends it.
            return (word, after);
        }
        word.push(c);
        rest = &rest[c.len_utf8()..];
    }
}

/// The inside of a quote and what follows it. The closing quote must end the word. Within double
/// quotes `\"` and `\\` stand for `"` and `\`.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut chars = text[1..].char_indices();
    while let Some((index, c)) = chars.next() {
        let after = &text[1 + index + c.len_utf8()..];
        if c == quote && after.chars().next().is_none_or(char::is_whitespace) {
            return Some((inside, after));
        }
        if c == '\\' && quote == '"' && after.starts_with(['"', '\\']) {
            inside.extend(chars.next().map(|(_, escaped)| escaped));
        } else {
            inside.push(c);
        }
    }
    None
}

/// Writes a word so that [`split`] gives it back.
pub fn quote(word: &str) -> String {
    let plain = !word.is_empty()
        && !word.starts_with(['"', '\''])
        && !word.starts_with("--")
        && dash(word).is_none()
        && !word.chars().any(char::is_whitespace);
    if plain {
        word.to_owned()
    } else {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sentences_are_split_as_people_mean_them() {
        let cases: [(&str, &[&str]); 11] = [
            ("restart frontend", &["restart", "frontend"]),
            ("  a\t b\n", &["a", "b"]),
            (
                r#"restart api --reason "it is slow""#,
                &["restart", "api", "--reason", "it is slow"],
            ),
            ("declare it's down", &["declare", "it's", "down"]),
            ("say 'a b' c", &["say", "a b", "c"]),
            (r#"--reason="a b" x"#, &["--reason=a b", "x"]),
            (r#"never "closed here"#, &["never", "\"closed", "here"]),
            (r#""a \"b\" \\ c""#, &[r#"a "b" \ c"#]),
            ("'' x", &["", "x"]),
            (
                "restart api —reason “—x” –since '—y'",
                &["restart", "api", "--reason", "“—x”", "--since", "—y"],
            ),
            ("slow — very – so", &["slow", "—", "very", "–", "so"]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text), words, "{text}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec(any::<String>(), 0..6)) {
            let text = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&text), words);
        }

        #[test]
        fn nothing_panics_and_no_word_holds_more_than_was_typed(text in any::<String>()) {
            let total: usize = split(&text).iter().map(String::len).sum();
            prop_assert!(total <= text.len());
            for word in located(&text) {
                prop_assert!(text[word.at].trim() != "");
            }
        }
    }
}
