//! YAML to a tree that knows where each part stands.
//!
//! Only what a runbook needs: one document, no anchors, no aliases, no tags, keys that are text.
//! Size and depth are bounded, so that no text can take more than its share.

use granit_parser::{Event, Parser, ScalarStyle};

use super::source::{At, Finding, Span};

/// Most bytes of a runbook.
pub const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most values and keys.
const MAX_NODES: usize = 20_000;

/// A part of the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A word, a number, a text.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Keys with values, in order; no key twice.
    Map(Vec<(At<String>, Node)>),
}

/// A word, a number, a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its text after YAML's own unescaping.
    pub text: String,
    /// Written without quotes: may mean a number, `true`, `false` or `null`.
    pub plain: bool,
}

impl Node {
    /// For people: `a list`, `a map`, `text`.
    pub fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() => "nothing",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

impl Scalar {
    /// Nothing is written: empty, `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The JSON value that YAML 1.2's core schema gives it.
    pub fn value(&self) -> serde_json::Value {
        if !self.plain {
            return self.text.clone().into();
        }
        if self.is_null() {
            return serde_json::Value::Null;
        }
        match self.text.as_str() {
            "true" | "True" | "TRUE" => return true.into(),
            "false" | "False" | "FALSE" => return false.into(),
            _ => {}
        }
        if let Ok(number) = self.text.parse::<i64>() {
            return number.into();
        }
        let numeric = self
            .text
            .starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && self
                .text
                .chars()
                .all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
        if numeric
            && let Ok(number) = self.text.parse::<f64>()
            && number.is_finite()
        {
            return number.into();
        }
        self.text.clone().into()
    }
}

/// Reads the one document of a text. All findings that the parser can tell in one go.
pub fn read(text: &str) -> Result<Node, Vec<Finding>> {
    if text.len() > MAX_BYTES {
        return Err(vec![
            Finding::error(
                Span::new(0, 1),
                format!(
                    "a runbook is at most {} KiB; this one has {} KiB",
                    MAX_BYTES / 1024,
                    text.len() / 1024
                ),
            )
            .help("split it, and call the parts with `runbook:`"),
        ]);
    }
    let mut reader = Reader {
        text,
        parser: Parser::new_from_str(text),
        offsets: char_offsets(text),
        nodes: 0,
        findings: Vec::new(),
        last: Span::default(),
        before: 0,
    };
    match reader.document() {
        Ok(node) if reader.findings.is_empty() => Ok(node),
        Ok(_) => Err(reader.findings),
        Err(Stop(finding)) => {
            reader.findings.push(finding);
            Err(reader.findings)
        }
    }
}

/// Byte offset of each character, and of the end; empty for pure ASCII, where both are the same.
fn char_offsets(text: &str) -> Vec<usize> {
    if text.is_ascii() {
        return Vec::new();
    }
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect()
}

/// Reading can't go on.
struct Stop(Finding);

fn stop<T>(span: Span, message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop(Finding::error(span, message)))
}

fn stop_help<T>(span: Span, message: &str, help: &str) -> Result<T, Stop> {
    Err(Stop(Finding::error(span, message).help(help)))
}

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    offsets: Vec<usize>,
    nodes: usize,
    findings: Vec<Finding>,
    last: Span,
    /// Where what came before the last event ends.
    before: usize,
}

impl<'t> Reader<'t> {
    fn offset(&self, chars: usize) -> usize {
        if self.offsets.is_empty() {
            return chars;
        }
        let last = self.offsets.len() - 1;
        self.offsets[chars.min(last)]
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        // Whether comments are told is another crate's choice too: features are united.
        let told =
            |event: &Result<(Event<'t>, _), _>| !matches!(event, Ok((Event::Comment(..), _)));
        match self.parser.by_ref().find(told) {
            None => stop(self.last, "the text ends too early"),
            Some(Err(error)) => {
                let at = self.offset(error.marker().index());
                let finding = Finding::error(Span::new(at, at + 1), error.info().clone());
                Err(Stop(hinted(finding)))
            }
            Some(Ok((event, span))) => {
                let span = Span::new(
                    self.offset(span.start.index()),
                    self.offset(span.end.index()),
                );
                self.before = self.last.end;
                self.last = span;
                Ok((event, span))
            }
        }
    }

    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) => {
                    if root.is_some() {
                        let help = "one runbook a file";
                        return stop_help(span, "a second document begins here", help);
                    }
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                Event::StreamEnd => {
                    let help = "`treasury-bot runbook schema` tells what a runbook is";
                    return root.map_or_else(|| stop_help(span, "the file is empty", help), Ok);
                }
                _ => return stop(span, "this can't stand here"),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return stop(span, format!("a runbook has at most {MAX_NODES} values"));
        }
        if depth > MAX_DEPTH {
            return stop(span, format!("nested more than {MAX_DEPTH} deep"));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_only(span, anchor, tag.is_some());
                let (text, plain) = (text.into_owned(), style == ScalarStyle::Plain);
                let kind = Kind::Scalar(Scalar { text, plain });
                Ok(Node { kind, span })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.plain_only(span, anchor, tag.is_some());
                let mut items = Vec::new();
                loop {
                    let (event, at) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        let span = Span::new(span.start, at.end.max(span.start));
                        let kind = Kind::List(items);
                        return Ok(Node { kind, span });
                    }
                    items.push(self.node(event, at, depth + 1)?);
                }
            }
            Event::MappingStart(_, anchor, tag) => {
                self.plain_only(span, anchor, tag.is_some());
                self.map(span, depth)
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => stop_help(
                span,
                "aliases are not used in runbooks",
                "write it out, or put it into a runbook of its own and call it",
            ),
            _ => stop(span, "a value is missing here"),
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut pairs: Vec<(At<String>, Node)> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                let span = Span::new(start.start, at.end.max(start.start));
                let kind = Kind::Map(pairs);
                return Ok(Node { kind, span });
            }
            let key = self.node(event, at, depth + 1)?;
            let key = match key.kind {
                Kind::Scalar(scalar) => At::new(scalar.text, key.span),
                _ => {
                    return stop_help(
                        key.span,
                        "a key must be a single word",
                        "a value that begins with `{` must be quoted; an expression is written \
                         ${{ … }}",
                    );
                }
            };
            if pairs.iter().any(|(other, _)| other.value == key.value) {
                self.findings.push(Finding::error(
                    key.span,
                    format!("the key `{}` stands here a second time", cut(&key.value)),
                ));
            }
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            pairs.push((key, value));
        }
    }

    fn plain_only(&mut self, span: Span, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.findings.push(Finding::error(
                self.sign('&', span),
                "anchors are not used in runbooks: write it out where it is needed",
            ));
        }
        if tagged {
            let span = self.sign('!', span);
            let finding = Finding::error(span, "tags (`!…`) are not used in runbooks");
            let tag = self.text.get(span.start..span.end).unwrap_or_default();
            let negated = tag.trim_start_matches('!');
            self.findings.push(match tag.len() - negated.len() {
                1 if !negated.is_empty() => finding.help(format!(
                    "to negate, write `not {}`; a text that begins with `!` is quoted",
                    cut(negated)
                )),
                _ => finding.help("leave it out"),
            });
        }
    }

    /// Where the tag or the anchor of a value stands: the parser tells where the value does, which for
    /// an empty one is behind the end of the line.
    fn sign(&self, sign: char, value: Span) -> Span {
        let from = self.before.min(value.start);
        let mut rest = self.text.get(from..).unwrap_or_default();
        let mut at = from;
        while let Some(c) = rest.chars().next() {
            let length = match c {
                '#' => rest.find('\n').unwrap_or(rest.len()),
                c if c == sign => {
                    let ends = |c: char| c.is_whitespace() || ",[]{}".contains(c);
                    let length = rest.find(ends).unwrap_or(rest.len());
                    return Span::new(at, at + length);
                }
                // The other sign may stand before it, with a name of its own.
                '&' | '!' => rest.find(char::is_whitespace).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            at += length;
            rest = &rest[length..];
        }
        value
    }
}

/// Adds what most often is behind a parser's complaint.
fn hinted(finding: Finding) -> Finding {
    let text = finding.message.to_lowercase();
    if text.contains("tab") {
        finding.help("YAML is indented by spaces, never by tabs")
    } else if text.contains("mapping values") || text.contains("simple key") {
        finding.help("quote a text that contains `: `, and look at the indentation")
    } else if text.contains("unknown anchor") {
        finding.help("aliases are not used in runbooks; a text that begins with `*` is quoted")
    } else if text.contains("unexpected character") {
        finding.help("a text that begins with this character is quoted")
    } else {
        finding
    }
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(text: &str) -> Finding {
        read(text).unwrap_err().remove(0)
    }

    #[test]
    fn each_part_knows_where_it_stands() {
        let text = "# comment\nnäme: x\nsteps:\n  - uses: \"a b\"\n    n: 12\n";
        let Kind::Map(pairs) = read(text).unwrap().kind else {
            panic!("a map");
        };
        let slice = |span: Span| &text[span.start..span.end];
        assert_eq!(slice(pairs[0].0.span), "näme");
        assert_eq!(slice(pairs[0].1.span), "x");
        let Kind::List(items) = &pairs[1].1.kind else {
            panic!("a list");
        };
        let Kind::Map(step) = &items[0].kind else {
            panic!("a map");
        };
        assert_eq!(slice(step[0].1.span), "\"a b\"");
        assert_eq!(slice(step[1].1.span), "12");
    }

    #[test]
    fn scalars_mean_what_yaml_1_2_says() {
        for (text, value) in [
            ("12", serde_json::json!(12)),
            ("-1.5", serde_json::json!(-1.5)),
            ("no", serde_json::json!("no")),
            ("true", serde_json::json!(true)),
            ("\"true\"", serde_json::json!("true")),
            ("~", serde_json::json!(null)),
            ("1.4.2", serde_json::json!("1.4.2")),
            ("10m", serde_json::json!("10m")),
            ("nan", serde_json::json!("nan")),
        ] {
            let Kind::Scalar(scalar) = read(text).unwrap().kind else {
                panic!("a scalar");
            };
            assert_eq!(scalar.value(), value, "{text}");
        }
    }

    #[test]
    fn what_a_runbook_does_not_need_is_refused() {
        for (text, words) in [
            ("", "empty"),
            ("a: &x 1\nb: 2", "anchors"),
            ("a: &x 1\nb: *x", "aliases"),
            ("a: !!python/object x", "tags"),
            ("a: 1\na: 2", "second time"),
            ("a: 1\n---\nb: 2", "second document"),
            ("a: {{ x }}", "single word"),
            ("a:\n\tb: 1", "tab"),
            ("a: [1, 2", ""),
        ] {
            let told = format!("{:?}", read(text).unwrap_err());
            assert!(told.to_lowercase().contains(words), "{text}: {told}");
        }
    }

    /// The first finding's place, as marks in the text.
    fn marked(text: &str) -> String {
        let span = first(text).span;
        let (start, end) = (span.start, span.end.min(text.len()));
        format!("{}«{}»{}", &text[..start], &text[start..end], &text[end..])
    }

    #[test]
    fn the_mark_stands_where_the_mistake_is() {
        for expected in [
            "- when: «!x»\n  note: n\n",
            "- when: «!x»",
            "when: «!x» y\n",
            "när: «!x»  # !not this\n",
            "# !not this\nwhen: «!x»\n",
            "- «!x»\n- b\n",
            "[a, «!x», b]",
            "{a: «!x», b: 1}",
            "a: «!!map»\n  b: 1\n",
            "a: «!x»\n  - b\n",
            "a: «!!str» \"x\"\n",
            "a: «!x» |\n  text\n",
            "a: «&b» 1\n",
            "a: «&b»\n  c: 1\n",
            "a: 1\nb: «*»c\n",
            "a: 1\n«a»: 2\n",
        ] {
            let text = expected.replace(['«', '»'], "");
            assert_eq!(marked(&text), expected);
        }
        let help = |text| first(text).help.unwrap_or_default();
        assert!(help("when: !steps.a.up").contains("write `not steps.a.up`"));
        assert_eq!(help("a: !!str x"), "leave it out");
    }

    #[test]
    fn bombs_are_small() {
        let deep = format!("a: {}", "[".repeat(100_000));
        assert!(first(&deep).message.contains("nested") || !first(&deep).message.is_empty());
        let wide = format!("a: [{}]", "1,".repeat(60_000));
        assert!(first(&wide).message.contains("at most"));
        let large = "a".repeat(MAX_BYTES + 1);
        assert!(first(&large).message.contains("KiB"));
        let laughs = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n";
        assert!(read(laughs).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~äö€\n\t:{}\\[\\]&*!|>'\"#-]{0,200}") {
            if let Err(findings) = read(&text) {
                let source = super::super::source::Source::new("x.yml", &text);
                for finding in findings {
                    prop_assert!(!source.explain(&finding).to_string().is_empty());
                }
            }
        }
    }
}
