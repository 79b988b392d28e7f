//! Slow commands, without their arguments.

use ::redis::Value;
use jiff::Timestamp;

use super::address::Address;
use super::ask::SLOWLOG;
use super::connect::Redis;
use super::parse::clean;
use crate::ProbeError;
use crate::cache::{SlowCommand, SlowLog};

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
    let round = redis.round(&servers, |at| slowlog_at(redis, at)).await?;
    let mut log = SlowLog {
        missing: round.missing,
        ..SlowLog::default()
    };
    for (threshold, entries) in round.answers {
        if let Some(us) = threshold {
            log.threshold_known = true;
            // -1 switches it off.
            log.threshold_us = log.threshold_us.max(u64::try_from(us).ok());
        }
        log.entries.extend(entries);
    }
    log.entries
        .sort_by_key(|entry| std::cmp::Reverse(entry.took_us));
    log.entries.truncate(SHOWN);
    Ok(log)
}

/// The threshold, where the server tells it, in microseconds, and its slow commands.
async fn slowlog_at(
    redis: &Redis,
    at: Address,
) -> Result<(Option<i64>, Vec<SlowCommand>), ProbeError> {
    let threshold = redis.setting(&at, "slowlog-log-slower-than").await?;
    let rows: Vec<Value> = redis.ask(&at, &SLOWLOG.with(ASKED)).await?;
    let entries = rows.iter().filter_map(slow_command).collect();
    Ok((threshold.and_then(|us| us.parse().ok()), entries))
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
        command: shown(&words),
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
fn shown(words: &[&[u8]]) -> String {
    let name = clean(words.first().unwrap_or(&&b""[..]), 30).to_uppercase();
    let rest = words.len().saturating_sub(2);
    match words.get(1) {
        None => name,
        Some(_) if NO_KEY.split(' ').any(|one| one == name) => format!("{name} +{}", rest + 1),
        Some(key) if rest == 0 => format!("{name} {}", clean(key, 80)),
        Some(key) => format!("{name} {} +{rest}", clean(key, 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_left_out_but_for_the_key() {
        assert_eq!(
            shown(&[b"ZRANGE", b"queue:pay", b"0", b"-1"]),
            "ZRANGE queue:pay +2"
        );
        assert_eq!(shown(&[b"get", b"a\xff"]), "GET a\\xff");
        assert_eq!(shown(&[b"AUTH", b"hunter2"]), "AUTH +1");
        assert_eq!(
            shown(&[b"config", b"set", b"requirepass", b"x"]),
            "CONFIG +3"
        );
        for name in [
            "evalsha_ro",
            "FCALL_RO",
            "SPUBLISH",
            "psubscribe",
            "SUNSUBSCRIBE",
        ] {
            let shown = shown(&[name.as_bytes(), b"hunter2", b"0"]);
            assert_eq!(shown, format!("{} +2", name.to_uppercase()));
        }
        assert_eq!(shown(&[b"PING"]), "PING");
        assert_eq!(shown(&[]), "");
    }
}
