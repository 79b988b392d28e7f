//! The keys of the simulated redis: made up from their numbers, so that nothing has to be kept.

use std::collections::BTreeMap;

use jiff::Timestamp;

use treasury_ports::probe::cache::{self, BigKey, BigKeys, Keys, PrefixUse};

/// Keys of a warm cache.
const KEYS: f64 = 48_000.0;
/// Keys that an answer looks at.
const SAMPLE: u64 = 10_000;
/// Rows of an answer.
const MAX_ROWS: usize = 20;
/// Keys of an answer.
const MAX_KEYS: usize = 50;
/// What a kind of key lives for, ms.
const SESSION: u64 = 1_800_000;
const RATE: u64 = 60_000;
const BALANCE: u64 = 300_000;
const LOCK: u64 = 30_000;

/// Keys in all, by the share of reads that the cache answers.
pub(super) fn count(warmth: f64) -> u64 {
    (KEYS * warmth.clamp(0.0, 1.0)) as u64
}

/// A number that is always the same for `seed` and looks like chance (SplitMix64).
pub(super) fn dice(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of this number.
fn key(number: u64, now: Timestamp) -> BigKey {
    let dice = dice(number);
    let currency =
        |n: u64| ["EUR", "USD", "GBP", "CHF", "JPY", "SEK", "PLN", "CZK"][n as usize % 8];
    let (key, kind, bytes, lives) = match dice % 100 {
        0..54 => {
            let account = format!("DE{:02}5001{:014}", 10 + dice % 89, number * 7_919);
            let bytes = 1_400 + dice / 100 % 2_400;
            (format!("balance:{account}"), "hash", bytes, BALANCE)
        }
        54..88 => {
            let bytes = 700 + dice / 100 % 1_500;
            (format!("session:{dice:016x}"), "string", bytes, SESSION)
        }
        88..97 => {
            let pair = format!("{}{}", currency(dice / 100), currency(dice / 800 + 3));
            let bytes = 240 + dice / 100 % 200;
            (format!("fx:{pair}:{number}"), "string", bytes, RATE)
        }
        _ => {
            let bytes = 88 + dice / 100 % 24;
            (format!("lock:payment:{number}"), "string", bytes, LOCK)
        }
    };
    // A few entities have very many accounts.
    let bytes = if kind == "hash" && (dice / 7).is_multiple_of(400) {
        bytes * 60
    } else {
        bytes
    };
    let now = now.as_millisecond().unsigned_abs();
    BigKey {
        key,
        kind: kind.to_owned(),
        bytes,
        estimated_from: None,
        elements: (kind == "hash").then_some(bytes / 70),
        database: 0,
        expires_ms: Some(lives - now.wrapping_add(dice % lives) % lives),
        described: true,
    }
}

/// The biggest keys.
pub(super) fn memory(all: u64, used_bytes: u64, now: Timestamp) -> BigKeys {
    let sampled = all.min(SAMPLE);
    let mut by: BTreeMap<String, PrefixUse> = BTreeMap::new();
    let mut biggest: Vec<_> = (0..sampled).map(|i| key(i, now)).collect();
    for key in &biggest {
        let prefix = cache::prefix(&key.key).unwrap_or_default();
        let sum = by.entry(prefix.to_owned()).or_insert_with(|| PrefixUse {
            prefix: prefix.to_owned(),
            keys: 0,
            bytes: 0,
        });
        sum.keys += 1;
        sum.bytes += key.bytes;
    }
    biggest.sort_by(|a, b| (b.bytes, &a.key).cmp(&(a.bytes, &b.key)));
    biggest.truncate(MAX_ROWS);
    let mut by_prefix: Vec<PrefixUse> = by.into_values().collect();
    by_prefix.sort_by_key(|one| std::cmp::Reverse(one.bytes));
    by_prefix.truncate(MAX_ROWS);
    BigKeys {
        keys: all,
        sampled,
        complete: sampled == all,
        estimates: 0,
        bytes: by_prefix.iter().map(|one| one.bytes).sum(),
        used_bytes,
        databases: vec![0],
        biggest,
        by_prefix,
        missing: Vec::new(),
    }
}

/// The keys that begin so.
pub(super) fn keys(all: u64, now: Timestamp, prefix: &str) -> Keys {
    let scanned = all.min(SAMPLE);
    let mut found: Vec<_> = (0..scanned)
        .map(|i| key(i, now))
        .filter(|key| key.key.starts_with(prefix))
        .collect();
    let matched = found.len() as u64;
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found.truncate(MAX_KEYS);
    Keys {
        prefix: prefix.to_owned(),
        scanned,
        complete: scanned == all,
        matched,
        databases: vec![0],
        keys: found,
        missing: Vec::new(),
    }
}
