//! `cache slowlog`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::{Names, with_warnings};
use crate::bot::entry::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Tone, duration};
use crate::probe::cache::{self, LargeCommand, LargeCommands, Recorded, SlowCommand};

/// Show the slowest recent commands, and large ones, to you alone
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowLog {
    /// Which cache, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    cache: Option<String>,
}

impl Question for SlowLog {
    const WORDS: &'static str = "cache slowlog";
}

impl Probe for SlowLog {
    const STEP: &'static str = "cache.slowlog";
    const SUMMARY: &'static str =
        "The slowest recent commands, and large ones where the server keeps them";
    const PRIVATE: bool = true;
    type Found = cache::SlowLog;

    async fn look(self, context: &Context) -> Result<(cache::SlowLog, Message), Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let log = found.probe.slowlog().await?;
        let name = &found.name;
        let title = match log.entries.len() {
            0 => Line::new()
                .text("No slow command is on record in ")
                .code(name),
            1 => Line::new().text("The slowest command of ").code(name),
            n => Line::new()
                .text(format!("The {n} slowest commands of "))
                .code(name),
        };
        let now = context.store().now();
        let names = Names::of(context);
        let shown = named(&log, names);
        let slow = |one: &SlowCommand| {
            let ms = format!("{:.1} ms", one.took_us as f64 / 1_000.0);
            row(&one.recorded, &ms, now)
        };
        let mut message = Message::new(Tone::Plain, title);
        message = message.code(shown.entries.iter().map(slow).collect::<String>());
        for (what, large) in [
            ("Large requests", &shown.large_requests),
            ("Large replies", &shown.large_replies),
        ] {
            if let Some(large) = large {
                let list =
                    |one: &LargeCommand| row(&one.recorded, &duration::bytes_text(one.bytes), now);
                message = message.text(format!("{what}{}", large_text(large)));
                message = message.code(large.entries.iter().map(list).collect::<String>());
            }
        }
        let kept = kept(&log);
        let message = with_warnings(message, &log.missing).footer(format!(
            "{kept}. Arguments are left out but for the key. Times are UTC{}",
            names.note()
        ));
        // A run is told to everybody, and kept.
        Ok((named(&log, Names::Masked), message))
    }
}

/// The same with such names of keys.
fn named(log: &cache::SlowLog, names: Names) -> cache::SlowLog {
    let mut log = log.clone();
    let large = [&mut log.large_requests, &mut log.large_replies];
    let large = large.into_iter().flatten().flat_map(|one| &mut one.entries);
    let all = log.entries.iter_mut().map(|one| &mut one.recorded);
    for one in all.chain(large.map(|one| &mut one.recorded)) {
        if let Some(key) = &mut one.key {
            *key = names.told(key, "");
        }
    }
    log
}

fn row(one: &Recorded, figure: &str, now: Timestamp) -> String {
    let today = duration::between(one.at, now) < Duration::from_hours(20);
    let at = one
        .at
        .strftime(if today { "%H:%M:%S" } else { "%d %b %H:%M" });
    format!("{at} {figure:>11}  {one}  {}\n", one.client)
}

/// What the server keeps at present. What it kept before another threshold was set is there still.
fn kept(log: &cache::SlowLog) -> String {
    match log.threshold_us {
        Some(us) => {
            let older = log.entries.iter().any(|one| one.took_us < us);
            let older = if older {
                " now; quicker ones are from before"
            } else {
                ""
            };
            format!("Commands over {} ms are kept{older}", us as f64 / 1_000.0)
        }
        None if log.threshold_known => {
            let older = if log.entries.is_empty() { "" } else { " now" };
            format!("The server keeps no slow log{older}: set slowlog-log-slower-than")
        }
        None => "From how long on the server keeps a command, it does not tell".to_owned(),
    }
}

fn large_text(large: &LargeCommands) -> String {
    let none = if large.entries.is_empty() {
        ": none"
    } else {
        ""
    };
    match large.threshold_bytes {
        Some(bytes) => format!(" (over {}){none}", duration::bytes_text(bytes)),
        None => none.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_told_as_that_of_now() {
        let log = |threshold_us, threshold_known, took: &[u64]| {
            let recorded = Recorded {
                command: "GET".into(),
                key: None,
                more: 0,
                at: Timestamp::UNIX_EPOCH,
                client: String::new(),
            };
            let slow = |took_us: &u64| SlowCommand {
                recorded: recorded.clone(),
                took_us: *took_us,
            };
            cache::SlowLog {
                threshold_us,
                threshold_known,
                entries: took.iter().map(slow).collect(),
                ..cache::SlowLog::default()
            }
        };
        for (log, told) in [
            (
                log(Some(10_000), true, &[12_000]),
                "Commands over 10 ms are kept",
            ),
            // It was lower once.
            (
                log(Some(10_000), true, &[12_000, 40]),
                "Commands over 10 ms are kept now; quicker ones are from before",
            ),
            (
                log(None, true, &[]),
                "The server keeps no slow log: set slowlog-log-slower-than",
            ),
            (
                log(None, true, &[40]),
                "The server keeps no slow log now: set slowlog-log-slower-than",
            ),
            (
                log(None, false, &[40]),
                "From how long on the server keeps a command, it does not tell",
            ),
        ] {
            assert_eq!(kept(&log), told);
        }
    }
}
