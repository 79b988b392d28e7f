//! The control panel's HTTP door: what the demo's chat page reads and clicks.
//!
//! Bound to the loopback interface by whoever serves it; it has no guard of its own.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::driver::Stack;
use super::fault::{Fault, FaultRefused};
use super::overview::Overview;
use super::role::Role;
use super::{prometheus, site};

/// The panel, the figures for Prometheus (`/stack/metrics`, `/stack/prometheus/api/v1/…`) and the
/// frontend as clients see it (`/stack/site/`).
///
/// `GET /stack` gives the overview and the faults one can put in; `POST /stack/faults` with
/// `{"fault": "memory-leak", "service": "frontend", "on": true}` puts one in or takes it out and
/// gives the same. What is wrong with a request is told as `{"error": …}` with 400.
pub fn router(stack: Stack) -> Router {
    Router::new()
        .route("/stack", get(show))
        .route("/stack/faults", post(set))
        .merge(prometheus::routes())
        .merge(site::routes())
        .layer(axum::extract::DefaultBodyLimit::max(4 * 1024))
        .with_state(stack)
}

#[derive(Serialize)]
struct Page {
    #[serde(flatten)]
    overview: Overview,
    available: Vec<Available>,
}

/// A fault that can be put in.
#[derive(Clone, Serialize)]
struct Available {
    fault: Fault,
    title: &'static str,
    description: &'static str,
    services: &'static [Role],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    fault: String,
    service: Option<String>,
    on: bool,
}

async fn show(State(stack): State<Stack>) -> Response {
    page(&stack)
}

async fn set(State(stack): State<Stack>, wish: Result<Json<Wish>, JsonRejection>) -> Response {
    let done = match wish {
        Ok(Json(wish)) => apply(&stack, &wish),
        Err(rejection) => Err(FaultRefused(rejection.body_text())),
    };
    match done {
        Ok(()) => page(&stack),
        Err(refused) => {
            let body = serde_json::json!({ "error": refused.to_string() });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

fn apply(stack: &Stack, wish: &Wish) -> Result<(), FaultRefused> {
    let fault: Fault = wish.fault.parse()?;
    let service = wish.service.as_deref().filter(|name| !name.is_empty());
    if wish.on {
        stack.put_in(fault, service)
    } else {
        stack.take_out(fault);
        Ok(())
    }
}

fn page(stack: &Stack) -> Response {
    let available = Fault::ALL.map(|fault| Available {
        fault,
        title: fault.title(),
        description: fault.description(),
        services: fault.services(),
    });
    Json(Page {
        overview: stack.overview(),
        available: available.to_vec(),
    })
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{StackClock, StackConfig};

    async fn serve() -> (Stack, String) {
        let stack = Stack::start(StackConfig {
            clock: StackClock::Manual("2026-03-01T12:00:00Z".parse().unwrap()),
            ..StackConfig::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stack", listener.local_addr().unwrap());
        let app = router(stack.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (stack, url)
    }

    async fn post(url: &str, body: &'static str) -> (u16, serde_json::Value) {
        let request = reqwest::Client::new()
            .post(format!("{url}/faults"))
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    #[tokio::test]
    async fn the_panel_shows_the_stack_and_puts_faults_in_and_out() {
        let (stack, url) = serve().await;
        let page: serde_json::Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        assert_eq!(page["services"][0]["name"], "frontend");
        assert_eq!(page["services"][2]["connections"]["max"], 100);
        assert_eq!(page["available"].as_array().unwrap().len(), 11);

        let on = r#"{"fault": "memory-leak", "service": "api", "on": true}"#;
        let (code, page) = post(&url, on).await;
        assert_eq!((code, &page["faults"][0]["service"]), (200, &"api".into()));
        let (code, page) = post(&url, r#"{"fault": "memory-leak", "on": false}"#).await;
        assert_eq!((code, &page["faults"]), (200, &serde_json::json!([])));
        assert_eq!(stack.faults(), []);
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_with_400() {
        let (stack, url) = serve().await;
        for (body, part) in [
            (r#"{"fault": "memory-leek", "on": true}"#, "did you mean"),
            (
                r#"{"fault": "cache-down", "service": "api", "on": true}"#,
                "not into `api`",
            ),
            (r#"{"fault": "cache-down"}"#, "missing field `on`"),
            ("nonsense", "Failed to parse"),
        ] {
            let (code, answer) = post(&url, body).await;
            let error = answer["error"].as_str().unwrap();
            assert!(code == 400 && error.contains(part), "{code} {error}");
        }
        assert_eq!(stack.faults(), []);
    }
}
