//! The HTTP side: connections, who asks, faults, and the way to what answers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::fault::{Access, Fault};
use crate::path::Operation;
use crate::request::{Answer, Call, reply};
use crate::state::{Shared, TOKEN};
use crate::status::Status;
use crate::{change, discovery, log, metrics, read, sub, watch};

/// The most that the body of a request may have, bytes.
const LONGEST: usize = 3 * 1024 * 1024;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped")]
pub struct Dropped;

/// Takes connections for ever, as long as the port is to be open.
pub async fn serve(shared: &Arc<Shared>, listener: std::net::TcpListener) {
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut listener = Some(tokio::net::TcpListener::from_std(listener).unwrap());
    let mut open = shared.open.subscribe();
    loop {
        if !*open.borrow_and_update() {
            listener = None;
            if open.wait_for(|open| *open).await.is_err() {
                return;
            }
        }
        let socket = match &listener {
            Some(listener) => tokio::select! {
                taken = listener.accept() => taken.ok(),
                _ = open.changed() => None,
            },
            None => {
                listener = tokio::net::TcpListener::bind(address).await.ok();
                tokio::time::sleep(Duration::from_millis(5)).await;
                None
            }
        };
        let Some((socket, _)) = socket else { continue };
        socket.set_nodelay(true).ok();
        // It is cut, or it came too late: the port is closed before the connections are cut.
        let mut cut = shared.cut.subscribe();
        if !*shared.open.borrow() {
            continue;
        }
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let answer = |request| answer(Arc::clone(&shared), request);
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), hyper::service::service_fn(answer));
            tokio::select! {
                // A client that goes away is none of our business.
                _ = connection => {}
                _ = cut.changed() => {}
            }
        });
    }
}

fn refusal(status: &Status) -> Response<Body> {
    let mut response = reply(status.code, &status.body());
    if let Some(after) = status.details["retryAfterSeconds"].as_u64() {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, after.into());
    }
    response
}

fn word(headers: &HeaderMap, name: header::HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("").to_owned()
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, LONGEST).collect().await;
    let Ok(body) = body else {
        return Ok(refusal(&Status::plain(
            413,
            "RequestEntityTooLarge",
            "limit is 3145728",
        )));
    };
    let body = body.to_bytes();
    let path = head.uri.path().trim_end_matches('/');
    if let Some(open) = discovery::health(path) {
        return Ok(open);
    }
    let token = word(&head.headers, header::AUTHORIZATION);
    if token != format!("Bearer {TOKEN}") {
        return Ok(refusal(&Status::unauthorized()));
    }
    let metrics = shared.lock().metrics;
    let operation = Operation::read(&head.method, &head.uri)
        .filter(|operation| metrics || operation.kind.group != "metrics.k8s.io");
    let Some(operation) = operation else {
        let fault = shared.lock().faults.hit("get", "");
        return match fault {
            Some(Fault::Drop | Fault::DropAfter) => Err(Dropped),
            Some(Fault::Code(code)) => Ok(refusal(&Status::faulty(code))),
            Some(Fault::Slow(time)) => {
                tokio::time::sleep(time).await;
                Ok(discovery::answer(path, metrics))
            }
            _ => Ok(discovery::answer(path, metrics)),
        };
    };
    let content_type = word(&head.headers, header::CONTENT_TYPE);
    let (at, fault) = {
        let mut state = shared.lock();
        state.access.push(Access {
            verb: operation.verb,
            resource: operation.resource(),
            namespace: operation.namespace.clone(),
            name: operation.name.clone(),
            query: head.uri.query().unwrap_or("").to_owned(),
            content_type: content_type.clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            code: 0,
        });
        let fault = state.faults.hit(operation.verb, &operation.resource());
        (state.access.len() - 1, fault)
    };
    let call = Call {
        operation: &operation,
        content_type: &content_type,
        accept: &word(&head.headers, header::ACCEPT),
        user_agent: &word(&head.headers, header::USER_AGENT),
        body: &body,
    };
    let answer = match fault {
        Some(Fault::Drop) => return Err(Dropped),
        Some(Fault::Code(409)) => Err(Status::modified(operation.kind, &operation.name)),
        Some(Fault::Code(code)) => Err(Status::faulty(code)),
        Some(Fault::Gone) if operation.verb == "watch" => Ok(watch::gone(&shared)),
        _ => handle(&shared, &call),
    };
    let response = answer.unwrap_or_else(|status| refusal(&status));
    if let Some(access) = shared.lock().access.get_mut(at) {
        access.code = response.status().as_u16();
    }
    match fault {
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::DropAfter) => return Err(Dropped),
        _ => {}
    }
    Ok(response)
}

fn handle(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    shared.lock().rights.check(operation, operation.verb)?;
    let by_name = !operation.name.is_empty();
    match (
        operation.kind.group,
        operation.kind.plural,
        operation.sub.as_str(),
        operation.verb,
    ) {
        ("metrics.k8s.io", _, "", "get" | "list") => metrics::answer(shared, call),
        ("authorization.k8s.io", _, "", "create") => sub::review(shared, call),
        ("metrics.k8s.io" | "authorization.k8s.io", ..) => Err(Status::method_not_allowed()),
        (_, "pods", "log", "get") => log::answer(shared, call),
        (_, "pods", "eviction", "create") => sub::evict(shared, call),
        (.., "scale", "get" | "update" | "patch") if operation.kind.scale => {
            sub::scale(shared, call)
        }
        (.., "status", _) if !operation.kind.status => Err(Status::no_resource()),
        (.., "" | "status", "get") => read::get(shared, call),
        (.., "", "watch") => watch::answer(shared, call),
        (.., "", "list") => read::list(shared, call),
        // What is left are writes: a collection takes some, an object the others.
        (.., "", "create") if by_name => Err(Status::method_not_allowed()),
        (.., "" | "status", "update" | "patch") if by_name => change::answer(shared, call),
        (.., "", "update" | "patch") | (.., "status", _) => Err(Status::method_not_allowed()),
        (.., "", _) => change::answer(shared, call),
        _ => Err(Status::no_resource()),
    }
}
