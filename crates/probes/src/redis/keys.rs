//! Looking at keys, within bounds, in all databases of all servers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use super::address::Address;
use super::ask::{SIZE, pattern, scan};
use super::connect::Redis;
use super::parse::{Info, clean};
use super::servers::Servers;
use super::sizes::{Looked, describe, look, settle};
use crate::cache::{BigKeys, KeyCount, Keys, PrefixUse, prefix};
use crate::{ProbeError, ProbeErrorKind as Kind};

/// Keys whose size is looked at, over all servers.
const SAMPLE: u64 = 50_000;
/// Keys that a search looks at, over all servers.
const SEARCH: u64 = 100_000;
/// Keys that are shown.
const SHOWN: usize = 20;
/// Keys of a search that are shown.
const FOUND: usize = 50;

/// Keys and bytes by prefix.
type Groups = BTreeMap<String, (u64, u64)>;

/// How far one look at a database goes.
#[derive(Clone, Copy)]
struct Bounds {
    keys: u64,
    until: Instant,
}

impl Redis {
    /// The databases of a server that hold keys, those with the fewest first: what they leave of
    /// the bounds is for the others.
    async fn databases(&self, at: &Address, info: &Info) -> Result<Vec<KeyCount>, ProbeError> {
        let mut databases = info.databases();
        if databases.is_empty() {
            // There is no key, or INFO doesn't tell.
            let size = self.ask_in(at, self.database, [SIZE.alone()].into_iter());
            let keys = size.await?.one()?;
            databases.push(KeyCount {
                database: self.database,
                keys,
            });
        }
        databases.sort_by_key(|one| one.keys);
        Ok(databases)
    }

    /// Some keys of a database, from `cursor` on, and where to go on.
    async fn names(
        &self,
        at: &Address,
        database: u16,
        cursor: u64,
        pattern: Option<&[u8]>,
        count: u32,
    ) -> Result<(u64, Vec<Vec<u8>>), ProbeError> {
        let ask = [scan(cursor, pattern, count)].into_iter();
        self.ask_in(at, database, ask).await?.one()
    }
}

/// How many keys of each database are looked at, so that together they are not more than `all`.
fn shares(databases: &[KeyCount], all: u64) -> impl Iterator<Item = (KeyCount, u64)> {
    let mut left = all;
    databases.iter().enumerate().map(move |(n, one)| {
        let most = (left / (databases.len() - n) as u64).max(1);
        left = left.saturating_sub(one.keys.min(most));
        (*one, most)
    })
}

/// What is told of a database that the bot may not look into. Where that is the one of the URL,
/// nothing can be told.
fn not_looked_at(redis: &Redis, database: u16, error: ProbeError) -> Result<String, ProbeError> {
    let told = format!("Database {database} was not looked at: {}", error.what);
    match error.kind {
        _ if database == redis.database => Err(error),
        Kind::Denied => Ok(format!("{told} ({})", error.hint)),
        Kind::Failed => Ok(told),
        _ => Err(error),
    }
}

/// Keys of a database with their sizes; whether those are all.
async fn weigh(
    redis: &Redis,
    at: &Address,
    database: u16,
    most: Bounds,
) -> Result<(Looked, bool), ProbeError> {
    let mut looked = Looked::default();
    // A table that grows or shrinks meanwhile makes SCAN tell a key twice.
    let mut seen = HashSet::new();
    let mut cursor = 0;
    loop {
        let (next, mut keys) = redis.names(at, database, cursor, None, 500).await?;
        keys.retain(|key| !seen.contains(key));
        let left = usize::try_from(most.keys).unwrap_or(usize::MAX) - seen.len();
        let cut = keys.len() > left;
        keys.truncate(left);
        look(redis, at, database, &keys, &mut looked).await?;
        seen.extend(keys);
        cursor = next;
        if cursor == 0 || cut || seen.len() as u64 >= most.keys || Instant::now() >= most.until {
            return Ok((looked.allowed()?, cursor == 0 && !cut));
        }
    }
}

/// A server's sample.
async fn sample(
    redis: &Redis,
    servers: &Servers,
    at: Address,
    most: Bounds,
) -> Result<(BigKeys, Groups), ProbeError> {
    let info = servers.info_of(redis, &at).await?;
    let databases = redis.databases(&at, &info).await?;
    let mut sample = BigKeys {
        keys: databases.iter().map(|one| one.keys).sum(),
        used_bytes: info.count("used_memory"),
        ..BigKeys::default()
    };
    sample.complete = true;
    let mut known = Vec::new();
    for (KeyCount { database, .. }, keys) in shares(&databases, most.keys) {
        let (looked, complete) = match weigh(redis, &at, database, Bounds { keys, ..most }).await {
            Ok(weighed) => weighed,
            Err(error) => {
                let note = not_looked_at(redis, database, error)?;
                sample.missing.push(note);
                sample.complete = false;
                continue;
            }
        };
        sample.databases.push(database);
        sample.complete &= complete && looked.gap.is_none();
        let gaps = looked.gap.into_iter().chain(looked.uncounted);
        sample.missing.extend(gaps.map(|gap| gap.what));
        known.extend(looked.known);
    }
    let patience = redis.timeout / 6;
    settle(redis, &at, &mut known, Instant::now() + patience).await?;
    let mut groups = Groups::new();
    for key in &known {
        sample.bytes += key.bytes;
        sample.estimates += u64::from(key.estimated_from.is_some());
        add(&mut groups, group(&key.key), 1, key.bytes);
    }
    sample.sampled = known.len() as u64;
    known.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.key.cmp(&b.key)));
    known.truncate(SHOWN);
    known.sort_by_key(|key| key.database);
    let (biggest, gap) = describe(redis, &at, &known).await?;
    sample.complete &= gap.is_none();
    sample.missing.extend(gap.map(|gap| gap.what));
    sample.biggest = biggest;
    Ok((sample, groups))
}

pub(super) async fn memory(redis: &Redis) -> Result<BigKeys, ProbeError> {
    let servers = redis.servers().await?;
    let most = Bounds {
        keys: SAMPLE / servers.addresses().len().max(1) as u64,
        until: servers.enough.min(Instant::now() + redis.timeout / 3),
    };
    let round = redis
        .round(&servers, |at| sample(redis, &servers, at, most))
        .await?;
    let mut all = BigKeys {
        complete: round.missing.is_empty(),
        missing: round.missing,
        ..BigKeys::default()
    };
    let mut groups = Groups::new();
    let mut databases = BTreeSet::new();
    for (part, part_groups) in round.answers {
        all.keys += part.keys;
        all.sampled += part.sampled;
        all.complete &= part.complete;
        all.estimates += part.estimates;
        all.bytes += part.bytes;
        all.used_bytes += part.used_bytes;
        databases.extend(part.databases);
        all.biggest.extend(part.biggest);
        all.missing.extend(part.missing);
        for (prefix, (keys, bytes)) in part_groups {
            add(&mut groups, prefix, keys, bytes);
        }
    }
    all.databases = databases.into_iter().collect();
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

/// Adds what the keys that begin alike take.
fn add(groups: &mut Groups, prefix: String, keys: u64, bytes: u64) {
    let group = groups.entry(prefix).or_default();
    *group = (group.0 + keys, group.1 + bytes);
}

fn group(key: &[u8]) -> String {
    let text = clean(&key[..key.len().min(50)], 50);
    prefix(&text).unwrap_or("(no prefix)").to_owned()
}

/// What a search found in a database.
struct FoundIn {
    keys: Vec<Vec<u8>>,
    looked: u64,
    complete: bool,
}

async fn find_in(
    redis: &Redis,
    at: &Address,
    one: KeyCount,
    pattern: &[u8],
    most: Bounds,
) -> Result<FoundIn, ProbeError> {
    // The server does not say how many it looked at; COUNT is about that.
    const COUNT: u32 = 1_000;
    let mut found = HashSet::new();
    let (mut cursor, mut looked) = (0, 0);
    loop {
        let names = redis.names(at, one.database, cursor, Some(pattern), COUNT);
        let (next, keys) = names.await?;
        looked += u64::from(COUNT);
        found.extend(keys);
        cursor = next;
        if cursor == 0 || looked >= most.keys || Instant::now() >= most.until {
            break;
        }
    }
    let complete = cursor == 0;
    let looked = if complete {
        one.keys
    } else {
        looked.min(one.keys)
    };
    Ok(FoundIn {
        looked: looked.max(found.len() as u64),
        keys: found.into_iter().collect(),
        complete,
    })
}

/// What a search found on a server.
async fn find(
    redis: &Redis,
    servers: &Servers,
    at: Address,
    pattern: &[u8],
    most: Bounds,
) -> Result<Keys, ProbeError> {
    let info = servers.info_of(redis, &at).await?;
    let databases = redis.databases(&at, &info).await?;
    let mut found = Keys {
        complete: true,
        ..Keys::default()
    };
    for (one, keys) in shares(&databases, most.keys) {
        let database = one.database;
        let most = Bounds { keys, ..most };
        let mut part = match find_in(redis, &at, one, pattern, most).await {
            Ok(part) => part,
            Err(error) => {
                found.missing.push(not_looked_at(redis, database, error)?);
                found.complete = false;
                continue;
            }
        };
        found.databases.push(database);
        found.scanned += part.looked;
        found.matched += part.keys.len() as u64;
        part.keys.sort();
        part.keys.truncate(FOUND);
        let mut looked = Looked::default();
        look(redis, &at, database, &part.keys, &mut looked).await?;
        let mut looked = looked.allowed()?;
        let until = Instant::now() + redis.timeout / 10;
        settle(redis, &at, &mut looked.known, until).await?;
        let (keys, gap) = describe(redis, &at, &looked.known).await?;
        let gap = looked.gap.or(gap);
        found.complete &= part.complete && gap.is_none();
        let gaps = gap.into_iter().chain(looked.uncounted);
        found.missing.extend(gaps.map(|gap| gap.what));
        found.keys.extend(keys);
        found.keys.extend(looked.refused);
    }
    Ok(found)
}

pub(super) async fn keys(redis: &Redis, wanted: &str) -> Result<Keys, ProbeError> {
    let servers = redis.servers().await?;
    let most = Bounds {
        keys: SEARCH / servers.addresses().len().max(1) as u64,
        until: servers.enough.min(Instant::now() + redis.timeout / 2),
    };
    let pattern = pattern(wanted);
    let pattern = pattern.as_slice();
    let round = redis
        .round(&servers, |at| find(redis, &servers, at, pattern, most))
        .await?;
    let mut all = Keys {
        prefix: clean(wanted.as_bytes(), 100),
        complete: round.missing.is_empty(),
        missing: round.missing,
        ..Keys::default()
    };
    let mut databases = BTreeSet::new();
    for part in round.answers {
        all.scanned += part.scanned;
        all.complete &= part.complete;
        all.matched += part.matched;
        databases.extend(part.databases);
        all.keys.extend(part.keys);
        all.missing.extend(part.missing);
    }
    all.databases = databases.into_iter().collect();
    all.keys.sort_by(|a, b| a.key.cmp(&b.key));
    all.keys.truncate(FOUND);
    Ok(all)
}
