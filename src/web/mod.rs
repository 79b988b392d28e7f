//! The HTTP surface: health, readiness, metrics and alerts for machines, pages for people; Slack's
//! routes are merged in.

mod alerts;
mod measured;
mod pages;

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::bot::{self, Bot};
use crate::domain::duration;
use crate::domain::notification::Channel;
use crate::store::{Backlog, Store};

pub use alerts::{AlertSource, HeartbeatSender, alerts_router, heartbeats_router};
pub use pages::pages_router;

/// The readiness check may take this long.
const CHECK: Duration = Duration::from_secs(2);

/// How the chat door is: connected or not, how much is refused, and details for people.
pub type DoorHealth = std::sync::Arc<dyn Fn() -> (bool, usize, Value) + Send + Sync>;

/// What the routes read from.
#[derive(Clone)]
pub struct Health {
    /// The store has to answer and to take writes.
    pub store: Store,
    /// The platforms are asked and reported; one that is away doesn't make the bot unready, because
    /// telling so is the bot's work.
    pub bot: Bot,
    /// The chat is reported, too: without it alerts are taken in all the same, mail goes out, and the
    /// pages are served.
    pub door: DoorHealth,
}

/// `/health/live`, `/health/ready`, `/metrics`.
pub fn health_router(health: Health) -> Router {
    Router::new()
        .route("/health/live", get(|| async { "alive\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(measured::page))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    let store = in_time(bot::store_takes_writes(&health.bot)).await;
    let (_, _, mut door) = (health.door)();
    door["waiting"] = match in_time(health.store.outbox_depth()).await {
        Ok(depth) => json!(depth),
        Err(why) => json!(why),
    };
    // All at once: one that hangs doesn't hold up the others.
    let asked = health.bot.catalogue().platforms().map(async |(key, one)| {
        let answer = in_time(one.ping()).await;
        let word = answer.err().unwrap_or_else(|| "reachable".to_owned());
        (key.to_string(), word.into())
    });
    let platforms: serde_json::Map<String, Value> = join_all(asked).await.into_iter().collect();
    let mail = mail(&health).await;
    let pages = match in_time(bot::unread_pages(&health.bot)).await {
        Ok(pages) => pages
            .into_iter()
            .map(|(name, page)| (name, json!(page.why)))
            .collect(),
        Err(why) => json!(why),
    };
    let good = store.is_ok();
    let body = json!({
        "ready": good,
        "store": store.err().unwrap_or_else(|| "answers and takes writes".into()),
        "slack": door,
        "mail": mail,
        "platforms": platforms,
        "unread_metrics_pages": pages,
    });
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}

/// The state of mail. That it does not get out doesn't make the bot unready, either.
async fn mail(health: &Health) -> Value {
    if !health.bot.notifies() {
        return json!("not configured");
    }
    match in_time(health.store.notification_backlog(&Channel::Email)).await {
        Ok(backlog) => json!({
            "waiting": backlog.waiting,
            "oldest_seconds": oldest(&health.store, &backlog),
            "dead": backlog.dead,
        }),
        Err(why) => json!(why),
    }
}

/// What a check comes to within its time; otherwise why not, in words.
async fn in_time<T, E: std::fmt::Display>(
    check: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(CHECK, check).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CHECK.as_secs())),
    }
}

/// For how many seconds the oldest mail waits.
fn oldest(store: &Store, backlog: &Backlog) -> u64 {
    backlog
        .oldest
        .map_or(0, |at| duration::between(at, store.now()).as_secs())
}

/// Serves until the shutdown; requests under way are finished.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let ended = async move { shutdown.cancelled().await };
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(ended)
        .await
    {
        tracing::error!(%error, "the web server ended");
    }
}
