//! Histories: what senders report, what people do, and when the bot dies; random ones, from a seed.

use std::fmt;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::model::Second;

/// How long a history goes on after its last event: everybody is asked at least once more.
pub const AFTER: Second = 2_000;
/// Alerts: name, service.
pub const ALERTS: [(&str, &str); 5] = [
    ("Down", "api"),
    ("SlowAnswers", "api"),
    ("QueueGrows", "elsewhere"),
    ("Down", "api"),
    ("DiskFills", "nowhere"),
];

/// Which alerts are more of the same.
pub fn kind_of(alert: usize) -> usize {
    match alert {
        3 => 0,
        other => other,
    }
}

/// Something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A report arrives.
    Report {
        alert: usize,
        firing: bool,
        start: Second,
        /// When it was over, if it is.
        end: Second,
        severity: u8,
        replica: u8,
    },
    /// Somebody takes an alert up: `ack`.
    Acknowledge { alert: usize },
    /// `silence ALERT …`
    Silence { alert: usize, minutes: i64 },
    /// `silence ALERT --end`
    Unsilence { alert: usize },
    /// `resolve` of the alert's incident.
    Resolve { alert: usize },
    /// The bot ends, with or without work in its hands, and is back after so many seconds.
    Restart { crash: bool, away: Second },
}

/// Something happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub at: Second,
    pub what: What,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |at: Second| {
            let sign = if at < 0 { "-" } else { "" };
            let at = at.abs();
            format!("{sign}{}:{:02}:{:02}", at / 3_600, at / 60 % 60, at % 60)
        };
        write!(f, "{} ", clock(self.at))?;
        match self.what {
            What::Report {
                alert,
                firing,
                start,
                end,
                severity,
                replica,
            } => {
                let (name, service) = ALERTS[alert];
                let state = if firing {
                    "fires".to_owned()
                } else {
                    format!("is over since {}", clock(end))
                };
                let start = clock(start);
                write!(
                    f,
                    "sender {replica}: {alert} {name} of {service} {state}, began {start}, SEV{severity}"
                )
            }
            What::Acknowledge { alert } => write!(f, "ana: ack {alert}"),
            What::Silence { alert, minutes } => write!(f, "ana: silence {alert} {minutes}m"),
            What::Unsilence { alert } => write!(f, "ana: silence {alert} --end"),
            What::Resolve { alert } => write!(f, "ben: resolve the incident of {alert}"),
            What::Restart { crash, away } => {
                let how = if crash { "is killed" } else { "ends" };
                write!(f, "the bot {how}, and is back after {away} s")
            }
        }
    }
}

/// How a sender says since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starts {
    /// When it began to fire this time.
    Each,
    /// Always the same, as when Prometheus pauses, or a script knows no better.
    Constant,
    /// Each, by a clock that is set back after a while.
    SetBack { from: Second, by: Second },
}

/// The history of this seed.
pub fn history(seed: u64) -> Vec<Event> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut events = Vec::new();
    let end = rng.random_range(1_800..7_200);
    // For a while no report gets through.
    let deaf = rng.random_bool(0.15).then(|| {
        let from = rng.random_range(0..end);
        from..from + rng.random_range(120..3_600)
    });
    for alert in 0..ALERTS.len() {
        if rng.random_bool(0.4) || (alert == 0 && events.is_empty()) {
            let reports = reports(&mut rng, alert, end);
            let heard = |event: &Event| deaf.as_ref().is_none_or(|deaf| !deaf.contains(&event.at));
            events.extend(reports.into_iter().filter(heard));
        }
    }
    for _ in 0..rng.random_range(0..8) {
        let alert = match events.get(rng.random_range(0..events.len().max(1))) {
            Some(Event {
                what: What::Report { alert, .. },
                ..
            }) => *alert,
            _ => 0,
        };
        let what = match rng.random_range(0..10) {
            0..4 => What::Acknowledge { alert },
            4..6 => What::Silence {
                alert,
                minutes: rng.random_range(1..40),
            },
            6 => What::Unsilence { alert },
            7 => What::Resolve { alert },
            _ => What::Restart {
                crash: rng.random_bool(0.7),
                away: rng.random_range(1..60),
            },
        };
        let at = rng.random_range(1..end);
        events.push(Event { at, what });
    }
    events.sort_by_key(|event| event.at);
    events
}

/// What one or two senders report of an alert that fires now and then.
fn reports(rng: &mut StdRng, alert: usize, end: Second) -> Vec<Event> {
    let starts = match rng.random_range(0..6) {
        0..3 => Starts::Each,
        3..5 => Starts::Constant,
        _ => Starts::SetBack {
            from: rng.random_range(0..end),
            by: rng.random_range(60..7_200),
        },
    };
    let two = rng.random_bool(0.4);
    let repeats = rng.random_range(600..1_500);
    let mut severity = [3, 2, 2, 1, 4][rng.random_range(0..5)];
    let mut events = Vec::new();
    let first = rng.random_range(1..1_200);
    let mut at = first;
    while at < end {
        let over =
            at + [20, 120, 900, 3_600][rng.random_range(0..4)] * rng.random_range(50..150) / 100;
        let set_back = match starts {
            Starts::SetBack { from, by } if at >= from => by,
            _ => 0,
        };
        let start = match starts {
            Starts::Constant => first,
            _ => at - set_back,
        };
        let mut say = |rng: &mut StdRng, at: Second, firing: bool, severity: u8| {
            for replica in 0..=u8::from(two && rng.random_bool(0.6)) {
                let late = rng.random_range(0..3 + 12 * i64::from(replica));
                let what = What::Report {
                    alert,
                    firing,
                    start,
                    end: over - set_back,
                    severity,
                    replica,
                };
                let at = at + late;
                events.push(Event { at, what });
                if rng.random_bool(0.12) {
                    let at = at + rng.random_range(0..3);
                    events.push(Event { at, what });
                }
            }
        };
        let mut told = at;
        while told < over.min(end) {
            say(rng, told, true, severity);
            told += repeats;
            if rng.random_bool(0.2) {
                severity = rng.random_range(1..5);
            }
        }
        if over >= end {
            break;
        }
        say(rng, over, false, severity);
        at = over + [20, 90, 600, 2_400][rng.random_range(0..4)] * rng.random_range(50..150) / 100;
    }
    events
}
