//! Somebody who takes HTTP requests: keeps each as it came, and answers as told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::stage::PATIENCE;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
    pub at: Instant,
}

impl Received {
    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A field of the body as a form; empty where there is none.
    pub fn field(&self, name: &str) -> String {
        let fields = url::form_urlencoded::parse(self.body.as_bytes());
        let mut found = fields.filter(|(key, _)| key == name);
        found
            .next()
            .map_or_else(String::new, |(_, value)| value.into_owned())
    }
}

/// How the next requests are answered; then by 200.
pub enum Reply {
    Status(u16),
    /// With one header.
    With(u16, &'static str, String),
    Never,
}

#[derive(Default)]
struct Inner {
    received: Vec<Received>,
    replies: VecDeque<Reply>,
}

/// A receiver.
#[derive(Clone)]
pub struct Receiver {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            inner: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What comes next is answered so.
    pub fn reply(&self, reply: Reply) {
        self.inner.lock().unwrap().replies.push_back(reply);
    }

    /// All that came.
    pub fn all(&self) -> Vec<Received> {
        self.inner.lock().unwrap().received.clone()
    }

    /// All to a path that begins so.
    pub fn to(&self, path: &str) -> Vec<Received> {
        let mut all = self.all();
        all.retain(|one| one.path.starts_with(path));
        all
    }

    /// Waits until so many have come to a path that begins so.
    pub async fn wait(&self, path: &str, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.to(path);
            if found.len() >= count {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{path} ×{count}: {:#?}",
                self.all()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn take(
    State(receiver): State<Receiver>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let reply = {
        let mut inner = receiver.inner.lock().unwrap();
        inner.received.push(Received {
            method,
            path: uri.to_string(),
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
            at: Instant::now(),
        });
        inner.replies.pop_front()
    };
    let status = |code| StatusCode::from_u16(code).unwrap();
    match reply {
        None => "taken".into_response(),
        Some(Reply::Status(code)) => (status(code), "no, S3CRET").into_response(),
        Some(Reply::With(code, name, value)) => {
            (status(code), [(name, value)], "no").into_response()
        }
        Some(Reply::Never) => std::future::pending().await,
    }
}
