//! The arguments of a call, from a form, a query or JSON, and the errors it may end in.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value, json};

/// An `ok: false` answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub code: String,
    /// For `response_metadata.messages`.
    pub messages: Vec<String>,
    extra: Map<String, Value>,
}

impl ApiError {
    pub fn new(code: &str) -> Self {
        Self {
            code: code.to_string(),
            messages: Vec::new(),
            extra: Map::new(),
        }
    }

    /// With what Slack explains under `errors` and `response_metadata.messages`.
    pub fn explained(code: &str, messages: Vec<String>) -> Self {
        Self {
            messages,
            ..Self::new(code)
        }
    }

    /// With one more field in the answer.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.extra.insert(key.to_string(), value);
        self
    }

    /// The JSON of the answer.
    pub fn answer(&self) -> Value {
        let mut out = json!({"ok": false, "error": self.code});
        for (key, value) in &self.extra {
            out[key] = value.clone();
        }
        if !self.messages.is_empty() {
            let lines = self.messages.iter().map(|m| format!("[ERROR] {m}"));
            out["errors"] = json!(self.messages);
            out["response_metadata"] = json!({"messages": lines.collect::<Vec<_>>()});
        }
        out
    }
}

impl From<&str> for ApiError {
    fn from(code: &str) -> Self {
        Self::new(code)
    }
}

/// What a call comes to: the fields of an `ok: true` answer, or an error.
pub(super) type Outcome = Result<Value, ApiError>;

/// The arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Args {
    values: Map<String, Value>,
    token: Option<String>,
}

impl Args {
    /// Arguments from a JSON object.
    pub fn from_json(value: Value) -> Self {
        match value {
            Value::Object(values) => Self {
                values,
                token: None,
            },
            _ => Self::default(),
        }
    }

    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// All of them as JSON, for the record.
    pub fn without_token(&self) -> Value {
        Value::Object(self.values.clone())
    }

    pub fn raw(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|v| !v.is_null())
    }

    /// A text that is there and not empty.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.raw(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A text, or `invalid_arguments` in Slack's words.
    pub fn required(&self, key: &str) -> Result<String, ApiError> {
        self.text(key).ok_or_else(|| {
            let why = format!("missing required field: {key}");
            ApiError::explained("invalid_arguments", vec![why])
        })
    }

    pub fn flag(&self, key: &str) -> bool {
        match self.raw(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true" || text == "1",
            Some(Value::Number(number)) => number.as_i64() == Some(1),
            _ => false,
        }
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        match self.raw(key)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Structured data: JSON itself, or a string that holds JSON, as in forms.
    pub fn json(&self, key: &str) -> Result<Option<Value>, ()> {
        match self.raw(key) {
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(|_| ()),
            Some(value) => Ok(Some(value.clone())),
            None => Ok(None),
        }
    }

    /// A list: JSON array or words divided by commas.
    pub fn list(&self, key: &str) -> Vec<String> {
        match self.raw(key) {
            Some(Value::Array(items)) => items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_string)
                .collect(),
            Some(Value::String(text)) => text
                .split(',')
                .map(str::trim)
                .filter(|w| !w.is_empty())
                .map(str::to_string)
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Reads the arguments of a request. As in Slack, the token of a JSON call stands in the header.
pub(crate) fn parse(
    headers: &HeaderMap,
    query: Option<&str>,
    body: &[u8],
) -> Result<Args, ApiError> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|v: &axum::http::HeaderValue| v.to_str().ok())
    };
    let bearer = text(header::AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let mut values = Map::new();
    let mut add = |encoded: &[u8]| {
        for (key, value) in url::form_urlencoded::parse(encoded) {
            values.insert(key.into_owned(), Value::String(value.into_owned()));
        }
    };
    add(query.unwrap_or_default().as_bytes());
    let mut form_token = None;
    if kind.starts_with("application/json") {
        if !body.is_empty() {
            let given = serde_json::from_slice(body).map_err(|_| ApiError::from("invalid_json"))?;
            let Value::Object(given) = given else {
                return Err("json_not_object".into());
            };
            values.extend(given);
        }
        values.remove("token");
    } else {
        add(body);
        form_token = values
            .remove("token")
            .and_then(|t| t.as_str().map(str::to_string));
    }
    Ok(Args {
        values,
        token: bearer.map(str::to_string).or(form_token),
    })
}

/// A page of a list, from `cursor` and `limit`.
#[derive(Debug)]
pub(crate) struct Page {
    pub from: usize,
    pub size: usize,
}

impl Page {
    /// Reads `cursor` and `limit`.
    pub fn of(args: &Args, default: usize, most: usize) -> Result<Self, ApiError> {
        let from = match args.text("cursor") {
            None => 0,
            Some(cursor) => cursor
                .strip_suffix('=')
                .and_then(|hex| usize::from_str_radix(hex, 16).ok())
                .ok_or("invalid_cursor")?,
        };
        let size = match args.raw("limit") {
            None => default,
            Some(_) => args
                .number("limit")
                .filter(|n| *n > 0)
                .ok_or("invalid_limit")? as usize,
        };
        Ok(Self {
            from,
            size: size.min(most),
        })
    }

    /// The items of this page and the cursor of the next one, empty at the end.
    pub fn cut<T>(&self, all: impl Iterator<Item = T>) -> (Vec<T>, String) {
        let mut rest = all.skip(self.from);
        let page: Vec<_> = rest.by_ref().take(self.size).collect();
        let more = rest.next().is_some();
        // Ends in `=`, like Slack's, so that clients that do not encode it are found out.
        let next = if more {
            format!("{:x}=", self.from + self.size)
        } else {
            String::new()
        };
        (page, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (k.clone(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn forms_and_json_say_the_same() {
        let json = headers(&[
            (header::CONTENT_TYPE, "application/json; charset=utf-8"),
            (header::AUTHORIZATION, "Bearer xoxb-1"),
        ]);
        let a = parse(&json, None, br#"{"limit":3,"blocks":[],"inclusive":true}"#).unwrap();
        let b = parse(
            &headers(&[]),
            Some("limit=3"),
            b"token=xoxb-1&blocks=[]&inclusive=1",
        )
        .unwrap();
        for args in [a, b] {
            assert_eq!(args.token(), Some("xoxb-1"));
            assert_eq!(args.number("limit"), Some(3));
            assert_eq!(args.json("blocks"), Ok(Some(json!([]))));
            assert!(args.flag("inclusive"));
        }
    }

    #[test]
    fn a_token_inside_json_does_not_count() {
        let kind = headers(&[(header::CONTENT_TYPE, "application/json")]);
        assert_eq!(
            parse(&kind, None, br#"{"token":"xoxb-1"}"#)
                .unwrap()
                .token(),
            None
        );
        assert_eq!(parse(&kind, None, b"{").unwrap_err().code, "invalid_json");
        assert_eq!(
            parse(&kind, None, b"[]").unwrap_err().code,
            "json_not_object"
        );
    }

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let mut args = Args::from_json(json!({"limit": 2}));
        let mut seen = Vec::new();
        loop {
            let (page, next) = Page::of(&args, 100, 1_000).unwrap().cut(0..5);
            seen.extend(page);
            if next.is_empty() {
                break;
            }
            args = Args::from_json(json!({"limit": 2, "cursor": next}));
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        let wrong = Args::from_json(json!({"cursor": "zz"}));
        assert_eq!(Page::of(&wrong, 1, 1).unwrap_err().code, "invalid_cursor");
    }
}
