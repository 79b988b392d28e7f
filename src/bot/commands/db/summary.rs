//! `db summary`.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{
    LAG, MANY, buttons, is_trouble, prepared_text, sessions, slot_text, tail, vacuum_text,
};
use crate::bot::entry::{Probe, Question};
use crate::bot::probes::{State, counts, percent, time};
use crate::bot::services::Named;
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Part, Tone, duration};
use crate::probe::database::{Database, DatabaseSummary};

/// A transaction open for longer than this is worth a warning, ms.
const LONG: u64 = 300_000;
/// Part of the way to the wraparound that is worth a warning, percent.
const WRAPAROUND: f64 = 50.0;
/// Transactions that vacuum is held back for from which it is told …
const HELD: u64 = 1_000;
/// … and worth a warning: a twentieth of where autovacuum begins to hurry (`autovacuum_freeze_max_age`).
const FAR: u64 = 10_000_000;

/// Show the state of the database at a glance
#[derive(Debug, Default, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Which database, where there are several.
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    database: Option<String>,
}

impl Question for Summary {
    const WORDS: &'static str = "db summary";
}

impl Probe for Summary {
    const STEP: &'static str = "db.summary";
    const SUMMARY: &'static str = "The state of a database at a glance";
    type Found = State<DatabaseSummary>;

    async fn look(self, context: &Context) -> Result<(State<DatabaseSummary>, Message), Fault> {
        let found = context.catalogue().database(self.database.as_deref())?;
        let tail = tail(context, &found.name);
        match found.probe.summary().await {
            Ok(summary) => {
                let message = summary_message(found, &summary, context.store().now(), &tail);
                Ok((State::up(found, summary), message))
            }
            Err(error) if error.kind.is_down() => {
                let again = format!("db{tail}");
                Ok(State::down(context, found, &error, again))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn summary_message(
    found: &Named<dyn Database>,
    s: &DatabaseSummary,
    now: Timestamp,
    tail: &str,
) -> Message {
    let warnings = warnings(s);
    let tone = if warnings.is_empty() {
        Tone::Good
    } else {
        Tone::Warning
    };
    let title = Line::new().code(&found.name).text(format!(
        " is up, {:.0} % of its connections in use",
        s.connections_percent
    ));
    let mut message = Message::new(tone, title);
    for warning in warnings {
        message = message.text(format!("⚠ {warning}"));
    }
    let field = |name: &str, value: String| (name.to_owned(), Line::from(value));
    let mut fields = vec![
        field(
            "Connections",
            format!(
                "{} of {}: {}",
                s.connections_used,
                s.connections_max,
                counts(&s.by_state, 4)
            ),
        ),
        field("Applications", counts(&s.by_application, 4)),
        field("Oldest transaction", oldest_text(s)),
        field("Waiting for locks", s.blocked.to_string()),
        field("Buffer cache hits", percent(s.cache_hit_percent)),
        field("Size", duration::bytes_text(s.size_bytes)),
        field("Replication", replication_text(s)),
        field(
            "Wraparound",
            format!(
                "{:.1} % of the way; multixacts {:.1} %",
                s.wraparound_percent, s.multixact_percent
            ),
        ),
        field(
            "Last vacuum",
            match s.last_vacuum_at {
                Some(at) => format!("{} ago", duration::text(duration::between(at, now))),
                None if !s.primary => "not known to a standby".into(),
                None => "never".into(),
            },
        ),
    ];
    for vacuum in s.vacuums.iter().take(3) {
        let text = format!("{} (session {})", vacuum_text(vacuum), vacuum.pid);
        fields.push(field("Vacuum runs", text));
    }
    if let Some(held) = s
        .held_back
        .as_ref()
        .filter(|held| held.transactions >= HELD)
    {
        let text = format!("{}, {} transactions behind", held.by, held.transactions);
        fields.push(field("Vacuum is held back by", text));
    }
    if let Some(dead) = s.dead_rows_percent {
        fields.push(field("Dead rows", format!("{dead:.1} %")));
    }
    message
        .part(Part::Fields(fields))
        .buttons(buttons(
            tail,
            &[
                ("Connections", "connections"),
                ("Locks", "locks"),
                ("Slow queries", "slow"),
                ("Size", "size"),
            ],
        ))
        .footer(format!(
            "PostgreSQL {}, up {}",
            s.version,
            duration::text(duration::between(s.started_at, now))
        ))
}

fn replication_text(s: &DatabaseSummary) -> String {
    let unknown = "how far behind is not known";
    let lag = match (s.replication_lag_bytes, s.replication_lag_ms) {
        (Some(bytes), Some(ms)) => format!("{} ({}) behind", duration::bytes_text(bytes), time(ms)),
        (Some(bytes), None) => format!("{} behind", duration::bytes_text(bytes)),
        (None, _) => unknown.to_owned(),
    };
    if !s.primary {
        return match &s.streams_from {
            Some(_) if s.replay_paused => format!("standby, PAUSED, {lag}"),
            Some(_) => format!("standby, {lag}"),
            None => format!("standby that does not stream, {unknown}"),
        };
    }
    let others = match s.receivers {
        0 => String::new(),
        1 => "; 1 backup or log receiver".to_owned(),
        n => format!("; {n} backups or log receivers"),
    };
    match s.replicas {
        0 => format!("primary, no replica{others}"),
        1 => format!("primary, 1 replica, {lag}{others}"),
        n => format!("primary, {n} replicas, {lag}{others}"),
    }
}

fn oldest_text(s: &DatabaseSummary) -> String {
    let session = s.longest_transaction_ms.zip(s.longest_transaction_pid);
    let prepared = s.prepared.first();
    match (session, prepared) {
        (Some((ms, pid)), prepared) if prepared.is_none_or(|one| one.age_ms <= ms) => {
            format!("{} (session {pid})", time(ms))
        }
        (_, Some(one)) => format!("{} (prepared, {})", time(one.age_ms), cut(&one.gid, 60)),
        _ if s.rights_lack.is_some() => "not known".into(),
        _ => "none open".into(),
    }
}

/// What is worth a warning, the worst first.
fn warnings(s: &DatabaseSummary) -> Vec<String> {
    let mut warnings = Vec::new();
    if !s.primary && s.streams_from.is_none() {
        let text = "It streams from no primary: how far behind it is is not known";
        warnings.push(text.to_owned());
    }
    if s.replay_paused {
        let text = "Its replay is paused: SELECT pg_wal_replay_resume() lets it go on";
        warnings.push(text.to_owned());
    }
    if s.connections_percent >= MANY {
        warnings.push(format!(
            "{} of {} connections are in use",
            s.connections_used, s.connections_max
        ));
    }
    if let Some(limit) = s.database_limit
        && s.database_used as f64 * 100.0 >= limit as f64 * MANY
    {
        let used = s.database_used;
        warnings.push(format!(
            "{used} of {limit} connections that the database may have are in use (CONNECTION LIMIT)"
        ));
    }
    if s.blocked > 0 {
        warnings.push(format!("{} wait for a lock", sessions(s.blocked)));
    }
    if let (Some(ms), Some(pid)) = (s.longest_transaction_ms, s.longest_transaction_pid)
        && ms >= LONG
    {
        warnings.push(format!(
            "Session {pid} has held a transaction open for {}",
            time(ms)
        ));
    }
    let long = s.prepared.iter().filter(|one| one.age_ms >= LONG);
    warnings.extend(
        long.take(3)
            .map(|one| format!("{} is open", prepared_text(one))),
    );
    let percents = [
        ("transaction", s.wraparound_percent),
        ("multixact", s.multixact_percent),
    ];
    for (what, percent) in percents {
        if percent >= WRAPAROUND {
            warnings.push(format!(
                "{percent:.0} % of the way to {what} wraparound: vacuum"
            ));
        }
    }
    if s.replication_lag_bytes.is_some_and(|lag| lag >= LAG) {
        warnings.push("Replication is far behind".to_owned());
    }
    let far = s.held_back.as_ref().filter(|held| held.transactions >= FAR);
    if let Some(held) = far {
        let (by, behind) = (&held.by, held.transactions);
        warnings.push(format!(
            "Vacuum removes nothing newer: {by} is {behind} transactions behind"
        ));
    }
    for slot in s.slots.iter().filter(|slot| is_trouble(slot)).take(3) {
        warnings.push(slot_text(slot));
    }
    if let Some(right) = &s.rights_lack {
        warnings.push(format!(
            "The bot may not see the sessions of others, so more may be wrong: {right}"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::database::{HeldBack, Slot};

    fn well() -> DatabaseSummary {
        DatabaseSummary {
            primary: true,
            ..DatabaseSummary::default()
        }
    }

    #[test]
    fn a_standby_that_is_cut_off_is_not_well_and_never_said_to_be_0_b_behind() {
        assert_eq!(warnings(&well()), Vec::<String>::new());
        let cut_off = DatabaseSummary {
            primary: false,
            ..well()
        };
        assert_eq!(warnings(&cut_off).len(), 1);
        let text = replication_text(&cut_off);
        assert_eq!(
            text,
            "standby that does not stream, how far behind is not known"
        );
    }

    #[test]
    fn what_a_backup_does_is_no_replica_and_a_lag_that_nobody_tells_is_not_known() {
        let backup = DatabaseSummary {
            receivers: 2,
            ..well()
        };
        let text = replication_text(&backup);
        assert_eq!(text, "primary, no replica; 2 backups or log receivers");
        let hidden = DatabaseSummary {
            replicas: 1,
            rights_lack: Some("GRANT pg_monitor TO bot".into()),
            ..well()
        };
        let text = replication_text(&hidden);
        assert_eq!(text, "primary, 1 replica, how far behind is not known");
        assert_eq!(oldest_text(&hidden), "not known");
        assert!(warnings(&hidden)[0].ends_with("GRANT pg_monitor TO bot"));
    }

    #[test]
    fn limits_multixacts_horizons_and_slots_are_warned_of() {
        let slot = |name: &str, lost: Option<&str>, kept_bytes| Slot {
            name: name.into(),
            active: false,
            synced: false,
            lost: lost.map(ToOwned::to_owned),
            kept_bytes,
        };
        let ill = DatabaseSummary {
            database_used: 3,
            database_limit: Some(3),
            multixact_percent: 69.8,
            held_back: Some(HeldBack {
                by: "slot archive".into(),
                transactions: 20_000_000,
            }),
            slots: vec![
                slot("dead", Some("idle_timeout"), None),
                slot("small", None, Some(1_000)),
                slot("big", None, Some(LAG)),
            ],
            ..well()
        };
        let told = warnings(&ill).join("\n");
        for part in [
            "3 of 3 connections that the database may have are in use",
            "70 % of the way to multixact wraparound",
            "slot archive is 20000000 transactions behind",
            "slot dead is LOST (idle_timeout)",
            "slot big is NOT IN USE, keeps 64.0 MiB",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("small"), "{told}");
    }
}
