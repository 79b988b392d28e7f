//! Looking at keys, within bounds.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::try_join_all;

use super::ask::{Ask, pattern};
use super::parse::clean;
use super::{Address, Redis};
use crate::probe::ProbeError;
use crate::probe::cache::{BigKey, BigKeys, Keys, PrefixUse};

/// Keys of a sample, over all servers.
const SAMPLE: usize = 2_000;
/// Keys that a search looks at, over all servers.
const SEARCH: u64 = 100_000;
/// Keys that are shown.
const SHOWN: usize = 20;
/// Keys of a search that are shown.
const FOUND: usize = 50;
/// Longest key shown, characters.
const LONGEST: usize = 100;
/// Questions in one go.
const PIPELINE: usize = 200;

/// What was found on one server.
struct Part {
    at: Address,
    keys: Vec<Vec<u8>>,
    /// Keys that were looked at.
    looked: u64,
    complete: bool,
}

/// Scans until enough is known, the keys are at their end, or the time is over.
async fn scan(
    redis: &Redis,
    at: Address,
    pattern: Option<&[u8]>,
    count: u32,
    enough: impl Fn(u64, usize) -> bool,
    until: Instant,
) -> Result<Part, ProbeError> {
    let mut part = Part {
        at,
        keys: Vec::new(),
        looked: 0,
        complete: false,
    };
    let mut cursor = 0;
    loop {
        let ask = Ask::Scan {
            cursor,
            pattern,
            count,
        };
        let (next, keys): (u64, Vec<Vec<u8>>) = redis.ask(&part.at, &ask).await?;
        // With a pattern the server does not say how many it looked at; COUNT is about that.
        part.looked += if pattern.is_some() {
            u64::from(count)
        } else {
            keys.len() as u64
        };
        part.keys.extend(keys);
        cursor = next;
        if cursor == 0 {
            part.complete = true;
            return Ok(part);
        }
        if enough(part.looked, part.keys.len()) || Instant::now() >= until {
            return Ok(part);
        }
    }
}

/// Type and expiry of keys, with their sizes.
async fn describe(
    redis: &Redis,
    at: &Address,
    keys: &[(Vec<u8>, u64)],
) -> Result<Vec<BigKey>, ProbeError> {
    let mut described = Vec::new();
    for chunk in keys.chunks(PIPELINE) {
        let kinds: Vec<String> = redis
            .ask_all(at, chunk.iter().map(|(key, _)| Ask::Type(key)))
            .await?;
        let expires: Vec<i64> = redis
            .ask_all(at, chunk.iter().map(|(key, _)| Ask::ExpiresIn(key)))
            .await?;
        for (((key, bytes), kind), expires) in chunk.iter().zip(kinds).zip(expires) {
            // It has expired meanwhile.
            if kind == "none" {
                continue;
            }
            described.push(BigKey {
                key: clean(key, LONGEST),
                kind: clean(kind.as_bytes(), 20),
                bytes: *bytes,
                expires_ms: u64::try_from(expires).ok(),
            });
        }
    }
    Ok(described)
}

/// The memory of each key; those that are gone meanwhile are left out.
async fn sizes(
    redis: &Redis,
    at: &Address,
    keys: Vec<Vec<u8>>,
) -> Result<Vec<(Vec<u8>, u64)>, ProbeError> {
    let mut sized = Vec::with_capacity(keys.len());
    for chunk in keys.chunks(PIPELINE) {
        let sizes: Vec<Option<u64>> = redis
            .ask_all(at, chunk.iter().map(|key| Ask::MemoryUsage(key)))
            .await?;
        let known = chunk.iter().cloned().zip(sizes);
        sized.extend(known.filter_map(|(key, size)| Some((key, size?))));
    }
    Ok(sized)
}

pub(super) async fn memory(redis: &Redis) -> Result<BigKeys, ProbeError> {
    let masters = redis.masters().await?;
    let until = Instant::now() + redis.timeout / 3;
    let each = SAMPLE / masters.len().max(1);
    let parts = try_join_all(masters.into_iter().map(|at| async move {
        let keys: u64 = redis.ask(&at, &Ask::Size).await?;
        let mut part = scan(redis, at, None, 500, |_, found| found >= each, until).await?;
        if part.keys.len() > each {
            part.keys.truncate(each);
            part.complete = false;
        }
        let looked = part.keys.len() as u64;
        let mut sized = sizes(redis, &part.at, part.keys).await?;
        let mut groups: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (key, bytes) in &sized {
            let group = groups.entry(prefix(key)).or_default();
            *group = (group.0 + 1, group.1 + bytes);
        }
        sized.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        sized.truncate(SHOWN);
        let biggest = describe(redis, &part.at, &sized).await?;
        Ok::<_, ProbeError>((keys, looked, part.complete, biggest, groups))
    }))
    .await?;
    let mut all = BigKeys {
        keys: 0,
        sampled: 0,
        complete: true,
        biggest: Vec::new(),
        by_prefix: Vec::new(),
    };
    let mut groups: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (keys, sampled, complete, biggest, part) in parts {
        all.keys += keys;
        all.sampled += sampled;
        all.complete &= complete;
        all.biggest.extend(biggest);
        for (prefix, (keys, bytes)) in part {
            let group = groups.entry(prefix).or_default();
            *group = (group.0 + keys, group.1 + bytes);
        }
    }
    all.biggest
        .sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.key.cmp(&b.key)));
    all.biggest.truncate(SHOWN);
    all.by_prefix = groups
        .into_iter()
        .map(|(prefix, (keys, bytes))| PrefixUse {
            prefix,
            keys,
            bytes,
        })
        .collect();
    all.by_prefix
        .sort_by_key(|group| std::cmp::Reverse(group.bytes));
    all.by_prefix.truncate(SHOWN);
    Ok(all)
}

/// The part before the first `:`, or the whole key.
fn prefix(key: &[u8]) -> String {
    match key.iter().position(|byte| *byte == b':') {
        Some(at) => clean(&key[..=at], 40),
        None => "(no prefix)".to_owned(),
    }
}

pub(super) async fn keys(redis: &Redis, wanted: &str) -> Result<Keys, ProbeError> {
    let masters = redis.masters().await?;
    let until = Instant::now() + redis.timeout / 2;
    let each = SEARCH / masters.len().max(1) as u64;
    let pattern = pattern(wanted);
    let pattern = pattern.as_slice();
    let parts = try_join_all(masters.into_iter().map(|at| async move {
        let size: u64 = redis.ask(&at, &Ask::Size).await?;
        let enough = |looked, _| looked >= each;
        let mut part = scan(redis, at, Some(pattern), 1_000, enough, until).await?;
        part.looked = part.looked.min(size);
        part.keys.sort();
        part.keys.dedup();
        let matched = part.keys.len() as u64;
        part.keys.truncate(FOUND);
        let sized = sizes(redis, &part.at, part.keys).await?;
        let described = describe(redis, &part.at, &sized).await?;
        Ok::<_, ProbeError>((part.looked, part.complete, matched, described))
    }))
    .await?;
    let mut all = Keys {
        prefix: clean(wanted.as_bytes(), LONGEST),
        scanned: 0,
        complete: true,
        matched: 0,
        keys: Vec::new(),
    };
    for (looked, complete, matched, keys) in parts {
        all.scanned += looked;
        all.complete &= complete;
        all.matched += matched;
        all.keys.extend(keys);
    }
    all.keys.sort_by(|a, b| a.key.cmp(&b.key));
    all.keys.truncate(FOUND);
    Ok(all)
}
