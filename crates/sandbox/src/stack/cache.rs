//! The simulated redis, asked as a real one would be.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::backend::ms;
use super::clients::Killed;
use super::container::{Container, Phase};
use super::driver::Stack;
use super::fault::Fault;
use super::keyspace;
use super::model::World;
use super::role::Role;
use super::sessions::{ClientKind, Link};
use treasury_domain::service::Health;
use treasury_ports::probe::cache::{
    BigKeys, Cache, CacheSummary, Client, ClientId, Clients, KeyCount, Keys, Node, Recorded,
    SlowCommand, SlowLog, Topology,
};
use treasury_ports::probe::database::Count;
use treasury_ports::probe::{ProbeError, ProbeErrorKind as Kind};

const SERVER: &str = "redis:6379";
/// Three quarters of the container's limit: the rest is for the process itself.
const MAX_MEMORY: u64 = 192 << 20;
/// Resident memory as a multiple of the memory in use.
const FRAGMENTATION: f64 = 1.16;
const MAX_CLIENTS: u64 = 10_000;
/// Commands slower than this are kept, µs.
const SLOW: u64 = 10_000;
/// Rows of an answer.
const MAX_ROWS: usize = 20;
/// Seconds between two slow commands on a usual day.
const SLOW_EVERY: i64 = 340;
/// Seconds between two snapshots.
const SAVE_EVERY: i64 = 300;

/// The cache of a [`Stack`]: its memory, hits and clients follow the world and its faults.
#[derive(Debug, Clone)]
pub struct SimulatedCache(Stack);

impl Stack {
    /// Its cache, to be asked.
    pub fn cache(&self) -> SimulatedCache {
        SimulatedCache(self.clone())
    }
}

impl SimulatedCache {
    /// Looks at the world and the server's container, if it answers.
    fn ask<T>(&self, look: impl FnOnce(&World, &Container) -> T) -> Result<T, ProbeError> {
        let world = self.0.world();
        let server = answers(&world)?;
        Ok(look(&world, server))
    }
}

fn answers(world: &World) -> Result<&Container, ProbeError> {
    if let Some(server) = world.of(Role::Redis).find(|c| c.serves()) {
        return Ok(server);
    }
    let loads = |c: &Container| c.phase == Phase::Running && c.health == Health::Starting;
    Err(if world.of(Role::Redis).any(loads) {
        ProbeError::new(
            Kind::Starting,
            format!("the cache at {SERVER} is loading its data or waits for its master: LOADING"),
            "wait a little; if it stays, look at its logs",
        )
    } else {
        ProbeError::new(
            Kind::Connect,
            format!("the cache at {SERVER} refuses the connection (connection refused)"),
            "is it running? Look at the status and logs of redis",
        )
    })
}

#[async_trait]
impl Cache for SimulatedCache {
    async fn summary(&self) -> Result<CacheSummary, ProbeError> {
        self.ask(summary)
    }

    async fn slowlog(&self) -> Result<SlowLog, ProbeError> {
        self.ask(slowlog)
    }

    async fn memory(&self) -> Result<BigKeys, ProbeError> {
        self.ask(|world, server| {
            let keys = keyspace::count(world.warmth());
            keyspace::memory(keys, used(server), world.now())
        })
    }

    async fn clients(&self) -> Result<Clients, ProbeError> {
        self.ask(|world, _| clients(world))
    }

    async fn keys(&self, prefix: &str) -> Result<Keys, ProbeError> {
        self.ask(|world, _| keyspace::keys(keyspace::count(world.warmth()), world.now(), prefix))
    }

    async fn kill(&self, wanted: &ClientId) -> Result<bool, ProbeError> {
        let killed = self.0.with(|world| {
            answers(world)?;
            if wanted.server.as_ref().is_some_and(|one| one != SERVER) {
                return Err(ProbeError::new(
                    Kind::NotFound,
                    "there is no such server",
                    format!("the servers are {SERVER}"),
                ));
            }
            Ok(world.kill_client(wanted.id))
        })?;
        match killed {
            Killed::Yes => {
                self.0.record(format!("kill client {}", wanted.id));
                Ok(true)
            }
            Killed::No => Ok(false),
            Killed::Refused => Err(ProbeError::new(
                Kind::Unsupported,
                format!("client {} is the bot itself", wanted.id),
                "only ordinary clients are closed",
            )),
        }
    }
}

fn used(server: &Container) -> u64 {
    (server.now.memory_bytes as f64 / FRAGMENTATION) as u64
}

fn started(world: &World, server: &Container) -> Timestamp {
    server.started_at.unwrap_or_else(|| world.now())
}

fn summary(world: &World, server: &Container) -> CacheSummary {
    let memory = used(server);
    let hits = world.warmth() * 100.0;
    let started_at = started(world, server);
    let saved = world.now().as_second().div_euclid(SAVE_EVERY) * SAVE_EVERY;
    let saved = Timestamp::from_second(saved).ok();
    let mut warnings = Vec::new();
    if hits < 80.0 {
        warnings.push(format!("Only {hits:.0} % of the reads find their key"));
    }
    CacheSummary {
        product: "Redis".to_owned(),
        version: "8.2.1".to_owned(),
        started_at,
        topology: Topology::Single,
        role: "master".to_owned(),
        memory_bytes: memory,
        memory_max_bytes: Some(MAX_MEMORY),
        memory_percent: Some(memory as f64 * 100.0 / MAX_MEMORY as f64),
        eviction_policy: "allkeys-lru".to_owned(),
        fragmentation: FRAGMENTATION,
        // The memory never gets full.
        evicted: 0,
        hit_percent: Some(hits),
        commands_per_second: world.load().redis.rate.round(),
        clients: world.diagnostics.links.list.len() as u64,
        clients_max: MAX_CLIENTS,
        clients_blocked: 0,
        rejected: 0,
        keys: keyspace::count(world.warmth()),
        databases: vec![KeyCount {
            database: 0,
            keys: keyspace::count(world.warmth()),
        }],
        persistence: "snapshots".to_owned(),
        last_save_at: saved.map(|at| at.max(started_at)),
        save_failed: false,
        rewrite_failed: false,
        replicas: 0,
        syncing: 0,
        replication_ok: true,
        replication_lag_bytes: None,
        warnings,
        nodes: vec![Node {
            address: SERVER.to_owned(),
            role: "master".to_owned(),
            up: true,
            memory_bytes: Some(memory),
            slots: String::new(),
            problem: None,
        }],
    }
}

/// One slow command every few minutes since the server started; many while the traffic is high.
fn slowlog(world: &World, server: &Container) -> SlowLog {
    let started = started(world, server);
    let mut entries = Vec::new();
    let mut add = |slot: i64, at: i64| {
        let Ok(at) = Timestamp::from_second(at) else {
            return;
        };
        if at < started || at > world.now() {
            return;
        }
        let dice = keyspace::dice(slot.unsigned_abs());
        let (command, key, more, least) = match dice % 4 {
            0 => ("HGETALL", "balance:summary", 0, 24_000),
            1 => ("ZRANGE", "fx:history", 2, 16_000),
            2 => ("UNLINK", "session:expired", 40 + dice % 300, 11_000),
            _ => ("SMEMBERS", "lock:payments", 0, 12_500),
        };
        let recorded = Recorded {
            command: command.to_owned(),
            key: Some(key.to_owned()),
            more,
            at,
            client: format!("172.20.0.{}:{}", 4 + dice % 2, 34_000 + dice % 20_000),
        };
        entries.push(SlowCommand {
            recorded,
            took_us: least + dice / 7 % 9_000,
        });
    };
    let newest = world.now().as_second().div_euclid(SLOW_EVERY);
    for slot in newest - 12..=newest {
        add(slot, slot * SLOW_EVERY);
    }
    if let Some(since) = world.since(Fault::HighTraffic) {
        let busy = (ms(world.now(), since) / 4_000).min(MAX_ROWS as u64) as i64;
        for i in 1..=busy {
            add(i, world.now().as_second() - i * 4);
        }
    }
    entries.sort_by_key(|one| (std::cmp::Reverse(one.took_us), one.recorded.at));
    entries.truncate(MAX_ROWS);
    SlowLog {
        threshold_us: Some(SLOW),
        threshold_known: true,
        entries,
        // Redis keeps none.
        large_requests: None,
        large_replies: None,
        missing: Vec::new(),
    }
}

fn clients(world: &World) -> Clients {
    let now = world.now();
    let client = |link: &Link| {
        let (name, host, command, idle) = match link.whose {
            ClientKind::Bot => ("treasury-bot", 30, "client|list", 0),
            ClientKind::Exporter => ("redis_exporter", 31, "info", 1_000 * (now.as_second() % 15)),
            ClientKind::Api((number, _)) => ("treasury-api", 3 + number, "hgetall", 0),
        };
        let age_ms = ms(now, link.since);
        Client {
            id: link.id,
            server: SERVER.to_owned(),
            address: format!("172.20.0.{host}:{}", 33_000 + link.id * 137 % 27_000),
            name: name.to_owned(),
            age_ms,
            idle_ms: idle.unsigned_abs().min(age_ms),
            command: command.to_owned(),
            output_bytes: 0,
            kind: "normal".to_owned(),
            own: link.whose == ClientKind::Bot,
        }
    };
    let mut list: Vec<Client> = world.diagnostics.links.list.iter().map(client).collect();
    let mut by: BTreeMap<String, u64> = BTreeMap::new();
    for one in &list {
        let host = one.address.rsplit_once(':').map_or("", |(host, _)| host);
        *by.entry(format!("{} at {host}", one.name)).or_default() += 1;
    }
    let mut by_host: Vec<Count> = by
        .into_iter()
        .map(|(name, count)| Count { name, count })
        .collect();
    by_host.sort_by_key(|one| std::cmp::Reverse(one.count));
    by_host.truncate(MAX_ROWS);
    let connected = list.len() as u64;
    list.sort_by_key(|one| std::cmp::Reverse((one.output_bytes, one.idle_ms)));
    list.truncate(MAX_ROWS);
    Clients {
        connected,
        replicas: 0,
        max: MAX_CLIENTS,
        by_host,
        list,
        missing: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stories::{restart, seen, stack};
    use super::*;
    use treasury_ports::platform::Platform;

    fn client(id: u64) -> ClientId {
        ClientId { id, server: None }
    }

    #[tokio::test]
    async fn on_a_quiet_day_it_is_warm_and_the_numbers_agree() {
        let stack = stack();
        let cache = stack.cache();
        stack.advance(Duration::from_mins(30));
        let summary = cache.summary().await.unwrap();
        assert!((90.0..98.0).contains(&summary.hit_percent.unwrap()));
        assert!(
            (40.0..85.0).contains(&summary.memory_percent.unwrap()),
            "{summary:?}"
        );
        let stats = stack.stats(&Role::Redis.service().unwrap()).await.unwrap();
        assert!(summary.memory_bytes < stats.replicas[0].memory_bytes);
        assert_eq!((summary.warnings.len(), summary.evicted), (0, 0));
        assert_eq!(
            summary.clients, 4,
            "two replicas of the api, the exporter, the bot"
        );
        assert_eq!(summary.clients, cache.clients().await.unwrap().connected);
        let slow = cache.slowlog().await.unwrap().entries;
        assert!((3..10).contains(&slow.len()), "{slow:?}");
        assert!(slow.windows(2).all(|two| two[0].took_us >= two[1].took_us));
        assert!(
            slow.iter()
                .all(|one| one.took_us >= SLOW && one.recorded.at >= summary.started_at)
        );
    }

    #[tokio::test]
    async fn the_biggest_keys_and_the_keys_of_a_prefix_are_of_one_sample() {
        let cache = stack().cache();
        let big = cache.memory().await.unwrap();
        assert_eq!(
            (big.sampled, big.complete, big.biggest.len()),
            (10_000, false, 20)
        );
        let order: Vec<&str> = big
            .by_prefix
            .iter()
            .map(|one| one.prefix.as_str())
            .collect();
        assert_eq!(order, ["balance:", "session:", "fx:", "lock:"]);
        assert!(big.biggest[0].bytes > 10 * big.by_prefix[0].bytes / big.by_prefix[0].keys);
        let found = cache.keys("session:").await.unwrap();
        assert_eq!(
            (found.matched, found.keys.len()),
            (big.by_prefix[1].keys, 50)
        );
        assert!(found.keys.windows(2).all(|two| two[0].key < two[1].key));
        assert!(
            found
                .keys
                .iter()
                .all(|one| one.expires_ms.unwrap() <= 1_800_000)
        );
        assert_eq!(
            cache.keys("payment*").await.unwrap().matched,
            0,
            "no pattern"
        );
        let summary = cache.summary().await.unwrap();
        assert_eq!(summary.keys, big.keys);
        let mean = big.by_prefix.iter().map(|one| one.bytes).sum::<u64>() / big.sampled;
        let all = mean * big.keys;
        assert!(
            all < summary.memory_bytes && all > summary.memory_bytes / 2,
            "{all}"
        );
    }

    #[tokio::test]
    async fn given_the_cache_is_down_then_nobody_answers_until_redis_is_restarted() {
        let stack = stack();
        let cache = stack.cache();
        let before = cache.clients().await.unwrap();
        stack.put_in(Fault::CacheDown, None).unwrap();
        let error = cache.summary().await.unwrap_err();
        assert_eq!(error.kind, Kind::Connect, "{error}");
        stack.advance(Duration::from_mins(1));
        assert_eq!(
            cache.kill(&client(1)).await.unwrap_err().kind,
            Kind::Connect
        );

        restart(&stack, Role::Redis).await.unwrap();
        stack.advance(Duration::from_secs(1));
        let summary = cache.summary().await.unwrap();
        assert!(summary.hit_percent.unwrap() < 50.0 && summary.keys < 24_000);
        assert!(summary.warnings[0].contains("of the reads find their key"));
        let after = cache.clients().await.unwrap();
        assert_eq!(after.connected, before.connected);
        assert!(after.list.iter().all(|one| one.age_ms < 10_000));
        stack.advance(Duration::from_mins(2));
        let warm = cache.summary().await.unwrap();
        assert!(warm.hit_percent.unwrap() > 90.0 && warm.warnings.is_empty());
    }

    #[tokio::test]
    async fn while_redis_starts_it_is_loading() {
        let stack = stack();
        stack.put_in(Fault::CrashLoop, Some("redis")).unwrap();
        let mut kinds = std::collections::BTreeSet::new();
        for _ in 0..80 {
            stack.advance(Duration::from_millis(250));
            if let Err(error) = stack.cache().summary().await {
                kinds.insert(format!("{:?}", error.kind));
            }
        }
        assert_eq!(
            kinds.into_iter().collect::<Vec<_>>(),
            ["Connect", "Starting"]
        );
    }

    #[tokio::test]
    async fn given_high_traffic_then_the_slow_log_fills() {
        let stack = stack();
        stack.put_in(Fault::HighTraffic, None).unwrap();
        stack.advance(Duration::from_mins(2));
        let summary = stack.cache().summary().await.unwrap();
        assert_eq!(stack.cache().slowlog().await.unwrap().entries.len(), 20);
        let rate = seen(&stack, Role::Redis).requests_per_second;
        assert!((summary.commands_per_second - rate).abs() < 1.0);
    }

    #[tokio::test]
    async fn a_client_is_closed_once_and_comes_back_under_a_new_number() {
        let stack = stack();
        let cache = stack.cache();
        let all = cache.clients().await.unwrap().list;
        let api = all.iter().find(|one| one.name == "treasury-api").unwrap();
        let elsewhere = ClientId {
            id: api.id,
            server: Some("other:6379".to_owned()),
        };
        assert_eq!(
            cache.kill(&elsewhere).await.unwrap_err().kind,
            Kind::NotFound
        );
        let here = ClientId {
            id: api.id,
            server: Some(api.server.clone()),
        };
        assert!(cache.kill(&here).await.unwrap());
        assert!(!cache.kill(&here).await.unwrap(), "only once");
        assert_eq!(stack.calls(), [format!("kill client {}", api.id)]);
        let after = cache.clients().await.unwrap().list;
        let mut ids: Vec<u64> = after.iter().map(|one| one.id).collect();
        ids.sort_unstable();
        assert_eq!((ids.len(), ids[3] > 4), (4, true), "{ids:?}");
        let own = after.iter().find(|one| one.own).unwrap();
        let error = cache.kill(&client(own.id)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported, "{error}");
    }
}
