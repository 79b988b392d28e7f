//! What the services write into their logs.

use jiff::Timestamp;
use rand::RngExt;
use rand::rngs::StdRng;

use super::load::Load;
use super::role::Role;

/// What a line may speak of.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Figures now.
    pub load: Load,
    /// Redis answers.
    pub cache: bool,
    /// Postgres answers.
    pub database: bool,
    /// Some api replica takes requests.
    pub api: bool,
    /// The disk is kept busy.
    pub slow_disk: bool,
    /// Some api replica holds a broken state.
    pub poisoned: bool,
}

const PATHS: [&str; 7] = [
    "/api/positions",
    "/api/cash-flows?currency=EUR",
    "/api/payments",
    "/api/fx/rates",
    "/api/liquidity/forecast",
    "/dashboard",
    "/api/accounts/DE02/balance",
];

/// Lines a second that one replica writes.
pub fn rate(role: Role, scene: &Scene) -> f64 {
    match role {
        Role::Frontend | Role::Api if scene.load.frontend.rate > 200.0 => 2.5,
        Role::Frontend | Role::Api => 1.2,
        Role::Postgres if scene.load.exhausted() || scene.slow_disk => 1.5,
        Role::Postgres => 0.12,
        Role::Redis => 0.08,
    }
}

/// One line: is it on standard error, and its text. `poisoned`: this replica holds a broken state;
/// `memory`: its memory in use, 0 to 1.
pub fn line(
    role: Role,
    scene: &Scene,
    poisoned: bool,
    memory: f64,
    at: Timestamp,
    rng: &mut StdRng,
) -> (bool, String) {
    match role {
        Role::Frontend => frontend(scene, memory, at, rng),
        Role::Api => api(scene, poisoned, memory, at, rng),
        Role::Postgres => (true, postgres(scene, at, rng)),
        Role::Redis => (false, redis(at, rng)),
    }
}

fn frontend(scene: &Scene, memory: f64, at: Timestamp, rng: &mut StdRng) -> (bool, String) {
    let path = PATHS[rng.random_range(0..PATHS.len())];
    let client = format!(
        "10.0.{}.{}",
        rng.random_range(0..8),
        rng.random_range(2..250)
    );
    if let Some(line) = heap_warning(memory, at, rng) {
        return (true, line);
    }
    let figures = scene.load.frontend;
    let fails = rng.random_bool(figures.errors.clamp(0.0, 1.0));
    // The api's own 500s pass through nginx without a word.
    let passed = scene.poisoned && scene.api && scene.database && !scene.load.exhausted();
    if fails && !passed && rng.random_bool(0.6) {
        let day = at.strftime("%Y/%m/%d %H:%M:%S");
        let request = rng.random_range(10_000..99_999);
        let (what, upstream) = if figures.busy > 1.0 {
            ("1024 worker_connections are not enough", false)
        } else if scene.api {
            (
                "upstream prematurely closed connection while reading response header from upstream",
                true,
            )
        } else {
            (
                "connect() failed (111: Connection refused) while connecting to upstream",
                true,
            )
        };
        let upstream = if upstream {
            format!(
                ", upstream: \"http://172.20.0.{}:3000{path}\"",
                rng.random_range(4..6)
            )
        } else {
            String::new()
        };
        return (
            true,
            format!(
                "{day} [error] 29#29: *{request} {what}, client: {client}, server: treasury.example, request: \"GET {path} HTTP/1.1\"{upstream}"
            ),
        );
    }
    let status = match (fails, figures.busy > 1.0) {
        (false, _) => 200,
        (true, true) => 503,
        (true, false) if passed => 500,
        (true, false) => 502,
    };
    let seconds = figures.p95 * rng.random_range(0.2..1.1) / 1000.0;
    let bytes = if fails {
        157
    } else {
        rng.random_range(400..9_000)
    };
    let day = at.strftime("%d/%b/%Y:%H:%M:%S %z");
    (
        false,
        format!(
            "{client} - - [{day}] \"GET {path} HTTP/1.1\" {status} {bytes} \"-\" \"Mozilla/5.0\" rt={seconds:.3}"
        ),
    )
}

fn api(
    scene: &Scene,
    poisoned: bool,
    memory: f64,
    at: Timestamp,
    rng: &mut StdRng,
) -> (bool, String) {
    if let Some(line) = heap_warning(memory, at, rng) {
        return (true, line);
    }
    let path = PATHS[rng.random_range(0..PATHS.len() - 2)];
    let took = (scene.load.api.p95 * rng.random_range(0.2..1.1)) as u64;
    let id = format!("{:08x}", rng.random_range(0..=u32::MAX));
    let (level, message, status) = if !scene.database && rng.random_bool(0.9) {
        (
            "error",
            "connect ECONNREFUSED postgres:5432: terminating connection due to administrator command",
            500,
        )
    } else if scene.load.exhausted() && rng.random_bool(0.7) {
        ("error", "FATAL: sorry, too many clients already", 500)
    } else if poisoned && rng.random_bool(0.4) {
        (
            "error",
            "TypeError: Cannot read properties of undefined (reading 'rate') at valuePosition",
            500,
        )
    } else if !scene.cache && rng.random_bool(0.5) {
        (
            "warn",
            "cache unavailable: connect ECONNREFUSED redis:6379, falling back to database",
            200,
        )
    } else if scene.slow_disk && rng.random_bool(0.5) {
        ("warn", "slow query: SELECT … FROM ledger_entries", 200)
    } else {
        ("info", "request completed", 200)
    };
    let text = format!(
        "{{\"level\":\"{level}\",\"time\":\"{}\",\"msg\":\"{message}\",\"method\":\"GET\",\"path\":\"{path}\",\"status\":{status},\"duration_ms\":{took},\"request_id\":\"{id}\"}}",
        at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
    );
    (level == "error", text)
}

fn postgres(scene: &Scene, at: Timestamp, rng: &mut StdRng) -> String {
    let pid = rng.random_range(40..900);
    let what = if scene.load.exhausted() {
        "FATAL:  sorry, too many clients already".to_owned()
    } else if scene.slow_disk {
        format!(
            "LOG:  duration: {:.3} ms  statement: SELECT account_id, sum(amount) FROM ledger_entries GROUP BY account_id",
            scene.load.postgres.p95 * rng.random_range(0.8..4.0)
        )
    } else {
        format!(
            "LOG:  checkpoint complete: wrote {} buffers (0.3%), sync=0.004 s, total=3.{:03} s",
            rng.random_range(20..90),
            rng.random_range(0..999)
        )
    };
    format!(
        "{} UTC [{pid}] {what}",
        at.strftime("%Y-%m-%d %H:%M:%S%.3f")
    )
}

fn redis(at: Timestamp, rng: &mut StdRng) -> String {
    let changes = rng.random_range(100..400);
    redis_line(
        at,
        '*',
        &format!("{changes} changes in 60 seconds. Saving..."),
    )
}

/// A line in redis's manner; `level` is `*` for a notice, `#` for a warning.
pub fn redis_line(at: Timestamp, level: char, what: &str) -> String {
    format!(
        "1:M {} {level} {what}",
        at.strftime("%d %b %Y %H:%M:%S%.3f")
    )
}

fn heap_warning(memory: f64, at: Timestamp, rng: &mut StdRng) -> Option<String> {
    (memory > 0.85 && rng.random_bool(0.25)).then(|| {
        format!(
            "{{\"level\":\"warn\",\"time\":\"{}\",\"msg\":\"heap at {:.0} % of limit, mark-compact took {} ms\"}}",
            at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
            memory * 100.0,
            rng.random_range(300..1_400)
        )
    })
}

/// What a service writes when it has started.
pub fn hello(role: Role, tag: &str, at: Timestamp) -> (bool, String) {
    match role {
        Role::Frontend => (
            true,
            format!(
                "{} [notice] 1#1: start worker processes",
                at.strftime("%Y/%m/%d %H:%M:%S")
            ),
        ),
        Role::Api => (
            false,
            format!(
                "{{\"level\":\"info\",\"time\":\"{}\",\"msg\":\"treasury-api {tag} listening on :3000\"}}",
                at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
            ),
        ),
        Role::Postgres => (
            true,
            format!(
                "{} UTC [1] LOG:  database system is ready to accept connections",
                at.strftime("%Y-%m-%d %H:%M:%S%.3f")
            ),
        ),
        Role::Redis => (
            false,
            redis_line(at, '*', "Ready to accept connections tcp"),
        ),
    }
}

/// The last words of a process that runs out of memory.
pub const HEAP: &str =
    "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";

/// The last words of a process in a crash loop.
pub fn crash(role: Role, at: Timestamp) -> String {
    match role {
        Role::Frontend => format!(
            "{} [emerg] 1#1: host not found in upstream \"treasury-api-canary\" in /etc/nginx/conf.d/default.conf:14",
            at.strftime("%Y/%m/%d %H:%M:%S")
        ),
        Role::Api => format!(
            "{{\"level\":\"fatal\",\"time\":\"{}\",\"msg\":\"missing environment variable TREASURY_LEDGER_KEY\"}}",
            at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        ),
        Role::Postgres => format!(
            "{} UTC [1] FATAL:  could not write lock file \"postmaster.pid\": No space left on device",
            at.strftime("%Y-%m-%d %H:%M:%S%.3f")
        ),
        Role::Redis => redis_line(
            at,
            '#',
            "Fatal: can't open config file: Bad directive or wrong number of arguments",
        ),
    }
}
