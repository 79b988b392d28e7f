//! The figures of the stack over time, counted and shown as a Prometheus page.

use super::container::Container;
use super::database;
use super::history::Point;
use super::load::{Figures, MAX_CONNECTIONS};
use super::model::World;
use super::role::Role;

/// Simulated seconds between two points.
const EVERY: f64 = 5.0;
/// Simulated seconds in which a new stack is put together: no outage worth remembering.
const BOOT: f64 = 30.0;

/// The figures of a service.
pub(super) fn figures(world: &World, role: Role) -> Figures {
    let load = world.load();
    match role {
        Role::Frontend => load.frontend,
        Role::Api => load.api,
        Role::Postgres => load.postgres,
        Role::Redis => load.redis,
    }
}

/// The status of a failed answer, as the access log has it.
pub(super) fn failure(world: &World, role: Role) -> u16 {
    match role {
        Role::Frontend if figures(world, role).busy > 1.0 => 503,
        Role::Frontend => 502,
        _ => 500,
    }
}

impl World {
    /// Counts what `dt` simulated seconds brought and, every few seconds, keeps the figures.
    pub(super) fn record_figures(&mut self, dt: f64) {
        if self.age() < BOOT {
            return;
        }
        for role in [Role::Frontend, Role::Api] {
            let Figures { rate, errors, .. } = figures(self, role);
            let failed = (role.name(), failure(self, role));
            let requests = &mut self.diagnostics.history.requests;
            *requests.entry((role.name(), 200)).or_default() += rate * dt * (1.0 - errors);
            *requests.entry(failed).or_default() += rate * dt * errors;
        }
        self.diagnostics.history.since += dt;
        if self.diagnostics.history.since < EVERY {
            return;
        }
        let point = Point {
            at: self.now,
            services: Role::ALL.map(|role| figures(self, role)),
            connections: self.load.connections,
            hit_percent: self.warmth() * 100.0,
        };
        let history = &mut self.diagnostics.history;
        history.since -= EVERY;
        history.keep(point);
    }
}

/// The figures now, as a Prometheus scrapes them: the text format, version 0.0.4.
pub(super) fn page(world: &World) -> String {
    let mut page = Page::default();
    page.family(
        "treasury_http_requests_total",
        "counter",
        "Requests answered, by service and status code.",
    );
    for ((service, code), count) in &world.diagnostics.history.requests {
        let labels = format!("{{service=\"{service}\",code=\"{code}\"}}");
        page.sample(&labels, count.floor());
    }
    page.family(
        "treasury_request_seconds",
        "gauge",
        "95 % of the requests are answered within this time.",
    );
    for role in Role::ALL {
        let labels = format!("{{service=\"{}\"}}", role.name());
        page.sample(&labels, figures(world, role).p95 / 1_000.0);
    }
    page.family(
        "treasury_database_connections",
        "gauge",
        "Client connections open at postgres, by state.",
    );
    let states = database::by_state(world);
    for state in ["active", "idle", "idle in transaction"] {
        let found = states.iter().find(|one| one.name == state);
        let count = found.map_or(0, |one| one.count);
        page.sample(&format!("{{state=\"{state}\"}}"), count as f64);
    }
    let up = |role| f64::from(u8::from(world.of(role).any(Container::serves)));
    for (name, help, value) in [
        (
            "treasury_database_connections_max",
            "Connections that postgres allows.",
            f64::from(MAX_CONNECTIONS),
        ),
        (
            "treasury_database_up",
            "1 when postgres answers.",
            up(Role::Postgres),
        ),
        (
            "treasury_cache_hit_ratio",
            "Share of the reads that redis answers, 0 to 1.",
            world.warmth(),
        ),
        (
            "treasury_cache_up",
            "1 when redis answers.",
            up(Role::Redis),
        ),
    ] {
        page.family(name, "gauge", help);
        page.sample("", value);
    }
    let running = || world.containers.iter().filter(|c| c.has_process());
    let labels = |c: &Container| {
        let (service, replica) = (c.role.name(), &c.name);
        format!("{{service=\"{service}\",replica=\"{replica}\"}}")
    };
    page.family(
        "container_memory_bytes",
        "gauge",
        "Memory that a replica uses.",
    );
    for c in running() {
        page.sample(&labels(c), c.now.memory_bytes as f64);
    }
    page.family(
        "container_memory_limit_bytes",
        "gauge",
        "Memory that a replica may use.",
    );
    for c in running() {
        page.sample(&labels(c), c.role.memory_limit() as f64);
    }
    page.text
}

/// The text format.
#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.text
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, labels: &str, value: f64) {
        self.text
            .push_str(&format!("{}{labels} {value}\n", self.name));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::history::MAX_POINTS;
    use super::super::stories::{restart, seen, stack};
    use super::super::{Fault, Stack};
    use super::*;

    /// The samples of the page, each line read as the format has it: `name{label="value",…} value`.
    fn samples(stack: &Stack) -> BTreeMap<String, f64> {
        let text = page(&stack.world());
        assert!(text.ends_with('\n'));
        let (mut family, mut all) = (String::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                assert!(
                    help.split_once(' ')
                        .is_some_and(|(_, help)| !help.is_empty())
                );
            } else if let Some(told) = line.strip_prefix("# TYPE ") {
                let (name, kind) = told.split_once(' ').unwrap();
                assert!(["gauge", "counter"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                name.clone_into(&mut family);
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let labels = series.strip_prefix(&family).expect(line);
                let inside = labels
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'));
                assert_eq!(inside.is_none(), labels.is_empty(), "{line}");
                for label in inside.into_iter().flat_map(|inside| inside.split(',')) {
                    let (name, value) = label.split_once('=').expect(line);
                    assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{line}");
                    assert!(value.len() > 2 && value.starts_with('"') && value.ends_with('"'));
                }
                let value: f64 = value.parse().expect(line);
                assert!(value.is_finite() && value >= 0.0, "{line}");
                assert_eq!(all.insert(series.to_owned(), value), None, "twice: {line}");
            }
        }
        all
    }

    #[tokio::test]
    async fn the_page_is_in_the_format_and_says_what_the_panel_shows() {
        let stack = stack();
        stack.advance(Duration::from_mins(5));
        let now = samples(&stack);
        let connections: f64 = now
            .iter()
            .filter(|(name, _)| name.starts_with("treasury_database_connections{"))
            .map(|(_, value)| value)
            .sum();
        let used = seen(&stack, Role::Postgres).connections.unwrap().used;
        assert_eq!(connections as u32, used);
        assert_eq!(now["treasury_database_connections_max"] as u32, 100);
        assert!(now["treasury_cache_up"] > 0.5 && now["treasury_database_up"] > 0.5);
        let memory = "container_memory_bytes{service=\"redis\",replica=\"treasury-redis-1\"}";
        let limit = memory.replace("_bytes", "_limit_bytes");
        let percent = now[memory] / now[&limit] * 100.0;
        let shown = seen(&stack, Role::Redis).replicas[0].memory_percent;
        assert!((percent - shown).abs() < 0.051, "{percent} {shown}");

        stack.put_in(Fault::CacheDown, None).unwrap();
        stack.advance(Duration::from_mins(1));
        let down = samples(&stack);
        assert!(down["treasury_cache_up"] < 0.5);
        assert!(down["treasury_cache_hit_ratio"] < 0.01);
        let p95 = "treasury_request_seconds{service=\"api\"}";
        assert!(down[p95] > 2.0 * now[p95]);
        assert!(!down.contains_key(memory), "it has no process");
    }

    #[tokio::test]
    async fn counters_never_fall_whatever_happens() {
        let stack = stack();
        let mut before = samples(&stack);
        for fault in Fault::ALL {
            stack.put_in(fault, None).unwrap();
            for _ in 0..20 {
                stack.advance(Duration::from_secs(3));
                let now = samples(&stack);
                for (name, value) in before.iter().filter(|(name, _)| name.contains("_total")) {
                    assert!(now[name] >= *value, "{fault}: {name} {value} {}", now[name]);
                }
                before = now;
            }
            stack.take_out(fault);
            for role in Role::ALL {
                restart(&stack, role).await.unwrap();
            }
        }
        let failed = "treasury_http_requests_total{service=\"frontend\",code=\"502\"}";
        assert!(before[failed] > 1_000.0, "{before:?}");
    }

    #[tokio::test]
    async fn the_history_is_bounded() {
        let stack = stack();
        stack.advance(Duration::from_mins(180));
        let world = stack.world();
        let points = &world.diagnostics.history.points;
        assert_eq!(points.len(), MAX_POINTS);
        let span = points[MAX_POINTS - 1].at.duration_since(points[0].at);
        assert_eq!(span.as_secs(), 7_195);
    }
}
