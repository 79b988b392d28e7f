//! Samples of resource use, taken in the background.
//!
//! The engine needs a second for one sample, because the use of the CPU is a difference. So the
//! containers of a service are sampled for as long as somebody asks, and a question is answered
//! from the newest samples.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::connection::{Engine, QUERY_LIMIT};
use super::container::ContainerRef;
use super::error::{Result, timeout};
use super::sample;
use treasury_domain::service::{ReplicaStats, Service, ServiceName, ServiceStats, Target};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::by_name;

/// Samples are renewed so often.
const INTERVAL: Duration = Duration::from_secs(2);

/// A service whose figures nobody wanted for so long is not sampled any more.
const UNUSED: Duration = Duration::from_secs(120);

/// The first question waits no longer than this.
const FIRST_WAIT: Duration = Duration::from_millis(2_500);

/// Older samples are not shown: the engine does not answer.
const STALE: Duration = Duration::from_secs(10);

/// Finds the containers of a service on this engine.
pub type FindContainers =
    for<'a> fn(&'a Engine, &'a Service) -> BoxFuture<'a, Result<Vec<ContainerRef>>>;

/// The samplers of all services whose figures somebody wants.
#[derive(Debug)]
pub struct Samplers {
    find: FindContainers,
    running: Mutex<HashMap<ServiceName, Sampler>>,
}

/// The sampler of one service; its task ends with it.
#[derive(Debug)]
struct Sampler {
    target: Target,
    last_use: watch::Sender<Instant>,
    samples: watch::Receiver<Samples>,
}

/// The newest samples of one service.
#[derive(Debug, Default, Clone)]
struct Samples {
    /// By name of the replica, each with the time when it was taken.
    replicas: BTreeMap<String, (Timestamp, ReplicaStats)>,
    /// When the last round through all replicas was complete.
    round: Option<Instant>,
    /// The service has no containers: there is nothing to wait for.
    absent: bool,
}

impl Samples {
    /// Drops the samples of containers that are gone or do not run.
    fn keep(&mut self, found: &[ContainerRef]) {
        self.absent = false;
        let runs = |name: &str| found.iter().any(|one| one.running && one.name == name);
        self.replicas.retain(|name, _| runs(name));
    }

    /// All is known that there is to know now.
    fn is_settled(&self) -> bool {
        self.absent || self.is_fresh()
    }

    fn is_fresh(&self) -> bool {
        self.round.is_some_and(|at| at.elapsed() < STALE)
    }
}

impl Samplers {
    /// Nothing is sampled yet.
    pub fn new(find: FindContainers) -> Self {
        let running = Mutex::default();
        Self { find, running }
    }

    /// The newest samples of a service.
    pub async fn stats(&self, engine: &Arc<Engine>, service: &Service) -> Result<ServiceStats> {
        let mut samples = self.samples_of(engine, service);
        let settled = samples.wait_for(Samples::is_settled);
        let is_fresh = match tokio::time::timeout(FIRST_WAIT, settled).await {
            Ok(Ok(settled)) => !settled.absent,
            _ => false,
        };
        if !is_fresh {
            // The round is not complete, or fails: the containers themselves tell why.
            (self.find)(engine, service).await?;
        }
        let newest = samples.borrow().replicas.clone();
        if !is_fresh && newest.is_empty() {
            let what = format!("the first samples of {}", service.name);
            return Err(timeout(what, FIRST_WAIT));
        }
        let oldest = newest.values().map(|(at, _)| *at).min();
        let mut replicas: Vec<_> = newest.into_values().map(|(_, stats)| stats).collect();
        replicas.sort_by(|a, b| by_name(&a.replica, &b.replica));
        Ok(ServiceStats {
            taken_at: oldest.unwrap_or_else(Timestamp::now),
            replicas,
            note: None,
        })
    }

    /// Notes that somebody asks, and begins to sample if need be.
    fn samples_of(&self, engine: &Arc<Engine>, service: &Service) -> watch::Receiver<Samples> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, sampler| !sampler.last_use.is_closed());
        if let Some(sampler) = running.get(&service.name)
            && sampler.target == service.target
            && sampler.last_use.send(Instant::now()).is_ok()
        {
            return sampler.samples.clone();
        }
        let (last_use, last_use_seen) = watch::channel(Instant::now());
        let (publish, samples) = watch::channel(Samples::default());
        let engine = Arc::clone(engine);
        tokio::spawn(run(
            engine,
            service.clone(),
            self.find,
            last_use_seen,
            publish,
        ));
        let sampler = Sampler {
            target: service.target.clone(),
            last_use,
            samples: samples.clone(),
        };
        running.insert(service.name.clone(), sampler);
        samples
    }
}

/// Samples a service until nobody asks any more.
async fn run(
    engine: Arc<Engine>,
    service: Service,
    find: FindContainers,
    last_use: watch::Receiver<Instant>,
    publish: watch::Sender<Samples>,
) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The engine calls the memory of its host the limit of a container without one.
    let mut host_memory = None;
    loop {
        tick.tick().await;
        // An error here: the driver itself is gone.
        if last_use.has_changed().is_err() || last_use.borrow().elapsed() >= UNUSED {
            return;
        }
        if host_memory.is_none() {
            let info = engine.info().await.ok();
            host_memory = info.and_then(|info| info.mem_total?.try_into().ok());
        }
        match find(&engine, &service).await {
            Ok(found) => round(&engine, &found, host_memory, &publish).await,
            // Nothing of it is left to be shown; whoever wants the figures gets other errors.
            Err(PlatformError::NotFound { .. }) => {
                let absent = true;
                publish.send_replace(Samples {
                    absent,
                    ..Samples::default()
                });
            }
            Err(error) => tracing::debug!(service = %service.name, %error, "no samples"),
        }
    }
}

/// Samples all running replicas at once and publishes each sample when it is there.
async fn round(
    engine: &Engine,
    found: &[ContainerRef],
    host_memory: Option<u64>,
    publish: &watch::Sender<Samples>,
) {
    publish.send_modify(|samples| samples.keep(found));
    let running = found.iter().filter(|one| one.running);
    let mut taken: FuturesUnordered<_> = running
        .map(async |one| (&one.name, take(engine, one, host_memory).await))
        .collect();
    while let Some((name, sample)) = taken.next().await {
        publish.send_modify(|samples| match sample {
            Some(sample) => {
                samples.replicas.insert(name.clone(), sample);
            }
            // It ended meanwhile or the engine is too slow: an old sample would mislead.
            None => {
                samples.replicas.remove(name);
            }
        });
    }
    publish.send_modify(|samples| samples.round = Some(Instant::now()));
}

/// One sample of one container; `None` if there is none to be had.
async fn take(
    engine: &Engine,
    one: &ContainerRef,
    host_memory: Option<u64>,
) -> Option<(Timestamp, ReplicaStats)> {
    let options = StatsOptionsBuilder::default().stream(false);
    let options = options.one_shot(false).build();
    let client = engine.client().ok()?;
    let mut stream = std::pin::pin!(client.stats(&one.id, Some(options)));
    let taken = tokio::time::timeout(QUERY_LIMIT, stream.next()).await;
    let stats = sample::stats(&one.name, &taken.ok()??.ok()?, host_memory)?;
    Some((Timestamp::now(), stats))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_containers_that_are_gone_or_ended_are_dropped() {
        let stats: ReplicaStats = serde_json::from_value(serde_json::json!({
            "replica": "", "cpu_percent": 0.0, "memory_bytes": 0, "memory_limit_bytes": null,
            "network_rx_bytes": 0, "network_tx_bytes": 0, "block_read_bytes": 0,
            "block_write_bytes": 0, "pids": 1
        }))
        .unwrap();
        let at = Timestamp::now();
        let mut samples = Samples::default();
        for name in ["runs", "ended", "gone"] {
            let stats = stats.clone();
            samples.replicas.insert(name.into(), (at, stats));
        }
        let found = ["runs", "ended"].map(|name| ContainerRef {
            id: String::new(),
            name: name.into(),
            running: name == "runs",
        });
        samples.keep(&found);
        assert_eq!(samples.replicas.keys().collect::<Vec<_>>(), ["runs"]);
    }
}
