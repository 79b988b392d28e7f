//! Looking at keys, within bounds.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use super::address::Address;
use super::ask::{EXPIRES_IN, SIZE, TYPE, memory_usage, pattern, scan as scan_from};
use super::connect::Redis;
use super::parse::clean;
use crate::cache::{BigKey, BigKeys, Keys, PrefixUse};
use crate::{ProbeError, ProbeErrorKind as Kind};

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

/// Keys and bytes by prefix.
type Groups = BTreeMap<String, (u64, u64)>;

/// What was found on one server.
struct Part {
    at: Address,
    /// Each once.
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
        let ask = scan_from(cursor, pattern, count);
        let (next, keys): (u64, Vec<Vec<u8>>) = redis.ask(&part.at, &ask).await?;
        // With a pattern the server does not say how many it looked at; COUNT is about that.
        part.looked += if pattern.is_some() {
            u64::from(count)
        } else {
            keys.len() as u64
        };
        part.keys.extend(keys);
        cursor = next;
        part.complete = cursor == 0;
        if part.complete || enough(part.looked, part.keys.len()) || Instant::now() >= until {
            break;
        }
    }
    // A table that grows or shrinks meanwhile makes SCAN tell a key twice. The order stays: it is
    // the server's, which makes the first of them a sample.
    let mut seen = HashSet::with_capacity(part.keys.len());
    part.keys.retain(|key| seen.insert(key.clone()));
    Ok(part)
}

/// The sizes of a server's keys.
#[derive(Default)]
struct Sizes {
    /// Without those that are gone meanwhile, or refused.
    known: Vec<(Vec<u8>, u64)>,
    /// Those that are refused.
    refused: Vec<Vec<u8>>,
    /// Why the first of them is.
    gap: Option<ProbeError>,
}

/// The memory of each key. Fails when the bot may not look at any.
async fn sizes(redis: &Redis, at: &Address, keys: Vec<Vec<u8>>) -> Result<Sizes, ProbeError> {
    let mut sizes = Sizes::default();
    for chunk in keys.chunks(PIPELINE) {
        let answers = redis
            .ask_all::<Option<u64>>(at, chunk.iter().map(|key| memory_usage(key)))
            .await?;
        sizes.gap = sizes.gap.or(answers.gap);
        for (key, size) in chunk.iter().zip(answers.each) {
            match size {
                Some(Some(bytes)) => sizes.known.push((key.clone(), bytes)),
                Some(None) => {}
                None => sizes.refused.push(key.clone()),
            }
        }
    }
    match sizes.gap {
        Some(gap) if gap.kind == Kind::Denied && sizes.known.is_empty() => Err(gap),
        _ => Ok(sizes),
    }
}

/// Type and expiry of a few keys, with their sizes; and why some are missing.
async fn describe(
    redis: &Redis,
    at: &Address,
    keys: &[(Vec<u8>, u64)],
) -> Result<(Vec<BigKey>, Option<ProbeError>), ProbeError> {
    let names = || keys.iter().map(|(key, _)| key);
    let kinds = redis.ask_all::<String>(at, names().map(|key| TYPE.with(key)));
    let kinds = kinds.await?;
    let expires = redis.ask_all::<i64>(at, names().map(|key| EXPIRES_IN.with(key)));
    let expires = expires.await?;
    let gap = match kinds.gap.or(expires.gap) {
        Some(gap) if gap.kind == Kind::Denied => return Err(gap),
        gap => gap,
    };
    let facts = kinds.each.into_iter().zip(expires.each);
    let mut described = Vec::new();
    for ((key, bytes), facts) in keys.iter().zip(facts) {
        match facts {
            // It has expired meanwhile.
            (Some(kind), Some(_)) if kind == "none" => {}
            (Some(kind), Some(expires)) => described.push(BigKey {
                key: clean(key, LONGEST),
                kind: clean(kind.as_bytes(), 20),
                bytes: *bytes,
                expires_ms: u64::try_from(expires).ok(),
                described: true,
            }),
            // Its size was told a moment ago: the cluster has gone down, or the key has moved.
            _ => described.push(name_only(key)),
        }
    }
    Ok((described, gap))
}

/// A key of which only the name is known.
fn name_only(key: &[u8]) -> BigKey {
    BigKey {
        key: clean(key, LONGEST),
        kind: "unknown".to_owned(),
        bytes: 0,
        expires_ms: None,
        described: false,
    }
}

/// Adds what the keys that begin alike take.
fn add(groups: &mut Groups, prefix: String, keys: u64, bytes: u64) {
    let group = groups.entry(prefix).or_default();
    *group = (group.0 + keys, group.1 + bytes);
}

/// A server's sample.
async fn sample(
    redis: &Redis,
    at: Address,
    each: usize,
    until: Instant,
) -> Result<(BigKeys, Groups), ProbeError> {
    let keys: u64 = redis.ask(&at, &SIZE.alone()).await?;
    let mut part = scan(redis, at, None, 500, |_, found| found >= each, until).await?;
    if part.keys.len() > each {
        part.keys.truncate(each);
        part.complete = false;
    }
    let looked = part.keys.len();
    let sizes = sizes(redis, &part.at, part.keys).await?;
    let mut known = sizes.known;
    let mut groups = Groups::new();
    for (key, bytes) in &known {
        add(&mut groups, prefix(key), 1, *bytes);
    }
    known.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    known.truncate(SHOWN);
    let (biggest, gap) = describe(redis, &part.at, &known).await?;
    let gap = sizes.gap.or(gap);
    let sample = BigKeys {
        keys,
        sampled: (looked - sizes.refused.len()) as u64,
        complete: part.complete && gap.is_none(),
        biggest,
        missing: gap.into_iter().map(|gap| gap.what).collect(),
        ..BigKeys::default()
    };
    Ok((sample, groups))
}

pub(super) async fn memory(redis: &Redis) -> Result<BigKeys, ProbeError> {
    let servers = redis.servers().await?;
    let until = servers.enough.min(Instant::now() + redis.timeout / 3);
    let each = SAMPLE / servers.addresses().len().max(1);
    let round = redis
        .round(&servers, |at| sample(redis, at, each, until))
        .await?;
    let mut all = BigKeys {
        complete: round.missing.is_empty(),
        missing: round.missing,
        ..BigKeys::default()
    };
    let mut groups = Groups::new();
    for (part, part_groups) in round.answers {
        all.keys += part.keys;
        all.sampled += part.sampled;
        all.complete &= part.complete;
        all.biggest.extend(part.biggest);
        all.missing.extend(part.missing);
        for (prefix, (keys, bytes)) in part_groups {
            add(&mut groups, prefix, keys, bytes);
        }
    }
    all.biggest
        .sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.key.cmp(&b.key)));
    all.biggest.truncate(SHOWN);
    let groups = groups.into_iter();
    let used = groups.map(|(prefix, (keys, bytes))| PrefixUse {
        prefix,
        keys,
        bytes,
    });
    all.by_prefix = used.collect();
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

/// What a search found on a server.
async fn find(
    redis: &Redis,
    at: Address,
    pattern: &[u8],
    each: u64,
    until: Instant,
) -> Result<Keys, ProbeError> {
    let size: u64 = redis.ask(&at, &SIZE.alone()).await?;
    let enough = |looked, _| looked >= each;
    let mut part = scan(redis, at, Some(pattern), 1_000, enough, until).await?;
    let matched = part.keys.len() as u64;
    part.keys.sort();
    part.keys.truncate(FOUND);
    let sizes = sizes(redis, &part.at, part.keys).await?;
    let (mut keys, gap) = describe(redis, &part.at, &sizes.known).await?;
    keys.extend(sizes.refused.iter().map(|key| name_only(key)));
    let gap = sizes.gap.or(gap);
    Ok(Keys {
        prefix: String::new(),
        scanned: part.looked.min(size),
        complete: part.complete && gap.is_none(),
        matched,
        keys,
        missing: gap.into_iter().map(|gap| gap.what).collect(),
    })
}

pub(super) async fn keys(redis: &Redis, wanted: &str) -> Result<Keys, ProbeError> {
    let servers = redis.servers().await?;
    let until = servers.enough.min(Instant::now() + redis.timeout / 2);
    let each = SEARCH / servers.addresses().len().max(1) as u64;
    let pattern = pattern(wanted);
    let pattern = pattern.as_slice();
    let round = redis
        .round(&servers, |at| find(redis, at, pattern, each, until))
        .await?;
    let mut all = Keys {
        prefix: clean(wanted.as_bytes(), LONGEST),
        complete: round.missing.is_empty(),
        missing: round.missing,
        ..Keys::default()
    };
    for part in round.answers {
        all.scanned += part.scanned;
        all.complete &= part.complete;
        all.matched += part.matched;
        all.keys.extend(part.keys);
        all.missing.extend(part.missing);
    }
    all.keys.sort_by(|a, b| a.key.cmp(&b.key));
    all.keys.truncate(FOUND);
    Ok(all)
}
