//! Mappings for senders that many have.

use std::collections::BTreeMap;

use super::{Mapping, Place, Places};

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
}

impl Preset {
    /// All, by their words in the configuration.
    pub const ALL: [(&str, Self); 4] = [
        ("plain", Self::Plain),
        ("sentry", Self::Sentry),
        ("cloudwatch", Self::CloudWatch),
        ("uptime-kuma", Self::UptimeKuma),
    ];

    /// Its mapping.
    pub fn mapping(self) -> Mapping {
        match self {
            Self::Plain => plain(),
            Self::Sentry => sentry(),
            Self::CloudWatch => cloudwatch(),
            Self::UptimeKuma => uptime_kuma(),
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
        signature: Some("sentry-hook-signature".to_owned()),
        fingerprint: at(&[
            "issue {/data/issue/id}",
            "issue {/data/event/issue_id}",
            "metric {/data/metric_alert/identifier} {/data/metric_alert/alert_rule/id}",
            "metric {/data/metric_alert/id}",
        ]),
        name: at(&[
            "/data/metric_alert/alert_rule/name",
            "/data/issue/metadata/type",
            "/data/event/metadata/type",
            "/data/issue/title",
            "/data/event/title",
        ]),
        summary: at(&[
            "/data/issue/title",
            "/data/event/title",
            "/data/description_title",
        ]),
        status: at(&["/action"]),
        firing: words("created unresolved triggered critical warning"),
        resolved: words("resolved"),
        ignored: words("assigned archived ignored deleted"),
        severity: at(&["/data/issue/level", "/data/event/level", "/action"]),
        severities: texts(&[
            ("fatal", "critical"),
            ("critical", "critical"),
            ("error", "warning"),
            ("warning", "warning"),
            ("*", "info"),
        ]),
        labels: named(&[
            ("*", &["/data/event/tags"]),
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
                "/data/description_text",
            ],
        )]),
        link: at(&[
            "/data/issue/web_url",
            "/data/issue/permalink",
            "/data/event/web_url",
            "/data/web_url",
        ]),
        ..Mapping::default()
    }
}

fn cloudwatch() -> Mapping {
    Mapping {
        sns: true,
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

fn uptime_kuma() -> Mapping {
    Mapping {
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

/// A place that is not understood would be left out; a test reads them all.
fn at(texts: &[&str]) -> Places {
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

fn texts(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
    all.iter().map(own).collect()
}

fn named(all: &[(&str, &[&str])]) -> BTreeMap<String, Places> {
    let own = |(key, places): &(&str, &[&str])| ((*key).to_owned(), at(places));
    all.iter().map(own).collect()
}
