//! How much memory keys take.
//!
//! `MEMORY USAGE` looks at a few elements and takes the others for alike, which one huge element
//! among small ones makes wrong by any factor. So the number of elements is asked as well, and where
//! it is more than a few, all of them are looked at, within bounds: the server does nothing else
//! meanwhile (100,000 elements take some 10 ms).

use std::cmp::Reverse;
use std::time::Instant;

use super::address::Address;
use super::ask::{EXPIRES_IN, TYPE, length, memory_usage};
use super::connect::Redis;
use super::parse::clean;
use crate::cache::BigKey;
use crate::{ProbeError, ProbeErrorKind as Kind};

/// Elements of each key that are looked at first.
const FIRST: u64 = 5;
/// Most elements of a key, and of all keys in one go, that are looked at without a pause.
const AT_ONCE: u64 = 100_000;
/// Elements that are looked at where there are more than that.
const MANY: u64 = 10_000;
/// Elements that are looked at in all.
const IN_ALL: u64 = 2_000_000;
/// Questions in one go.
const PIPELINE: usize = 500;
/// Longest key shown, characters.
const LONGEST: usize = 100;

/// A key with what is known of its size.
pub(super) struct Sized {
    pub(super) key: Vec<u8>,
    pub(super) database: u16,
    pub(super) bytes: u64,
    kind: String,
    elements: Option<u64>,
    pub(super) estimated_from: Option<u64>,
}

/// Keys of one database that were looked at.
#[derive(Default)]
pub(super) struct Looked {
    /// Without those that are gone meanwhile, or refused.
    pub(super) known: Vec<Sized>,
    /// Those that are refused.
    pub(super) refused: Vec<BigKey>,
    /// Why the first of them is.
    pub(super) gap: Option<ProbeError>,
    /// Why it is not known how many elements keys have.
    pub(super) uncounted: Option<ProbeError>,
}

impl Looked {
    /// Fails when the bot may not look at any.
    pub(super) fn allowed(self) -> Result<Self, ProbeError> {
        match self.gap {
            Some(gap) if gap.kind == Kind::Denied && self.known.is_empty() => Err(gap),
            _ => Ok(self),
        }
    }
}

/// Adds what is first known of these keys.
pub(super) async fn look(
    redis: &Redis,
    at: &Address,
    database: u16,
    keys: &[Vec<u8>],
    looked: &mut Looked,
) -> Result<(), ProbeError> {
    for keys in keys.chunks(PIPELINE) {
        let asks = keys.iter().map(|key| memory_usage(key, FIRST));
        let sizes = redis.ask_in::<Option<u64>>(at, database, asks).await?;
        let asks = keys.iter().map(|key| TYPE.with(key));
        let kinds = redis.ask_in::<String>(at, database, asks).await?;
        looked.gap = looked.gap.take().or(sizes.gap).or(kinds.gap);
        let new = looked.known.len();
        for (key, told) in keys.iter().zip(sizes.each.into_iter().zip(kinds.each)) {
            match told {
                // It has expired meanwhile.
                (Some(None), _) => {}
                (_, Some(kind)) if kind == "none" => {}
                (Some(Some(bytes)), Some(kind)) => looked.known.push(Sized {
                    key: key.clone(),
                    database,
                    bytes,
                    estimated_from: (kind != "string").then_some(FIRST),
                    kind: clean(kind.as_bytes(), 20),
                    elements: None,
                }),
                // The cluster has gone down, or the key has moved.
                _ => looked.refused.push(name_only(key, database)),
            }
        }
        count(redis, at, database, &mut looked.known[new..])
            .await
            .map(|gap| looked.uncounted = looked.uncounted.take().or(gap))?;
    }
    Ok(())
}

/// Asks how many elements they have.
async fn count(
    redis: &Redis,
    at: &Address,
    database: u16,
    keys: &mut [Sized],
) -> Result<Option<ProbeError>, ProbeError> {
    let mut with: Vec<_> = keys
        .iter_mut()
        .filter_map(|key| Some((length(&key.kind)?, key)))
        .collect();
    let asks = with.iter().map(|(length, key)| length.with(&key.key));
    let counts = redis.ask_in::<u64>(at, database, asks).await?;
    for ((_, key), count) in with.iter_mut().zip(counts.each) {
        key.elements = count;
        key.estimated_from = key
            .estimated_from
            .filter(|_| count.is_none_or(|n| n > FIRST));
    }
    Ok(counts.gap)
}

/// Asks for the sizes that are estimates again, those of the most elements first, from all their
/// elements, until enough were looked at or the time is over.
pub(super) async fn settle(
    redis: &Redis,
    at: &Address,
    known: &mut [Sized],
    until: Instant,
) -> Result<(), ProbeError> {
    let mut open: Vec<&mut Sized> = known
        .iter_mut()
        .filter(|key| key.estimated_from.is_some() && key.elements.is_some())
        .collect();
    open.sort_by_key(|key| (key.database, Reverse(key.elements)));
    // 0: from all of its elements.
    let samples = |key: &Sized| match key.elements {
        Some(n) if n > AT_ONCE => MANY,
        _ => 0,
    };
    let cost = |key: &Sized| match samples(key) {
        0 => key.elements.unwrap_or(0),
        n => n,
    };
    let mut left = IN_ALL;
    let mut rest = &mut open[..];
    while let Some(first) = rest.first() {
        let database = first.database;
        let mut sum = 0;
        let fits = rest.iter().take(PIPELINE).take_while(|key| {
            sum += cost(key);
            key.database == database && sum <= AT_ONCE.min(left)
        });
        let fits = fits.count();
        if fits == 0 || Instant::now() >= until {
            return Ok(());
        }
        let (now, later) = rest.split_at_mut(fits);
        rest = later;
        let asks = now.iter().map(|key| memory_usage(&key.key, samples(key)));
        let sizes = redis.ask_in::<Option<u64>>(at, database, asks).await?;
        for (key, bytes) in now.iter_mut().zip(sizes.each) {
            left = left.saturating_sub(cost(key));
            if let Some(Some(bytes)) = bytes {
                key.bytes = bytes;
                key.estimated_from = Some(samples(key)).filter(|n| *n > 0);
            }
        }
    }
    Ok(())
}

/// These keys as they are told, with when they expire; and why some are missing.
pub(super) async fn describe(
    redis: &Redis,
    at: &Address,
    keys: &[Sized],
) -> Result<(Vec<BigKey>, Option<ProbeError>), ProbeError> {
    let mut described = Vec::new();
    let mut gap = None;
    for keys in keys.chunk_by(|a, b| a.database == b.database) {
        let asks = keys.iter().map(|key| EXPIRES_IN.with(&key.key));
        let expires = redis.ask_in::<i64>(at, keys[0].database, asks).await?;
        match expires.gap {
            Some(denied) if denied.kind == Kind::Denied => return Err(denied),
            other => gap = gap.or(other),
        }
        for (key, expires) in keys.iter().zip(expires.each) {
            described.push(match expires {
                // It has expired meanwhile.
                Some(-2) => continue,
                Some(expires) => BigKey {
                    key: clean(&key.key, LONGEST),
                    kind: key.kind.clone(),
                    bytes: key.bytes,
                    estimated_from: key.estimated_from,
                    elements: key.elements,
                    database: key.database,
                    expires_ms: u64::try_from(expires).ok(),
                    described: true,
                },
                // Its size was told a moment ago: the cluster has gone down, or the key has moved.
                None => name_only(&key.key, key.database),
            });
        }
    }
    Ok((described, gap))
}

/// A key of which only the name is known.
pub(super) fn name_only(key: &[u8], database: u16) -> BigKey {
    BigKey {
        key: clean(key, LONGEST),
        kind: "unknown".to_owned(),
        bytes: 0,
        estimated_from: None,
        elements: None,
        database,
        expires_ms: None,
        described: false,
    }
}
