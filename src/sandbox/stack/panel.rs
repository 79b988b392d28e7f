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

/// `GET /stack` gives the overview and the faults one can put in; `POST /stack/faults` with
/// `{"fault": "memory-leak", "service": "frontend", "on": true}` puts one in or takes it out and
/// gives the same. What is wrong with a request is told as `{"error": …}` with 400.
pub fn router(stack: Stack) -> Router {
    Router::new()
        .route("/stack", get(show))
        .route("/stack/faults", post(set))
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
