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
use crate::domain::{Button, Line, Message, Part, Tone, duration};
use crate::probe::web::{CacheVerdict, Certificate, WebCheck, WebSet, span};

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
        (Some(true), true) => Tone::Good,
        (Some(true), false) | (None, _) => Tone::Warning,
        (Some(false), _) => Tone::Bad,
    };
    let status = c
        .status
        .map_or(String::new(), |status| format!(" {status}"));
    let title = Line::new()
        .code(cut(&c.url, 120))
        .text(match (c.up, c.total_ms) {
            (Some(true), Some(ms)) => format!(" is up:{status} in {ms:.0} ms"),
            (Some(true), None) => format!(" is up:{status}"),
            (Some(false), _) => format!(" fails:{status}"),
            (None, _) => " is not known to be up or down".to_owned(),
        });
    let mut message = Message::new(tone, title);
    if let Some(problem) = &c.problem {
        message = message.text(Line::new().bold(cut(problem, 500)));
    }
    let told = |warning: &&String| c.problem.as_ref() != Some(*warning);
    for warning in c.warnings.iter().filter(told).take(6) {
        message = message.text(format!("⚠ {}", cut(warning, 300)));
    }
    if c.status.is_some() || c.certificate.is_some() {
        message = message.part(Part::Fields(fields(c)));
    }
    if c.status.is_some() {
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
            None => format!("valid, {}", left(certificate)),
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
    if c.status.is_some() {
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
    }
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

/// `199 days left`, `4 days left (the intermediate certificate CN=Issuing A)`.
fn left(certificate: &Certificate) -> String {
    let which = certificate.ends_first.as_deref();
    let which = which.map_or(String::new(), |which| format!(" ({})", cut(which, 120)));
    match certificate.left_s {
        ..0 => format!("over since {}{which}", span(-certificate.left_s)),
        left => format!("{} left{which}", span(left)),
    }
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
    let tone = match set.up + set.unknown {
        _ if set.up as usize == all => Tone::Good,
        fine if fine as usize == all => Tone::Warning,
        _ => Tone::Bad,
    };
    let unknown = match set.unknown {
        0 => String::new(),
        unknown => format!(", {unknown} not known"),
    };
    let hits = set.hit_percent.map_or(String::new(), |percent| {
        format!(", cache hits {percent:.0} %")
    });
    let mut message = Message::new(
        tone,
        format!("{} of {all} addresses are up{unknown}{hits}", set.up),
    );
    for result in &set.results {
        let line = match (&result.check, &result.refused) {
            (Some(c), _) => {
                let light = match (c.up, c.warnings.is_empty()) {
                    (Some(true), true) => "🟢",
                    (Some(true), false) => "🟡",
                    (Some(false), _) => "🔴",
                    (None, _) => "⚪",
                };
                let first = c.certificates().min_by_key(|(_, one)| one.left_s);
                let days = first.map_or(String::new(), |(_, one)| {
                    format!(", certificate {}", left(one))
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
        .filter(|one| one.check.as_ref().is_some_and(|c| c.up != Some(true)));
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::probe::web::WebResult;

    fn certificate(left_s: i64, ends_first: Option<&str>) -> Certificate {
        Certificate {
            subject: "CN=till".to_owned(),
            issuer: "CN=Corvid Issuing A".to_owned(),
            names: Vec::new(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::MAX,
            good_until: Timestamp::MAX,
            ends_first: ends_first.map(str::to_owned),
            days_left: left_s / 86_400,
            left_s,
            valid: true,
            judged: true,
            problem: None,
            chain: Vec::new(),
            tls_version: "TLSv1.2".to_owned(),
            cipher: "TLS_RSA_WITH_AES_256_GCM_SHA384".to_owned(),
        }
    }

    fn check(up: Option<bool>, certificate: Certificate) -> WebCheck {
        WebCheck {
            url: "https://till.example/".to_owned(),
            up,
            problem: up.is_none().then(|| "the bot can't speak this".to_owned()),
            certificate: Some(certificate),
            ..WebCheck::default()
        }
    }

    fn field(check: &WebCheck, name: &str) -> String {
        let fields = fields(check);
        let found = fields.iter().find(|(one, _)| one == name);
        found.unwrap().1.plain()
    }

    #[test]
    fn what_ends_first_is_told_in_hours_where_days_are_few() {
        for (left_s, ends_first, told) in [
            (200 * 86_400, None, "valid, 200 days left; CN=till by"),
            (5 * 3_600 + 30, None, "valid, 5 hours left; "),
            (
                4 * 86_400,
                Some("the intermediate certificate CN=Corvid Issuing A"),
                "valid, 4 days left (the intermediate certificate CN=Corvid Issuing A); CN=till by",
            ),
        ] {
            let said = field(
                &check(Some(true), certificate(left_s, ends_first)),
                "Certificate",
            );
            assert!(said.starts_with(told), "{said}");
        }
    }

    #[test]
    fn what_the_bot_cant_speak_is_neither_up_nor_down() {
        let check = check(None, certificate(9 * 86_400, None));
        let message = one(&check);
        assert_eq!(message.tone, Tone::Warning);
        assert_eq!(
            message.title.plain(),
            "https://till.example/ is not known to be up or down"
        );
        assert!(field(&check, "Certificate").starts_with("valid, 9 days left"));

        let set = WebSet {
            results: vec![WebResult {
                url: check.url.clone(),
                check: Some(check),
                refused: None,
                refused_kind: None,
            }],
            left_out: 0,
            up: 0,
            down: 0,
            unknown: 1,
            refused: 0,
            hit_percent: None,
        };
        let message = several(&set);
        assert_eq!(message.tone, Tone::Warning);
        assert_eq!(
            message.title.plain(),
            "0 of 1 addresses are up, 1 not known"
        );
    }
}
