//! Query texts without their literals: what a query does may be told, whose data it touches not.

use crate::database::MAX_QUERY;

/// What `pg_stat_statements` writes for the rest of a list of values.
const SHORTENED: &str = "/*, ... */";

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
                out.extend(rest[..end].chars().filter(|c| !c.is_control()));
                end
            }
            '$' => match dollar(rest) {
                Some(end) => literal(&mut out, end),
                // A parameter: `$1`.
                None => plain(
                    &mut out,
                    &rest[..=rest[1..].bytes().take_while(u8::is_ascii_digit).count()],
                ),
            },
            '-' if rest.starts_with("--") => {
                space(&mut out);
                rest.find(['\n', '\r']).unwrap_or(rest.len())
            }
            // PostgreSQL 18's own mark of a list that it has shortened.
            '/' if rest.starts_with(SHORTENED) => {
                out.truncate(out.trim_end().len());
                out.push_str(", …");
                SHORTENED.len()
            }
            '/' if rest.starts_with("/*") => {
                space(&mut out);
                comment(rest)
            }
            c if c.is_ascii_digit() || (c == '.' && digit_at(rest, 1)) => {
                literal(&mut out, number(rest))
            }
            c if in_name(c) => word(&mut out, rest),
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
    cut(out.trim())
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_QUERY {
        return text.to_owned();
    }
    let kept: String = text.chars().take(MAX_QUERY - 1).collect();
    kept + "…"
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

/// As the server has it: every character beyond ASCII, even a space, belongs to a name.
fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// A name or keyword; or a literal with a letter in front, such as `E'…'`.
fn word(out: &mut String, rest: &str) -> usize {
    let end = rest
        .find(|c: char| !(in_name(c) || c == '$'))
        .unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let prefix = matches!(name, "E" | "e" | "B" | "b" | "X" | "x" | "N" | "n");
    if prefix && after.starts_with('\'') {
        let backslashes = matches!(name, "E" | "e");
        return literal(out, end + continued(after, backslashes));
    }
    if matches!(name, "U" | "u") && after.starts_with("&'") {
        return literal(out, end + 1 + quoted(&after[1..], false));
    }
    let shown = |c: char| match c {
        c if c.is_control() || c.is_whitespace() => '_',
        c => c,
    };
    out.extend(name.chars().map(shown));
    end
}

/// The end of a text that goes on in the next line: there `'` needs no `E` for its backslashes.
fn continued(text: &str, backslashes: bool) -> usize {
    let mut end = quoted(text, backslashes);
    loop {
        let mut after = &text[end..];
        loop {
            after = after.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
            if !after.starts_with("--") {
                break;
            }
            after = &after[after.find(['\n', '\r']).unwrap_or(after.len())..];
        }
        let gap = text.len() - end - after.len();
        if !after.starts_with('\'') || !text[end..end + gap].contains(['\n', '\r']) {
            return end;
        }
        end += gap + quoted(after, backslashes);
    }
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
    let good = tag.chars().all(in_name) && !tag.starts_with(|c: char| c.is_ascii_digit());
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
            // Where the server sees names, letters and backslashes matter.
            ("select \u{1f4b3}E'\\', 'hunter'", "select \u{1f4b3}E?, ?"),
            ("select $\u{1f4b3}$hunter$\u{1f4b3}$, 1", "select ?, ?"),
            (
                "select E'a' -- on\n 'b\\'hunter' from \"t\n\x1b[31m\"",
                "select ? from \"t[31m\"",
            ),
            (
                "select 1 where id in ($1 /*, ... */)",
                "select ? where id in ($1, …)",
            ),
            ("select 'a'\r-- x\rfrom t", "select ? from t"),
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
            prop_assert_eq!(mask(&once), once);
        }

        #[test]
        fn nor_do_the_signs_of_the_language_break_it(
            query in "['\"$Ee\\\\/*\\-\n\r a1.&U_\u{1f4b3}\u{85}\u{a0}]{0,40}",
        ) {
            let once = mask(&query);
            prop_assert_eq!(mask(&once), once);
        }

        #[test]
        fn no_literal_gets_through(
            before in "[a-z ,=()]{0,40}",
            style in 0..7_usize,
            after in "[a-z ,=()';$]{0,40}",
        ) {
            let secret = "hunter two";
            let literal = match style {
                0 => format!("'{secret}'"),
                1 => format!("E'a\\'{secret}'"),
                2 => format!("$${secret}$$"),
                3 => format!("$a1${secret}$a1$"),
                4 => format!("e'a'\n'\\'{secret}'"),
                5 => format!("\u{e9}E'\\','{secret}'"),
                _ => format!("'{secret}"),
            };
            let masked = mask(&format!("{before} {literal}{after}"));
            prop_assert!(!masked.contains("hunter"), "{}", masked);
        }
    }
}
