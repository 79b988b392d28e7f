//! How many alerts a second are durably taken in, beside a real Alertmanager that keeps them in
//! memory, what that costs, and a storm of them.
//!
//! `cargo bench --bench alerts [-- STORED]` starts the real binary in HTTP mode on SQLite against the
//! sandbox, and prints
//!
//! 1. the table: distinct alerts and the same ones again, in bodies of 100 and one a request, over 32
//!    connections, in turns to the bot (`POST /alerts/alertmanager`, answered after the commit) and to
//!    `prometheus-alertmanager` (`POST /api/v2/alerts`), if that is installed; processor time an alert
//!    with STORED alerts (400,000) in the store beside an empty one, in turns too; and the peak of memory
//!    until then. Rates differ from machine to machine: the ratios count.
//! 2. the storm, with a bot and a store of its own: 10,000 distinct alerts of four services in bodies of
//!    100, as fast as they are taken, while slash commands are sent every 40 ms, and a Slack that takes
//!    one message a second. It prints how long it took, what is in the store, the calls to Slack, the
//!    memory of the bot's process, and the times of the acknowledgements; it fails where a promise is
//!    broken.

#![allow(clippy::unwrap_used, reason = "a load run fails by panicking")]

mod load;
#[allow(dead_code, reason = "each run uses its part")]
#[path = "../process.rs"]
mod process;
mod server;
mod storm;
mod table;

/// Alerts of the storm.
const STORM: usize = 10_000;

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stored: usize = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(400_000);
    table::print(stored).await;
    storm::run(STORM).await;
}
