//! `cache summary`.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::with_warnings;
use crate::bot::entry::{Probe, Question};
use crate::bot::probes::{State, percent};
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Part, Tone, counted, duration};
use crate::probe::cache::{CacheSummary, KeyCount, Topology};

/// Show the state of the cache at a glance
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Which cache, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    cache: Option<String>,
}

impl Question for Summary {
    const WORDS: &'static str = "cache summary";
}

impl Probe for Summary {
    const STEP: &'static str = "cache.summary";
    const SUMMARY: &'static str = "The state of a cache at a glance";
    type Found = State<CacheSummary>;

    async fn look(self, context: &Context) -> Result<(State<CacheSummary>, Message), Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let tail = tail(context, &found.name);
        match found.probe.summary().await {
            Ok(summary) => {
                let title = Line::new()
                    .code(&found.name)
                    .text(match summary.memory_percent {
                        Some(percent) => format!(" is up, {percent:.0} % of its memory in use"),
                        None => format!(
                            " is up, {} in use",
                            duration::bytes_text(summary.memory_bytes)
                        ),
                    });
                let message = summary_message(title, &summary, context.store().now(), &tail);
                Ok((State::up(found, summary), message))
            }
            Err(error) if error.kind.is_down() => {
                let again = format!("cache{tail}");
                Ok(State::down(context, found, &error, again))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn summary_message(title: Line, s: &CacheSummary, now: Timestamp, tail: &str) -> Message {
    let tone = if s.warnings.is_empty() {
        Tone::Good
    } else {
        Tone::Warning
    };
    let mut message = with_warnings(Message::new(tone, title), &s.warnings);
    let ago = |at: Timestamp| format!("{} ago", duration::text(duration::between(at, now)));
    let field = |name: &str, value: String| (name.to_owned(), Line::from(value));
    let memory = match s.memory_max_bytes {
        Some(max) => format!(
            "{} of {}, {}",
            duration::bytes_text(s.memory_bytes),
            duration::bytes_text(max),
            s.eviction_policy
        ),
        None => format!("{}, no limit", duration::bytes_text(s.memory_bytes)),
    };
    let role = match (s.topology, s.replicas) {
        (Topology::Cluster, 0) => format!("cluster of {}", counted(s.nodes.len(), "server")),
        (Topology::Cluster, n) => format!(
            "cluster of {}, {}",
            counted(s.nodes.len(), "server"),
            counted(n, "replica")
        ),
        (Topology::Sentinel, n) => format!("{} under Sentinel, {}", s.role, counted(n, "replica")),
        (Topology::Single, 0) => s.role.clone(),
        (Topology::Single, n) => format!("{}, {}", s.role, counted(n, "replica")),
    };
    let role = match (s.syncing, s.role.as_str()) {
        (0, _) => role,
        (_, "replica") => format!("{role}, being filled"),
        (n, _) => format!("{role}, {n} being filled"),
    };
    let role = match (s.replication_ok, s.replication_lag_bytes) {
        (false, _) => format!("{role}, REPLICATION BROKEN"),
        (true, Some(lag)) if lag > 0 => format!("{role}, {} behind", duration::bytes_text(lag)),
        _ => role,
    };
    let saved = s
        .last_save_at
        .map_or(String::new(), |at| format!(", last {}", ago(at)));
    message = message.part(Part::Fields(vec![
        field("Memory", memory),
        field("Fragmentation", format!("{:.2}", s.fragmentation)),
        field("Hits", percent(s.hit_percent)),
        field("Evicted", s.evicted.to_string()),
        field(
            "Clients",
            format!(
                "{} of {}, {} waiting",
                s.clients, s.clients_max, s.clients_blocked
            ),
        ),
        field("Commands", format!("{:.0} a second", s.commands_per_second)),
        field("Keys", format!("{}{}", s.keys, in_databases(&s.databases))),
        field("Kept on disk", format!("{}{saved}", s.persistence)),
        field("Role", role),
    ]));
    if s.nodes.len() > 1 {
        let mut table = String::new();
        for node in s.nodes.iter().take(16) {
            let state = match (&node.problem, node.memory_bytes) {
                (Some(problem), _) => cut(problem, 80),
                (None, Some(bytes)) => duration::bytes_text(bytes),
                (None, None) => "up".into(),
            };
            let mark = if node.up { " " } else { "!" };
            table.push_str(&format!("{mark} {} {} {state}", node.address, node.role));
            if !node.slots.is_empty() {
                table.push_str(&format!(" {}", cut(&node.slots, 24)));
            }
            table.push('\n');
        }
        message = message.code(table);
    }
    message.buttons(buttons(tail)).footer(format!(
        "{} {}, started {}",
        s.product,
        s.version,
        ago(s.started_at)
    ))
}

/// How many of the keys are in which database, where there are others than the first.
fn in_databases(databases: &[KeyCount]) -> String {
    if databases.iter().all(|one| one.database == 0) {
        return String::new();
    }
    let each = databases.iter().take(16);
    let each: Vec<String> = each
        .map(|one| format!("db{} {}", one.database, one.keys))
        .collect();
    format!(" ({})", each.join(", "))
}

/// The tail of a sentence that names this cache, where there are several.
fn tail(context: &Context, name: &impl ToString) -> String {
    match context.catalogue().caches().len() {
        0 | 1 => String::new(),
        _ => format!(" --cache {}", name.to_string()),
    }
}

fn buttons(tail: &str) -> Vec<Button> {
    [
        ("Memory", "memory"),
        ("Slow log", "slowlog"),
        ("Clients", "clients"),
    ]
    .map(|(label, word)| Button::new(label, format!("cache {word}{tail}")))
    .to_vec()
}
