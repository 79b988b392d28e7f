//! Text to words.

use crate::source::{Finding, Span};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    Name(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not `<` and `=`.
const SIGNS: [&str; 20] = [
    "[?", "[*", "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", ",",
];

/// All words with their places; the last is [`Token::End`].
pub(super) fn words(text: &str) -> Result<Vec<(Token, Span)>, Finding> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (token, length) = if c.is_ascii_digit() {
            number(rest, at)?
        } else if c == '\'' || c == '"' {
            quoted(rest, at, c)?
        } else if c.is_alphabetic() || c == '_' {
            let length = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            (Token::Name(rest[..length].to_owned()), length)
        } else if c == '.' {
            (Token::Sign("."), 1)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            let span = Span::new(at, at + c.len_utf8());
            let finding =
                Finding::error(span, format!("`{}` has no meaning here", c.escape_debug()));
            return Err(match c {
                '=' => finding.help("two values are compared with `==`"),
                '!' => finding.help("write `not`"),
                '|' => finding.help("there are no filters: functions are called, `max(…)`"),
                '{' | '}' | '$' => {
                    finding.help("a condition is written without `${{ }}`, which is for texts")
                }
                _ => finding,
            });
        };
        match token {
            Token::Sign("&&" | "||") => {
                let word = if token == Token::Sign("&&") {
                    "and"
                } else {
                    "or"
                };
                return Err(Finding::error(
                    Span::new(at, at + 2),
                    format!("write `{word}`"),
                ));
            }
            token => found.push((token, Span::new(at, at + length))),
        }
        at += length;
    }
    found.push((Token::End, Span::new(text.len(), text.len())));
    Ok(found)
}

/// A number with its unit: durations become milliseconds, sizes bytes.
fn number(rest: &str, at: usize) -> Result<(Token, usize), Finding> {
    let mut length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if rest[length..].starts_with('.')
        && rest[length + 1..].starts_with(|c: char| c.is_ascii_digit())
    {
        length += 1;
        length += rest[length..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
    }
    let wrong = |length: usize, text: String| Finding::error(Span::new(at, at + length), text);
    let value: f64 = rest[..length]
        .parse()
        .map_err(|_| wrong(length, format!("`{}` is not a number", &rest[..length])))?;
    let unit = rest[length..]
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(rest.len() - length);
    let unit = &rest[length..length + unit];
    let factor = match unit {
        "" | "ms" => 1.0,
        "s" | "kB" => 1e3,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        other => {
            return Err(wrong(
                length + other.len(),
                format!("`{other}` is not a unit"),
            )
            .help("units are ms, s, m, h, d (milliseconds) and kB, MB, GB, KiB, MiB, GiB, TiB (bytes)"));
        }
    };
    let mut length = length + unit.len();
    // `90%` is a percentage, `90 % 7` a rest.
    if unit.is_empty()
        && rest[length..].starts_with('%')
        && !rest[length + 1..]
            .trim_start()
            .starts_with(|c: char| c.is_alphanumeric() || c == '(' || c == '_')
    {
        length += 1;
    }
    let value = value * factor;
    if !value.is_finite() {
        return Err(wrong(length, "the number is too large".into()));
    }
    Ok((Token::Number(value), length))
}

fn quoted(rest: &str, at: usize, quote: char) -> Result<(Token, usize), Finding> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, c @ ('\\' | '\'' | '"'))) => text.push(c),
                Some((next, c)) => {
                    let span = Span::new(at + offset, at + next + c.len_utf8());
                    let finding = Finding::error(span, format!("`\\{c}` has no meaning in a text"));
                    return Err(finding.help("a backslash is written twice"));
                }
                None => break,
            },
            c if c == quote => return Ok((Token::Text(text), offset + 1)),
            c => text.push(c),
        }
    }
    Err(Finding::error(
        Span::new(at, at + rest.len()),
        format!("the text is not closed with `{quote}`"),
    ))
}
