//! The state at a glance.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::ask::Ask;
use super::parse::{Info, clean};
use super::{Address, Redis, Servers};
use crate::probe::ProbeError;
use crate::probe::cache::{CacheSummary, Node, Topology};

/// Memory in use beyond this many percent is worth a warning.
const FULL: f64 = 90.0;
/// Fewer hits than this are worth a warning, percent.
const HITS: f64 = 80.0;
/// Before so many reads the hit ratio says little.
const READS: u64 = 1_000;
/// Resident memory beyond this multiple of the used is worth a warning …
const FRAGMENTED: f64 = 1.5;
/// … when this much is in use: small servers always look fragmented. Bytes.
const ENOUGH: u64 = 64 << 20;

/// What one server tells.
struct Told {
    address: Address,
    info: Info,
    maxmemory: Option<u64>,
    maxclients: u64,
    /// It is configured to write snapshots, where it tells.
    snapshots: Option<bool>,
}

pub(super) async fn summary(redis: &Redis) -> Result<CacheSummary, ProbeError> {
    let (servers, first) = redis.servers().await?;
    match servers {
        Servers::One(address) => {
            let told = tell(redis, address, first).await;
            let mut summary = of(&[&told]);
            if let Some(name) = &redis.sentinel {
                summary.topology = Topology::Sentinel;
                sentinels(redis, name, &mut summary).await;
            }
            summary.nodes.insert(0, node(&told));
            Ok(summary)
        }
        Servers::Cluster(nodes) => {
            let asked = nodes.iter().map(|node| async move {
                let told = match redis.info(&node.address).await {
                    Ok(info) => Ok(tell(redis, node.address.clone(), info).await),
                    Err(error) => Err(error),
                };
                (node, told)
            });
            let asked = join_all(asked).await;
            let up: Vec<&Told> = asked.iter().filter_map(|(_, t)| t.as_ref().ok()).collect();
            let mut summary = of(&up);
            summary.topology = Topology::Cluster;
            "cluster".clone_into(&mut summary.role);
            summary.nodes = asked
                .iter()
                .map(|(known, told)| Node {
                    address: known.address.to_string(),
                    role: "master".to_owned(),
                    up: told.is_ok(),
                    memory_bytes: told.as_ref().ok().map(|t| t.info.count("used_memory")),
                    slots: known.slots.clone(),
                    problem: match told {
                        Err(error) => Some(error.what.clone()),
                        Ok(_) if known.failed => Some("the others say it has failed".to_owned()),
                        Ok(_) => None,
                    },
                })
                .collect();
            let mut worst = Vec::new();
            let text: Result<String, _> = redis.ask(&redis.main, &Ask::ClusterInfo).await;
            let state = Info::parse(&text.unwrap_or_default());
            if !matches!(state.text("cluster_state"), "ok" | "") {
                worst.push(format!(
                    "The cluster is down: {} of 16384 slots are served",
                    state.count("cluster_slots_ok")
                ));
            }
            for node in summary.nodes.iter().filter(|node| node.problem.is_some()) {
                worst.push(format!("{} does not answer", node.address));
            }
            worst.append(&mut summary.warnings);
            summary.warnings = worst;
            Ok(summary)
        }
    }
}

/// Settings that are not in INFO; a managed Redis refuses to tell them.
async fn tell(redis: &Redis, address: Address, info: Info) -> Told {
    let setting = async |name| {
        let told: Result<Vec<(String, String)>, _> =
            redis.ask(&address, &Ask::ConfigGet(name)).await;
        told.ok()?.into_iter().next()?.1.parse::<u64>().ok()
    };
    let maxmemory = match info.number("maxmemory") {
        Some(bytes) => Some(bytes),
        None => setting("maxmemory").await,
    };
    let maxclients = match info.number("maxclients") {
        Some(count) => Some(count),
        None => setting("maxclients").await,
    };
    let save: Result<Vec<(String, String)>, _> = redis.ask(&address, &Ask::ConfigGet("save")).await;
    let snapshots = save
        .ok()
        .and_then(|told| told.into_iter().next())
        .map(|(_, rules)| !rules.trim().is_empty());
    Told {
        maxmemory: maxmemory.filter(|bytes| *bytes > 0),
        maxclients: maxclients.unwrap_or(0),
        snapshots,
        address,
        info,
    }
}

fn node(told: &Told) -> Node {
    Node {
        address: told.address.to_string(),
        role: role(&told.info),
        up: true,
        memory_bytes: Some(told.info.count("used_memory")),
        slots: String::new(),
        problem: None,
    }
}

fn role(info: &Info) -> String {
    match info.text("role") {
        "slave" => "replica".to_owned(),
        other => clean(other.as_bytes(), 20),
    }
}

/// How many Sentinels there are, and who replicates.
async fn sentinels(redis: &Redis, name: &str, summary: &mut CacheSummary) {
    let masters: Result<Vec<std::collections::HashMap<String, String>>, _> =
        redis.ask(&redis.main, &Ask::SentinelMasters).await;
    let mine = masters.ok().and_then(|masters| {
        masters
            .into_iter()
            .find(|master| master.get("name").is_some_and(|one| one == name))
    });
    let others: Result<Vec<std::collections::HashMap<String, String>>, _> =
        redis.ask(&redis.main, &Ask::Sentinels(name)).await;
    // Those that are known but gone have no vote.
    let there = |one: &std::collections::HashMap<String, String>| {
        let flags = one.get("flags").map_or("", String::as_str);
        !flags
            .split(',')
            .any(|flag| matches!(flag, "s_down" | "o_down" | "disconnected"))
    };
    let count = others.map_or(0, |list| {
        list.iter().filter(|one| there(one)).count() as u64
    }) + 1;
    let quorum = mine
        .and_then(|master| master.get("quorum")?.parse::<u64>().ok())
        .unwrap_or(0);
    if count < quorum {
        summary.warnings.insert(
            0,
            format!("{count} of the {quorum} Sentinels that a failover needs are there"),
        );
    }
    summary.nodes.push(Node {
        address: redis.main.to_string(),
        role: "sentinel".to_owned(),
        up: true,
        memory_bytes: None,
        slots: String::new(),
        problem: None,
    });
}

/// Sums and worst values.
fn of(all: &[&Told]) -> CacheSummary {
    let sum = |name: &str| all.iter().map(|told| told.info.count(name)).sum::<u64>();
    let any = |name: &str, value: &str| all.iter().any(|told| told.info.text(name) == value);
    let first = all.first().map(|told| &told.info);
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
        .filter_map(|told| {
            let max = told.maxmemory?;
            Some(told.info.count("used_memory") as f64 * 100.0 / max as f64)
        })
        .max_by(f64::total_cmp);
    let maxima: Vec<u64> = all.iter().filter_map(|told| told.maxmemory).collect();
    let aof = any("aof_enabled", "1");
    // A server that never saved tells its start as the time of its last save.
    let has_saved = |told: &&&Told| match told.info.number("rdb_saves") {
        Some(count) => count > 0,
        None => true,
    };
    let saved = all
        .iter()
        .filter(has_saved)
        .filter_map(|told| told.info.number("rdb_last_save_time"))
        .min();
    let snapshots = all
        .iter()
        .any(|told| told.snapshots.unwrap_or(saved.is_some()));
    let replicas: Vec<_> = all.iter().flat_map(|told| told.info.replicas()).collect();
    let lag =
        all.iter()
            .flat_map(|told| {
                let offset = told.info.count("master_repl_offset");
                told.info.replicas().into_iter().filter_map(move |r| {
                    Some(offset.saturating_sub(r.get("offset")?.parse().ok()?))
                })
            })
            .max();
    let replica = any("role", "slave");
    let link_up = !replica || any("master_link_status", "up");
    let online = replicas
        .iter()
        .all(|one| one.get("state").is_none_or(|state| *state == "online"));
    let mut summary = CacheSummary {
        version: text("redis_version"),
        started_at: now - SignedDuration::from_secs(uptime.unwrap_or(0).min(1 << 32) as i64),
        topology: Topology::Single,
        role: first.map(role).unwrap_or_default(),
        memory_bytes: sum("used_memory"),
        memory_max_bytes: (!maxima.is_empty()).then(|| maxima.iter().sum()),
        memory_percent,
        eviction_policy: text("maxmemory_policy"),
        fragmentation: all
            .iter()
            .filter_map(|told| told.info.float("mem_fragmentation_ratio"))
            .fold(0.0, f64::max),
        evicted: sum("evicted_keys"),
        hit_percent,
        commands_per_second: sum("instantaneous_ops_per_sec") as f64,
        clients: sum("connected_clients"),
        clients_max: all.iter().map(|told| told.maxclients).sum(),
        clients_blocked: sum("blocked_clients"),
        rejected: sum("rejected_connections"),
        keys: all.iter().map(|told| told.info.keys()).sum(),
        persistence: match (aof, snapshots) {
            (true, true) => "append-only file, snapshots",
            (true, false) => "append-only file",
            (false, true) => "snapshots",
            (false, false) => "nothing",
        }
        .to_owned(),
        last_save_at: saved
            .and_then(|at| Timestamp::from_second(at as i64).ok())
            .filter(|at| *at > Timestamp::UNIX_EPOCH),
        save_failed: any("rdb_last_bgsave_status", "err") || any("aof_last_write_status", "err"),
        replicas: replicas.len() as u64,
        replication_ok: link_up && online,
        replication_lag_bytes: lag,
        warnings: Vec::new(),
        nodes: Vec::new(),
    };
    summary.warnings = warnings(&summary, hits + misses, replica && !link_up);
    summary
}

/// What is worth a look, worst first.
fn warnings(s: &CacheSummary, reads: u64, link_down: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if link_down {
        warnings.push("This replica has lost its master".to_owned());
    } else if !s.replication_ok {
        warnings.push("A replica is not online".to_owned());
    }
    if s.save_failed {
        warnings.push("The last save to the disk failed: writes may be refused".to_owned());
    }
    if let Some(percent) = s.memory_percent
        && percent >= FULL
    {
        let then = if s.eviction_policy == "noeviction" {
            "writes are refused at 100 %"
        } else {
            "keys are thrown out at 100 %"
        };
        warnings.push(format!("{percent:.0} % of maxmemory are in use: {then}"));
    }
    if s.clients_max > 0 && s.clients * 10 >= s.clients_max * 9 {
        warnings.push(format!(
            "{} of {} client connections are in use",
            s.clients, s.clients_max
        ));
    }
    if s.rejected > 0 {
        warnings.push(format!(
            "{} connections were refused for maxclients since the start",
            s.rejected
        ));
    }
    if s.evicted > 0 {
        warnings.push(format!(
            "{} keys were thrown out for lack of memory since the start",
            s.evicted
        ));
    }
    if let Some(percent) = s.hit_percent
        && percent < HITS
        && reads >= READS
    {
        warnings.push(format!("Only {percent:.0} % of the reads find their key"));
    }
    if s.fragmentation > FRAGMENTED && s.memory_bytes > ENOUGH {
        warnings.push(format!(
            "Memory is fragmented: {:.1} times what is in use is resident",
            s.fragmentation
        ));
    }
    warnings
}
