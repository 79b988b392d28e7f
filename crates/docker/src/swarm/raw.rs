//! Requests and answers as they are.
//!
//! Bollard's models drop what they don't know: what a service was before (`PreviousSpec`), and any
//! setting that is newer than they are. A description that is sent back without it would be a
//! change that nobody asked for. So services are read and written as plain JSON, on bollard's
//! connection and with its errors: its call for a stream of bytes is turned to another address.

use bollard::BollardRequest;
use bollard::errors::Error;
use futures_util::TryStreamExt;
use hyper::{Method, Uri};
use serde_json::Value;

use super::super::engine::{ASK, Engine};
use treasury_ports::platform::PlatformError;

/// The most bytes of an answer.
const MOST: usize = 16 << 20;

/// Asks for what is at this path.
pub(super) async fn get(engine: &Engine, what: &str, path: &str) -> Result<Value, PlatformError> {
    call(engine, what, Method::GET, path, None).await
}

/// Sends this to a path.
pub(super) async fn post(
    engine: &Engine,
    what: &str,
    path: &str,
    body: &Value,
) -> Result<Value, PlatformError> {
    call(engine, what, Method::POST, path, Some(body.to_string())).await
}

async fn call(
    engine: &Engine,
    what: &str,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<Value, PlatformError> {
    let path = path.to_owned();
    let turn = move |request: BollardRequest| {
        let (mut parts, _) = request.into_parts();
        let mut uri = parts.uri.clone().into_parts();
        uri.path_and_query = path.parse().ok();
        // A path that is none leads to the address that bollard meant, which knows no such container.
        if let Ok(uri) = Uri::from_parts(uri) {
            parts.uri = uri;
        }
        parts.method = method.clone();
        let body = body.clone().unwrap_or_default();
        BollardRequest::from_parts(parts, bollard::body_full(body.into()))
    };
    let client = engine.client()?.clone().with_request_modifier(turn);
    let answer = async {
        let mut stream = std::pin::pin!(client.export_container("-"));
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST {
                let message = format!("an answer of more than {MOST} bytes");
                return Err(Error::IOError {
                    err: std::io::Error::other(message),
                });
            }
        }
        Ok(serde_json::from_slice(&bytes)?)
    };
    engine.call(what, ASK, answer).await
}
