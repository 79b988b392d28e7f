//! `check`.

use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bot::entry::{Command, Probe};
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::command::words::quote;
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Part, Tone, counted, duration};
use crate::probe::web::{CacheVerdict, WebCheck, WebSet};

/// Ask a web address, or those of a service: answer times, certificate, headers, cache
#[derive(Debug, Args)]
pub struct Check {
    /// A service or a URL; every service with an address when left out
    what: Option<String>,
}

impl Command for Check {
    const WORDS: &'static str = "check";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let message = match self.what {
            Some(url) if url.contains("://") => CheckAddress { url }.look(context).await?.1,
            service => CheckService { service }.look(context).await?.1,
        };
        Ok(Effect::Say(Answer::to_all(message)))
    }
}

/// Which address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckAddress {
    /// `http://` or `https://`; private addresses only where the configuration allows the host.
    url: String,
}

impl Probe for CheckAddress {
    const STEP: &'static str = "http.check";
    const SUMMARY: &'static str = "One web address: times, certificate, headers, cache";
    type Found = WebCheck;

    async fn look(self, context: &Context) -> Result<(WebCheck, Message), Fault> {
        let found = context.catalogue().web()?.check(&self.url).await?;
        let message = one(&found);
        Ok((found, message))
    }
}

/// Which addresses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckService {
    /// The service whose addresses are meant; all services when left out.
    #[serde(default)]
    #[schemars(extend("format" = "service"))]
    service: Option<String>,
}

impl Probe for CheckService {
    const STEP: &'static str = "http.check_service";
    const SUMMARY: &'static str = "The web addresses of a service, at the same time";
    type Found = WebSet;

    async fn look(self, context: &Context) -> Result<(WebSet, Message), Fault> {
        let catalogue = context.catalogue();
        let services = match &self.service {
            Some(name) => vec![catalogue.find(name, |near| format!("check {near}"))?.0],
            None => catalogue.services().iter().collect(),
        };
        let urls: Vec<String> = services
            .iter()
            .flat_map(|service| service.check.clone())
            .collect();
        if urls.is_empty() {
            let title = match &self.service {
                Some(name) => Line::new().code(name).text(" has no address to be checked"),
                None => Line::from("No service has an address to be checked"),
            };
            return Err(Refusal::new(title)
                .detail(
                    "Fix: add `check = [\"https://…\"]` (or `health`) to the [[service]] in \
                     treasury-bot.toml, or give the URL: check https://example.com/",
                )
                .into());
        }
        let set = catalogue.web()?.check_all(&urls).await;
        let message = match &set.results[..] {
            [result] => match &result.check {
                Some(check) => one(check),
                None => several(&set),
            },
            _ => several(&set),
        };
        Ok((set, message))
    }
}

/// One address in full.
fn one(c: &WebCheck) -> Message {
    let tone = match (c.up, c.warnings.is_empty()) {
        (true, true) => Tone::Good,
        (true, false) => Tone::Warning,
        (false, _) => Tone::Bad,
    };
    let status = c
        .status
        .map_or(String::new(), |status| format!(" {status}"));
    let title = Line::new()
        .code(cut(&c.url, 120))
        .text(match (c.up, c.total_ms) {
            (true, Some(ms)) => format!(" is up:{status} in {ms:.0} ms"),
            (true, None) => format!(" is up:{status}"),
            (false, _) => format!(" fails:{status}"),
        });
    let mut message = Message::new(tone, title);
    if let Some(problem) = &c.problem {
        message = message.text(Line::new().bold(cut(problem, 500)));
    }
    let told = |warning: &&String| c.problem.as_ref() != Some(*warning);
    for warning in c.warnings.iter().filter(told).take(6) {
        message = message.text(format!("⚠ {}", cut(warning, 300)));
    }
    if c.status.is_some() {
        message = message.part(Part::Fields(fields(c)));
        let bad: Vec<String> = c
            .security
            .iter()
            .filter(|header| !header.good)
            .map(|header| {
                let state = if header.present { "weak" } else { "missing" };
                let advice = header.advice.as_deref().unwrap_or_default();
                format!("{} {state}: {}\n", header.name, cut(advice, 160))
            })
            .collect();
        if bad.is_empty() {
            message = message.text("All security headers are there");
        } else {
            message = message.text("Security headers").code(bad.concat());
        }
    }
    message.buttons(vec![Button::new(
        "Check again",
        format!("check {}", quote(&c.url)),
    )])
}

/// What was measured and found, by name.
fn fields(c: &WebCheck) -> Vec<(String, Line)> {
    let mut fields = Vec::new();
    let mut field = |name: &str, value: String| fields.push((name.to_owned(), Line::from(value)));
    let times: Vec<String> = [
        ("DNS", c.dns_ms),
        ("connect", c.connect_ms),
        ("TLS", c.tls_ms),
        ("first byte", c.first_byte_ms),
        ("total", c.total_ms),
    ]
    .into_iter()
    .filter_map(|(name, ms)| Some(format!("{name} {:.0}", ms?)))
    .collect();
    if !times.is_empty() {
        field("Times (ms)", times.join(", "));
    }
    if let Some(certificate) = &c.certificate {
        let state = match &certificate.problem {
            Some(problem) => cut(problem, 200),
            None => format!("valid, {} left", counted(certificate.days_left, "day")),
        };
        field(
            "Certificate",
            format!("{state}; {} by {}", certificate.subject, certificate.issuer),
        );
        field(
            "Encryption",
            format!("{}, {}", certificate.tls_version, certificate.cipher),
        );
    }
    if !c.redirects.is_empty() {
        let hops: Vec<String> = c
            .redirects
            .iter()
            .map(|hop| format!("{} → {}", hop.status, cut(&hop.location, 100)))
            .collect();
        field("Redirects", hops.join(", "));
    }
    field("Cache", cache_text(c));
    field(
        "Body",
        format!(
            "{}{}, {}",
            duration::bytes_text(c.body_bytes),
            if c.body_complete { "" } else { " and more" },
            c.compression.as_deref().unwrap_or("not compressed")
        ),
    );
    if let Some(enforced) = c.https_enforced {
        let told = if enforced {
            "http:// is closed or leads to https://"
        } else {
            "http:// ANSWERS WITHOUT ENCRYPTION"
        };
        field("HTTPS", told.to_owned());
    }
    if let Some(address) = &c.address {
        field("Address", address.clone());
    }
    fields
}

fn cache_text(c: &WebCheck) -> String {
    let age = c.cache.age_s.map_or(String::new(), |age| {
        format!(", {} old", duration::text(Duration::from_secs(age)))
    });
    match c.cache.verdict {
        CacheVerdict::Hit => format!("hit ({}){age}", c.cache.by),
        CacheVerdict::Miss => format!("miss ({})", c.cache.by),
        CacheVerdict::Bypass => format!("bypassed ({})", c.cache.by),
        CacheVerdict::Unknown => match &c.cache.cache_control {
            Some(control) => format!("not told; Cache-Control: {}", cut(control, 80)),
            None => "not told, no Cache-Control".to_owned(),
        },
    }
}

/// A line each.
fn several(set: &WebSet) -> Message {
    let all = set.results.len();
    let tone = if set.up as usize == all {
        Tone::Good
    } else {
        Tone::Bad
    };
    let hits = set.hit_percent.map_or(String::new(), |percent| {
        format!(", cache hits {percent:.0} %")
    });
    let mut message = Message::new(tone, format!("{} of {all} addresses are up{hits}", set.up));
    for result in &set.results {
        let line = match (&result.check, &result.refused) {
            (Some(c), _) => {
                let light = match (c.up, c.warnings.is_empty()) {
                    (true, true) => "🟢",
                    (true, false) => "🟡",
                    (false, _) => "🔴",
                };
                let days = c.certificate.as_ref().map_or(String::new(), |one| {
                    format!(", certificate {}", counted(one.days_left, "day"))
                });
                let told = match (&c.problem, c.total_ms) {
                    (Some(problem), _) => cut(problem, 160),
                    (None, Some(ms)) => format!(
                        "{} in {ms:.0} ms, {}{days}",
                        c.status.unwrap_or_default(),
                        match c.cache.verdict {
                            CacheVerdict::Hit => "hit",
                            CacheVerdict::Miss => "miss",
                            CacheVerdict::Bypass => "cache bypassed",
                            CacheVerdict::Unknown => "cache unknown",
                        }
                    ),
                    (None, None) => String::new(),
                };
                Line::new()
                    .text(format!("{light} "))
                    .code(cut(&result.url, 100))
                    .text(format!("  {told}"))
            }
            (None, why) => Line::new()
                .text("⚪ ")
                .code(cut(&result.url, 100))
                .text(format!(
                    "  {}",
                    cut(why.as_deref().unwrap_or_default(), 200)
                )),
        };
        message = message.text(line);
    }
    if set.left_out > 0 {
        message = message.footer(format!("{} addresses were left out", set.left_out));
    }
    let again = set
        .results
        .iter()
        .filter(|one| one.check.as_ref().is_some_and(|c| !c.up));
    message.buttons(
        again
            .take(3)
            .map(|one| {
                let says = format!("check {}", quote(&one.url));
                Button::new(cut(&one.url, 60), says)
            })
            .collect(),
    )
}
