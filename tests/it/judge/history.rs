//! Histories: what senders report, what people do, and when the bot dies; random ones, from a seed.

use std::fmt;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::model::Second;

/// How long a history goes on after its last event: everybody is asked at least once more.
pub const AFTER: Second = 2_000;
/// Alerts: name, service.
pub const ALERTS: [(&str, &str); 15] = [
    ("Down", "api"),
    ("SlowAnswers", "api"),
    ("QueueGrows", "elsewhere"),
    ("Down", "api"),
    ("DiskFills", "nowhere"),
    ("Errors", "frontend"),
    ("Down", "postgres"),
    // A storm of these is more than are an incident each.
    ("Gust", "s1"),
    ("Gust", "s2"),
    ("Gust", "s3"),
    ("Gust", "s4"),
    ("Gust", "s5"),
    ("Gust", "s6"),
    ("Gust", "s7"),
    ("Gust", "s8"),
];
const STORM: std::ops::Range<usize> = 7..ALERTS.len();
/// Those who are asked: about the frontend, and about everything else.
pub const OF_FRONTEND: [&str; 2] = ["U0CHLOE001", "U0DAVE0001"];
pub const ON_CALL: [&str; 2] = ["U0ANA00001", "U0BEN00001"];

/// The service that an alert is of.
pub fn service_of(alert: usize) -> &'static str {
    ALERTS[alert].1
}

/// One of these people is on call for a service in turn.
pub fn is_served_by(service: &str, whom: &[&str]) -> bool {
    let theirs = match service {
        "frontend" => OF_FRONTEND,
        _ => ON_CALL,
    };
    whom.iter().any(|person| theirs.contains(person))
}

/// The service of one alert stands on that of the other.
pub fn stands_on(above: usize, below: usize) -> bool {
    matches!(
        (service_of(above), service_of(below)),
        ("frontend", "api" | "postgres") | ("api", "postgres")
    )
}

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
        /// Further ones of its group, which Alertmanager does not name.
        left_out: u64,
    },
    /// `[alertmanager]` is configured, and from the first report on the bot looks what is listed there.
    Compares,
    /// It is listed there from now on as firing since then, or not at all.
    Lists { alert: usize, since: Option<Second> },
    /// `incident declare`, of a service that is known or none.
    Declare {
        severity: u8,
        service: Option<&'static str>,
    },
    /// Somebody takes the declared incident up.
    AcknowledgeDeclared,
    /// `resolve` of it.
    ResolveDeclared,
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
                left_out,
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
                )?;
                match left_out {
                    0 => Ok(()),
                    n => write!(f, ", {n} left out"),
                }
            }
            What::Compares => write!(f, "[alertmanager] is configured"),
            What::Lists { alert, since } => match since {
                Some(since) => write!(f, "Alertmanager lists {alert} since {}", clock(since)),
                None => write!(f, "Alertmanager lists {alert} no more"),
            },
            What::Declare { severity, service } => {
                write!(f, "ben: declare SEV{severity} of {service:?}")
            }
            What::AcknowledgeDeclared => write!(f, "ana: ack of the declared incident"),
            What::ResolveDeclared => write!(f, "ben: resolve the declared incident"),
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

/// What kind of history it is.
struct Plan {
    end: Second,
    /// Alertmanager's usual time between two reports of what fires, four hours; else some minutes.
    repeats: Option<Second>,
    /// The bot looks what Alertmanager lists.
    compares: bool,
    /// Alertmanager names few alerts of a group (`max_alerts`).
    leaves_out: bool,
    storm: Option<Second>,
}

/// The history of this seed.
pub fn history(seed: u64) -> Vec<Event> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut events = Vec::new();
    let is_long = rng.random_bool(0.1);
    let end = if is_long {
        18_000..50_000
    } else {
        1_800..7_200
    };
    let end = rng.random_range(end);
    let compares = !is_long && rng.random_bool(0.08);
    let plan = Plan {
        end,
        repeats: is_long.then_some(4 * 3_600),
        compares,
        // What is listed says what was left out.
        leaves_out: rng.random_bool(0.1) && !compares,
        storm: (!is_long && rng.random_bool(0.05)).then(|| rng.random_range(1..1_200)),
    };
    // For a while no report gets through.
    let deaf = rng.random_bool(0.15).then(|| {
        let from = rng.random_range(0..end);
        from..from + rng.random_range(120..3_600)
    });
    for alert in 0..ALERTS.len() {
        let is_gust = STORM.contains(&alert);
        if is_gust && plan.storm.is_none() {
            continue;
        }
        if is_gust || rng.random_bool(0.35) || (alert == 0 && events.is_empty()) {
            let reports = reports(&mut rng, alert, &plan);
            let heard = |event: &Event| {
                let is_report = matches!(event.what, What::Report { .. });
                !is_report || deaf.as_ref().is_none_or(|deaf| !deaf.contains(&event.at))
            };
            events.extend(reports.into_iter().filter(heard));
        }
    }
    for _ in 0..rng.random_range(0..8) {
        let at = rng.random_range(1..end);
        let what = deed(&mut rng, &events, &plan);
        events.push(Event { at, what });
    }
    if rng.random_bool(0.12) {
        events.extend(declared(&mut rng, end));
    }
    if plan.compares {
        let what = What::Compares;
        events.push(Event { at: 0, what });
    }
    events.sort_by_key(|event| event.at);
    events
}

/// What a person does, or what happens to the bot.
fn deed(rng: &mut StdRng, events: &[Event], plan: &Plan) -> What {
    let alert = match events.get(rng.random_range(0..events.len().max(1))) {
        Some(Event {
            what: What::Report { alert, .. },
            ..
        }) => *alert,
        _ => 0,
    };
    match rng.random_range(0..10) {
        0..4 => What::Acknowledge { alert },
        // Who compares silences there as well, which is another's matter.
        4..7 if plan.compares => What::Acknowledge { alert },
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
    }
}

/// A person declares an incident, and what becomes of it.
fn declared(rng: &mut StdRng, end: Second) -> Vec<Event> {
    let at = rng.random_range(1..end);
    let what = What::Declare {
        severity: rng.random_range(1..3),
        service: rng.random_bool(0.5).then_some("api"),
    };
    let mut events = vec![Event { at, what }];
    for (what, chance) in [
        (What::AcknowledgeDeclared, 0.5),
        (What::ResolveDeclared, 0.3),
    ] {
        if rng.random_bool(chance) {
            let at = at + rng.random_range(1..2_400);
            events.push(Event { at, what });
        }
    }
    events
}

/// What one or two senders report of an alert that fires now and then.
fn reports(rng: &mut StdRng, alert: usize, plan: &Plan) -> Vec<Event> {
    let end = plan.end;
    let starts = match rng.random_range(0..6) {
        0..3 => Starts::Each,
        3..5 => Starts::Constant,
        _ => Starts::SetBack {
            from: rng.random_range(0..end),
            by: rng.random_range(60..7_200),
        },
    };
    let two = rng.random_bool(0.4);
    let minutes = rng.random_range(600..1_500);
    let repeats = plan.repeats.unwrap_or(minutes);
    let mut severity = [3, 2, 2, 1, 4][rng.random_range(0..5)];
    let (mut events, mut events_listed) = (Vec::new(), Vec::new());
    let first = match plan.storm.filter(|_| STORM.contains(&alert)) {
        Some(at) => at + rng.random_range(0..20),
        None => rng.random_range(1..1_200),
    };
    let mut at = first;
    while at < end {
        let lasts = match plan.repeats {
            Some(_) => [120, 3_600, 20_000, 40_000],
            None => [20, 120, 900, 3_600],
        };
        let over = at + lasts[rng.random_range(0..4)] * rng.random_range(50..150) / 100;
        let set_back = match starts {
            Starts::SetBack { from, by } if at >= from => by,
            _ => 0,
        };
        let start = match starts {
            Starts::Constant => first,
            _ => at - set_back,
        };
        let mut say = |rng: &mut StdRng, at: Second, firing: bool, severity: u8| {
            let left_out = if plan.leaves_out && rng.random_bool(0.4) {
                rng.random_range(1..4)
            } else {
                0
            };
            for replica in 0..=u8::from(two && rng.random_bool(0.6)) {
                let late = rng.random_range(0..3 + 12 * i64::from(replica));
                let what = What::Report {
                    alert,
                    firing,
                    start,
                    end: over - set_back,
                    severity,
                    replica,
                    left_out,
                };
                let at = at + late;
                events.push(Event { at, what });
                if rng.random_bool(0.12) {
                    let at = at + rng.random_range(0..3);
                    events.push(Event { at, what });
                }
            }
        };
        if plan.compares {
            let mut lists = |at: Second, since: Option<Second>| {
                let what = What::Lists { alert, since };
                events_listed.push(Event { at, what });
            };
            lists(at, Some(start));
            if over < end {
                lists(over, None);
            }
        }
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
    events.extend(events_listed);
    events
}
