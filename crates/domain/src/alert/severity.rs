//! The words of other tools for how bad an alert is.

use crate::Severity;

/// What a word means, whatever its case; `None` for one that no tool known here uses.
///
/// The rungs, by the tools' own documents. Whatever is at least as bad as `error` is SEV2 at least.
/// - SEV1: what a tool sets *above* its `critical` or `high`: syslog's `emerg` (`panic` is its older
///   name: "system is unusable", RFC 5424 6.2.1), Google's `emergency`, Zabbix' `disaster` (above
///   `high`), and the first of numbered ones: Opsgenie's and PagerDuty's P1, SEV1 (Azure's SEV0).
/// - SEV2: `critical` of Prometheus, PagerDuty, Nagios, Grafana and syslog, with `alert` (syslog's
///   rung above, but a common word elsewhere), `page`, `urgent`, `fatal` (of logs and Sentry: a
///   process died), `major` (X.733, ServiceNow: below critical), `high`, `error`, Nagios' `down`.
/// - SEV3: `warning`, X.733's `minor` (above warning there), Zabbix' `average`, `medium`, Opsgenie's
///   P3 `moderate`; Nagios' `unknown`.
/// - SEV4: `info`, `notice`, `low`, `debug`, P4 and P5, `none` (Prometheus' Watchdog), Zabbix'
///   `not classified`.
///
/// A number alone is a place from the worst, 1; Zabbix' `{EVENT.NSEVERITY}` counts the other way.
pub fn severity_word(word: &str) -> Option<Severity> {
    let word = word.trim().to_lowercase();
    Some(match word.as_str() {
        "emerg" | "emergency" | "panic" | "disaster" | "sev0" | "p0" => Severity::Sev1,
        "critical" | "crit" | "alert" | "page" | "urgent" | "fatal" | "severe" | "blocker"
        | "major" | "high" | "error" | "err" | "down" | "unreachable" => Severity::Sev2,
        "warning" | "warn" | "minor" | "average" | "medium" | "moderate" | "unknown" => {
            Severity::Sev3
        }
        "info" | "information" | "informational" | "notice" | "low" | "lowest" | "debug"
        | "trace" | "verbose" | "none" | "ok" | "normal" | "not classified" => Severity::Sev4,
        other => return numbered(other),
    })
}

/// `sev2`, `SEV-2`, `P2`, `s2`, `severity 2`, `2`.
fn numbered(word: &str) -> Option<Severity> {
    let (prefix, digit) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let prefix = prefix.trim_end_matches([' ', '-', '_', ':']);
    if !["", "p", "s", "sev", "severity", "priority"].contains(&prefix) {
        return None;
    }
    Some(match digit {
        "1" => Severity::Sev1,
        "2" => Severity::Sev2,
        "3" => Severity::Sev3,
        "4" | "5" => Severity::Sev4,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_means_what_its_tool_means() {
        for (words, meant) in [
            (
                "emerg emergency PANIC disaster P1 p1 sev1 SEV-1 Sev0 1 s1",
                Severity::Sev1,
            ),
            (
                "critical crit CRITICAL alert page urgent fatal FATAL major high error err P2 sev2 2",
                Severity::Sev2,
            ),
            (
                "warning warn minor average medium P3 sev3 3",
                Severity::Sev3,
            ),
            (
                "info informational notice low debug none P4 P5 sev4 sev5 4 5",
                Severity::Sev4,
            ),
        ] {
            for word in words.split_whitespace() {
                assert_eq!(severity_word(word), Some(meant), "{word}");
            }
        }
        for unknown in ["", "wobbly", "0", "6", "p", "p11", "97%", "sevé", "é1"] {
            assert_eq!(severity_word(unknown), None, "{unknown}");
        }
        // The worse word of a tool is never the lesser here.
        for ladder in [
            "emerg alert crit err warning notice info debug",
            "disaster high average warning information",
            "critical error warning info",
            "critical major minor warning",
            "fatal error warning info debug",
            "p1 p2 p3 p4 p5",
        ] {
            let rungs: Vec<_> = ladder.split(' ').map(severity_word).collect();
            assert!(rungs.is_sorted() && rungs[0].is_some(), "{ladder}");
        }
    }
}
