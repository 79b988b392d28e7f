//! A line of a metrics page: `name{label="value"} 1`, and what Prometheus 3 reads beside that: names
//! of any letters, in quotes within the braces (`{"http.requests","a b"="c"} 1`), timestamps and
//! exemplars after the value.

use std::collections::BTreeMap;

/// A sample.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Name and labels as they are written.
    pub(super) written: &'a str,
    pub(super) value: f64,
}

/// A name as it is written where only letters, digits, `_` and `:` may stand: for one a page says
/// `http.requests`, an older library for the same `http_requests`.
pub(super) fn plain(name: &str) -> String {
    plain_chars(name).collect()
}

/// Whether a name is written so.
pub(super) fn is_plain(name: &str, plain: &str) -> bool {
    plain_chars(name).eq(plain.chars())
}

fn plain_chars(name: &str) -> impl Iterator<Item = char> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == ':' {
            c
        } else {
            '_'
        }
    };
    name.chars().map(plain)
}

/// The samples of a page, and how many lines can't be read.
pub(super) fn samples(text: &str) -> impl Iterator<Item = Result<Sample<'_>, &str>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| sample(line).ok_or(line))
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let after = line.trim_start_matches(is_name);
    let mut name = line[..line.len() - after.len()].to_owned();
    let mut rest = after.trim_start();
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        let (inner, found, end) = braces(inside)?;
        if let Some(inner) = inner {
            // Not both: outside and within.
            if !name.is_empty() {
                return None;
            }
            name = inner;
        }
        (labels, rest) = (found, &inside[end..]);
    } else if after.len() == rest.len() {
        // Between the name and the value stands a space.
        return None;
    }
    let written = line[..line.len() - rest.len()].trim_end();
    let value = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some(Sample {
        name,
        labels,
        written,
        value,
    })
}

/// What stands within braces: a name, labels, and where the braces end.
fn braces(inside: &str) -> Option<(Option<String>, BTreeMap<String, String>, usize)> {
    let (mut name, mut labels) = (None, BTreeMap::new());
    let mut rest = inside.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((name, labels, inside.len() - after.len()));
        }
        let key = match quoted(rest) {
            Some((key, after)) => {
                rest = after.trim_start();
                key
            }
            None => {
                let (key, _) = rest.split_once('=')?;
                rest = &rest[key.len()..];
                key.trim_end().to_owned()
            }
        };
        if let Some(after) = rest.strip_prefix('=') {
            let (value, after) = quoted(after.trim_start())?;
            labels.insert(key, value);
            rest = after.trim_start();
        } else if name.replace(key).is_some() {
            return None;
        }
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// A text in double quotes at the beginning, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_to_write_a_sample_is_read() {
        for (line, name, labels) in [
            ("up 1", "up", vec![]),
            ("up\t1 1395066363000", "up", vec![]),
            ("a{} 1", "a", vec![]),
            ("a {b=\"c\",} 1 1.5", "a", vec![("b", "c")]),
            ("a{b=\"c\"}1", "a", vec![("b", "c")]),
            ("a{b = \"c\" , d=\"\"} 1", "a", vec![("b", "c"), ("d", "")]),
            ("a{b=\"x\\\"}\\\\n\\n\"} 1", "a", vec![("b", "x\"}\\n\n")]),
            (
                "a{b=\"c\"} 1 # {trace_id=\"}\"} 0.5 1.2",
                "a",
                vec![("b", "c")],
            ),
            ("{\"http.requests\"} 1", "http.requests", vec![]),
            (
                "{\"größe\", code=\"500\"} 1",
                "größe",
                vec![("code", "500")],
            ),
            ("{code=\"500\",\"a b\"} 1", "a b", vec![("code", "500")]),
            (
                "a{\"http.code\"=\"500\"} +Inf",
                "a",
                vec![("http.code", "500")],
            ),
        ] {
            let sample = sample(line).unwrap_or_else(|| panic!("{line}"));
            let labels = labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            assert_eq!(
                (sample.name.as_str(), sample.labels),
                (name, labels.collect()),
                "{line}"
            );
        }
        for line in [
            "a",
            "a{b=\"c\"",
            "a{b=c} 1",
            "{b=\"c\"} 1",
            "a{\"x\"} 1",
            "{\"x\",\"y\"} 1",
            "a x",
            "1",
            "a{b=\"c\" d=\"e\"} 1",
            "<html>",
            "größe 1",
        ] {
            assert_eq!(sample(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "(a|[{}\"=,\\\\ 0-9zé\t#.]){0,40}") {
            sample(&line);
            plain(&line);
        }
    }
}
