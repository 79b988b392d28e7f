//! What else comes through Amazon SNS than the alarms of CloudWatch.

use super::mapping::Mapping;
use super::presets::{at, cloudwatch, named, texts};

/// An alarm's change of state by EventBridge: the same alert as the alarm by SNS.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html>
pub(super) fn alarm(own: &Mapping) -> Mapping {
    Mapping {
        fingerprint: at(&["/resources/0"]),
        name: at(&["/detail/alarmName"]),
        summary: at(&[
            "/detail/configuration/description",
            "{/detail/alarmName} in {/region}",
        ]),
        status: at(&["/detail/state/value"]),
        starts_at: at(&["/detail/state/timestamp", "/time"]),
        severities: own.severities.clone(),
        labels: named(&[
            (
                "*",
                &["/detail/configuration/metrics/0/metricStat/metric/dimensions"],
            ),
            ("account", &["/account"]),
            (
                "metric",
                &["/detail/configuration/metrics/0/metricStat/metric/name"],
            ),
            (
                "namespace",
                &["/detail/configuration/metrics/0/metricStat/metric/namespace"],
            ),
            ("region", &["/region"]),
        ]),
        annotations: named(&[("description", &["/detail/state/reason"])]),
        ..cloudwatch()
    }
}

/// Any other event of EventBridge.
pub(super) fn event() -> Mapping {
    Mapping {
        fingerprint: at(&["{/detail-type} {/resources/0}", "/id"]),
        name: at(&["/detail-type"]),
        summary: at(&[
            "/detail/Message",
            "/detail/message",
            "/detail/title",
            "{/detail-type} of {/source}",
        ]),
        starts_at: at(&["/time"]),
        severities: texts(&[("*", "info")]),
        labels: named(&[
            ("account", &["/account"]),
            ("region", &["/region"]),
            ("resource", &["/resources/0"]),
            ("origin", &["/source"]),
        ]),
        ..Mapping::default()
    }
}

/// An event of RDS.
///
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.html>
pub(super) fn rds() -> Mapping {
    Mapping {
        fingerprint: at(&[
            "{/Source ID} {/event_code}",
            "{/Source ID} {/Event Message}",
        ]),
        name: at(&["/event_code", "/Event Source"]),
        summary: at(&["{/Source ID}: {/Event Message}", "/Event Message"]),
        starts_at: at(&["/Event Time"]),
        severities: texts(&[("*", "info")]),
        labels: named(&[("service", &["/Source ID"]), ("kind", &["/Event Source"])]),
        link: at(&["/Identifier Link"]),
        ..Mapping::default()
    }
}

/// JSON that somebody made.
pub(super) fn hand_made() -> Mapping {
    Mapping {
        fingerprint: at(&["/fingerprint", "/id", "/sns_digest"]),
        name: at(&["/name", "/title", "/alertname", "/sns_subject"]),
        summary: at(&["/summary", "/message", "/description", "/sns_subject"]),
        starts_at: at(&["/starts_at", "/timestamp"]),
        severity: at(&["/severity", "/level", "/priority"]),
        labels: named(&[("*", &["/labels", "/tags"]), ("service", &["/service"])]),
        annotations: named(&[("description", &["/details", "/description"])]),
        link: at(&["/link", "/url"]),
        ..Mapping::default()
    }
}

/// Text.
pub(super) fn text() -> Mapping {
    Mapping {
        fingerprint: at(&["/sns_digest"]),
        name: at(&["/subject"]),
        summary: at(&["/text"]),
        ..Mapping::default()
    }
}
