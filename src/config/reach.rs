//! `[reach.NAME]`: ways to reach people by HTTP.

use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderName};
use secrecy::SecretString;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::at::{At, did_you_mean};
use super::kind::Kind;
use super::names::is_label;
use super::section::{Section, kind_of, place};
use crate::notify::http::{
    Body, Field, General, JsonTemplate, Service, Template, TemplateError, WayConfig,
};

pub(super) const REACH: Kind = Kind::single(
    "reach",
    "preset url token_file account user from method headers json form text timeout",
);

/// The keys that make a request of one's own.
const OWN: [&str; 5] = ["method", "headers", "json", "form", "text"];

/// What is written as `preset`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preset {
    Ntfy,
    Pushover,
    Gotify,
    Twilio,
    PagerDuty,
    Webhook,
}

/// A way: what its preset says, or what the section says itself.
pub(super) fn way(name: &At<'_>, section: &Section<'_>) -> Option<WayConfig> {
    let is_name = is_label(name.value) && !["slack", "email"].contains(&name.value);
    if !is_name {
        let message = format!("a way can't be called `{}`", name.value);
        let hint = "use lower-case letters, digits and `-`; `slack` and `email` are there already";
        name.error(message, hint);
    }
    let words = [
        ("ntfy", Preset::Ntfy),
        ("pushover", Preset::Pushover),
        ("gotify", Preset::Gotify),
        ("twilio", Preset::Twilio),
        ("pagerduty", Preset::PagerDuty),
        ("webhook", Preset::Webhook),
    ];
    let preset = match section.text("preset") {
        Some(text) => text.one_of(&words),
        None => Some(Preset::Webhook),
    };
    let token = token(section, name.value);
    let service = preset.and_then(|preset| service(section, preset, token.is_some()));
    let needs_token = match (&service, preset) {
        (Some(Service::General(general)), _) => general.uses(Field::Token),
        (_, Some(Preset::Ntfy | Preset::Webhook) | None) => false,
        _ => true,
    };
    if needs_token && section.lacks(token.as_ref(), "token") {
        let variable = variable(name.value);
        let hint = format!(
            "set {variable}, or `token_file` in `[reach.{}]`",
            name.value
        );
        section.error(format!("`reach.{}` needs a token", name.value), hint);
    }
    let timeout = section.timeout(std::time::Duration::from_secs(10));
    Some(WayConfig {
        name: is_name.then(|| name.value.to_owned())?,
        service: service?,
        token,
        timeout,
    })
}

fn variable(name: &str) -> String {
    let name = name.to_ascii_uppercase().replace('-', "_");
    format!("TREASURY_BOT_REACH_{name}_TOKEN")
}

fn token(section: &Section<'_>, name: &str) -> Option<SecretString> {
    let named = section.text("token_file");
    let set = section.source.environment(&variable(name));
    set.or_else(|| named?.secret())
}

fn service(section: &Section<'_>, preset: Preset, has_token: bool) -> Option<Service> {
    if preset == Preset::Webhook {
        only(section, &["account", "user", "from"], "twilio");
        return general(section, has_token).map(Service::General);
    }
    only(section, &OWN, "webhook");
    if preset != Preset::Twilio {
        only(section, &["account", "user", "from"], "twilio");
    }
    let url = |usual: &str| {
        let Some(text) = section.text("url") else {
            return Some(usual.to_owned());
        };
        Some(text.http()?.as_str().trim_end_matches('/').to_owned())
    };
    Some(match preset {
        Preset::Ntfy => Service::Ntfy(url("https://ntfy.sh")?),
        Preset::Pushover => Service::Pushover(url("https://api.pushover.net")?),
        Preset::PagerDuty => Service::PagerDuty(url("https://events.pagerduty.com")?),
        Preset::Gotify => {
            let hint = "write your server's address, such as `https://gotify.example.com`";
            section.required("url", "Gotify without `url`", hint)?;
            Service::Gotify(url("")?)
        }
        Preset::Twilio => {
            let hint = "write the account's SID (`AC…`), and the number that calls (`+1…`)";
            let account = section.required("account", "Twilio without `account`", hint);
            let from = section.required("from", "Twilio without `from`", hint);
            let (account, from) = (account?.value.to_owned(), from?.value.to_owned());
            Service::Twilio {
                url: url("https://api.twilio.com")?,
                user: section.string("user").unwrap_or_else(|| account.clone()),
                account,
                from,
            }
        }
        Preset::Webhook => return None,
    })
}

/// Reports keys that belong to another preset.
fn only(section: &Section<'_>, keys: &[&str], preset: &str) {
    for key in keys.iter().filter(|key| section.written(key).is_some()) {
        let message = format!("`reach.{key}` is for `preset = \"{preset}\"`");
        section.error_at(key, message, "leave it out");
    }
}

/// A request of its own; what is left out is as of a webhook: all that is known as JSON.
fn general(section: &Section<'_>, has_token: bool) -> Option<General> {
    let hint = "write where it is posted to, such as `https://hooks.example.com/oncall`";
    let url = section.required("url", "a webhook without `url`", hint);
    let url = url.and_then(|text| url_template(&text));
    let methods = [
        ("POST", Method::POST),
        ("PUT", Method::PUT),
        ("GET", Method::GET),
    ];
    let method = section.text("method").and_then(|text| {
        let words: Vec<(&str, &Method)> = methods.iter().map(|(word, one)| (*word, one)).collect();
        text.one_of(&words).cloned()
    });
    let method = method.unwrap_or(Method::POST);
    let bodies = ["json", "form", "text"];
    let mut written = bodies.iter().filter(|key| section.written(key).is_some());
    if let (Some(_), Some(second)) = (written.next(), written.next()) {
        section.error_at(
            second,
            "a request has one body: `json`, `form` or `text`",
            "",
        );
    }
    let body = body(section, &method);
    if method == Method::GET && !matches!(body, Body::None) {
        section.error_at("method", "a GET has no body", "use POST or PUT");
    }
    let mut general = General {
        method,
        url: url?,
        headers: headers(section),
        body,
    };
    if has_token && !general.uses(Field::Token) {
        let bearer = Template::parse("Bearer {token}").ok()?;
        general.headers.push((AUTHORIZATION, bearer));
    }
    Some(general)
}

fn body(section: &Section<'_>, method: &Method) -> Body {
    if let Some(table) = section.free_table("json") {
        return Body::Json(object(section, table));
    }
    if let Some(table) = section.free_table("form") {
        let fields = table.iter().filter_map(|(key, value)| {
            let text = text_of(section, "form", key, value)?;
            Some((key.get_ref().to_string(), text))
        });
        return Body::Form(fields.collect());
    }
    match section.text("text") {
        Some(text) => template(&text).map_or(Body::None, Body::Text),
        None if *method == Method::GET => Body::None,
        None => Body::Json(JsonTemplate::all()),
    }
}

fn headers(section: &Section<'_>) -> Vec<(HeaderName, Template)> {
    let table = section.free_table("headers").into_iter().flatten();
    let headers = table.filter_map(|(key, value)| {
        let text = text_of(section, "headers", key, value);
        let name = HeaderName::from_bytes(key.get_ref().as_bytes());
        if name.is_err() {
            let message = format!("`{}` is no name of a header", key.get_ref());
            section.source.error(key.span(), message, "");
        }
        Some((name.ok()?, text?))
    });
    headers.collect()
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

fn text_of(
    section: &Section<'_>,
    within: &str,
    key: &Key<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Option<Template> {
    let what = format!("reach.{within}.{}", key.get_ref());
    let Some(text) = value.get_ref().as_str() else {
        let message = format!(
            "`{what}` must be a string, not {}",
            kind_of(value.get_ref())
        );
        section.source.error(place(&key.span(), value), message, "");
        return None;
    };
    template(&At {
        value: text,
        span: place(&key.span(), value),
        what,
        source: section.source,
    })
}

fn object(section: &Section<'_>, table: &DeTable<'_>) -> JsonTemplate {
    let fields = table.iter().filter_map(|(key, value)| {
        let name = key.get_ref().to_string();
        Some((name, json(section, key, value)?))
    });
    JsonTemplate::Table(fields.collect())
}

fn json(
    section: &Section<'_>,
    key: &Key<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Option<JsonTemplate> {
    let number = |text: String| serde_json::from_str::<Value>(&text).ok();
    let fixed = match value.get_ref() {
        DeValue::String(_) => return text_of(section, "json", key, value).map(JsonTemplate::Text),
        DeValue::Table(table) => return Some(object(section, table)),
        DeValue::Array(list) => {
            let all = list.iter().filter_map(|one| json(section, key, one));
            return Some(JsonTemplate::List(all.collect()));
        }
        DeValue::Boolean(value) => Some(Value::from(*value)),
        DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix())
            .ok()
            .map(Value::from),
        DeValue::Float(value) => number(value.as_str().to_owned()),
        DeValue::Datetime(_) => None,
    };
    if fixed.is_none() {
        let message = format!("`reach.json.{}` can't be written as JSON", key.get_ref());
        let hint = "write a string, a number, true or false, a list or a table";
        section
            .source
            .error(place(&key.span(), value), message, hint);
    }
    fixed.map(JsonTemplate::Fixed)
}

fn template(text: &At<'_>) -> Option<Template> {
    match Template::parse(text.value) {
        Ok(template) => Some(template),
        Err(error) => {
            let names = || Field::ALL.iter().map(|(name, _)| *name);
            let all = format!("there are: {}", names().collect::<Vec<_>>().join(", "));
            let hint = match &error {
                TemplateError::Unknown(name) => did_you_mean(name, names(), all),
                TemplateError::Brace => all,
            };
            text.error(format!("`{}`: {error}", text.what), hint);
            None
        }
    }
}

/// An address whose scheme, host and port are fixed: what senders of alerts write never decides where
/// anything is sent.
fn url_template(text: &At<'_>) -> Option<Template> {
    let template = template(text)?;
    let beginning = template.beginning().to_owned();
    let authority = beginning.split_once("://").map_or("", |(_, rest)| rest);
    if !template.is_fixed() && !authority.contains('/') {
        let message = format!(
            "`{}`: a placeholder can't stand in scheme, host or port",
            text.what
        );
        text.error(message, "write it behind the first slash of the path");
        return None;
    }
    let at = At {
        value: beginning.as_str(),
        span: text.span.clone(),
        what: text.what.clone(),
        source: text.source,
    };
    at.http()?;
    Some(template)
}
