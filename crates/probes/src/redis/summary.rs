//! The state at a glance.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use treasury_domain::counted;

use super::address::Address;
use super::ask::CLUSTER_INFO;
use super::connect::Redis;
use super::parse::{ClusterNode, Info, Replica, clean};
use super::sentinel;
use crate::cache::{CacheSummary, KeyCount, Node, Topology};
use crate::{ProbeError, ProbeErrorKind as Kind};

/// Memory in use beyond this many percent is worth a warning.
const FULL: f64 = 90.0;
/// Fewer hits than this are worth a warning, percent.
const HITS: f64 = 80.0;
/// Before so many reads the hit ratio says little.
const READS: u64 = 1_000;
/// A replica acknowledges every second; one that is silent for so long is worth a warning, seconds.
const SILENT: u64 = 10;
/// Resident memory beyond this multiple of the used is worth a warning …
const FRAGMENTED: f64 = 1.5;
/// … when this much is in use: small servers always look fragmented. Bytes.
const ENOUGH: u64 = 64 << 20;

/// What one server tells of itself.
struct ServerState {
    address: Address,
    info: Info,
    maxmemory: Option<u64>,
    maxclients: u64,
    /// It is set to make snapshots; `None`: it does not tell.
    snapshots: Option<bool>,
}

impl ServerState {
    /// When it made its newest snapshot since its start, in Unix seconds. Until then
    /// `rdb_last_save_time` is the time of the start.
    fn saved(&self) -> Option<u64> {
        let at = self.info.number("rdb_last_save_time")?;
        let made = match self.info.number("rdb_saves") {
            Some(count) => count > 0,
            // Before version 7.
            None => {
                let now = self.info.number("server_time_usec")? / 1_000_000;
                at > now.saturating_sub(self.info.count("uptime_in_seconds")) + 2
            }
        };
        made.then_some(at)
    }

    fn makes_snapshots(&self) -> bool {
        self.snapshots.unwrap_or_else(|| self.saved().is_some())
    }
}

pub(super) async fn summary(redis: &Redis) -> Result<CacheSummary, ProbeError> {
    let servers = redis.servers().await?;
    let Some(nodes) = &servers.cluster else {
        let state = state_of(redis, servers.first.clone(), servers.info).await?;
        let mut summary = of(&[&state]);
        summary.nodes.push(node(&state));
        if let Some(name) = &redis.sentinel {
            summary.topology = Topology::Sentinel;
            sentinel::look(redis, &servers.guide, name, &mut summary).await;
        }
        return Ok(summary);
    };
    let asked = redis
        .every(nodes.iter(), &servers, |at| async {
            let info = servers.info_of(redis, &at).await?;
            state_of(redis, at, info).await
        })
        .await;
    let up: Vec<&ServerState> = asked.iter().filter_map(|(_, t)| t.as_ref().ok()).collect();
    let mut summary = of(&up);
    summary.topology = Topology::Cluster;
    "cluster".clone_into(&mut summary.role);
    let cluster: Result<String, _> = redis.ask(&servers.first, &CLUSTER_INFO.alone()).await;
    let cluster = Info::parse(&cluster.unwrap_or_default());
    let mut worst = Vec::new();
    if !matches!(cluster.text("cluster_state"), "ok" | "") {
        worst.push(format!(
            "The cluster is down: {} of 16384 slots are served",
            cluster.count("cluster_slots_ok")
        ));
    }
    for (known, state) in &asked {
        match state {
            Err(error) => worst.push(format!("{} does not answer: {}", known.address, error.what)),
            Ok(_) if known.failed => worst.push(format!(
                "{} answers, but the others say it has failed",
                known.address
            )),
            Ok(_) => {}
        }
    }
    worst.append(&mut summary.warnings);
    summary.warnings = worst;
    summary.nodes = asked
        .into_iter()
        .map(|(known, state)| cluster_node(known, state))
        .collect();
    if summary.nodes.iter().any(|node| node.up) {
        return Ok(summary);
    }
    Err(ProbeError::new(
        Kind::Timeout,
        format!(
            "the cache at {} answers, but none of the {} masters it knows",
            servers.first,
            summary.nodes.len()
        ),
        "is a firewall between the bot and the masters? Look at their status and logs",
    ))
}

fn cluster_node(known: &ClusterNode, state: Result<ServerState, ProbeError>) -> Node {
    Node {
        address: known.address.to_string(),
        role: "master".to_owned(),
        up: state.is_ok(),
        memory_bytes: state.as_ref().ok().map(|t| t.info.count("used_memory")),
        slots: known.slots.clone(),
        problem: match state {
            Err(error) => Some(error.what),
            Ok(_) if known.failed => Some("the others say it has failed".to_owned()),
            Ok(_) => None,
        },
    }
}

/// With the settings that are not in INFO; a managed Redis refuses to tell them.
async fn state_of(redis: &Redis, address: Address, info: Info) -> Result<ServerState, ProbeError> {
    let setting = async |name| match info.number(name) {
        Some(number) => Ok(Some(number)),
        None => {
            let value = redis.setting(&address, name).await?;
            Ok::<_, ProbeError>(value.and_then(|value| value.parse().ok()))
        }
    };
    let maxmemory = setting("maxmemory").await?.filter(|bytes| *bytes > 0);
    let maxclients = setting("maxclients").await?.unwrap_or(0);
    let snapshots = redis.setting(&address, "save").await?;
    Ok(ServerState {
        snapshots: snapshots.map(|when| !when.trim().is_empty()),
        maxmemory,
        maxclients,
        address,
        info,
    })
}

fn node(state: &ServerState) -> Node {
    Node {
        address: state.address.to_string(),
        role: role(&state.info),
        up: true,
        memory_bytes: Some(state.info.count("used_memory")),
        ..Node::default()
    }
}

fn role(info: &Info) -> String {
    match info.text("role") {
        "slave" => "replica".to_owned(),
        other => clean(other.as_bytes(), 20),
    }
}

/// Sums and worst values.
fn of(all: &[&ServerState]) -> CacheSummary {
    let sum = |name: &str| all.iter().map(|state| state.info.count(name)).sum::<u64>();
    let any = |name: &str, value: &str| all.iter().any(|state| state.info.text(name) == value);
    let first = all.first().map(|state| &state.info);
    let text = |name| clean(first.map_or("", |info| info.text(name)).as_bytes(), 60);
    let now = Timestamp::now();
    let uptime = all
        .iter()
        .filter_map(|t| t.info.number("uptime_in_seconds"))
        .min();
    let (hits, misses) = (sum("keyspace_hits"), sum("keyspace_misses"));
    let hit_percent = (hits + misses > 0).then(|| hits as f64 * 100.0 / (hits + misses) as f64);
    let memory_percent = all
        .iter()
        .filter_map(|state| {
            let max = state.maxmemory?;
            Some(state.info.count("used_memory") as f64 * 100.0 / max as f64)
        })
        .max_by(f64::total_cmp);
    let maxima: Vec<u64> = all.iter().filter_map(|state| state.maxmemory).collect();
    let aof = any("aof_enabled", "1");
    let snapshots = all.iter().any(|state| state.makes_snapshots());
    let saved = all.iter().filter_map(|state| state.saved()).min();
    let mut databases = BTreeMap::<u16, u64>::new();
    for one in all.iter().flat_map(|state| state.info.databases()) {
        *databases.entry(one.database).or_default() += one.keys;
    }
    let replicas = all.iter().flat_map(|state| {
        let offset = state.info.count("master_repl_offset");
        let replicas = state.info.replicas().into_iter();
        replicas.map(move |one| (one.offset.map(|at| offset.saturating_sub(at)), one))
    });
    let replicas: Vec<(Option<u64>, Replica)> = replicas.collect();
    let filled = replicas.iter().filter(|(_, one)| !one.syncing);
    let lag = filled.clone().filter_map(|(lag, _)| *lag).max();
    let silent = filled.map(|(_, one)| one.silent_s).max();
    let syncing = replicas.iter().filter(|(_, one)| one.syncing).count() as u64;
    let syncing = syncing + u64::from(any("master_sync_in_progress", "1"));
    let lost = any("role", "slave") && !any("master_link_status", "up") && syncing == 0;
    let silent = silent.filter(|seconds| *seconds >= SILENT);
    let (product, version) = first.map(Info::product).unwrap_or_default();
    let mut summary = CacheSummary {
        product: product.to_owned(),
        version: clean(version.as_bytes(), 60),
        started_at: now - SignedDuration::from_secs(uptime.unwrap_or(0).min(1 << 32) as i64),
        topology: Topology::Single,
        role: first.map(role).unwrap_or_default(),
        memory_bytes: sum("used_memory"),
        memory_max_bytes: (!maxima.is_empty()).then(|| maxima.iter().sum()),
        memory_percent,
        eviction_policy: text("maxmemory_policy"),
        fragmentation: all
            .iter()
            .filter_map(|state| state.info.float("mem_fragmentation_ratio"))
            .fold(0.0, f64::max),
        evicted: sum("evicted_keys"),
        hit_percent,
        commands_per_second: sum("instantaneous_ops_per_sec") as f64,
        clients: sum("connected_clients"),
        clients_max: all.iter().map(|state| state.maxclients).sum(),
        clients_blocked: sum("blocked_clients"),
        rejected: sum("rejected_connections"),
        keys: databases.values().sum(),
        databases: databases
            .into_iter()
            .map(|(database, keys)| KeyCount { database, keys })
            .collect(),
        persistence: match (aof, snapshots) {
            (true, true) => "append-only file, snapshots",
            (true, false) => "append-only file",
            (false, true) => "snapshots",
            (false, false) => "nothing",
        }
        .to_owned(),
        last_save_at: saved.and_then(|at| Timestamp::from_second(at as i64).ok()),
        save_failed: any("rdb_last_bgsave_status", "err") || any("aof_last_write_status", "err"),
        rewrite_failed: any("aof_last_bgrewrite_status", "err"),
        replicas: replicas.len() as u64,
        syncing,
        replication_ok: !lost && silent.is_none(),
        replication_lag_bytes: lag,
        warnings: Vec::new(),
        nodes: Vec::new(),
    };
    let replication = lost
        .then(|| "This replica has lost its master".to_owned())
        .or(silent.map(|s| format!("A replica has not acknowledged anything for {s} s")));
    summary.warnings = warnings(&summary, hits + misses, replication);
    summary
}

/// What is worth a look, worst first.
fn warnings(s: &CacheSummary, reads: u64, replication: Option<String>) -> Vec<String> {
    let then = if s.eviction_policy == "noeviction" {
        "writes are refused at 100 %"
    } else {
        "keys are thrown out at 100 %"
    };
    let full = s.memory_percent.filter(|percent| *percent >= FULL);
    let hits = s.hit_percent.filter(|percent| *percent < HITS);
    [
        replication,
        s.save_failed
            .then(|| "The last save to the disk failed: writes may be refused".to_owned()),
        s.rewrite_failed.then(|| {
            "The last rewrite of the append-only file failed: it grows until one succeeds (is the \
             disk full, or not writable?)"
                .to_owned()
        }),
        (s.syncing > 0).then(|| match s.role.as_str() {
            "replica" => "This replica is being filled: it can't take over yet".to_owned(),
            _ => {
                let which = counted(s.syncing, "replica");
                let (are, they) = if s.syncing == 1 {
                    ("is", "it")
                } else {
                    ("are", "they")
                };
                format!("{which} {are} being filled: {they} can't take over yet")
            }
        }),
        full.map(|percent| format!("{percent:.0} % of maxmemory are in use: {then}")),
        (s.clients_max > 0 && s.clients * 10 >= s.clients_max * 9).then(|| {
            let (used, max) = (s.clients, s.clients_max);
            format!("{used} of {max} client connections are in use")
        }),
        (s.rejected > 0).then(|| {
            let count = s.rejected;
            format!("{count} connections were refused for maxclients since the start")
        }),
        (s.evicted > 0).then(|| {
            let count = s.evicted;
            format!("{count} keys were thrown out for lack of memory since the start")
        }),
        hits.filter(|_| reads >= READS)
            .map(|percent| format!("Only {percent:.0} % of the reads find their key")),
        (s.fragmentation > FRAGMENTED && s.memory_bytes > ENOUGH).then(|| {
            let times = s.fragmentation;
            format!("Memory is fragmented: {times:.1} times what is in use is resident")
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}
