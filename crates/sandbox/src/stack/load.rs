//! How the load spreads over the services: a small queueing model, pure.

/// Postgres refuses connections beyond this many.
pub const MAX_CONNECTIONS: u32 = 100;
/// Connections that postgres's own processes and the exporter hold.
pub const RESERVED: f64 = 5.0;
/// Connections of one api replica's pool, leaked ones not counted.
const POOL: f64 = 20.0;
/// Longest latency told, ms: nginx gives up here.
const MAX_LATENCY: f64 = 30_000.0;

/// What the load depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// Requests a second from clients.
    pub demand: f64,
    /// Replicas that take requests.
    pub frontends: f64,
    /// Replicas that take requests.
    pub apis: f64,
    /// Postgres answers.
    pub database: bool,
    /// Redis answers.
    pub cache: bool,
    /// Share of reads that the cache answers, 0 to 1.
    pub warmth: f64,
    /// Connections leaked by all api replicas.
    pub leaked: f64,
    /// The disk is kept busy.
    pub slow_disk: bool,
    /// Share of the api replicas that hold a broken state, 0 to 1.
    pub poisoned: f64,
    /// Memory in use of the fullest frontend, 0 to 1.
    pub frontend_memory: f64,
    /// Memory in use of the fullest api, 0 to 1.
    pub api_memory: f64,
}

/// Figures of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Requests a second that arrive.
    pub rate: f64,
    /// 95 % are answered within this many ms.
    pub p95: f64,
    /// Share answered with 5xx, 0 to 1.
    pub errors: f64,
    /// Use of what its replicas can do; above 1 is overload.
    pub busy: f64,
}

/// Figures of the whole stack.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// As the clients see it.
    pub frontend: Figures,
    /// As nginx sees it.
    pub api: Figures,
    /// Queries.
    pub postgres: Figures,
    /// Commands.
    pub redis: Figures,
    /// Connections open at postgres.
    pub connections: u32,
}

impl Load {
    /// Postgres refuses new connections.
    pub fn exhausted(&self) -> bool {
        self.connections >= MAX_CONNECTIONS
    }

    /// Moves the shown figures towards `goal`, by the share `step` of the way.
    pub fn follow(&mut self, goal: &Self, step: f64) {
        let pairs = [
            (&mut self.frontend, &goal.frontend),
            (&mut self.api, &goal.api),
            (&mut self.postgres, &goal.postgres),
            (&mut self.redis, &goal.redis),
        ];
        for (mine, goal) in pairs {
            let near = |a: f64, b: f64| a + (b - a) * step;
            *mine = Figures {
                rate: near(mine.rate, goal.rate),
                p95: near(mine.p95, goal.p95),
                errors: near(mine.errors, goal.errors),
                busy: near(mine.busy, goal.busy),
            };
        }
        // A count, not a mean: shown as it is.
        self.connections = goal.connections;
    }
}

/// The load that this situation settles at. Capacities are per replica and second.
pub fn settle(s: &Situation, frontend: f64, api: f64, postgres: f64) -> Load {
    let front_busy = busy(s.demand, s.frontends * frontend);
    let front_shed = shed(front_busy);
    let api_rate = if s.frontends > 0.0 {
        s.demand * (1.0 - front_shed) * 0.7
    } else {
        0.0
    };
    let api_busy = busy(api_rate, s.apis * api);
    let served = api_rate * (1.0 - shed(api_busy));

    let queries = if s.database {
        served * (0.3 + (1.0 - s.warmth))
    } else {
        0.0
    };
    let disk = if s.slow_disk { 0.3 } else { 1.0 };
    let db_busy = busy(queries, postgres * disk);
    let db_p95 = wait(if s.slow_disk { 900.0 } else { 4.0 }, db_busy);
    let in_flight = (queries * db_p95 / 1000.0 / s.apis.max(1.0)).min(POOL - 4.0);
    let connections = if s.database {
        (RESERVED + s.apis * (4.0 + in_flight) + s.leaked)
            .floor()
            .clamp(0.0, f64::from(MAX_CONNECTIONS)) as u32
    } else {
        0
    };
    let exhausted = connections >= MAX_CONNECTIONS;

    let refused = match (s.apis > 0.0, s.database, exhausted) {
        (false, ..) => 1.0,
        (_, false, _) => 0.9,
        (_, _, true) => 0.7,
        _ => 0.001,
    };
    let api_errors = either(either(refused, shed(api_busy)), s.poisoned * 0.35);
    let cache_cost = (1.0 - s.warmth) * 120.0 + if s.cache { 0.0 } else { 80.0 };
    let pool_cost = if exhausted { 5_000.0 } else { 0.0 };
    let api_p95 = if s.apis > 0.0 {
        wait(35.0, api_busy) + db_p95 * 1.5 + cache_cost + pool_cost + collecting(s.api_memory)
    } else {
        0.0
    };
    let frontend_errors = if s.frontends > 0.0 {
        either(front_shed, api_errors * 0.7)
    } else {
        1.0
    };
    let frontend_p95 = if s.frontends > 0.0 {
        wait(20.0, front_busy) + api_p95 + collecting(s.frontend_memory)
    } else {
        0.0
    };
    let commands = if s.cache { served * 2.2 } else { 0.0 };
    let figures = |rate, p95: f64, errors, busy| Figures {
        rate,
        p95: p95.min(MAX_LATENCY),
        errors,
        busy,
    };
    Load {
        frontend: figures(s.demand, frontend_p95, frontend_errors, front_busy),
        api: figures(api_rate, api_p95, api_errors, api_busy),
        postgres: figures(
            queries,
            db_p95,
            if exhausted { 0.7 } else { 0.0 },
            if s.slow_disk {
                db_busy.max(0.9)
            } else {
                db_busy
            },
        ),
        redis: figures(
            commands,
            if s.cache { 0.8 } else { 0.0 },
            0.0,
            commands / 5_000.0,
        ),
        connections,
    }
}

fn busy(rate: f64, capacity: f64) -> f64 {
    if capacity > 0.0 { rate / capacity } else { 0.0 }
}

/// The share that an overloaded service turns away.
fn shed(busy: f64) -> f64 {
    if busy > 1.0 { 1.0 - 1.0 / busy } else { 0.0 }
}

/// Latency of a service that needs `own` ms when idle, as its queue grows.
fn wait(own: f64, busy: f64) -> f64 {
    own / (1.0 - busy).max(0.1) + (busy - 1.0).max(0.0) * 4_000.0
}

/// One of two independent mishaps.
fn either(a: f64, b: f64) -> f64 {
    1.0 - (1.0 - a) * (1.0 - b)
}

/// What garbage collection costs as the memory fills, ms.
fn collecting(memory: f64) -> f64 {
    ((memory - 0.8).max(0.0) * 5.0).powi(2) * 900.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Situation = Situation {
        demand: 120.0,
        frontends: 2.0,
        apis: 2.0,
        database: true,
        cache: true,
        warmth: 0.94,
        leaked: 0.0,
        slow_disk: false,
        poisoned: 0.0,
        frontend_memory: 0.5,
        api_memory: 0.5,
    };

    fn load(s: Situation) -> Load {
        settle(&s, 110.0, 120.0, 160.0)
    }

    #[test]
    fn a_usual_day_is_quiet() {
        let load = load(USUAL);
        assert!(
            load.frontend.p95 < 200.0 && load.frontend.errors < 0.01,
            "{load:?}"
        );
        assert!((10..40).contains(&load.connections), "{load:?}");
    }

    #[test]
    fn overload_shows_as_latency_and_errors_and_more_replicas_relieve_it() {
        let hot = Situation {
            demand: 300.0,
            ..USUAL
        };
        let before = load(hot).frontend;
        let after = load(Situation {
            frontends: 4.0,
            ..hot
        })
        .frontend;
        assert!(before.p95 > 1_000.0 && before.errors > 0.1, "{before:?}");
        assert!(after.p95 < 500.0 && after.errors < 0.01, "{after:?}");
    }

    #[test]
    fn without_the_cache_the_database_works_and_the_api_is_slower() {
        let cold = load(Situation {
            cache: false,
            warmth: 0.0,
            ..USUAL
        });
        assert!(cold.postgres.rate > 3.0 * load(USUAL).postgres.rate);
        assert!(cold.api.p95 > 2.0 * load(USUAL).api.p95);
        assert!(cold.api.errors < 0.01);
    }

    #[test]
    fn exhausted_connections_become_502s_at_the_frontend() {
        let leaking = load(Situation {
            leaked: 95.0,
            ..USUAL
        });
        assert_eq!(leaking.connections, MAX_CONNECTIONS);
        assert!(
            leaking.api.errors > 0.6 && leaking.frontend.errors > 0.3,
            "{leaking:?}"
        );
    }
}
