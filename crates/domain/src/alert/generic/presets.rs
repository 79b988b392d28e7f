//! Mappings for senders that many have.

use std::collections::BTreeMap;

use super::mapping::{Mapping, Shape};
use super::place::{Place, Places};

/// A sender that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// Our own simple shape: name, status, summary, service, severity, starts_at, labels,
    /// annotations, link, fingerprint; one of them, or a list in `alerts`.
    #[default]
    Plain,
    /// Sentry's integration platform: issues, issue alerts and metric alerts.
    Sentry,
    /// Alarms of Amazon CloudWatch by SNS.
    CloudWatch,
    /// Uptime Kuma's webhook (JSON), and checkers like it.
    UptimeKuma,
    /// PagerDuty's Events API v2.
    PagerDuty,
    /// Opsgenie's Alert API.
    Opsgenie,
}

impl Preset {
    /// All, by their words in the configuration.
    pub const ALL: [(&str, Self); 6] = [
        ("plain", Self::Plain),
        ("sentry", Self::Sentry),
        ("cloudwatch", Self::CloudWatch),
        ("uptime-kuma", Self::UptimeKuma),
        ("pagerduty", Self::PagerDuty),
        ("opsgenie", Self::Opsgenie),
    ];

    /// Its mapping.
    pub fn mapping(self) -> Mapping {
        match self {
            Self::Plain => plain(),
            Self::Sentry => sentry(),
            Self::CloudWatch => cloudwatch(),
            Self::UptimeKuma => uptime_kuma(),
            Self::PagerDuty => pagerduty(),
            Self::Opsgenie => opsgenie(),
        }
    }
}

fn plain() -> Mapping {
    Mapping {
        alerts: Some("/alerts".to_owned()),
        fingerprint: at(&["/fingerprint", "/id"]),
        name: at(&["/name", "/title"]),
        summary: at(&["/summary", "/message", "/description"]),
        status: at(&["/status", "/state"]),
        firing: words(
            "firing alert alerting alarm triggered open opened down problem critical \
             warning error failed failing",
        ),
        resolved: words("resolved ok up closed recovered recovery normal success passing"),
        starts_at: at(&["/starts_at", "/startsAt", "/timestamp", "/time"]),
        severity: at(&["/severity", "/level", "/priority"]),
        labels: named(&[("*", &["/labels", "/tags"]), ("service", &["/service"])]),
        annotations: named(&[
            ("*", &["/annotations"]),
            ("runbook", &["/runbook"]),
            ("value", &["/value"]),
            ("threshold", &["/threshold"]),
        ]),
        link: at(&["/link", "/url"]),
        ..Mapping::default()
    }
}

/// Times are not taken from Sentry: an issue that comes back has its first time still.
fn sentry() -> Mapping {
    Mapping {
        shape: Shape::Sentry,
        // The second signs what the rules' own settings send.
        signatures: words("sentry-hook-signature sentry-app-signature"),
        fingerprint: at(&[
            "issue {/data/issue/id}",
            "issue {/data/event/issue_id}",
            "issue {/data/error/issue_id}",
            "metric {/data/metric_alert/identifier} {/data/metric_alert/alert_rule/id}",
            "metric {/data/metric_alert/id}",
        ]),
        name: at(&[
            "/data/metric_alert/alert_rule/name",
            "/data/issue/metadata/type",
            "/data/event/metadata/type",
            "/data/error/metadata/type",
            "/data/issue/title",
            "/data/event/title",
            "/data/error/title",
        ]),
        summary: at(&[
            "/data/issue/title",
            "/data/event/title",
            "/data/error/title",
            "/data/description_title",
        ]),
        status: at(&["/action"]),
        firing: words("created unresolved triggered critical warning"),
        resolved: words("resolved"),
        // Assigned, archived and whatever else people do there.
        ignored: words("*"),
        severity: at(&[
            "/data/issue/level",
            "/data/event/level",
            "/data/error/level",
            "/action",
        ]),
        severities: texts(&[
            ("fatal", "critical"),
            ("critical", "critical"),
            ("error", "warning"),
            ("warning", "warning"),
            ("*", "info"),
        ]),
        labels: named(&[
            ("*", &["/data/event/tags", "/data/error/tags"]),
            (
                "service",
                &["/data/issue/project/slug", "/data/metric_alert/projects/0"],
            ),
            ("issue", &["/data/issue/shortId"]),
            ("rule", &["/data/triggered_rule"]),
        ]),
        annotations: named(&[(
            "description",
            &[
                "/data/issue/culprit",
                "/data/event/culprit",
                "/data/error/culprit",
                "/data/description_text",
            ],
        )]),
        link: at(&[
            "/data/issue/web_url",
            "/data/issue/permalink",
            "/data/event/web_url",
            "/data/error/web_url",
            "/data/web_url",
        ]),
        ..Mapping::default()
    }
}

pub(super) fn cloudwatch() -> Mapping {
    Mapping {
        shape: Shape::Sns,
        fingerprint: at(&["/AlarmArn", "{/AWSAccountId} {/Region} {/AlarmName}"]),
        name: at(&["/AlarmName"]),
        summary: at(&["/AlarmDescription", "{/AlarmName} in {/Region}"]),
        status: at(&["/NewStateValue"]),
        firing: words("alarm"),
        resolved: words("ok"),
        ignored: words("insufficient_data"),
        starts_at: at(&["/StateChangeTime"]),
        severities: texts(&[("*", "critical")]),
        labels: named(&[
            ("*", &["/Trigger/Dimensions"]),
            ("account", &["/AWSAccountId"]),
            ("metric", &["/Trigger/MetricName"]),
            ("namespace", &["/Trigger/Namespace"]),
            ("region", &["/Region"]),
        ]),
        annotations: named(&[
            ("description", &["/NewStateReason"]),
            ("threshold", &["/Trigger/Threshold"]),
        ]),
        ..Mapping::default()
    }
}

/// <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>
fn pagerduty() -> Mapping {
    Mapping {
        shape: Shape::PagerDuty,
        fingerprint: at(&["/dedup_key"]),
        name: at(&[
            "/payload/custom_details/alertname",
            "/payload/class",
            "/payload/summary",
        ]),
        summary: at(&["/payload/summary"]),
        status: at(&["/event_action"]),
        firing: words("trigger"),
        resolved: words("resolve"),
        ignored: words("acknowledge"),
        starts_at: at(&["/payload/timestamp"]),
        severity: at(&["/payload/severity"]),
        labels: named(&[
            (
                "service",
                &["/payload/custom_details/service", "/payload/component"],
            ),
            ("instance", &["/payload/source"]),
            ("component", &["/payload/component"]),
            ("group", &["/payload/group"]),
            ("class", &["/payload/class"]),
        ]),
        annotations: named(&[("*", &["/payload/custom_details"])]),
        link: at(&["/links/0/href", "/client_url"]),
        ..Mapping::default()
    }
}

/// <https://docs.opsgenie.com/docs/alert-api>; the action and the alias are in the path there.
fn opsgenie() -> Mapping {
    Mapping {
        shape: Shape::Opsgenie,
        fingerprint: at(&["/alias"]),
        name: at(&["/details/alertname", "/message"]),
        summary: at(&["/message"]),
        status: at(&["/action"]),
        firing: words("create"),
        resolved: words("close delete"),
        ignored: words("*"),
        severity: at(&["/priority", "/details/severity"]),
        labels: named(&[
            ("*", &["/details"]),
            ("service", &["/details/service", "/entity"]),
            ("entity", &["/entity"]),
        ]),
        annotations: named(&[("description", &["/description"])]),
        ..Mapping::default()
    }
}

fn uptime_kuma() -> Mapping {
    Mapping {
        shape: Shape::UptimeKuma,
        fingerprint: at(&["monitor {/monitor/id}", "/monitor/name"]),
        name: at(&["/monitor/name"]),
        summary: at(&["/msg", "/heartbeat/msg"]),
        status: at(&["/heartbeat/status"]),
        firing: words("0 down"),
        resolved: words("1 up"),
        // Pending, and maintenance.
        ignored: words("2 3"),
        starts_at: at(&["/heartbeat/time"]),
        severities: texts(&[("*", "critical")]),
        labels: named(&[
            ("service", &["/monitor/name"]),
            ("type", &["/monitor/type"]),
        ]),
        annotations: named(&[("description", &["/heartbeat/msg"])]),
        link: at(&["/monitor/url"]),
        ..Mapping::default()
    }
}

/// A notice of a certificate or a domain that is about to expire, as `shape.rs` reads it.
pub(super) fn uptime_kuma_notice() -> Mapping {
    Mapping {
        fingerprint: at(&["{/kind} {/about}"]),
        name: at(&["/kind"]),
        summary: at(&["/msg"]),
        severities: texts(&[("*", "warning")]),
        labels: named(&[("service", &["/monitor"])]),
        ..Mapping::default()
    }
}

/// A place that is not understood would be left out; a test reads them all.
pub(super) fn at(texts: &[&str]) -> Places {
    Places::new(
        texts
            .iter()
            .filter_map(|text| Place::parse(text).ok())
            .collect(),
    )
}

fn words(all: &str) -> Vec<String> {
    all.split_whitespace().map(str::to_owned).collect()
}

pub(super) fn texts(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
    all.iter().map(own).collect()
}

pub(super) fn named(all: &[(&str, &[&str])]) -> BTreeMap<String, Places> {
    let own = |(key, places): &(&str, &[&str])| ((*key).to_owned(), at(places));
    all.iter().map(own).collect()
}
