//! The figures of `status` and `stats` beside those of docker.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Beside;
use super::docker::docker;

/// A container, as `docker inspect` has it.
pub struct Container {
    pub service: String,
    pub name: String,
    pub status: String,
    pub health: String,
    pub restarts: u64,
    pub exit_code: i64,
    pub out_of_memory: bool,
    pub started_at: String,
    pub image: String,
    pub memory: u64,
}

/// What docker calls trouble.
pub fn trouble(all: &[&Container]) -> Vec<String> {
    if all.is_empty() {
        return vec!["there is no container".to_owned()];
    }
    let mut trouble = Vec::new();
    for one in all {
        if one.status != "running" {
            trouble.push(format!("{} is {}", one.name, one.status));
        }
        if !matches!(one.health.as_str(), "healthy" | "unchecked") {
            trouble.push(format!("{} is {}", one.name, one.health));
        }
        if one.out_of_memory {
            trouble.push(format!("{} ran out of memory", one.name));
        }
    }
    trouble
}

pub fn replicas(service: &str, own: &[&Container], found: &Value, beside: &mut Beside) {
    let well = own
        .iter()
        .filter(|one| trouble(&[one]).is_empty() || one.status == "running" && one.out_of_memory);
    let what = |field: &str| format!("{service} {field}");
    beside.same(
        &what("well_replicas"),
        found["well_replicas"].as_u64(),
        Some(well.count() as u64),
    );
    beside.same(
        &what("total_replicas"),
        found["total_replicas"].as_u64(),
        Some(own.len() as u64),
    );
    let oom = own.iter().any(|one| one.out_of_memory);
    beside.same(
        &what("out_of_memory"),
        found["out_of_memory"].as_bool(),
        Some(oom),
    );
    let mut images: Vec<&str> = own.iter().map(|one| one.image.as_str()).collect();
    images.sort_unstable();
    images.dedup();
    let told = found["images"].as_array().into_iter().flatten();
    beside.same(
        &what("images"),
        told.filter_map(Value::as_str).collect(),
        images,
    );
    let told = found["replicas"].as_array().cloned().unwrap_or_default();
    for one in own {
        let what = |field: &str| format!("{} {field}", one.name);
        let Some(told) = told.iter().find(|told| told["name"] == one.name.as_str()) else {
            beside.failed(service, &format!("{} is not told", one.name));
            continue;
        };
        // It goes round while both look.
        let moves = one.restarts > 0;
        if !moves {
            beside.same(
                &what("state"),
                told["state"].as_str(),
                Some(one.status.as_str()),
            );
            let started = one.status != "created";
            let at = told["started_at"].as_str().map(second);
            beside.same(
                &what("started_at"),
                at,
                started.then(|| second(&one.started_at)),
            );
        }
        beside.same(
            &what("health"),
            told["health"].as_str(),
            Some(one.health.as_str()),
        );
        beside.near(
            &what("restarts"),
            told["restarts"].as_f64(),
            one.restarts as f64,
            if moves { 1.0 } else { 0.0 },
        );
        let ended = one.status == "exited" || moves;
        if ended && !(moves && told["state"] == "running") {
            beside.same(
                &what("exit_code"),
                told["exit_code"].as_i64(),
                Some(one.exit_code),
            );
        }
        beside.same(
            &what("oom_killed"),
            told["oom_killed"].as_bool(),
            Some(one.out_of_memory),
        );
        beside.same(
            &what("image"),
            told["image"].as_str(),
            Some(one.image.as_str()),
        );
        let limit = Some(one.memory).filter(|bytes| *bytes > 0);
        beside.same(
            &what("memory_limit_bytes"),
            told["memory_limit_bytes"].as_u64(),
            limit,
        );
    }
}

/// To the second.
pub fn second(at: &str) -> String {
    at.chars().take(19).collect()
}

/// What `docker stats` says of a container.
pub struct Usage {
    pub cpu: f64,
    pub memory: f64,
    pub pids: f64,
    pub received: f64,
}

pub fn usage() -> BTreeMap<String, Usage> {
    let form = "{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.PIDs}}|{{.NetIO}}";
    let text = docker(&["stats", "--no-stream", "--format", form]);
    let each = text.lines().filter_map(|line| {
        let parts: Vec<&str> = line.split('|').collect();
        let [name, cpu, memory, pids, network] = parts[..] else {
            return None;
        };
        let first = |text: &str| size(text.split(" / ").next().unwrap_or_default());
        let used = Usage {
            cpu: cpu.trim_end_matches('%').parse().ok()?,
            memory: first(memory)?,
            pids: pids.parse().ok()?,
            received: first(network)?,
        };
        Some((name.to_owned(), used))
    });
    each.collect()
}

/// `1.5MiB`, `1.2kB` in bytes.
pub fn size(text: &str) -> Option<f64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let unit = match &text[at..] {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(text[..at].parse::<f64>().ok()? * unit)
}

pub fn figures(
    service: &str,
    own: &[&Container],
    usage: &BTreeMap<String, Usage>,
    found: &Value,
    beside: &mut Beside,
) {
    let told = found["replicas"].as_array().cloned().unwrap_or_default();
    let live = |one: &&&Container| {
        matches!(one.status.as_str(), "running" | "paused") && one.restarts == 0
    };
    for one in own.iter().filter(live) {
        let Some(told) = told
            .iter()
            .find(|told| told["replica"] == one.name.as_str())
        else {
            beside.failed(
                "service.stats",
                &format!("{service}: {} is not told", one.name),
            );
            continue;
        };
        let Some(used) = usage.get(&one.name) else {
            continue;
        };
        let what = |field: &str| format!("stats of {} {field}", one.name);
        // Health checks come and go, and docker rounds to four digits.
        let slack = (used.memory * 0.1).max(1_000_000.0);
        beside.near(
            &what("memory_bytes"),
            told["memory_bytes"].as_f64(),
            used.memory,
            slack,
        );
        let limit = Some(one.memory).filter(|bytes| *bytes > 0);
        beside.same(
            &what("memory_limit_bytes"),
            told["memory_limit_bytes"].as_u64(),
            limit,
        );
        beside.near(&what("pids"), told["pids"].as_f64(), used.pids, 2.0);
        // Each is the share of another second; a busy machine gives less than allowed.
        beside.near(
            &what("cpu_percent"),
            told["cpu_percent"].as_f64(),
            used.cpu,
            20.0,
        );
        // Neighbours' broadcasts arrive meanwhile.
        beside.near(
            &what("network_rx_bytes"),
            told["network_rx_bytes"].as_f64(),
            used.received,
            2_000.0 + used.received * 0.5,
        );
    }
}
