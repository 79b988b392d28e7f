//! From an alert's labels to the service it is about and what is done with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Alert, Malformed, severity_word};
use crate::{ServiceName, Severity};

/// What the bot does by itself with a new alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// Nothing but telling it.
    Off,
    /// Looks: state, logs, use, events, and what was changed lately.
    Diagnose,
    /// Looks, and runs the matching runbook (which asks where it has to).
    Run,
}

/// A condition on a label, as Alertmanager writes it: `severity="critical"`, `service!="api"`,
/// `service=~"api|web.*"`, `team!~"dev.*"`, `"service.name"="api"`. A name is made of any letters
/// but the white space and `{}!=~,\"'` and the back quote, or stands in double quotes.
///
/// Of a regular expression only alternatives (`|`), `.*` and `.+` mean something, and the whole
/// value has to fit; everything else stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    label: String,
    negated: bool,
    /// One of these has to fit.
    patterns: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `.*` (0) or `.+` (1): at least so many characters.
    Any(usize),
}

impl Matcher {
    /// Reads a condition.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let wrong = |what: &str| Malformed::text(text, what);
        let usage = "write a label, =, !=, =~ or !~, and a value in quotes: severity=\"critical\"";
        let text = text.trim();
        let (label, rest) = match text.strip_prefix('"') {
            Some(quoted) => {
                let end = closing(quoted).ok_or_else(|| wrong("a quote without its end"))?;
                (unquoted(&quoted[..end]), quoted[end + 1..].trim_start())
            }
            None => {
                let end = text.find(['=', '!']).ok_or_else(|| wrong(usage))?;
                let label = text[..end].trim_end();
                let reserved = |c: char| c.is_whitespace() || "{}!=~,\\\"'`".contains(c);
                if label.contains(reserved) {
                    return Err(wrong("such a label has to be in double quotes"));
                }
                (label.to_owned(), &text[end..])
            }
        };
        if label.is_empty() {
            return Err(wrong(usage));
        }
        let operator = ["=~", "!~", "!=", "="]
            .into_iter()
            .find(|operator| rest.starts_with(operator))
            .ok_or_else(|| wrong(usage))?;
        let value = rest[operator.len()..].trim();
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .ok_or_else(|| wrong("the value has to be in double quotes"))?;
        let patterns = if operator.ends_with('~') {
            value
                .split('|')
                .map(|one| pieces(one).map_err(|what| wrong(&what)))
                .collect::<Result<_, _>>()?
        } else {
            vec![vec![Piece::Text(unquoted(value))]]
        };
        Ok(Self {
            label,
            negated: operator.starts_with('!'),
            patterns,
        })
    }

    /// The labels fit. A label that is missing has the empty value, as in Prometheus.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.label).map_or("", String::as_str);
        let found = self.patterns.iter().any(|pattern| fits(pattern, value));
        found != self.negated
    }
}

/// Where the quote ends that this is the inside of.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// What is meant by the inside of quotes: `\"`, `\\` and `\n` are escapes.
fn unquoted(text: &str) -> String {
    let mut meant = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(next @ ('"' | '\\' | 'n'))) => {
                chars.next();
                meant.push(if next == 'n' { '\n' } else { next });
            }
            _ => meant.push(c),
        }
    }
    meant
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(".*") {
            found.push(Piece::Any(0));
            rest = after;
        } else if let Some(after) = rest.strip_prefix(".+") {
            found.push(Piece::Any(1));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('\\') {
            let next = after.chars().next().ok_or("ends with a backslash")?;
            found.push(Piece::Text(next.to_string()));
            rest = &after[next.len_utf8()..];
        } else {
            let next = rest.chars().next().unwrap_or_default();
            if "()[]{}^$?*+.".contains(next) {
                return Err(format!(
                    "`{next}` is not understood here: only |, .* and .+ are (a literal one is \\{next})"
                ));
            }
            found.push(Piece::Text(next.to_string()));
            rest = &rest[next.len_utf8()..];
        }
    }
    Ok(found)
}

/// The whole value fits. Takes time in the product of both lengths at most.
fn fits(pattern: &[Piece], value: &str) -> bool {
    let chars: Vec<char> = value.chars().collect();
    // Where a match of the pieces so far may have ended.
    let mut ends = vec![false; chars.len() + 1];
    ends[0] = true;
    for piece in pattern {
        let mut next = vec![false; chars.len() + 1];
        match piece {
            Piece::Text(text) => {
                let text: Vec<char> = text.chars().collect();
                for at in 0..ends.len() {
                    if ends[at] && chars[at..].starts_with(&text) {
                        next[at + text.len()] = true;
                    }
                }
            }
            Piece::Any(least) => {
                let first = ends.iter().position(|end| *end);
                if let Some(first) = first {
                    next.iter_mut()
                        .skip(first + least)
                        .for_each(|end| *end = true);
                }
            }
        }
        ends = next;
    }
    ends.last().copied().unwrap_or(false)
}

/// What is done with alerts that fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// All have to fit.
    pub matchers: Vec<Matcher>,
    /// The service they are about.
    pub service: Option<ServiceName>,
    /// How bad they are.
    pub severity: Option<Severity>,
    /// The runbook for them.
    pub runbook: Option<String>,
    /// Whose they are, for people.
    pub team: Option<String>,
    /// Where they are told, `#name` or an id, instead of in the main channel.
    pub channel: Option<String>,
    /// What the bot does by itself.
    pub auto: Option<Auto>,
}

/// Where an alert belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// The service, if one is known.
    pub service: Option<ServiceName>,
    /// How bad.
    pub severity: Severity,
    /// The runbook's name, where the configuration or the alert names one.
    pub runbook: Option<String>,
    /// Whose it is.
    pub team: Option<String>,
    /// Where it is told instead of in the main channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What the bot does by itself.
    pub auto: Auto,
}

impl Routed {
    /// What is told together: all of a service, known or only named; without one, what its sender
    /// groups (`sender`: the name of that group), else all of a name.
    pub fn group(&self, alert: &Alert, sender: Option<&str>) -> String {
        if let Some(service) = &self.service {
            return format!("service:{service}");
        }
        let mut labels = ["service", "service.name", "service_name"].into_iter();
        match (labels.find_map(|label| alert.label(label)), sender) {
            (Some(named), _) => format!("named:{named}"),
            (None, Some(group)) => format!("sender:{group}"),
            (None, None) => format!("alert:{}", alert.name()),
        }
    }
}

/// The routes, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// The first that fits decides; what it leaves open, later ones that fit may say.
    pub routes: Vec<Route>,
    /// What the bot does where no route says it.
    pub auto: Auto,
}

/// Labels that may name a service; the two after `service` are OpenTelemetry's, with and without
/// the dot.
const SERVICE_LABELS: [&str; 6] = [
    "service",
    "service_name",
    "service.name",
    "app",
    "job",
    "container",
];

impl Routes {
    fn fitting(&self, alert: &Alert) -> impl Iterator<Item = &Route> {
        let fits = |route: &&Route| route.matchers.iter().all(|one| one.fits(&alert.labels));
        self.routes.iter().filter(fits)
    }

    /// The word for how bad an alert is, if it decides and is not known.
    pub fn unknown_severity<'a>(&self, alert: &'a Alert) -> Option<&'a str> {
        let word = alert.label("severity")?;
        let unknown = severity_word(word).is_none()
            && self.fitting(alert).all(|route| route.severity.is_none());
        unknown.then_some(word)
    }

    /// Where an alert belongs. Without a route: the first of `SERVICE_LABELS` that is a known
    /// service; the label `severity`; the annotation `runbook` or the last part of `runbook_url`.
    pub fn resolve(&self, alert: &Alert, known: &dyn Fn(&str) -> Option<ServiceName>) -> Routed {
        let fitting: Vec<&Route> = self.fitting(alert).collect();
        let first = |of: &dyn Fn(&Route) -> Option<String>| fitting.iter().find_map(|r| of(r));
        let service = fitting.iter().find_map(|route| route.service.clone());
        let service = service.or_else(|| {
            SERVICE_LABELS
                .into_iter()
                .find_map(|label| known(alert.label(label)?))
        });
        let severity = fitting.iter().find_map(|route| route.severity);
        // SEV3 without a word, and with an unknown one.
        let said = || severity_word(alert.label("severity")?);
        let runbook = first(&|route| route.runbook.clone()).or_else(|| {
            let url = alert
                .annotation("runbook")
                .or_else(|| alert.annotation("runbook_url"))?;
            let last = url.trim_end_matches('/').rsplit('/').next()?;
            let name = last.split(['#', '?']).next()?;
            Some(
                name.trim_end_matches(".md")
                    .trim_end_matches(".yml")
                    .to_owned(),
            )
        });
        Routed {
            service,
            severity: severity.or_else(said).unwrap_or(Severity::Sev3),
            runbook,
            team: first(&|route| route.team.clone())
                .or_else(|| alert.label("team").map(str::to_owned)),
            channel: first(&|route| route.channel.clone()),
            auto: fitting
                .iter()
                .find_map(|route| route.auto)
                .unwrap_or(self.auto),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn alert(of: &[(&str, &str)], annotations: &[(&str, &str)]) -> Alert {
        Alert {
            fingerprint: "f".into(),
            firing: true,
            starts_at: jiff::Timestamp::UNIX_EPOCH,
            ends_at: None,
            labels: labels(of),
            annotations: labels(annotations),
            source: "test".into(),
            other: serde_json::Map::new(),
        }
    }

    #[test]
    fn conditions_are_alertmanagers() {
        for (text, value, fits) in [
            (r#"a="x""#, "x", true),
            (r#"a="x""#, "xy", false),
            (r#"a!="x""#, "y", true),
            (r#"a=~"x|y.*""#, "yes", true),
            (r#"a=~"x|y.*""#, "xa", false),
            (r#"a=~".+""#, "", false),
            (r#"a!~".+""#, "", true),
            (r#"a=~".*b.*c""#, "abbcc", true),
            (r#"a = "é""#, "é", true),
            (r#"a=~"1\.2""#, "1.2", true),
        ] {
            let matcher = Matcher::parse(text).unwrap();
            assert_eq!(
                matcher.fits(&labels(&[("a", value)])),
                fits,
                "{text} on {value}"
            );
        }
        assert!(
            Matcher::parse(r#"b="""#)
                .unwrap()
                .fits(&labels(&[("a", "x")]))
        );
        for (text, label, value) in [
            (r#""service.name"="api""#, "service.name", "api"),
            (r#"service.name="api""#, "service.name", "api"),
            (r#""größe in m" = "x""#, "größe in m", "x"),
            (r#"größe="x""#, "größe", "x"),
            (r#""a\"b"="c\"d""#, "a\"b", "c\"d"),
            (r#"1a="back\\slash""#, "1a", "back\\slash"),
        ] {
            let fits = Matcher::parse(text)
                .unwrap()
                .fits(&labels(&[(label, value)]));
            assert!(fits, "{text}");
        }
        for bad in [
            "",
            "a",
            "a=b",
            r#"a=~"(x)""#,
            r#"a=~"x.""#,
            r#"a b="x""#,
            r#""a="x"#,
            r#"""="x""#,
            r#""a"b="x""#,
            r#"="x""#,
        ] {
            assert!(Matcher::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_route_decides_and_later_ones_fill_what_it_left_open() {
        let known = |name: &str| {
            ServiceName::parse(name)
                .ok()
                .filter(|s| s.as_str() != "node")
        };
        let routes = Routes {
            routes: vec![
                Route {
                    matchers: vec![Matcher::parse(r#"alertname=~"High.*""#).unwrap()],
                    runbook: Some("high-traffic".into()),
                    ..Route::default()
                },
                Route {
                    severity: Some(Severity::Sev1),
                    runbook: Some("never".into()),
                    matchers: vec![Matcher::parse(r#"severity="critical""#).unwrap()],
                    ..Route::default()
                },
            ],
            auto: Auto::Diagnose,
        };
        let high = alert(
            &[
                ("alertname", "HighErrors"),
                ("severity", "critical"),
                ("job", "api"),
            ],
            &[],
        );
        let routed = routes.resolve(&high, &known);
        assert_eq!(routed.runbook.as_deref(), Some("high-traffic"));
        assert_eq!(
            (routed.severity, routed.auto),
            (Severity::Sev1, Auto::Diagnose)
        );
        assert_eq!(routed.group(&high, None), "service:api");

        let plain = alert(
            &[("alertname", "Disk"), ("severity", "info"), ("job", "node")],
            &[("runbook_url", "https://wiki/runbooks/disk-full.md#top")],
        );
        let routed = routes.resolve(&plain, &known);
        assert_eq!(routed.runbook.as_deref(), Some("disk-full"));
        assert_eq!(
            (routed.severity, routed.service.clone()),
            (Severity::Sev4, None)
        );
        assert_eq!(routed.group(&plain, None), "alert:Disk");
    }

    proptest! {
        #[test]
        fn no_condition_makes_it_panic(text in "\\PC{0,30}", value in "\\PC{0,30}") {
            for text in [text.clone(), format!("a=~\"{text}\""), format!("\"{text}\"=\"{text}\"")] {
                if let Ok(matcher) = Matcher::parse(&text) {
                    matcher.fits(&labels(&[("a", &value)]));
                }
            }
        }
    }
}
