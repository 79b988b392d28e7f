//! Texts with expressions in them: `${{ … }}`, as in GitHub Actions, because a plain YAML value may
//! begin with it. A value that is one expression and nothing else keeps its type.

use serde_json::{Map, Value};

use super::expr::{self, EvalError, Expr, MAX_TEXT, Scope, Values};
use super::source::{At, Finding, Span};
use super::types::Type;

/// A text with expressions in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
    /// Where the whole text stands in the runbook.
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// The expression, and its own text.
    Expr(Expr, String),
}

/// Most expressions in one text.
const MAX_PARTS: usize = 50;

/// `‹memory percent›` of `round(default(steps.before.memory_percent, 0))`: the last part of the first
/// name in it.
fn name_of(expression: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let mut words = expression.split(|c| !is_word(c));
    let path = words.find(|word| word.contains('.') && !word.starts_with(|c: char| c.is_numeric()));
    let name = path.unwrap_or(expression).trim();
    let name = name.rsplit('.').next().unwrap_or(name);
    format!("‹{}›", name.replace('_', " "))
}

impl Template {
    /// Reads a text. `place` tells where the byte of an offset of `text` stands in the runbook.
    pub fn parse(text: &str, span: Span, place: impl Fn(usize) -> usize) -> Result<Self, Finding> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(start) = text[at..].find("${{") {
            let start = at + start;
            if start > at {
                parts.push(Part::Text(text[at..start].to_owned()));
            }
            let inner = start + 3;
            let Some(length) = closing(&text[inner..]) else {
                let from = place(start);
                return Err(Finding::error(
                    Span::new(from, from + 3),
                    "`${{` is not closed with `}}`",
                ));
            };
            let own = &text[inner..inner + length];
            let parsed = parsed(own, |offset| place(inner + offset))?;
            parts.push(Part::Expr(parsed, own.to_owned()));
            at = inner + length + 2;
            if parts.len() > MAX_PARTS {
                return Err(Finding::error(
                    span,
                    format!("a text has at most {MAX_PARTS} expressions"),
                ));
            }
        }
        if at < text.len() || parts.is_empty() {
            parts.push(Part::Text(text[at..].to_owned()));
        }
        Ok(Self { parts, span })
    }

    /// The text, if there is no expression in it.
    pub fn fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The one expression that is all of it.
    fn whole(&self) -> Option<&Expr> {
        match self.parts.as_slice() {
            [Part::Expr(expr, _)] => Some(expr),
            _ => None,
        }
    }

    /// As it is written, for people.
    pub fn written(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Expr(_, own) => format!("${{{{{own}}}}}"),
            })
            .collect()
    }

    /// As it is written, with names for what is only known once it runs: `‹service›`.
    pub fn named(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Expr(_, own) => name_of(own),
            })
            .collect()
    }

    /// It tells of results of steps.
    pub fn tells_results(&self) -> bool {
        let own = |part: &Part| matches!(part, Part::Expr(_, own) if own.contains("steps."));
        self.parts.iter().any(own)
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expr(expr, ..) => Some(expr),
            Part::Text(_) => None,
        })
    }

    /// The type it has; what is wrong is added to `findings`.
    pub fn check(&self, scope: &Scope, findings: &mut Vec<Finding>) -> Type {
        if let Some(expr) = self.whole() {
            return expr::check(expr, scope, findings);
        }
        for expr in self.expressions() {
            expr::check(expr, scope, findings);
        }
        Type::Text
    }

    /// Its value; where the type counts.
    pub fn value(&self, values: &Values) -> Result<Value, EvalError> {
        match self.whole() {
            Some(expr) => expr::eval(expr, values),
            None => self.text(values).map(Value::String),
        }
    }

    /// Its text, for people.
    pub fn text(&self, values: &Values) -> Result<String, EvalError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Expr(expr, _) => {
                    text.push_str(&expr::text_of(&expr::eval(expr, values)?));
                }
            }
            if text.len() > MAX_TEXT {
                return Err(EvalError {
                    span: self.span,
                    message: format!("the text has more than {} KiB", MAX_TEXT / 1024),
                });
            }
        }
        Ok(text)
    }
}

/// Where `}}` closes the expression; not within a text of it.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '}') if text[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    // An open quote: the parser tells of it better.
    quote.and_then(|_| text.find("}}"))
}

/// Reads an expression, and says where its parts stand.
fn parsed(text: &str, place: impl Fn(usize) -> usize) -> Result<Expr, Finding> {
    let stands = |span: Span| {
        let start = place(span.start);
        // Between its last byte and the next one there may be an indentation.
        let end = place(span.end.max(1) - 1) + 1;
        Span::new(start, end.max(start))
    };
    let mut expr = expr::parse(text).map_err(|finding| Finding {
        span: stands(finding.span),
        ..finding
    })?;
    expr.stands(&stands);
    Ok(expr)
}

/// A condition or another bare expression of a runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The expression.
    pub expr: Expr,
    /// As it is written.
    pub written: String,
    /// Where the whole stands.
    pub span: Span,
}

impl Condition {
    /// Reads an expression that begins at this place; `${{ }}` around all of it is allowed.
    pub fn parse(text: &str, span: Span, place: impl Fn(usize) -> usize) -> Result<Self, Finding> {
        let trimmed = text.trim();
        let inner = trimmed
            .strip_prefix("${{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .unwrap_or(trimmed);
        let begin = inner.as_ptr() as usize - text.as_ptr() as usize;
        let expr = parsed(inner, |offset| place(begin + offset))?;
        Ok(Self {
            expr,
            written: inner.trim().to_owned(),
            span,
        })
    }

    /// Its type; what is wrong is added to `findings`.
    pub fn check(&self, scope: &Scope, findings: &mut Vec<Finding>) -> Type {
        expr::check(&self.expr, scope, findings)
    }

    /// Its value.
    pub fn value(&self, values: &Values) -> Result<Value, EvalError> {
        expr::eval(&self.expr, values)
    }

    /// By its values, for people: `memory 91 % ≥ 90 %: yes`.
    pub fn shown(&self, values: &Values) -> String {
        expr::shown(&self.expr, values)
    }

    /// Whether it holds.
    pub fn holds(&self, values: &Values) -> Result<bool, EvalError> {
        match self.value(values)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(EvalError {
                span: self.span,
                message: format!("`{}` is neither true nor false: {other}", self.written),
            }),
        }
    }
}

/// A value of `with:`: fixed, computed, or made of such.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A fixed value that is no text.
    Fixed(Value),
    /// A text, perhaps with expressions.
    Text(Template),
    /// A list.
    List(Vec<At<Shape>>),
    /// A record.
    Record(Vec<(At<String>, At<Shape>)>),
}

impl Shape {
    /// Its type; what is wrong is added to `findings`.
    pub fn check(&self, scope: &Scope, findings: &mut Vec<Finding>) -> Type {
        match self {
            Self::Fixed(value) => Type::of(value),
            Self::Text(template) => template.check(scope, findings),
            Self::List(items) => {
                let item = items
                    .iter()
                    .map(|item| item.value.check(scope, findings))
                    .reduce(Type::join);
                Type::List(Box::new(item.unwrap_or(Type::Any)))
            }
            Self::Record(fields) => Type::record(
                fields
                    .iter()
                    .map(|(name, field)| (name.value.clone(), field.value.check(scope, findings))),
            ),
        }
    }

    /// Its value.
    pub fn value(&self, values: &Values) -> Result<Value, EvalError> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Text(template) => template.value(values),
            Self::List(items) => items
                .iter()
                .map(|item| item.value.value(values))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Self::Record(fields) => {
                let mut record = Map::new();
                for (name, field) in fields {
                    record.insert(name.value.clone(), field.value.value(values)?);
                }
                Ok(Value::Object(record))
            }
        }
    }

    /// Looks at each expression in it.
    pub fn each(&self, look: &mut impl FnMut(&Expr)) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(template) => template.expressions().for_each(look),
            Self::List(items) => items.iter().for_each(|item| item.value.each(look)),
            Self::Record(fields) => fields.iter().for_each(|(_, field)| field.value.each(look)),
        }
    }

    /// The value, if nothing in it is computed.
    pub fn fixed(&self) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Text(template) => template.fixed().map(|text| Value::String(text.to_owned())),
            Self::List(items) => items
                .iter()
                .map(|item| item.value.fixed())
                .collect::<Option<_>>()
                .map(Value::Array),
            Self::Record(fields) => fields
                .iter()
                .map(|(name, field)| Some((name.value.clone(), field.value.fixed()?)))
                .collect::<Option<Map<_, _>>>()
                .map(Value::Object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(text: &str) -> Result<Template, Finding> {
        Template::parse(text, Span::new(100, 100 + text.len()), |offset| {
            100 + offset
        })
    }

    fn values() -> Values {
        let Value::Object(names) = json!({"params": {"n": 3, "s": "api", "l": ["a", "b"]}}) else {
            panic!("a record");
        };
        Values {
            names,
            ..Values::default()
        }
    }

    #[test]
    fn one_expression_keeps_its_type_and_a_text_is_a_text() {
        for (text, value) in [
            ("${{ params.n }}", json!(3)),
            ("${{ params.l }}", json!(["a", "b"])),
            ("n is ${{ params.n }}", json!("n is 3")),
            ("${{ params.s }}${{ params.n }}", json!("api3")),
            ("${{ '}}' + params.s }}", json!("}}api")),
            ("plain", json!("plain")),
            ("", json!("")),
        ] {
            assert_eq!(
                template(text).unwrap().value(&values()).unwrap(),
                value,
                "{text}"
            );
        }
    }

    #[test]
    fn a_mistake_is_told_where_it_is() {
        let text = "restart ${{ params. }} now";
        let finding = template(text).unwrap_err();
        assert_eq!(finding.span.start - 100, text.find(" }}").unwrap() + 1);
        let finding = template("a ${{ b").unwrap_err();
        assert_eq!(finding.span, Span::new(102, 105));
        let error = template("x ${{ params.m }}")
            .unwrap()
            .value(&values())
            .unwrap_err();
        assert_eq!(error.span.start, 100 + "x ${{ params.".len());
    }
}
