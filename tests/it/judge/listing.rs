//! An Alertmanager that only says what fires, by the clock that goes by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// What it lists, and how often it was asked.
#[derive(Default)]
pub struct Listed {
    /// Fingerprints of what fires, with the moments since when.
    firing: Mutex<BTreeMap<String, Timestamp>>,
    /// Microseconds.
    now: AtomicI64,
    asked: AtomicUsize,
}

/// It, while it is there.
pub struct Listing {
    listed: Arc<Listed>,
    /// Where it is.
    pub url: String,
    server: JoinHandle<()>,
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Listing {
    pub async fn start() -> Self {
        let listed = Arc::new(Listed::default());
        let app = Router::new()
            .route(
                "/api/v2/status",
                get(|| async { Json(json!({"uptime": "2026-01-01T00:00:00Z"})) }),
            )
            .route("/api/v2/alerts", get(alerts))
            .with_state(listed.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            listed,
            url,
            server,
        }
    }

    pub fn passes(&self, now: Timestamp) {
        self.listed
            .now
            .store(now.as_microsecond(), Ordering::Relaxed);
    }

    pub fn lists(&self, fingerprint: String, since: Option<Timestamp>) {
        let mut firing = self.listed.firing.lock().unwrap();
        match since {
            Some(since) => firing.insert(fingerprint, since),
            None => firing.remove(&fingerprint),
        };
    }

    pub fn holds(&self, fingerprint: &str) -> bool {
        self.listed.firing.lock().unwrap().contains_key(fingerprint)
    }

    /// Whether it was asked since this was last called.
    pub fn was_asked(&self) -> bool {
        self.listed.asked.swap(0, Ordering::Relaxed) > 0
    }
}

async fn alerts(State(listed): State<Arc<Listed>>) -> Json<Value> {
    listed.asked.fetch_add(1, Ordering::Relaxed);
    let now = Timestamp::from_microsecond(listed.now.load(Ordering::Relaxed)).unwrap();
    let all = listed.firing.lock().unwrap();
    let one = |(fingerprint, since): (&String, &Timestamp)| {
        json!({
            "fingerprint": fingerprint, "startsAt": since, "updatedAt": now,
            "endsAt": now + std::time::Duration::from_secs(240),
            "labels": {}, "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        })
    };
    Json(all.iter().map(one).collect())
}
