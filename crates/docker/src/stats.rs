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
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::PLATFORM;
use super::engine::{ASK, Engine};
use super::find::{self, Found};
use treasury_domain::service::{ReplicaStats, Service, ServiceName, ServiceStats, Target};
use treasury_ports::platform::PlatformError;

mod sample;

/// Samples are renewed so often.
const EVERY: Duration = Duration::from_secs(2);

/// A service that nobody asked for so long is not sampled any more.
const ASKED: Duration = Duration::from_secs(120);

/// The first question waits no longer than this.
const FIRST: Duration = Duration::from_millis(2_500);

/// Older samples are not shown: the engine does not answer.
const STALE: Duration = Duration::from_secs(10);

/// The samplers of all services that are asked for.
#[derive(Debug, Default)]
pub(super) struct Samplers(Mutex<HashMap<ServiceName, Sampler>>);

/// The sampler of one service; its task ends with it.
#[derive(Debug)]
struct Sampler {
    target: Target,
    asked: watch::Sender<Instant>,
    samples: watch::Receiver<Samples>,
}

/// The newest samples of one service.
#[derive(Debug, Default, Clone)]
struct Samples {
    /// By name of the replica.
    replicas: BTreeMap<String, Sample>,
    /// When the last round through all replicas was complete.
    round: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Sample {
    at: Timestamp,
    stats: ReplicaStats,
}

impl Samples {
    /// Drops the samples of containers that are gone or do not run.
    fn keep(&mut self, found: &[Found]) {
        let runs = |name: &str| found.iter().any(|one| one.running && one.name == name);
        self.replicas.retain(|name, _| runs(name));
    }
}

impl Samplers {
    /// The newest samples of a service.
    pub(super) async fn stats(
        &self,
        engine: &Arc<Engine>,
        service: &Service,
    ) -> Result<ServiceStats, PlatformError> {
        let mut samples = self.asked(engine, service);
        let fresh = |samples: &Samples| samples.round.is_some_and(|at| at.elapsed() < STALE);
        let waited = async {
            samples
                .wait_for(fresh)
                .await
                .ok()
                .map(|newest| newest.clone())
        };
        let newest = match tokio::time::timeout(FIRST, waited).await {
            Ok(Some(newest)) => newest,
            // The round is not complete, or fails: the containers themselves tell why.
            Ok(None) | Err(_) => {
                find::containers(engine, service).await?;
                let samples = samples.borrow().clone();
                if samples.replicas.is_empty() {
                    return Err(PlatformError::Timeout {
                        platform: PLATFORM,
                        what: format!("the first samples of {}", service.name),
                        after: FIRST,
                    });
                }
                samples
            }
        };
        let oldest = newest.replicas.values().map(|sample| sample.at).min();
        let mut replicas: Vec<ReplicaStats> = newest
            .replicas
            .into_values()
            .map(|sample| sample.stats)
            .collect();
        replicas.sort_by(|a, b| find::by_name(&a.replica, &b.replica));
        Ok(ServiceStats {
            taken_at: oldest.unwrap_or_else(Timestamp::now),
            replicas,
            note: None,
        })
    }

    /// Notes that somebody asks, and begins to sample if need be.
    fn asked(&self, engine: &Arc<Engine>, service: &Service) -> watch::Receiver<Samples> {
        let mut samplers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samplers.retain(|_, sampler| !sampler.asked.is_closed());
        if let Some(sampler) = samplers.get(&service.name)
            && sampler.target == service.target
            && sampler.asked.send(Instant::now()).is_ok()
        {
            return sampler.samples.clone();
        }
        let (asked, asked_at) = watch::channel(Instant::now());
        let (publish, samples) = watch::channel(Samples::default());
        tokio::spawn(run(Arc::clone(engine), service.clone(), asked_at, publish));
        let receiver = samples.clone();
        let target = service.target.clone();
        let sampler = Sampler {
            target,
            asked,
            samples,
        };
        samplers.insert(service.name.clone(), sampler);
        receiver
    }
}

/// Samples a service until nobody asks any more.
async fn run(
    engine: Arc<Engine>,
    service: Service,
    asked: watch::Receiver<Instant>,
    publish: watch::Sender<Samples>,
) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut host_memory = None;
    loop {
        tick.tick().await;
        // An error here: the driver itself is gone.
        let wanted = asked.has_changed().is_ok() && asked.borrow().elapsed() < ASKED;
        if !wanted {
            return;
        }
        if host_memory.is_none() {
            host_memory = total_memory(&engine).await;
        }
        match find::containers(&engine, &service).await {
            Ok(found) => round(&engine, &found, host_memory, &publish).await,
            // Nothing of it is left to be shown; other errors are told to who asks.
            Err(PlatformError::NotFound { .. }) => {
                publish.send_replace(Samples::default());
            }
            Err(error) => tracing::debug!(service = %service.name, %error, "no samples"),
        }
    }
}

/// Samples all running replicas at once and publishes each sample when it is there.
async fn round(
    engine: &Engine,
    found: &[Found],
    host_memory: Option<u64>,
    publish: &watch::Sender<Samples>,
) {
    publish.send_modify(|samples| samples.keep(found));
    let running = found.iter().filter(|one| one.running);
    let mut taken: FuturesUnordered<_> = running
        .map(async |one| (one, take(engine, one, host_memory).await))
        .collect();
    while let Some((one, sample)) = taken.next().await {
        publish.send_modify(|samples| match sample {
            Some(sample) => {
                samples.replicas.insert(one.name.clone(), sample);
            }
            // It ended meanwhile or the engine is too slow: an old sample would mislead.
            None => {
                samples.replicas.remove(&one.name);
            }
        });
    }
    publish.send_modify(|samples| samples.round = Some(Instant::now()));
}

/// One sample of one container; `None` if there is none to be had.
async fn take(engine: &Engine, one: &Found, host_memory: Option<u64>) -> Option<Sample> {
    let options = StatsOptionsBuilder::default()
        .stream(false)
        .one_shot(false)
        .build();
    let client = engine.client().ok()?;
    let mut stream = std::pin::pin!(client.stats(&one.id, Some(options)));
    let facts = tokio::time::timeout(ASK, stream.next()).await.ok()??.ok()?;
    let stats = sample::stats(&one.name, &facts, host_memory)?;
    Some(Sample {
        at: Timestamp::now(),
        stats,
    })
}

/// The memory of the engine's host, which it calls the limit of a container without one.
async fn total_memory(engine: &Engine) -> Option<u64> {
    let info = engine.client().ok()?.info();
    let info = engine.call("info", ASK, info).await.ok()?;
    info.mem_total?.try_into().ok()
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
            samples.replicas.insert(name.into(), Sample { at, stats });
        }
        let found = ["runs", "ended"].map(|name| Found {
            id: String::new(),
            name: name.into(),
            running: name == "runs",
        });
        samples.keep(&found);
        assert_eq!(samples.replicas.keys().collect::<Vec<_>>(), ["runs"]);
    }
}
