//! Slow commands and clients.

use std::collections::BTreeMap;

use ::redis::Value;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::ask::{Ask, NAME};
use super::parse::{self, clean};
use super::{Address, Redis};
use crate::probe::cache::{Client, ClientId, Clients, SlowCommand, SlowLog};
use crate::probe::database::Count;
use crate::probe::{ProbeError, ProbeErrorKind as Kind};

/// Slow commands a server is asked for.
const ASKED: u32 = 128;
/// Rows of an answer.
const SHOWN: usize = 20;

/// Commands whose first argument is no key: nothing of them is told but their name.
const NO_KEY: [&str; 12] = [
    "AUTH", "HELLO", "ACL", "CONFIG", "EVAL", "EVALSHA", "EVAL_RO", "FCALL", "SCRIPT", "MIGRATE",
    "ECHO", "PUBLISH",
];

pub(super) async fn slowlog(redis: &Redis) -> Result<SlowLog, ProbeError> {
    let masters = redis.masters().await?;
    let threshold: Result<Vec<(String, String)>, _> = redis
        .ask(&masters[0], &Ask::ConfigGet("slowlog-log-slower-than"))
        .await;
    let threshold = threshold
        .ok()
        .and_then(|pairs| pairs.into_iter().next()?.1.parse::<i64>().ok());
    let parts = try_join_all(masters.iter().map(|at| async move {
        let rows: Vec<Value> = redis.ask(at, &Ask::Slowlog(ASKED)).await?;
        Ok::<_, ProbeError>(rows.iter().filter_map(slow_command).collect::<Vec<_>>())
    }))
    .await?;
    let mut entries: Vec<SlowCommand> = parts.into_iter().flatten().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.took_us));
    entries.truncate(SHOWN);
    Ok(SlowLog {
        // -1 switches it off.
        threshold_us: threshold.and_then(|us| u64::try_from(us).ok()),
        entries,
    })
}

/// `[id, unix seconds, µs, [word…], client address, client name]`
fn slow_command(row: &Value) -> Option<SlowCommand> {
    let Value::Array(fields) = row else {
        return None;
    };
    let number = |at: usize| match fields.get(at) {
        Some(Value::Int(n)) => Some(*n),
        _ => None,
    };
    let words: Vec<&[u8]> = match fields.get(3) {
        Some(Value::Array(words)) => words.iter().map(bytes).collect(),
        _ => return None,
    };
    Some(SlowCommand {
        at: Timestamp::from_second(number(1)?).ok()?,
        took_us: u64::try_from(number(2)?).ok()?,
        command: told(&words),
        client: fields
            .get(4)
            .map_or(String::new(), |value| clean(bytes(value), 64)),
    })
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.as_bytes(),
        _ => b"",
    }
}

/// The command and its first key; other arguments may be secrets.
fn told(words: &[&[u8]]) -> String {
    let name = clean(words.first().unwrap_or(&&b""[..]), 30).to_uppercase();
    let rest = words.len().saturating_sub(2);
    match words.get(1) {
        None => name,
        Some(_) if NO_KEY.contains(&name.as_str()) => format!("{name} +{}", rest + 1),
        Some(key) if rest == 0 => format!("{name} {}", clean(key, 80)),
        Some(key) => format!("{name} {} +{rest}", clean(key, 80)),
    }
}

async fn clients_at(redis: &Redis, at: &Address) -> Result<Vec<Client>, ProbeError> {
    let text: Vec<u8> = redis.ask(at, &Ask::Clients).await?;
    let text = String::from_utf8_lossy(&text);
    let server = at.to_string();
    Ok(parse::clients(&text)
        .iter()
        .filter_map(|fields| client(fields, &server))
        .collect())
}

fn client(fields: &BTreeMap<&str, &str>, server: &str) -> Option<Client> {
    let text = |name: &str| fields.get(name).copied().unwrap_or_default();
    let number = |name: &str| text(name).parse::<u64>().unwrap_or(0);
    let flags = text("flags");
    let kind = if flags.contains('S') {
        "replica"
    } else if flags.contains('M') {
        "master"
    } else if flags.contains('P') || number("sub") + number("psub") > 0 {
        "pubsub"
    } else {
        "normal"
    };
    Some(Client {
        id: text("id").parse().ok()?,
        server: server.to_owned(),
        address: clean(text("addr").as_bytes(), 64),
        name: clean(text("name").as_bytes(), 64),
        age_ms: number("age") * 1_000,
        idle_ms: number("idle") * 1_000,
        command: clean(text("cmd").as_bytes(), 30),
        output_bytes: number("omem"),
        kind: kind.to_owned(),
        own: text("name") == NAME,
    })
}

pub(super) async fn clients(redis: &Redis) -> Result<Clients, ProbeError> {
    let masters = redis.masters().await?;
    let parts = try_join_all(masters.iter().map(|at| async move {
        let max: Result<Vec<(String, String)>, _> =
            redis.ask(at, &Ask::ConfigGet("maxclients")).await;
        let max = max
            .ok()
            .and_then(|pairs| pairs.into_iter().next()?.1.parse::<u64>().ok());
        Ok::<_, ProbeError>((clients_at(redis, at).await?, max.unwrap_or(0)))
    }))
    .await?;
    let max = parts.iter().map(|(_, max)| max).sum();
    let mut list: Vec<Client> = parts.into_iter().flat_map(|(list, _)| list).collect();
    let mut by_host: BTreeMap<String, u64> = BTreeMap::new();
    for client in &list {
        let host = client.address.rsplit_once(':').map_or("", |(host, _)| host);
        let name = if client.name.is_empty() {
            host.to_owned()
        } else {
            format!("{} at {host}", client.name)
        };
        *by_host.entry(name).or_default() += 1;
    }
    let mut by_host: Vec<Count> = by_host
        .into_iter()
        .map(|(name, count)| Count { name, count })
        .collect();
    by_host.sort_by_key(|one| std::cmp::Reverse(one.count));
    by_host.truncate(SHOWN);
    let connected = list.len() as u64;
    list.sort_by_key(|one| std::cmp::Reverse((one.output_bytes, one.idle_ms)));
    list.truncate(SHOWN);
    Ok(Clients {
        connected,
        max,
        by_host,
        list,
    })
}

pub(super) async fn kill(redis: &Redis, wanted: &ClientId) -> Result<bool, ProbeError> {
    let masters = redis.masters().await?;
    let at = match &wanted.server {
        Some(server) => masters.iter().find(|at| at.to_string() == *server),
        None if masters.len() == 1 => masters.first(),
        None => {
            return Err(ProbeError::new(
                Kind::Unsupported,
                "there are several servers, each with its own client numbers",
                "say which with --server, as `cache clients` shows it",
            ));
        }
    };
    let Some(at) = at else {
        let known: Vec<String> = masters.iter().map(ToString::to_string).collect();
        return Err(ProbeError::new(
            Kind::NotFound,
            "there is no such server",
            format!("the servers are {}", known.join(", ")),
        ));
    };
    let all = clients_at(redis, at).await?;
    let Some(client) = all.iter().find(|client| client.id == wanted.id) else {
        return Ok(false);
    };
    if client.own || matches!(client.kind.as_str(), "replica" | "master") {
        let what = if client.own {
            "the bot itself"
        } else {
            &client.kind
        };
        return Err(ProbeError::new(
            Kind::Unsupported,
            format!("client {} is {what}", wanted.id),
            "only ordinary clients are closed",
        ));
    }
    let closed: u64 = redis.ask(at, &Ask::Kill(wanted.id)).await?;
    Ok(closed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_left_out_but_for_the_key() {
        assert_eq!(
            told(&[b"ZRANGE", b"queue:pay", b"0", b"-1"]),
            "ZRANGE queue:pay +2"
        );
        assert_eq!(told(&[b"get", b"a\xff"]), "GET a\\xff");
        assert_eq!(told(&[b"AUTH", b"hunter2"]), "AUTH +1");
        assert_eq!(
            told(&[b"config", b"set", b"requirepass", b"x"]),
            "CONFIG +3"
        );
        assert_eq!(told(&[b"PING"]), "PING");
        assert_eq!(told(&[]), "");
    }
}
