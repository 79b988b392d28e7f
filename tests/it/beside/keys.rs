//! The figures of `cache *` beside those of redis-cli.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Beside;
use super::caches::{Server, World};

pub fn greatest(mut all: Vec<u64>) -> Vec<u64> {
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.truncate(20);
    all
}

pub fn figures(list: &Value, field: &str) -> Vec<u64> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|one| one[field].as_u64()).collect()
}

/// What redis-cli calls trouble.
pub fn trouble(server: &Server) -> Vec<String> {
    let info = server.info();
    let text = |name: &str| info.get(name).map_or("", String::as_str);
    let number = |name: &str| text(name).parse::<f64>().unwrap_or_default();
    let is = [
        (
            number("maxmemory") > 0.0 && number("used_memory") >= number("maxmemory") * 0.93,
            "memory is full",
        ),
        (
            text("role") == "slave" && text("master_link_status") != "up",
            "the master is lost",
        ),
        (text("rdb_last_bgsave_status") == "err", "the save failed"),
        (
            text("aof_last_write_status") == "err",
            "the log's write failed",
        ),
        (
            text("aof_last_bgrewrite_status") == "err",
            "the log's rewrite failed",
        ),
        (
            number("rejected_connections") > 0.0,
            "connections were refused",
        ),
        (number("evicted_keys") > 0.0, "keys were thrown out"),
        (
            number("connected_clients") >= number("maxclients") * 0.9,
            "hardly a client more is let in",
        ),
        (
            number("keyspace_misses") > 1_200.0
                && number("keyspace_hits") * 2.0 < number("keyspace_misses"),
            "most reads miss",
        ),
    ];
    let mut trouble: Vec<String> = is
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, what)| (*what).to_owned())
        .collect();
    // The plainest of all: can it be written to?
    let told = server.tell(&["SET", "written", "1", "PX", "1"]);
    if text("role") == "master" && told != "OK" {
        trouble.push(told);
    }
    trouble
}

pub struct Key {
    pub name: String,
    pub bytes: u64,
}

/// All keys of all databases with their whole sizes.
pub fn keys(server: &Server) -> Vec<Key> {
    let mut keys = Vec::new();
    for database in 0..16 {
        let number = database.to_string();
        let names = server.tell(&["-n", &number, "--scan"]);
        let names: Vec<&str> = names.lines().filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            continue;
        }
        let ask = names
            .iter()
            .map(|name| format!("MEMORY USAGE {name} SAMPLES 0\n"));
        let sizes = server.tell_all(database, &ask.collect::<String>());
        let sizes = sizes
            .lines()
            .map(|line| line.trim().parse().unwrap_or_default());
        let each = names.iter().zip(sizes);
        keys.extend(each.map(|(name, bytes)| Key {
            name: (*name).to_owned(),
            bytes,
        }));
    }
    keys
}

pub fn memory(keys: &[Key], found: &Value, beside: &mut Beside) {
    let count = Some(keys.len() as u64);
    beside.same("cache.memory keys", found["keys"].as_u64(), count);
    beside.same("cache.memory sampled", found["sampled"].as_u64(), count);
    beside.same(
        "cache.memory complete",
        found["complete"].as_bool(),
        Some(true),
    );
    let told = found["biggest"].as_array().cloned().unwrap_or_default();
    let tool = greatest(keys.iter().map(|key| key.bytes).collect());
    beside.same("cache.memory biggest", told.len(), tool.len());
    for (n, (one, bytes)) in told.iter().zip(&tool).enumerate() {
        // What is said to be an estimate may be one.
        let estimated = !one["estimated_from"].is_null();
        let slack = if estimated { *bytes as f64 * 0.2 } else { 0.0 };
        let what = format!("cache.memory biggest {n} ({})", one["key"]);
        beside.near(&what, one["bytes"].as_f64(), *bytes as f64, slack);
    }
    let sum = keys.iter().map(|key| key.bytes).sum::<u64>() as f64;
    let slack = if found["estimates"].as_u64() > Some(0) {
        sum * 0.1
    } else {
        0.0
    };
    beside.near("cache.memory bytes", found["bytes"].as_f64(), sum, slack);
}

pub fn clients(server: &Server, found: &Value, beside: &mut Beside) {
    let list = server.tell(&["CLIENT", "LIST"]);
    // The flag of replicas; each reader sees itself and not the other.
    let is_replica = |line: &&str| line.contains(" flags=S");
    let replicas = list.lines().filter(is_replica).count() as u64;
    let all = list.lines().count() as u64;
    beside.same(
        "cache.clients connected",
        found["connected"].as_u64(),
        Some(all - replicas),
    );
    beside.same(
        "cache.clients replicas",
        found["replicas"].as_u64(),
        Some(replicas),
    );
    let max = server.setting("maxclients").parse().ok();
    beside.same("cache.clients max", found["max"].as_u64(), max);
}

/// Keys of each database.
fn databases(info: &BTreeMap<String, String>, found: &Value, beside: &mut Beside) {
    let each = info.iter().filter_map(|(name, value)| {
        let database = name.strip_prefix("db")?.parse().ok()?;
        let keys = value.strip_prefix("keys=")?.split(',').next()?;
        Some((database, keys.parse().ok()?))
    });
    let tool: BTreeMap<u64, u64> = each.collect();
    let told = found["databases"].as_array().into_iter().flatten();
    let told: BTreeMap<u64, u64> = told
        .filter_map(|one| Some((one["database"].as_u64()?, one["keys"].as_u64()?)))
        .collect();
    let sum = tool.values().sum();
    beside.same("cache.summary keys", found["keys"].as_u64(), Some(sum));
    beside.same("cache.summary databases", told, tool);
}

impl World {
    pub fn summary(&self, server: &Server, found: &Value, beside: &mut Beside) {
        let info = server.info();
        let text = |name: &str| info.get(name).map_or("", String::as_str);
        let number = |name: &str| text(name).parse::<u64>().unwrap_or_default();
        let what = |field: &str| format!("cache.summary {field}");
        let version = match self.product {
            "Valkey" => "valkey_version",
            _ => "redis_version",
        };
        for (field, tool) in [
            ("product", self.product),
            ("version", text(version)),
            ("eviction_policy", text("maxmemory_policy")),
        ] {
            beside.same(&what(field), found[field].as_str(), Some(tool));
        }
        let max = Some(number("maxmemory")).filter(|max| *max > 0);
        for (field, tool) in [
            ("memory_max_bytes", max),
            ("evicted", Some(number("evicted_keys"))),
            ("clients", Some(number("connected_clients"))),
            ("clients_blocked", Some(number("blocked_clients"))),
            ("clients_max", server.setting("maxclients").parse().ok()),
            ("rejected", Some(number("rejected_connections"))),
            ("replicas", Some(number("connected_slaves"))),
        ] {
            beside.same(&what(field), found[field].as_u64(), tool);
        }
        let err = |name: &str| text(name) == "err";
        let is_master = text("role") == "master";
        for (field, told, tool) in [
            ("role", found["role"] == "master", is_master),
            (
                "save_failed",
                found["save_failed"] == true,
                err("rdb_last_bgsave_status") || err("aof_last_write_status"),
            ),
            (
                "rewrite_failed",
                found["rewrite_failed"] == true,
                err("aof_last_bgrewrite_status"),
            ),
            (
                "persistence",
                found["persistence"].to_string().contains("append-only"),
                text("aof_enabled") == "1",
            ),
            (
                "replication_ok",
                found["replication_ok"] == true,
                is_master || text("master_link_status") == "up",
            ),
        ] {
            beside.same(&what(field), told, tool);
        }
        // Both readers are clients while they read, each with buffers of its own.
        let (used, slack) = (number("used_memory") as f64, 600_000.0);
        let told = found["memory_bytes"].as_f64();
        beside.near(&what("memory_bytes"), told, used, slack);
        if let Some(max) = max {
            let percent = |bytes: f64| bytes * 100.0 / max as f64;
            let told = found["memory_percent"].as_f64();
            beside.near(&what("memory_percent"), told, percent(used), percent(slack));
        }
        let hits = number("keyspace_hits") as f64;
        let reads = hits + number("keyspace_misses") as f64;
        if reads > 0.0 {
            // Looking at keys counts as reading them.
            let told = found["hit_percent"].as_f64();
            beside.near(&what("hit_percent"), told, hits * 100.0 / reads, 1.0);
        }
        databases(&info, found, beside);
    }

    pub fn slowlog(&self, found: &Value, beside: &mut Beside) {
        let threshold = self.main.setting("slowlog-log-slower-than").parse().ok();
        beside.same(
            "cache.slowlog threshold_us",
            found["threshold_us"].as_u64(),
            threshold,
        );
        let told = figures(&found["entries"], "took_us");
        beside.same(
            "cache.slowlog entries",
            told,
            self.logged(&["SLOWLOG", "GET", "128"]),
        );
        if self.product == "Valkey" {
            for (field, kind) in [
                ("large_requests", "large-request"),
                ("large_replies", "large-reply"),
            ] {
                let told = figures(&found[field]["entries"], "bytes");
                let tool = self.logged(&["COMMANDLOG", "GET", "128", kind]);
                beside.same(&format!("cache.slowlog {field}"), told, tool);
            }
        } else {
            beside.same(
                "cache.slowlog large_requests",
                found["large_requests"].is_null(),
                true,
            );
        }
    }

    /// The 20 greatest figures of a log.
    pub fn logged(&self, words: &[&str]) -> Vec<u64> {
        let text = self.main.tell(&[&["--json"], words].concat());
        let entries: Value = serde_json::from_str(&text).unwrap();
        let entries = entries.as_array().unwrap().iter();
        greatest(entries.filter_map(|one| one[2].as_u64()).collect())
    }
}
