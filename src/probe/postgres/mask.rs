//! Query texts without their literals: what a query does may be told, whose data it touches not.

use crate::probe::database::MAX_QUERY;

/// The text with every literal replaced by `?`, comments dropped, white space collapsed, and cut at
/// [`MAX_QUERY`] characters. A literal that the server cut off is masked to the end.
pub fn mask(query: &str) -> String {
    let mut out = String::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' => literal(&mut out, quoted(rest, false)),
            '"' => {
                let end = quoted(rest, false);
                out.push_str(&rest[..end]);
                end
            }
            '$' => match dollar(rest) {
                Some(end) => literal(&mut out, end),
                // A parameter: `$1`.
                None => plain(
                    &mut out,
                    &rest[..1 + rest[1..].bytes().take_while(u8::is_ascii_digit).count()],
                ),
            },
            '-' if rest.starts_with("--") => {
                space(&mut out);
                rest.find('\n').unwrap_or(rest.len())
            }
            '/' if rest.starts_with("/*") => {
                space(&mut out);
                comment(rest)
            }
            c if c.is_ascii_digit() || (c == '.' && digit_at(rest, 1)) => {
                literal(&mut out, number(rest))
            }
            c if c.is_alphabetic() || c == '_' => word(&mut out, rest),
            c if c.is_whitespace() || c.is_control() => {
                space(&mut out);
                c.len_utf8()
            }
            c => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
        // What follows is cut off anyway.
        if out.len() > MAX_QUERY * 8 {
            break;
        }
    }
    crate::domain::timeline::cut(out.trim(), MAX_QUERY)
}

fn literal(out: &mut String, taken: usize) -> usize {
    out.push('?');
    taken
}

fn plain(out: &mut String, text: &str) -> usize {
    out.push_str(text);
    text.len()
}

fn space(out: &mut String) {
    if !out.ends_with(' ') {
        out.push(' ');
    }
}

fn digit_at(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
}

/// A name or keyword; or a literal with a letter in front, such as `E'…'`.
fn word(out: &mut String, rest: &str) -> usize {
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let prefix = matches!(name, "E" | "e" | "B" | "b" | "X" | "x" | "N" | "n");
    if prefix && after.starts_with('\'') {
        return literal(out, end + quoted(after, matches!(name, "E" | "e")));
    }
    if matches!(name, "U" | "u") && after.starts_with("&'") {
        return literal(out, end + 1 + quoted(&after[1..], false));
    }
    plain(out, name)
}

/// The end of a text in the quotes it begins with; a doubled quote is part of it.
fn quoted(text: &str, backslashes: bool) -> usize {
    let quote = text.as_bytes()[0];
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if backslashes => at += 1,
            b if b == quote => {
                if bytes.get(at + 1) == Some(&quote) {
                    at += 1;
                } else {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// The end of `$tag$…$tag$`; `None` when it is none.
fn dollar(text: &str) -> Option<usize> {
    let close = text[1..].find('$')? + 1;
    let tag = &text[1..close];
    let good = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    if !good {
        return None;
    }
    let mark = &text[..=close];
    let after = &text[close + 1..];
    Some(
        after
            .find(mark)
            .map_or(text.len(), |at| close + 1 + at + mark.len()),
    )
}

/// The end of a comment; they nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// The end of a number such as `12`, `1.5e-3` or `0xff`.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let sign = matches!(bytes[at], b'+' | b'-')
            && at > 0
            && matches!(bytes[at - 1], b'e' | b'E')
            && digit_at(text, at + 1);
        if bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'.' | b'_') || sign {
            at += 1;
        } else {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literals_are_masked_and_names_kept() {
        for (query, masked) in [
            (
                "SELECT * FROM users WHERE email = 'ana@x.org' AND age > 41.5e-2",
                "SELECT * FROM users WHERE email = ? AND age > ?",
            ),
            (
                "select E'it\\'s', 'it''s', $$a'b$$, $t$ $$ $t$",
                "select ?, ?, ?, ?",
            ),
            (
                "update t1 set \"Name 1\" = $1 where id2=-7",
                "update t1 set \"Name 1\" = $1 where id2=-?",
            ),
            (
                "select 1 -- secret\n, /* a /* b */ secret */ x",
                "select ? , x",
            ),
            (
                "select X'ff', B'01', U&'d\\0061', N'n', .5",
                "select ?, ?, ?, ?, ?",
            ),
            (
                "insert into t values ('cut off by the ser",
                "insert into t values (?",
            ),
            ("select 0xdead, 1_000", "select ?, ?"),
            ("select a\tfrom\n\n b", "select a from b"),
        ] {
            assert_eq!(mask(query), masked);
        }
        assert_eq!(mask(&"x ".repeat(10_000)).chars().count(), MAX_QUERY);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_masking_twice_is_masking_once(query in ".{0,400}") {
            let once = mask(&query);
            prop_assert!(once.chars().count() <= MAX_QUERY);
            if once.chars().count() < MAX_QUERY {
                prop_assert_eq!(mask(&once), once);
            }
        }

        #[test]
        fn no_literal_gets_through(
            before in "[a-z ,=()]{0,40}",
            style in 0..5_usize,
            after in "[a-z ,=()';$]{0,40}",
        ) {
            let secret = "hunter two";
            let literal = match style {
                0 => format!("'{secret}'"),
                1 => format!("E'a\\'{secret}'"),
                2 => format!("$${secret}$$"),
                3 => format!("$a1${secret}$a1$"),
                _ => format!("'{secret}"),
            };
            let masked = mask(&format!("{before} {literal}{after}"));
            prop_assert!(!masked.contains("hunter"), "{}", masked);
        }
    }
}
