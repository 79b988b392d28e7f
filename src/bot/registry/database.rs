//! `db.*`: what is asked of databases.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entry, action, probe};
use crate::bot::services::Named;
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Part, Style, Tone, duration};
use crate::probe::database::{
    Connections, Count, Database, DatabaseSummary, End, Locks, Replication, Session, Sizes,
    SlowQueries,
};
use crate::probe::{ProbeErrorKind, database};

/// Connections in use beyond this many percent are worth a warning.
const MANY: f64 = 80.0;
/// A transaction open for longer than this is worth a warning, ms.
const LONG: u64 = 300_000;
/// Part of the way to the wraparound that is worth a warning, percent.
const WRAPAROUND: f64 = 50.0;
/// Lag of a replica worth a warning, bytes.
const LAG: u64 = 64 << 20;

/// Which database.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::bot) struct Of {
    /// Its name in the configuration; needed only where there are several.
    #[serde(default)]
    pub(in crate::bot) database: Option<String>,
}

/// Which session of which database.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SessionParams {
    /// The database's name; needed only where there are several.
    #[serde(default)]
    database: Option<String>,
    /// The session's number.
    pid: i32,
    /// When it started: only that very session is meant.
    started_at: Timestamp,
}

/// The state of a database, also when it is down.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct State {
    /// It answers.
    up: bool,
    /// Why not.
    problem: Option<String>,
    /// At which step it failed.
    problem_kind: Option<ProbeErrorKind>,
    /// All the rest, while it is up.
    #[serde(flatten)]
    summary: Option<DatabaseSummary>,
}

/// What ending a session came to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Ended {
    /// That session was there and is ended.
    ended: bool,
}

pub(super) fn entries() -> Vec<Entry> {
    vec![
        probe("db.summary", "The state of a database at a glance", summary),
        probe("db.connections", "Who is connected", connections),
        probe("db.locks", "Who blocks whom", locks),
        probe("db.slow", "The queries that take the most time", slow),
        probe("db.replication", "How far replicas are behind", replication),
        probe("db.size", "What takes the room on the disk", size),
        action::<SessionParams, Ended>("db.cancel", "Cancels the running query of a session"),
        action::<SessionParams, Ended>("db.terminate", "Ends a session"),
    ]
}

/// The tail of a sentence that names this database, where there are several.
fn tail(bot: &Context, name: &impl ToString) -> String {
    match bot.catalogue().databases().len() {
        0 | 1 => String::new(),
        _ => format!(" --database {}", name.to_string()),
    }
}

fn buttons(tail: &str, words: &[(&str, &str)]) -> Vec<Button> {
    words
        .iter()
        .map(|(label, word)| Button::new(*label, format!("db {word}{tail}")))
        .collect()
}

async fn summary(bot: Context, of: Of) -> Result<(State, Message), Fault> {
    let found = bot.catalogue().database(of.database.as_deref())?;
    let tail = tail(&bot, &found.name);
    match found.probe.summary().await {
        Ok(summary) => {
            let message = summary_message(found, &summary, bot.store().now(), &tail);
            let state = State {
                up: true,
                problem: None,
                problem_kind: None,
                summary: Some(summary),
            };
            Ok((state, message))
        }
        Err(error) if error.kind.is_down() => {
            let service = &found.service;
            let title = Line::new().code(&found.name).text(match error.kind {
                ProbeErrorKind::Full => " takes no more connections",
                ProbeErrorKind::Authenticate => " does not let me in",
                ProbeErrorKind::Starting => " is not ready",
                ProbeErrorKind::Timeout => " does not answer in time",
                _ => " can't be reached",
            });
            let mut also = vec![Button::new("Try again", format!("db{tail}"))];
            if bot.catalogue().get(service).is_some() {
                also.push(Button::new("Status", format!("status {service}")));
                also.push(Button::new("Logs", format!("logs {service}")));
            }
            let message = Message::new(Tone::Bad, title)
                .text(format!("{}.", error.what))
                .text(Line::new().bold("Mend").text(format!(": {}", error.hint)))
                .buttons(also);
            let state = State {
                up: false,
                problem: Some(error.to_string()),
                problem_kind: Some(error.kind),
                summary: None,
            };
            Ok((state, message))
        }
        Err(error) => Err(error.into()),
    }
}

fn summary_message(
    found: &Named<dyn Database>,
    s: &DatabaseSummary,
    now: Timestamp,
    tail: &str,
) -> Message {
    let mut warnings = Vec::new();
    if s.connections_percent >= MANY {
        warnings.push(format!(
            "{} of {} connections are in use",
            s.connections_used, s.connections_max
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
    if s.wraparound_percent >= WRAPAROUND {
        warnings.push(format!(
            "{:.0} % of the way to transaction wraparound: vacuum",
            s.wraparound_percent
        ));
    }
    if s.replication_lag_bytes.is_some_and(|lag| lag >= LAG) {
        warnings.push("Replication is far behind".to_owned());
    }
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
        field(
            "Oldest transaction",
            match (s.longest_transaction_ms, s.longest_transaction_pid) {
                (Some(ms), Some(pid)) => format!("{} (session {pid})", time(ms)),
                _ => "none open".into(),
            },
        ),
        field("Waiting for locks", s.blocked.to_string()),
        field("Buffer cache hits", percent(s.cache_hit_percent)),
        field("Size", duration::bytes_text(s.size_bytes)),
        field("Replication", replication_text(s)),
        field(
            "Wraparound",
            format!("{:.1} % of the way", s.wraparound_percent),
        ),
        field(
            "Last vacuum",
            s.last_vacuum_at.map_or("never".into(), |at| {
                format!("{} ago", duration::text(duration::between(at, now)))
            }),
        ),
    ];
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
    let lag = match (s.replication_lag_bytes, s.replication_lag_ms) {
        (Some(bytes), Some(ms)) => {
            format!(", {} ({}) behind", duration::bytes_text(bytes), time(ms))
        }
        (Some(bytes), None) => format!(", {} behind", duration::bytes_text(bytes)),
        (None, _) => String::new(),
    };
    if s.primary {
        match s.replicas {
            0 => "primary, no replica".into(),
            1 => format!("primary, 1 replica{lag}"),
            n => format!("primary, {n} replicas{lag}"),
        }
    } else {
        format!("standby{lag}")
    }
}

async fn connections(bot: Context, of: Of) -> Result<(Connections, Message), Fault> {
    let found = bot.catalogue().database(of.database.as_deref())?;
    let tail = tail(&bot, &found.name);
    let all = found.probe.connections().await?;
    let full = all.max > 0 && all.used * 100 >= all.max * MANY as u64;
    let title = Line::new()
        .code(&found.name)
        .text(format!(": {} of {} connections in use", all.used, all.max));
    let mut table = String::from("OLDEST SESSIONS\n");
    for session in &all.oldest {
        table.push_str(&session_row(session, bot.store().now()));
    }
    if all.oldest.is_empty() {
        table.clear();
    }
    let field = |name: &str, list: &[Count]| (name.to_owned(), Line::from(counts(list, 5)));
    let message = Message::new(if full { Tone::Warning } else { Tone::Plain }, title)
        .part(Part::Fields(vec![
            field("By state", &all.by_state),
            field("By application", &all.by_application),
            field("By client", &all.by_client),
            field("By user", &all.by_user),
        ]))
        .code(table)
        .buttons(buttons(
            &tail,
            &[("Locks", "locks"), ("Summary", "summary")],
        ))
        .footer(
            Line::new()
                .text("End one: ")
                .code(bot.typed("db terminate PID")),
        );
    Ok((all, message))
}

/// Two short lines on a phone.
fn session_row(s: &Session, now: Timestamp) -> String {
    let since = s.state_since.map_or(String::new(), |at| {
        format!(" {}", duration::text(duration::between(at, now)))
    });
    let tx = s
        .transaction_ms
        .map_or(String::new(), |ms| format!(", tx {}", time(ms)));
    let query = if s.query.is_empty() {
        String::new()
    } else {
        format!("       {}\n", cut(&s.query, 100))
    };
    let own = if s.own { " (the bot)" } else { "" };
    let state = if s.state.is_empty() {
        &s.kind
    } else {
        &s.state
    };
    format!("{:>6} {} {state}{since}{tx}{own}\n{query}", s.pid, who(s))
}

/// The application, or the user where it has no name.
fn who(s: &Session) -> &str {
    if s.application.is_empty() {
        &s.user
    } else {
        &s.application
    }
}

async fn locks(bot: Context, of: Of) -> Result<(Locks, Message), Fault> {
    let found = bot.catalogue().database(of.database.as_deref())?;
    let tail = tail(&bot, &found.name);
    let locks = found.probe.locks().await?;
    let now = bot.store().now();
    if locks.blocked == 0 {
        let title = Line::new()
            .text("Nobody waits for a lock in ")
            .code(&found.name);
        let message = Message::new(Tone::Good, title).buttons(buttons(
            &tail,
            &[("Slow queries", "slow"), ("Connections", "connections")],
        ));
        return Ok((locks, message));
    }
    let roots: Vec<String> = locks.roots.iter().map(i32::to_string).collect();
    let title = Line::new()
        .code(&found.name)
        .text(format!(": {} blocked by ", sessions(locks.blocked)))
        .bold(cut(&roots.join(", "), 60));
    let mut tree = String::new();
    for blocked in &locks.tree {
        let s = &blocked.session;
        let indent = "  ".repeat(blocked.depth.min(8) as usize);
        let branch = if blocked.depth > 0 { "└ " } else { "" };
        let what = match blocked.waits_ms {
            Some(ms) => format!("waits {} for {}", time(ms), blocked.lock),
            None => format!(
                "{}{}",
                s.state,
                s.state_since.map_or(String::new(), |at| format!(
                    " {}",
                    duration::text(duration::between(at, now))
                ))
            ),
        };
        tree.push_str(&format!("{indent}{branch}{} {} {what}\n", s.pid, who(s)));
        if !s.query.is_empty() {
            tree.push_str(&format!("{indent}    {}\n", cut(&s.query, 80)));
        }
    }
    let mut message = Message::new(Tone::Warning, title)
        .text("The first of each tree holds up all below it")
        .code(tree);
    if locks.left_out > 0 {
        message = message.text(format!("{} more were left out", locks.left_out));
    }
    let mut ways = Vec::new();
    for root in locks.tree.iter().filter(|one| one.depth == 0).take(2) {
        let s = &root.session;
        let started = format!("{} --started {}{tail}", s.pid, s.started_at);
        if s.state == "active" {
            ways.push(Button::new(
                format!("Cancel {}", s.pid),
                format!("db cancel {started}"),
            ));
        }
        ways.push(
            Button::new(
                format!("Terminate {}", s.pid),
                format!("db terminate {started}"),
            )
            .style(Style::Danger),
        );
    }
    Ok((locks, message.buttons(ways)))
}

async fn slow(bot: Context, of: Of) -> Result<(SlowQueries, Message), Fault> {
    let found = bot.catalogue().database(of.database.as_deref())?;
    let slow = found.probe.slow().await?;
    let name = &found.name;
    let title = match (slow.queries.len(), slow.from_statistics) {
        (0, true) => Line::new()
            .text("No statistics of queries yet in ")
            .code(name),
        (0, false) => Line::new().text("No query runs now in ").code(name),
        (_, true) => Line::new()
            .text("Queries that took the most time in ")
            .code(name),
        (n, false) => Line::new().text(format!("{n} running now in ")).code(name),
    };
    let mut text = String::new();
    for query in slow.queries.iter().take(10) {
        let about = match query.pid {
            Some(pid) => format!("{pid} {} for {}", query.user, time(query.mean_ms as u64)),
            None => format!(
                "{:.0} %  {} calls × {}",
                query.share_percent,
                query.calls,
                millis(query.mean_ms)
            ),
        };
        text.push_str(&format!("{about}\n  {}\n", cut(&query.query, 160)));
    }
    let mut message = Message::new(Tone::Plain, title).code(text);
    if let Some(hint) = &slow.hint {
        message = message.footer(hint.as_str());
    }
    let tail = tail(&bot, name);
    let message = message.buttons(buttons(
        &tail,
        &[("Locks", "locks"), ("Summary", "summary")],
    ));
    Ok((slow, message))
}

async fn replication(bot: Context, of: Of) -> Result<(Replication, Message), Fault> {
    let found = bot.catalogue().database(of.database.as_deref())?;
    let r = found.probe.replication().await?;
    let lag = |bytes: u64, ms: Option<u64>| match ms {
        Some(ms) => format!("{} ({}) behind", duration::bytes_text(bytes), time(ms)),
        None => format!("{} behind", duration::bytes_text(bytes)),
    };
    let mut text = String::new();
    for replica in &r.replicas {
        text.push_str(&format!(
            "{} {} {} {}: {}\n",
            replica.name,
            replica.client,
            replica.state,
            replica.sync,
            lag(replica.lag_bytes, replica.lag_ms)
        ));
    }
    for slot in &r.slots {
        let kept = slot.kept_bytes.map_or(String::new(), |n| {
            format!(", keeps {}", duration::bytes_text(n))
        });
        let state = if slot.active { "in use" } else { "NOT IN USE" };
        text.push_str(&format!("slot {} {state}{kept}\n", slot.name));
    }
    let (tone, title) = if r.primary {
        let title = match r.replicas.len() {
            0 => " is a primary; nobody streams from it".to_owned(),
            1 => " is a primary with 1 replica".to_owned(),
            n => format!(" is a primary with {n} replicas"),
        };
        let worrying = r.replicas.iter().any(|one| one.lag_bytes >= LAG)
            || r.slots.iter().any(|slot| !slot.active);
        (worrying, title)
    } else {
        match &r.streams_from {
            Some(from) => (
                r.replay_lag_bytes.is_some_and(|lag| lag >= LAG),
                format!(
                    " is a standby of {from}, {}",
                    lag(r.replay_lag_bytes.unwrap_or(0), r.replay_lag_ms)
                ),
            ),
            None => (true, " is a standby that does not stream".to_owned()),
        }
    };
    let tone = if tone { Tone::Warning } else { Tone::Good };
    let message = Message::new(tone, Line::new().code(&found.name).text(title)).code(text);
    Ok((r, message))
}

async fn size(bot: Context, of: Of) -> Result<(Sizes, Message), Fault> {
    let found = bot.catalogue().database(of.database.as_deref())?;
    let sizes = found.probe.size().await?;
    let now = bot.store().now();
    let total: u64 = sizes.databases.iter().map(|one| one.bytes).sum();
    let mut text = String::from("   SIZE  DEAD  TABLE\n");
    for table in &sizes.tables {
        let vacuum = table.last_vacuum_at.map_or(String::new(), |at| {
            format!(
                ", vacuum {} ago",
                duration::text(duration::between(at, now))
            )
        });
        text.push_str(&format!(
            "{:>7} {:>4.0}%  {} (~{} rows{vacuum})\n",
            duration::bytes_text(table.bytes),
            table.dead_percent,
            table.name,
            table.rows
        ));
    }
    let databases: Vec<String> = sizes
        .databases
        .iter()
        .take(8)
        .map(|one| format!("{} {}", one.name, duration::bytes_text(one.bytes)))
        .collect();
    let mut fields = vec![("Databases".to_owned(), Line::from(databases.join(", ")))];
    if let Some(wal) = sizes.wal_bytes {
        fields.push(("Write-ahead log".into(), duration::bytes_text(wal).into()));
    }
    let title = Line::new().code(&found.name).text(format!(
        " takes {} on the disk",
        duration::bytes_text(total)
    ));
    let message = Message::new(Tone::Plain, title)
        .part(Part::Fields(fields))
        .code(text);
    Ok((sizes, message))
}

/// The question before a session is ended.
pub(in crate::bot) fn about(session: &Session, how: End, now: Timestamp) -> (Message, String) {
    let (title, label, will) = match how {
        End::Cancel => (
            "Cancel the query of session ",
            format!("Cancel {}", session.pid),
            "Its query ends with an error; the session stays",
        ),
        End::Terminate => (
            "Terminate session ",
            format!("Terminate {}", session.pid),
            "Its connection is closed and its transaction rolled back",
        ),
    };
    let field = |name: &str, value: &str| (name.to_owned(), Line::from(cut(value, 200)));
    let mut fields = vec![
        field("Application", who(session)),
        field("User", &format!("{}@{}", session.user, session.database)),
        field("State", &session.state),
        field(
            "Connected",
            &format!(
                "{} ago",
                duration::text(duration::between(session.started_at, now))
            ),
        ),
    ];
    if let Some(ms) = session.transaction_ms {
        fields.push(field("Transaction", &format!("open for {}", time(ms))));
    }
    let message = Message::new(
        Tone::Question,
        Line::new().text(title).bold(session.pid).text("?"),
    )
    .text(will)
    .part(Part::Fields(fields))
    .code(cut(&session.query, database::MAX_QUERY));
    (message, label)
}

fn sessions(n: u64) -> String {
    match n {
        1 => "1 session".into(),
        n => format!("{n} sessions"),
    }
}

/// `active 3, idle 20, 2 others`.
pub(super) fn counts(list: &[Count], most: usize) -> String {
    let mut parts: Vec<String> = list
        .iter()
        .take(most)
        .map(|one| {
            let name = if one.name.is_empty() {
                "(no name)"
            } else {
                &one.name
            };
            format!("{} {}", cut(name, 40), one.count)
        })
        .collect();
    let rest: u64 = list.iter().skip(most).map(|one| one.count).sum();
    if rest > 0 {
        parts.push(format!("others {rest}"));
    }
    if parts.is_empty() {
        "none".into()
    } else {
        parts.join(", ")
    }
}

pub(super) fn percent(value: Option<f64>) -> String {
    value.map_or("nothing read yet".into(), |value| format!("{value:.1} %"))
}

/// A time in ms, as people read it.
pub(super) fn time(ms: u64) -> String {
    duration::text(std::time::Duration::from_millis(ms))
}

fn millis(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        time(ms as u64)
    }
}
