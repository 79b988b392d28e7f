//! From the engine's counters to figures for people.

use bollard::models::{
    ContainerCpuStats, ContainerMemoryStats, ContainerNetworkStats, ContainerStatsResponse,
};

use treasury_domain::service::ReplicaStats;

/// The figures of one container; `None` where the engine has none because it does not run.
pub fn stats(
    replica: &str,
    facts: &ContainerStatsResponse,
    host_memory: Option<u64>,
) -> Option<ReplicaStats> {
    let memory = facts.memory_stats.as_ref()?;
    let now = facts.cpu_stats.as_ref()?;
    // A container that does not run has zeros everywhere.
    now.system_cpu_usage?;
    let before = facts.precpu_stats.as_ref();
    let limit = memory.limit.filter(|limit| *limit > 0);
    let network = |count: fn(&ContainerNetworkStats) -> Option<u64>| {
        let networks = facts.networks.iter().flat_map(|all| all.values());
        networks.filter_map(count).sum()
    };
    let block = |wanted: &str| {
        let disk = facts.blkio_stats.iter();
        let entries = disk
            .flat_map(|disk| &disk.io_service_bytes_recursive)
            .flatten();
        let is_wanted = |op: &String| op.eq_ignore_ascii_case(wanted);
        let entries = entries.filter(|one| one.op.as_ref().is_some_and(is_wanted));
        entries.filter_map(|one| one.value).sum()
    };
    Some(ReplicaStats {
        replica: replica.to_owned(),
        cpu_percent: before
            .and_then(|before| cpu_percent(before, now))
            .unwrap_or(0.0),
        memory_bytes: memory_used(memory),
        memory_limit_bytes: limit.filter(|limit| Some(*limit) != host_memory),
        network_rx_bytes: network(|one| one.rx_bytes),
        network_tx_bytes: network(|one| one.tx_bytes),
        block_read_bytes: block("read"),
        block_write_bytes: block("write"),
        pids: facts
            .pids_stats
            .as_ref()
            .and_then(|pids| pids.current)
            .unwrap_or(0),
    })
}

/// The share of the host's CPU time that the container had, times the number of CPUs.
fn cpu_percent(before: &ContainerCpuStats, now: &ContainerCpuStats) -> Option<f64> {
    let total = |stats: &ContainerCpuStats| stats.cpu_usage.as_ref()?.total_usage;
    let used = total(now)?.checked_sub(total(before)?)?;
    let passed = now
        .system_cpu_usage?
        .checked_sub(before.system_cpu_usage?)?;
    let listed = || {
        let each = now.cpu_usage.as_ref()?.percpu_usage.as_ref()?;
        u32::try_from(each.len()).ok()
    };
    let online = now.online_cpus.filter(|n| *n > 0).or_else(listed);
    let percent = used as f64 / passed as f64 * f64::from(online.unwrap_or(1)) * 100.0;
    (passed > 0).then_some(percent)
}

/// Without the page cache that the kernel may drop: its name depends on the version of cgroups.
fn memory_used(memory: &ContainerMemoryStats) -> u64 {
    let stats = memory.stats.as_ref();
    let names = ["total_inactive_file", "inactive_file"];
    let cache = stats.and_then(|stats| names.iter().find_map(|name| stats.get(*name)));
    memory
        .usage
        .unwrap_or(0)
        .saturating_sub(cache.copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(host_memory: u64) -> ReplicaStats {
        let facts = serde_json::json!({
            "precpu_stats": {"cpu_usage": {"total_usage": 1_000}, "system_cpu_usage": 10_000},
            "cpu_stats": {"cpu_usage": {"total_usage": 2_500}, "system_cpu_usage": 12_000,
                          "online_cpus": 4},
            "memory_stats": {"usage": 500, "limit": 4_000, "stats": {"inactive_file": 100}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2},
                         "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"op": "Read", "value": 3}, {"op": "read", "value": 4},
                {"op": "write", "value": 5}, {"op": "Total", "value": 99}]},
            "pids_stats": {"current": 6},
        });
        let facts = serde_json::from_value(facts).unwrap();
        stats("web-1", &facts, Some(host_memory)).unwrap()
    }

    #[test]
    fn figures_are_those_of_docker_stats() {
        let stats = facts(8_000);
        assert!((stats.cpu_percent - 300.0).abs() < 1e-9);
        assert_eq!(stats.memory_bytes, 400);
        assert_eq!(stats.memory_percent(), Some(10.0));
        assert_eq!((stats.network_rx_bytes, stats.network_tx_bytes), (11, 22));
        assert_eq!((stats.block_read_bytes, stats.block_write_bytes), (7, 5));
        assert_eq!(stats.pids, 6);
    }

    #[test]
    fn the_memory_of_the_host_is_no_limit() {
        assert_eq!(facts(4_000).memory_limit_bytes, None);
    }
}
