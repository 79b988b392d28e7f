//! All metrics of the bot, in one table; recording them, and the page that Prometheus reads.
//!
//! Nothing else of the product depends on the crate that records: what is not declared here can't be
//! recorded. docs/observability.md shows the same table; a test compares them.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use crate::declared::{Counter, Declared, Gauge, Histogram, Kind, Values};
use Values::{AsManyAs, Of};

/// A machine answers, s.
const QUICK: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 10., 30., 60.,
];
/// A disk answers, s.
const DISK: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 10.,
];
/// What is retried: from a moment to hours, s.
const PATIENT: &[f64] = &[
    0.1, 0.25, 0.5, 1., 2.5, 5., 10., 30., 60., 300., 900., 3600., 14_400.,
];
/// People come, s: 1 minute to 3 days.
const PEOPLE: &[f64] = &[
    60., 180., 300., 600., 900., 1_800., 3_600., 7_200., 14_400., 28_800., 86_400., 259_200.,
];

const SEVERITY: Values = Of(&["SEV1", "SEV2", "SEV3", "SEV4"]);
const KIND_OF_PAYLOAD: Values = Of(&["command", "interaction", "event"]);
const MODE: Values = Of(&["run", "rehearsal"]);
const COMMANDS_KNOWN: Values = AsManyAs("commands, `help` and `unknown`");
const SOURCES: Values = AsManyAs("`alertmanager`, `watch`, `heartbeat` and configured sources");
const WAYS: Values = AsManyAs("`email`, `slack` and configured ways");

macro_rules! bounds {
    () => {
        &[]
    };
    ($bounds:ident) => {
        $bounds
    };
}

macro_rules! declare {
    ($($kind:ident $id:ident $name:literal $help:literal [$($label:literal: $values:expr),*] $($bounds:ident)?;)+) => {
        $(
            #[doc = $help]
            pub static $id: $kind = $kind(Declared {
                name: $name,
                help: $help,
                kind: Kind::$kind,
                labels: &[$(($label, $values)),*],
                bounds: bounds!($($bounds)?),
            });
        )+
        /// All metrics, in the order of the documentation.
        pub static ALL: &[&Declared] = &[$(&$id.0),+];
    };
}

declare! {
    // The chat.
    Counter COMMANDS "treasury_bot_commands_total" "Commands that were answered, by what came of them." ["command": COMMANDS_KNOWN, "outcome": Of(&["done", "refused", "failed"])];
    Histogram COMMAND "treasury_bot_command_seconds" "From a command's being recorded to its answer's being recorded, in seconds; reading ones, and those that change something." ["kind": Of(&["reads", "changes"])] QUICK;
    Gauge INBOX_WAITING "treasury_bot_inbox_waiting" "Commands that are recorded and not answered yet." [];
    Gauge INBOX_OLDEST "treasury_bot_inbox_oldest_seconds" "For how long the oldest of them waits, in seconds; 0 when none does." [];
    Counter SLACK_REQUESTS "treasury_bot_slack_requests_total" "What Slack sent, by what became of it; `ignored` is not for the bot." ["kind": KIND_OF_PAYLOAD, "outcome": Of(&["new", "duplicate", "ignored", "failed"])];
    Histogram SLACK_ACK "treasury_bot_slack_ack_seconds" "From receiving a request to its acknowledgement, in seconds; Slack waits for 3." ["door": Of(&["socket", "http"])] QUICK;
    Counter SLACK_ACKS "treasury_bot_slack_acks_total" "Acknowledgements by socket: sent; told, with words for who typed a command that could not be recorded; withheld for the same reason; lost with their connection; or turned away since there was too much at once." ["outcome": Of(&["sent", "told", "withheld", "lost", "overloaded"])];
    Counter SLACK_ENVELOPES "treasury_bot_slack_envelopes_total" "Envelopes that came by socket." ["type": Of(&["command", "interaction", "event", "disconnect", "other", "unreadable"])];
    Counter SLACK_HTTP_REJECTED "treasury_bot_slack_http_rejected_total" "Requests to the HTTP door that were turned away." ["reason": Of(&["unsigned", "too_large", "too_slow", "wrong_signature", "unreadable", "not_recorded"])];
    Gauge SLACK_CONNECTED "treasury_bot_slack_connected" "1 while Slack lets the bot in, else 0." [];
    Gauge SLACK_CONNECTIONS "treasury_bot_slack_connections" "Open sockets to Slack." [];
    Gauge SLACK_REFUSED "treasury_bot_slack_refused" "Methods that Slack refuses at present: the token, a scope, or the main channel." [];
    Counter SLACK_RECONNECTS "treasury_bot_slack_reconnects_total" "Ends of a socket, by their reason." ["reason": Of(&["ended", "drained", "silence", "closed", "broken", "link_disabled", "refresh_requested", "warning", "too_many_websockets", "other"])];
    Counter SLACK_CONNECT_FAILURES "treasury_bot_slack_connect_failures_total" "Sockets that could not be opened." [];
    Counter SLACK_CALLS "treasury_bot_slack_calls_total" "Calls of Slack's Web API; `rate_limited` is HTTP 429." ["method": AsManyAs("methods that the bot calls"), "outcome": Of(&["ok", "rate_limited", "transient", "token", "refused"])];
    Histogram SLACK_CALL "treasury_bot_slack_call_seconds" "How long a call of Slack's Web API took, in seconds." [] QUICK;
    Counter DELIVERIES "treasury_bot_outbox_deliveries_total" "Attempts to bring a message to its newest state in Slack; `dead` is given up." ["outcome": Of(&["sent", "retry", "rate_limited", "token", "refused", "dead"])];
    Histogram DELIVERY "treasury_bot_outbox_delivery_seconds" "From a message's being recorded to its being posted, in seconds." [] PATIENT;
    Gauge OUTBOX_WAITING "treasury_bot_outbox_waiting" "Messages that wait to be posted or edited." [];
    Gauge OUTBOX_OLDEST "treasury_bot_outbox_oldest_seconds" "For how long the oldest of those waits that were never posted, in seconds; 0 when none does." [];
    Gauge OUTBOX_UNDER_WAY "treasury_bot_outbox_under_way" "Deliveries under way." [];
    Counter BLOCKS_REFUSED "treasury_bot_outbox_blocks_refused_total" "Messages that went out as plain text, since Slack refused their blocks." [];
    // What is done.
    Counter ACTIONS "treasury_bot_actions_total" "Changes to services, by what came of them." ["action": AsManyAs("actions"), "outcome": Of(&["done", "failed"])];
    Counter RUNS "treasury_bot_runs_total" "Runs of runbooks that have ended." ["mode": MODE, "outcome": Of(&["succeeded", "failed", "stopped"])];
    Counter STEPS "treasury_bot_run_steps_total" "Steps of runs that have ended; a step that is tried again counts again." ["mode": MODE, "outcome": Of(&["succeeded", "failed", "skipped"])];
    // Alerts.
    Counter ALERTS "treasury_bot_alerts_total" "Alerts that came in, by what was new of them; `ignored` says nothing of an alert." ["source": SOURCES, "outcome": Of(&["fired", "resolved", "known", "ignored"])];
    Counter ALERTS_MALFORMED "treasury_bot_alerts_malformed_total" "Alerts that were not understood." ["source": SOURCES];
    Counter ALERTS_REFUSED "treasury_bot_alerts_refused_total" "Bodies of alerts that were refused." ["why": Of(&["token", "source", "body", "malformed", "later"])];
    Counter ALERTS_UNVERIFIED "treasury_bot_alerts_unverified_total" "Messages of Amazon SNS whose signature could not be verified, taken in by their token." [];
    Counter ALERTS_SUBSCRIPTIONS "treasury_bot_alerts_subscriptions_total" "Wishes of Amazon SNS to have a subscription confirmed." [];
    Counter ALERTS_UNKNOWN_SEVERITY "treasury_bot_alerts_unknown_severity_total" "Alerts whose word for the severity is not known: they count as SEV3." ["source": SOURCES];
    Counter DEADMAN_PINGS "treasury_bot_deadman_pings_total" "Times that the bot said at the address of `[deadman]` that it is alive." ["outcome": Of(&["ok", "failed"])];
    Gauge ALERTS_FIRING "treasury_bot_alerts_firing" "Alerts that fire by what the bot holds, silenced ones included." ["severity": SEVERITY];
    Counter ASKS "treasury_bot_asks_total" "Times that people were asked to acknowledge alerts." [];
    Counter METRICS_PAGES_FAILED "treasury_bot_metrics_pages_failed_total" "Readings of a service's metrics page that failed." [];
    // Follow-ups.
    Gauge TIMERS_DUE "treasury_bot_timers_due" "Timers that are due and not done: follow-ups, escalations, messages." [];
    Gauge TIMERS_LATE "treasury_bot_timers_late_seconds" "For how long the oldest of them is due, in seconds; 0 when none is." [];
    Counter TIMERS "treasury_bot_timers_total" "Timers that went off; `failed` is tried again." ["kind": AsManyAs("kinds of timers"), "outcome": Of(&["done", "failed"])];
    Histogram TIMER_LATENESS "treasury_bot_timer_lateness_seconds" "From a timer's being due to its being taken up, in seconds." [] QUICK;
    // Incidents.
    Gauge INCIDENTS_OPEN "treasury_bot_incidents_open" "Incidents that are open or mitigated." ["severity": SEVERITY];
    Counter INCIDENTS "treasury_bot_incidents_total" "Incidents that were declared, by people or by the bot." ["severity": SEVERITY, "by": Of(&["person", "bot"])];
    Histogram ACKNOWLEDGE "treasury_bot_acknowledge_seconds" "From the beginning of alerts to somebody's first taking them up, in seconds." ["severity": SEVERITY] PEOPLE;
    Histogram MITIGATE "treasury_bot_mitigate_seconds" "From an incident's being declared to its being mitigated, in seconds." ["severity": SEVERITY] PEOPLE;
    Histogram RESOLVE "treasury_bot_resolve_seconds" "From an incident's being declared to its being resolved, in seconds; again when it was reopened." ["severity": SEVERITY] PEOPLE;
    // Reaching people.
    Counter NOTIFICATIONS "treasury_bot_notifications_total" "Attempts to hand a notification over; `dead` is given up or refused for good." ["way": WAYS, "outcome": Of(&["sent", "retry", "dead"])];
    Gauge NOTIFICATIONS_WAITING "treasury_bot_notifications_waiting" "Notifications that wait to be handed over." ["way": WAYS];
    Gauge NOTIFICATIONS_OLDEST "treasury_bot_notifications_oldest_seconds" "For how long the oldest of them is due, in seconds; 0 when none is." ["way": WAYS];
    Gauge NOTIFICATIONS_DEAD "treasury_bot_notifications_dead" "Notifications that never arrived, and are kept." ["way": WAYS];
    // The process.
    Gauge STORE_UP "treasury_bot_store_up" "1 while the store answers and takes writes, else 0." [];
    Histogram STORE_WRITE "treasury_bot_store_write_seconds" "From a write's being asked for to its being durable, in seconds." [] DISK;
    Gauge STORE_SIZE "treasury_bot_store_size_bytes" "The database, in bytes; of SQLite without its log of writes." [];
    Counter STORE_PRUNED "treasury_bot_store_pruned_rows_total" "Rows that were over for longer than `[store] keep` and were removed." ["table": Of(&["alert", "alert_group", "conversation", "inbox", "notification", "outbox", "question", "run", "silence"])];
    Gauge STORE_PRUNED_AT "treasury_bot_store_pruned_timestamp_seconds" "When all that was over for longer than `[store] keep` was last gone through, in seconds since 1970; `NaN` before the first time." [];
    Counter PAGES_REFUSED "treasury_bot_pages_refused_total" "Visits of the incident pages that were refused." ["why": Of(&["not_found", "store", "signed_out", "no_link", "used", "expired", "not_allowed", "forged"])];
    Gauge BUILD "treasury_bot_build_info" "Always 1; which build it is. The commit is empty where the build did not know it." ["version": AsManyAs("one"), "commit": AsManyAs("one")];
    Gauge STARTED "process_start_time_seconds" "When the process began, in seconds since 1970." [];
    Gauge MEMORY "process_resident_memory_bytes" "What the process takes of the memory, in bytes." [];
}

/// The process's one recorder, installed on first use.
fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let mut histograms = ALL.iter().filter(|one| one.kind == Kind::Histogram);
            let builder = histograms.try_fold(PrometheusBuilder::new(), |builder, one| {
                let matcher = Matcher::Full(one.name.to_owned());
                builder.set_buckets_for_metric(matcher, one.bounds)
            });
            match builder.and_then(PrometheusBuilder::install_recorder) {
                Ok(handle) => {
                    announce();
                    Some(handle)
                }
                Err(error) => {
                    tracing::warn!(%error, "metrics are not recorded");
                    None
                }
            }
        })
        .as_ref()
}

/// Says what each metric is, and lets those begin at 0 whose series are known: the first time that
/// something happens is an increase then.
fn announce() {
    for one in ALL {
        let labels = one.combinations();
        match one.kind {
            Kind::Counter => {
                metrics::describe_counter!(one.name, one.help);
                for labels in labels {
                    one.begin_counter(&labels);
                }
            }
            Kind::Gauge => metrics::describe_gauge!(one.name, one.help),
            Kind::Histogram => {
                metrics::describe_histogram!(one.name, one.help);
                for labels in labels {
                    one.begin_histogram(&labels);
                }
            }
        }
    }
}

/// Begins recording, once a process. What was counted before is lost.
pub fn begin(version: &str, commit: Option<&str>) {
    recorder();
    BUILD.set(&[version, commit.unwrap_or_default()], 1.);
    STARTED.set(&[], started());
}

/// The page that Prometheus reads; `None` when metrics can't be recorded in this process.
pub fn page() -> Option<String> {
    let handle = recorder()?;
    handle.run_upkeep();
    MEMORY.set(&[], resident());
    Some(handle.render())
}

/// When this process began, in seconds since 1970: the first time that it was asked.
fn started() -> Option<f64> {
    static STARTED: OnceLock<Option<f64>> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(since.as_secs_f64())
    })
}

/// The resident memory, in bytes, where Linux says it (proc_pid_status(5), `VmRSS` in kB).
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    /// The table as docs/observability.md shows it.
    fn table() -> String {
        let rows = ALL.iter().map(|one| {
            let labels = one.labels.iter().map(|(name, values)| match values {
                Of(values) => format!("`{name}`: {}", values.join(", ")),
                AsManyAs(what) => format!("`{name}`: {what}"),
            });
            let labels: Vec<String> = labels.collect();
            let kind = format!("{:?}", one.kind).to_lowercase();
            let (name, labels) = (one.name, labels.join("; "));
            format!("| `{name}` | {kind} | {labels} | {} |\n", one.help)
        });
        rows.collect()
    }

    #[test]
    fn the_documentation_shows_all_metrics_and_no_others() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/observability.md");
        let text = std::fs::read_to_string(path).unwrap();
        let is_row =
            |line: &&str| line.starts_with("| `treasury_bot_") || line.starts_with("| `process_");
        let shown: String = text
            .lines()
            .filter(is_row)
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(
            shown == table(),
            "docs/observability.md is to hold these rows:\n{}",
            table()
        );
    }

    /// <https://prometheus.io/docs/practices/naming/>
    #[test]
    fn names_and_words_follow_the_conventions() {
        let mut names = BTreeSet::new();
        for one in ALL {
            let name = one.name;
            assert!(names.insert(name), "{name} twice");
            assert!(
                name.starts_with("treasury_bot_") || name.starts_with("process_"),
                "{name}"
            );
            let is_counter = one.kind == Kind::Counter;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            assert_eq!(
                one.kind == Kind::Histogram,
                !one.bounds.is_empty(),
                "{name}"
            );
            assert!(one.bounds.is_sorted() && one.help.ends_with('.'), "{name}");
            for unit in ["seconds", "bytes"] {
                assert_eq!(
                    name.ends_with(unit),
                    one.help.contains(&format!("in {unit}")),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn what_never_happened_is_0_and_what_is_not_known_is_no_number() {
        begin("1.2.3", None);
        let page = page().unwrap();
        for line in [
            "# HELP treasury_bot_runs_total Runs of runbooks that have ended.",
            "# TYPE treasury_bot_runs_total counter",
            "treasury_bot_runs_total{mode=\"run\",outcome=\"failed\"} 0",
            "treasury_bot_resolve_seconds_bucket{severity=\"SEV1\",le=\"60\"} 0",
            "treasury_bot_resolve_seconds_count{severity=\"SEV1\"} 0",
            "treasury_bot_build_info{version=\"1.2.3\",commit=\"\"} 1",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line} in\n{page}");
        }
        // A gauge is there once somebody has looked.
        assert!(!page.contains("treasury_bot_timers_due"), "{page}");
        TIMERS_DUE.set(&[], None);
        COMMAND.took(&["reads"], Duration::from_millis(40));
        let page = super::page().unwrap();
        assert!(page.contains("\ntreasury_bot_timers_due NaN\n"), "{page}");
        for line in [
            "treasury_bot_command_seconds_bucket{kind=\"reads\",le=\"0.025\"} 0",
            "treasury_bot_command_seconds_bucket{kind=\"reads\",le=\"0.05\"} 1",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line} in\n{page}");
        }
        let number = |name: &str| -> f64 {
            let line = page.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(number("process_start_time_seconds ") > 1.7e9);
        assert!((1e6..1e10).contains(&number("process_resident_memory_bytes ")));
    }
}
