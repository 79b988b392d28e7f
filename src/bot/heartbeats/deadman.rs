//! The bot's own heartbeat: an address elsewhere is asked while the bot is well, so that its death is
//! noticed there.

use secrecy::ExposeSecret;

use crate::bot::Context;
use crate::telemetry::metrics::DEADMAN_PINGS;

/// Asks until the shutdown, if an address is configured. While the bot can't say in its store that it is
/// alive, it does not say so elsewhere.
pub(crate) async fn keep_pinging(context: Context) {
    let Some(deadman) = &context.settings().alerts.deadman else {
        return;
    };
    let mut failing = false;
    loop {
        if context.store().is_still_held(context.now()) {
            let url = deadman.url.expose_secret();
            let asked = context.http().well(url).await;
            DEADMAN_PINGS.count(&[if asked.is_ok() { "ok" } else { "failed" }]);
            match asked {
                // Who knows the address can ping in the bot's place.
                Err(why) if !failing => {
                    let why = why.replace(url, "the address of [deadman]");
                    tracing::warn!(why, "the bot's own heartbeat is not heard");
                    failing = true;
                }
                Ok(()) if failing => {
                    tracing::info!("the bot's own heartbeat is heard again");
                    failing = false;
                }
                _ => {}
            }
        }
        tokio::select! {
            () = context.shutdown().cancelled() => return,
            () = tokio::time::sleep(deadman.every) => {}
        }
    }
}
