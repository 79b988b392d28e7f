//! A request as it goes out, and how one is made of templates.

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::template::{Field, Template, Values, in_header, in_url, plain};

/// A request that is to be sent.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) media_type: Option<&'static str>,
    pub(super) body: String,
}

impl Call {
    /// JSON by POST.
    pub(super) fn json(url: String, body: &Value) -> Self {
        Self {
            method: Method::POST,
            url,
            headers: Vec::new(),
            media_type: Some("application/json"),
            body: body.to_string(),
        }
    }

    /// A form by POST; what is empty is left out.
    pub(super) fn form(url: String, fields: &[(&str, String)]) -> Self {
        Self {
            method: Method::POST,
            url,
            headers: Vec::new(),
            media_type: Some("application/x-www-form-urlencoded"),
            body: encoded(fields.iter().map(|(name, value)| (*name, value.as_str()))),
        }
    }

    /// With this header.
    pub(super) fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

fn encoded<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let fields = fields.filter(|(_, value)| !value.is_empty());
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// A request of the configuration's own making.
#[derive(Debug, Clone)]
pub struct General {
    /// How.
    pub method: Method,
    /// Where to; no placeholder stands in scheme, host or port.
    pub url: Template,
    /// Headers.
    pub headers: Vec<(HeaderName, Template)>,
    /// The body.
    pub body: Body,
}

/// What a request carries.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing.
    None,
    /// JSON.
    Json(JsonTemplate),
    /// Fields as of a form on a page.
    Form(Vec<(String, Template)>),
    /// Plain text.
    Text(Template),
}

/// JSON with templates for strings.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTemplate {
    /// A string.
    Text(Template),
    /// A number, or true or false.
    Fixed(Value),
    /// A list.
    List(Vec<JsonTemplate>),
    /// An object.
    Table(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    /// An object of all that is known, each under the placeholder's name; no secret.
    pub fn all() -> Self {
        let fields = Field::ALL.into_iter();
        let fields = fields.filter(|(_, field)| *field != Field::Token);
        let fields =
            fields.map(|(name, field)| (name.to_owned(), Self::Text(Template::field(field))));
        Self::Table(fields.collect())
    }

    /// Any of its strings holds this placeholder.
    fn uses(&self, field: Field) -> bool {
        match self {
            Self::Text(text) => text.uses(field),
            Self::Fixed(_) => false,
            Self::List(list) => list.iter().any(|one| one.uses(field)),
            Self::Table(table) => table.iter().any(|(_, one)| one.uses(field)),
        }
    }

    fn fill(&self, values: &Values) -> Value {
        match self {
            Self::Text(text) => text.fill(values, plain).into(),
            Self::Fixed(value) => value.clone(),
            Self::List(list) => list.iter().map(|one| one.fill(values)).collect(),
            Self::Table(table) => {
                let fields = table
                    .iter()
                    .map(|(key, one)| (key.clone(), one.fill(values)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

impl General {
    /// A person's `to` has a place of its own: `None` where it is one of all that is said.
    pub(super) fn needs_to(&self) -> Option<bool> {
        let is_usual = matches!(&self.body, Body::Json(json) if *json == JsonTemplate::all());
        let outside = |one: &Template| one.uses(Field::To);
        let beside = outside(&self.url) || self.headers.iter().any(|(_, one)| outside(one));
        (beside || !is_usual).then(|| self.uses(Field::To))
    }

    /// Any part of it holds this placeholder.
    pub fn uses(&self, field: Field) -> bool {
        let in_body = match &self.body {
            Body::None => false,
            Body::Json(json) => json.uses(field),
            Body::Form(fields) => fields.iter().any(|(_, one)| one.uses(field)),
            Body::Text(text) => text.uses(field),
        };
        in_body || self.url.uses(field) || self.headers.iter().any(|(_, one)| one.uses(field))
    }

    pub(super) fn call(&self, values: &Values) -> Call {
        let (media_type, body) = match &self.body {
            Body::None => (None, String::new()),
            Body::Json(json) => (Some("application/json"), json.fill(values).to_string()),
            Body::Text(text) => (Some("text/plain; charset=utf-8"), text.fill(values, plain)),
            Body::Form(fields) => {
                let fields: Vec<(&str, String)> = fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.fill(values, plain)))
                    .collect();
                let body = encoded(fields.iter().map(|(name, value)| (*name, value.as_str())));
                (Some("application/x-www-form-urlencoded"), body)
            }
        };
        let headers = self.headers.iter();
        Call {
            method: self.method.clone(),
            url: self.url.fill(values, in_url),
            headers: headers
                .map(|(name, value)| (name.clone(), value.fill(values, in_header)))
                .collect(),
            media_type,
            body,
        }
    }
}

/// A header's value; of a secret it is nowhere shown.
pub(super) fn value(text: &str) -> Result<HeaderValue, hyper::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}
