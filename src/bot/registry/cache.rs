//! `cache.*`: what is asked of caches.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::database::{counts, percent, time};
use super::{Entry, action, probe};
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Part, Tone, duration};
use crate::probe::ProbeErrorKind;
use crate::probe::cache::{
    BigKey, BigKeys, CacheSummary, Client, ClientId, Clients, Keys, SlowLog, Topology,
};

/// Which cache.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Of {
    /// Its name in the configuration; needed only where there are several.
    #[serde(default)]
    cache: Option<String>,
}

/// Which keys of which cache.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeysParams {
    /// The cache's name; needed only where there are several.
    #[serde(default)]
    cache: Option<String>,
    /// What the keys begin with, as it is.
    prefix: String,
}

/// Which client of which cache.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClientParams {
    /// The cache's name; needed only where there are several.
    #[serde(default)]
    cache: Option<String>,
    /// The client's number.
    client: u64,
    /// The server it is connected to, `host:port`, where there are several.
    #[serde(default)]
    server: Option<String>,
}

/// The state of a cache, also when it is down.
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
    summary: Option<CacheSummary>,
}

/// What closing a connection came to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Closed {
    /// That client was there and its connection is closed.
    closed: bool,
}

pub(super) fn entries() -> Vec<Entry> {
    vec![
        probe("cache.summary", "The state of a cache at a glance", summary),
        probe("cache.slowlog", "The slowest recent commands", slowlog),
        probe("cache.memory", "The biggest keys of a sample", memory),
        probe("cache.clients", "Who is connected", clients),
        probe("cache.keys", "Keys that begin with a text", keys),
        action::<ClientParams, Closed>("cache.kill", "Closes the connection of a client"),
    ]
}

/// The tail of a sentence that names this cache, where there are several.
fn tail(bot: &Context, name: &impl ToString) -> String {
    match bot.catalogue().caches().len() {
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

async fn summary(bot: Context, of: Of) -> Result<(State, Message), Fault> {
    let found = bot.catalogue().cache(of.cache.as_deref())?;
    let tail = tail(&bot, &found.name);
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
            let message = summary_message(title, &summary, bot.store().now(), &tail);
            let state = State {
                up: true,
                problem: None,
                problem_kind: None,
                summary: Some(summary),
            };
            Ok((state, message))
        }
        Err(error) if error.kind.is_down() => {
            let title = Line::new().code(&found.name).text(match error.kind {
                ProbeErrorKind::Full => " takes no more connections",
                ProbeErrorKind::Authenticate => " does not let me in",
                ProbeErrorKind::Starting => " is not ready",
                ProbeErrorKind::Timeout => " does not answer in time",
                _ => " can't be reached",
            });
            let mut also = vec![Button::new("Try again", format!("cache{tail}"))];
            let service = &found.service;
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

fn summary_message(title: Line, s: &CacheSummary, now: Timestamp, tail: &str) -> Message {
    let tone = if s.warnings.is_empty() {
        Tone::Good
    } else {
        Tone::Warning
    };
    let mut message = Message::new(tone, title);
    for warning in s.warnings.iter().take(6) {
        message = message.text(format!("⚠ {warning}"));
    }
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
        (Topology::Cluster, _) => format!("cluster of {} servers", s.nodes.len()),
        (Topology::Sentinel, n) => format!("{} under Sentinel, {n} replicas", s.role),
        (Topology::Single, 0) => s.role.clone(),
        (Topology::Single, n) => format!("{}, {n} replicas", s.role),
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
        field("Keys", s.keys.to_string()),
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
        "Redis {}, started {}",
        s.version,
        ago(s.started_at)
    ))
}

async fn slowlog(bot: Context, of: Of) -> Result<(SlowLog, Message), Fault> {
    let found = bot.catalogue().cache(of.cache.as_deref())?;
    let log = found.probe.slowlog().await?;
    let name = &found.name;
    let title = match log.entries.len() {
        0 => Line::new()
            .text("No slow command is on record in ")
            .code(name),
        n => Line::new()
            .text(format!("{n} slowest commands of "))
            .code(name),
    };
    let text: String = log
        .entries
        .iter()
        .map(|entry| {
            format!(
                "{} {:>8.1} ms  {}  {}\n",
                entry.at.strftime("%H:%M:%S"),
                entry.took_us as f64 / 1_000.0,
                entry.command,
                entry.client
            )
        })
        .collect();
    let mut message = Message::new(Tone::Plain, title).code(text);
    message = match log.threshold_us {
        Some(us) => message.footer(format!(
            "Commands over {} ms; arguments are left out but for the key. Times are UTC",
            us as f64 / 1_000.0
        )),
        None => message.footer("The server keeps no slow log: set slowlog-log-slower-than"),
    };
    Ok((log, message))
}

fn key_rows(keys: &[BigKey]) -> String {
    keys.iter()
        .map(|key| {
            let expires = key.expires_ms.map_or("never expires".into(), |ms| {
                format!("expires in {}", time(ms))
            });
            format!(
                "{:>8} {} {} ({expires})\n",
                duration::bytes_text(key.bytes),
                key.kind,
                key.key
            )
        })
        .collect()
}

async fn memory(bot: Context, of: Of) -> Result<(BigKeys, Message), Fault> {
    let found = bot.catalogue().cache(of.cache.as_deref())?;
    let keys = found.probe.memory().await?;
    let title = Line::new().text("Biggest keys of ").code(&found.name);
    let groups: String = keys
        .by_prefix
        .iter()
        .take(8)
        .map(|group| {
            format!(
                "{:>8} {} ({} keys)\n",
                duration::bytes_text(group.bytes),
                group.prefix,
                group.keys
            )
        })
        .collect();
    let sampled = if keys.complete {
        format!("All {} keys were looked at", keys.sampled)
    } else {
        format!("{} of {} keys were looked at", keys.sampled, keys.keys)
    };
    let message = Message::new(Tone::Plain, title)
        .code(key_rows(&keys.biggest))
        .text("By the part of the key before its first `:`")
        .code(groups)
        .footer(sampled);
    Ok((keys, message))
}

async fn clients(bot: Context, of: Of) -> Result<(Clients, Message), Fault> {
    let found = bot.catalogue().cache(of.cache.as_deref())?;
    let clients = found.probe.clients().await?;
    let title = Line::new().code(&found.name).text(format!(
        ": {} of {} clients connected",
        clients.connected, clients.max
    ));
    let full = clients.max > 0 && clients.connected * 10 >= clients.max * 9;
    let tone = if full { Tone::Warning } else { Tone::Plain };
    let text: String = clients.list.iter().map(client_row).collect();
    let message = Message::new(tone, title)
        .part(Part::Fields(vec![(
            "By host".into(),
            counts(&clients.by_host, 6).into(),
        )]))
        .code(text)
        .footer(
            Line::new()
                .text("Close one: ")
                .code(bot.typed("cache kill NUMBER")),
        );
    Ok((clients, message))
}

fn client_row(client: &Client) -> String {
    let name = if client.name.is_empty() {
        String::new()
    } else {
        format!(" {}", client.name)
    };
    let own = if client.own { " (the bot)" } else { "" };
    format!(
        "{:>6} {}{name} {} idle {}, {} out{own}\n",
        client.id,
        client.address,
        client.command,
        time(client.idle_ms),
        duration::bytes_text(client.output_bytes)
    )
}

async fn keys(bot: Context, of: KeysParams) -> Result<(Keys, Message), Fault> {
    let found = bot.catalogue().cache(of.cache.as_deref())?;
    let keys = found.probe.keys(&of.prefix).await?;
    let prefix = cut(&of.prefix, 80);
    let title = Line::new()
        .text(match keys.matched {
            0 => "No key begins with ".to_owned(),
            1 => "1 key begins with ".to_owned(),
            n => format!("{n} keys begin with "),
        })
        .code(prefix)
        .text(" in ")
        .code(&found.name);
    let scanned = if keys.complete {
        format!("All {} keys were looked at", keys.scanned)
    } else {
        format!(
            "Only {} keys were looked at: there may be more",
            keys.scanned
        )
    };
    let message = Message::new(Tone::Plain, title)
        .code(key_rows(&keys.keys))
        .footer(scanned);
    Ok((keys, message))
}

/// The question before a client's connection is closed.
pub(in crate::bot) fn about(client: &ClientId, shown: Option<&Client>) -> (Message, String) {
    let title = Line::new()
        .text("Close the connection of client ")
        .bold(client.id)
        .text("?");
    let mut message = Message::new(Tone::Question, title)
        .text("Most clients connect again at once; what they were doing fails");
    if let Some(shown) = shown {
        message = message.code(client_row(shown));
    }
    (message, format!("Close client {}", client.id))
}
