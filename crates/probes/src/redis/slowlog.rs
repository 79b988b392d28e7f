//! Slow and large commands, without their arguments.

use ::redis::Value;
use jiff::Timestamp;

use super::address::Address;
use super::ask::{Ask, COMMANDLOG, SLOWLOG};
use super::connect::Redis;
use super::parse::{Info, clean};
use super::servers::Servers;
use crate::cache::{LargeCommand, LargeCommands, Recorded, SlowCommand, SlowLog};
use crate::{ProbeError, ProbeErrorKind as Kind};

/// Slow commands a server is asked for.
const ASKED: u32 = 128;
/// Rows of an answer.
const SHOWN: usize = 20;

/// Commands whose first argument is no key: nothing of them is told but their name.
const NO_KEY: &str = "ACL AUTH CLIENT CONFIG DEBUG ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO \
                      FUNCTION HELLO MIGRATE MODULE PING PSUBSCRIBE PSYNC PUBLISH PUNSUBSCRIBE REPLCONF \
                      REPLICAOF SCRIPT SENTINEL SLAVEOF SPUBLISH SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE";

pub(super) async fn slowlog(redis: &Redis) -> Result<SlowLog, ProbeError> {
    let servers = redis.servers().await?;
    let round = redis
        .round(&servers, |at| slowlog_at(redis, &servers, at))
        .await?;
    let mut log = SlowLog {
        missing: round.missing,
        ..SlowLog::default()
    };
    for part in round.answers {
        if let Some(us) = part.slow.threshold {
            log.threshold_known = true;
            // -1 switches it off.
            log.threshold_us = log.threshold_us.max(u64::try_from(us).ok());
        }
        log.missing.extend(part.missing);
        log.entries.extend(slow(part.slow));
        add_large(&mut log.large_requests, part.large_requests);
        add_large(&mut log.large_replies, part.large_replies);
    }
    log.entries
        .sort_by_key(|entry| std::cmp::Reverse(entry.took_us));
    log.entries.truncate(SHOWN);
    Ok(log)
}

/// One of the logs of a server.
struct Log {
    /// Beyond this commands are kept, where the server tells it; -1: none is.
    threshold: Option<i64>,
    /// Each with its time in µs, or its size.
    entries: Vec<(Recorded, u64)>,
}

/// The logs of a server.
struct Part {
    slow: Log,
    large_requests: Option<Log>,
    large_replies: Option<Log>,
    missing: Option<String>,
}

fn slow(log: Log) -> impl Iterator<Item = SlowCommand> {
    let slow = |(recorded, took_us)| SlowCommand { recorded, took_us };
    log.entries.into_iter().map(slow)
}

fn add_large(all: &mut Option<LargeCommands>, log: Option<Log>) {
    let Some(log) = log else {
        return;
    };
    let all = all.get_or_insert_default();
    let threshold = log.threshold.and_then(|bytes| u64::try_from(bytes).ok());
    all.threshold_bytes = all.threshold_bytes.max(threshold);
    let large = |(recorded, bytes)| LargeCommand { recorded, bytes };
    all.entries.extend(log.entries.into_iter().map(large));
    all.entries.sort_by_key(|one| std::cmp::Reverse(one.bytes));
    all.entries.truncate(SHOWN);
}

/// The server has `COMMANDLOG`, see <https://valkey.io/commands/commandlog-get/>.
pub(super) fn has_commandlog(info: &Info) -> bool {
    let (product, version) = info.product();
    let mut numbers = version.split('.').map_while(|n| n.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    product == "Valkey" && version >= (8, 1)
}

async fn slowlog_at(redis: &Redis, servers: &Servers, at: Address) -> Result<Part, ProbeError> {
    let mut part = Part {
        slow: log(redis, &at, "slowlog-log-slower-than", SLOWLOG.with(ASKED)).await?,
        large_requests: None,
        large_replies: None,
        missing: None,
    };
    if !has_commandlog(&servers.info_of(redis, &at).await?) {
        return Ok(part);
    }
    for (large, setting, word) in [
        (
            &mut part.large_requests,
            "commandlog-request-larger-than",
            "large-request",
        ),
        (
            &mut part.large_replies,
            "commandlog-reply-larger-than",
            "large-reply",
        ),
    ] {
        match log(redis, &at, setting, COMMANDLOG.with((ASKED, word))).await {
            Ok(told) => *large = Some(told),
            Err(error) if matches!(error.kind, Kind::Denied | Kind::Failed) => {
                let user = redis.context.user.as_deref().unwrap_or("default");
                part.missing = Some(format!(
                    "Large commands are not known: {} (ACL SETUSER {user} +commandlog|get)",
                    error.what
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(part)
}

async fn log(
    redis: &Redis,
    at: &Address,
    setting: &'static str,
    ask: Ask,
) -> Result<Log, ProbeError> {
    let threshold = redis.setting(at, setting).await?;
    let rows: Vec<Value> = redis.ask(at, &ask).await?;
    Ok(Log {
        threshold: threshold.and_then(|value| value.parse().ok()),
        entries: rows.iter().filter_map(recorded).collect(),
    })
}

/// `[id, unix seconds, µs or bytes, [word…], client address, client name]`
fn recorded(row: &Value) -> Option<(Recorded, u64)> {
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
    let (command, key, more) = shown(&words);
    let recorded = Recorded {
        command,
        key,
        more,
        at: Timestamp::from_second(number(1)?).ok()?,
        client: fields
            .get(4)
            .map_or(String::new(), |value| clean(bytes(value), 64)),
    };
    Some((recorded, u64::try_from(number(2)?).ok()?))
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.as_bytes(),
        _ => b"",
    }
}

/// The command, its first key and how many further arguments: they may be secrets.
fn shown(words: &[&[u8]]) -> (String, Option<String>, u64) {
    let name = clean(words.first().unwrap_or(&&b""[..]), 30).to_uppercase();
    let key = words.get(1);
    let key = key.filter(|_| NO_KEY.split(' ').all(|one| one != name));
    let key = key.map(|key| clean(key, 80));
    let rest = words.len().saturating_sub(1 + usize::from(key.is_some()));
    (name, key, rest as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_left_out_but_for_the_key() {
        let told = |words: &[&[u8]]| {
            let (name, key, more) = shown(words);
            format!("{name} {} +{more}", key.unwrap_or_default())
        };
        assert_eq!(
            told(&[b"ZRANGE", b"queue:pay", b"0", b"-1"]),
            "ZRANGE queue:pay +2"
        );
        assert_eq!(told(&[b"get", b"a\xff"]), "GET a\\xff +0");
        assert_eq!(told(&[b"AUTH", b"hunter2"]), "AUTH  +1");
        assert_eq!(
            told(&[b"config", b"set", b"requirepass", b"x"]),
            "CONFIG  +3"
        );
        for name in [
            "evalsha_ro",
            "FCALL_RO",
            "SPUBLISH",
            "psubscribe",
            "SUNSUBSCRIBE",
        ] {
            let told = told(&[name.as_bytes(), b"hunter2", b"0"]);
            assert_eq!(told, format!("{}  +2", name.to_uppercase()));
        }
        assert_eq!(told(&[b"PING"]), "PING  +0");
        assert_eq!(told(&[]), "  +0");
    }
}
