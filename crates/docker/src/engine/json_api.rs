//! Requests and answers as they are.
//!
//! Bollard's models drop what they don't know: what a service was before (`PreviousSpec`), a
//! container's `MacAddress`, and any setting that is newer than they are. A description that is sent
//! back without it would be a change that nobody asked for. So services and new containers are read
//! and written as plain JSON, on bollard's connection and with its errors: its call for a stream of
//! bytes is turned to another address.

use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error;
use futures_util::TryStreamExt;
use serde_json::Value;

use super::connection::{CHANGE_LIMIT, Engine, QUERY_LIMIT};
use super::error::Result;

/// The most bytes of an answer.
const MAX_BYTES: usize = 16 << 20;

/// Asks for what is at this path.
pub async fn get(engine: &Engine, what: &str, path: &str) -> Result<Value> {
    call(engine, what, QUERY_LIMIT, ("GET", path), String::new()).await
}

/// Sends this to a path.
pub async fn post(engine: &Engine, what: &str, path: &str, body: &Value) -> Result<Value> {
    call(engine, what, CHANGE_LIMIT, ("POST", path), body.to_string()).await
}

async fn call(
    engine: &Engine,
    what: &str,
    limit: Duration,
    (method, path): (&'static str, &str),
    body: String,
) -> Result<Value> {
    let path = path.to_owned();
    let redirect = move |mut request: BollardRequest| {
        let mut uri = request.uri().clone().into_parts();
        uri.path_and_query = path.parse().ok();
        // A path that is none leads to the address that bollard meant, which knows no such container.
        if let (Ok(uri), Ok(method)) = (uri.try_into(), method.parse()) {
            *request.uri_mut() = uri;
            *request.method_mut() = method;
        }
        *request.body_mut() = bollard::body_full(body.clone().into());
        request
    };
    let client = engine.client()?.clone().with_request_modifier(redirect);
    let answer = async {
        let mut stream = std::pin::pin!(client.export_container("-"));
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_BYTES {
                let message = format!("an answer of more than {MAX_BYTES} bytes");
                let err = std::io::Error::other(message);
                return Err(Error::IOError { err });
            }
        }
        Ok(serde_json::from_slice(&bytes)?)
    };
    engine.call(what, limit, answer).await
}
