//! Whether the bot can do its work: its store takes what it writes.

use std::time::Duration;

use tokio::time::timeout;

use super::Context;

/// Readiness asks the store for a write at most this often.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A write that failed so lately means that the store takes none; then it is tried once more.
const FAILED_LATELY: Duration = Duration::from_secs(5);

/// That one may take so long; what failed before is why it takes longer.
const PROBE: Duration = Duration::from_millis(1_500);
const FAILED_BEFORE: Duration = Duration::from_mins(1);

/// Whether the store takes writes of a process that serves, by the last that failed and by a heartbeat:
/// a full disk answers questions still.
pub async fn store_takes_writes(context: &Context) -> Result<(), String> {
    let store = context.store();
    let _one = context.heartbeat().probe().await;
    if context.shutdown().is_cancelled() {
        return Err("the bot is ending".to_owned());
    }
    if let Some(why) = store.failed_within(FAILED_LATELY) {
        return Err(why);
    }
    if store.has_beaten_within(PROBE_EVERY) {
        return Ok(());
    }
    match timeout(PROBE, store.instance_heartbeat(context.instance(), true)).await {
        Ok(beat) => beat.map_err(|error| error.to_string()),
        Err(_) => Err(store
            .failed_within(FAILED_BEFORE)
            .unwrap_or_else(|| "it does not take a write in time".to_owned())),
    }
}
