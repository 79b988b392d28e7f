//! Resource use: one stream a container in the background, answers from the newest sample.
//!
//! A reading takes the engine a second, because CPU use is a difference. So the first question opens
//! a stream for each of the service's containers, and every later one is answered at once. A stream
//! that nobody has asked about for [`IDLE`] ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;

use super::find::Found;
use super::{Docker, NAME};
use crate::domain::service::{ReplicaStats, Service, ServiceStats};
use crate::platform::PlatformError;

/// A stream that nobody has asked about for this long ends.
const IDLE: Duration = Duration::from_secs(120);

/// The first sample of a container takes the engine about a second.
const FIRST: Duration = Duration::from_secs(4);

type Sample = (Timestamp, ReplicaStats);

/// The streams, by container id.
#[derive(Clone)]
pub(super) struct Sampler {
    client: bollard::Docker,
    streams: Arc<Mutex<HashMap<String, Stream>>>,
}

struct Stream {
    newest: watch::Receiver<Option<Sample>>,
    asked: Instant,
}

impl Sampler {
    pub(super) fn new(client: bollard::Docker) -> Self {
        Self {
            client,
            streams: Arc::default(),
        }
    }

    /// The newest sample of a container, which may be awaited the first time.
    async fn sample(&self, container: &Found) -> Option<Sample> {
        let mut newest = self.stream(container);
        let first = newest.wait_for(Option::is_some);
        let sample = tokio::time::timeout(FIRST, first).await.ok()?.ok()?.clone();
        sample
    }

    /// The container's stream, opened if there is none.
    fn stream(&self, container: &Found) -> watch::Receiver<Option<Sample>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get_mut(&container.id) {
            stream.asked = Instant::now();
            return stream.newest.clone();
        }
        let (sender, newest) = watch::channel(None);
        let stream = Stream {
            newest: newest.clone(),
            asked: Instant::now(),
        };
        streams.insert(container.id.clone(), stream);
        tokio::spawn(self.clone().follow(container.clone(), sender));
        newest
    }

    async fn follow(self, container: Found, newest: watch::Sender<Option<Sample>>) {
        let options = StatsOptionsBuilder::default().stream(true).build();
        let mut stream = self.client.stats(&container.id, Some(options));
        while let Some(Ok(reading)) = stream.next().await {
            if let Some(stats) = figures(&container.name, &reading) {
                newest.send_replace(Some((Timestamp::now(), stats)));
            }
            let wanted = {
                let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
                streams
                    .get(&container.id)
                    .is_some_and(|stream| stream.asked.elapsed() < IDLE)
            };
            // A stopped container sends empty readings for ever.
            let runs = reading
                .pids_stats
                .as_ref()
                .is_some_and(|pids| pids.current.is_some());
            if !wanted || !runs {
                break;
            }
        }
        // Ended, gone, or the engine is: the next question opens a new one.
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&container.id);
    }
}

impl Docker {
    pub(super) async fn read_stats(
        &self,
        service: &Service,
    ) -> Result<ServiceStats, PlatformError> {
        let found = self.find(service).await?;
        let running: Vec<_> = found.iter().filter(|container| container.running).collect();
        if running.is_empty() {
            return Err(PlatformError::Unwell {
                what: format!(
                    "no container of {} runs, so there is nothing to measure",
                    service.name
                ),
            });
        }
        let samples: Vec<Sample> = join_all(
            running
                .into_iter()
                .map(|container| self.sampler.sample(container)),
        )
        .await
        .into_iter()
        .flatten()
        .collect();
        let Some(taken_at) = samples.iter().map(|(at, _)| *at).min() else {
            return Err(PlatformError::Timeout {
                platform: NAME,
                what: "the first reading of resource use".into(),
                after: FIRST,
            });
        };
        Ok(ServiceStats {
            taken_at,
            replicas: samples.into_iter().map(|(_, stats)| stats).collect(),
        })
    }
}

/// A reading as figures. CPU percent is that of `docker stats`: the container's share of the
/// machine's CPU time since the reading before, times the number of CPUs.
fn figures(name: &str, reading: &ContainerStatsResponse) -> Option<ReplicaStats> {
    let cpu = reading.cpu_stats.as_ref()?;
    let before = reading.precpu_stats.as_ref()?;
    let used = |stats: &bollard::models::ContainerCpuStats| {
        stats.cpu_usage.as_ref().and_then(|usage| usage.total_usage)
    };
    let own = used(cpu)?.saturating_sub(used(before)?) as f64;
    // Without an earlier reading there is no difference to tell of.
    let machine = cpu
        .system_cpu_usage?
        .checked_sub(before.system_cpu_usage?)? as f64;
    let cpus = f64::from(cpu.online_cpus.unwrap_or(1).max(1));
    let memory = reading.memory_stats.clone().unwrap_or_default();
    let cache = memory
        .stats
        .as_ref()
        .and_then(|stats| {
            stats
                .get("inactive_file")
                .or_else(|| stats.get("total_inactive_file"))
        })
        .copied()
        .unwrap_or(0);
    let networks = reading.networks.clone().unwrap_or_default();
    let blocks = reading
        .blkio_stats
        .clone()
        .and_then(|stats| stats.io_service_bytes_recursive)
        .unwrap_or_default();
    let block = |wanted: &str| {
        blocks
            .iter()
            .filter(|e| {
                e.op.as_deref()
                    .is_some_and(|op| op.eq_ignore_ascii_case(wanted))
            })
            .filter_map(|entry| entry.value)
            .sum()
    };
    Some(ReplicaStats {
        replica: name.to_owned(),
        cpu_percent: if machine > 0.0 {
            own / machine * cpus * 100.0
        } else {
            0.0
        },
        memory_bytes: memory.usage.unwrap_or(0).saturating_sub(cache),
        memory_limit_bytes: memory.limit.filter(|limit| *limit > 0),
        network_rx_bytes: networks.values().filter_map(|n| n.rx_bytes).sum(),
        network_tx_bytes: networks.values().filter_map(|n| n.tx_bytes).sum(),
        block_read_bytes: block("read"),
        block_write_bytes: block("write"),
        pids: reading
            .pids_stats
            .as_ref()
            .and_then(|pids| pids.current)
            .unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_docker_stats() {
        let reading: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 1000, "limit": 4000, "stats": {"inactive_file": 200}},
            "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 7}, "eth1": {"rx_bytes": 1}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 11},
                {"major": 8, "minor": 0, "op": "write", "value": 13}]},
            "pids_stats": {"current": 3},
        }))
        .unwrap();
        let stats = figures("web-1", &reading).unwrap();
        assert!((stats.cpu_percent - 40.0).abs() < 1e-9);
        assert_eq!(
            (stats.memory_bytes, stats.memory_percent()),
            (800, Some(20.0))
        );
        assert_eq!((stats.network_rx_bytes, stats.network_tx_bytes), (6, 7));
        assert_eq!(
            (stats.block_read_bytes, stats.block_write_bytes, stats.pids),
            (11, 13, 3)
        );
    }

    #[test]
    fn a_first_reading_has_no_difference_and_is_left_out() {
        let reading: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000},
            "precpu_stats": {"cpu_usage": {"total_usage": 0}},
        }))
        .unwrap();
        assert!(figures("web-1", &reading).is_none());
    }
}
