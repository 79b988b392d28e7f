//! What a replica uses of its machine, by the load.

use super::container::Container;
use super::lines::Scene;
use super::role::Role;

/// Memory in use, 0 to 1.
pub(super) fn fullness(c: &Container) -> f64 {
    c.now.memory_bytes as f64 / c.role.memory_limit() as f64
}

/// Brings the use of resources up to date. Returns true when memory has run out.
pub(super) fn usage(
    c: &mut Container,
    scene: &Scene,
    warmth: f64,
    peers: f64,
    up: bool,
    noise: f64,
    dt: f64,
) -> bool {
    const MIB: f64 = 1024.0 * 1024.0;
    let load = &scene.load;
    // Megabytes of memory, CPU percent, processes, bytes of disk a second, by the load; network
    // by the rate.
    let (figures, memory, cpu, pids, disk, size) = match c.role {
        Role::Frontend => (load.frontend, 12.0, 65.0, 14, 900.0, 5_200.0),
        Role::Api => (load.api, 60.0, 90.0, 23, 2_500.0, 2_400.0),
        Role::Postgres => {
            let pids = 8 + u64::from(load.connections);
            (load.postgres, 40.0, 110.0, pids, 420_000.0, 3_100.0)
        }
        Role::Redis => (load.redis, 10.0, 60.0, 6, 9_000.0, 600.0),
    };
    let share = if up && !c.cut { 1.0 } else { 0.0 };
    let busy = figures.busy.clamp(0.0, 1.3) * share;
    let held = match c.role {
        Role::Postgres => f64::from(load.connections) * 2.4,
        Role::Redis => warmth * 70.0,
        Role::Api => c.connections * 0.4,
        Role::Frontend => 0.0,
    };
    let wanted = c.role.resting_memory() as f64 + (memory * busy * noise + held) * MIB + c.leaked;
    let limit = c.role.memory_limit();
    c.now.memory_bytes = (wanted as u64).min(limit);
    let thrash = (fullness(c) - 0.85).max(0.0) * 400.0;
    let starting = if up { 0.0 } else { 35.0 };
    c.now.cpu_percent = ((cpu * busy + thrash + starting + 1.5) * noise).clamp(0.0, 400.0);
    c.now.pids = if up { pids } else { 2 };
    let bytes = figures.rate / peers * share * noise * dt;
    c.now.network_rx_bytes += (bytes * size * 0.3) as u64;
    c.now.network_tx_bytes += (bytes * size) as u64;
    let reads = if c.role == Role::Postgres && scene.slow_disk {
        95.0 * MIB
    } else {
        disk * 0.4
    };
    c.now.block_read_bytes += (reads * share * noise * dt) as u64;
    c.now.block_write_bytes += (disk * share * noise * dt) as u64;
    wanted >= limit as f64
}
