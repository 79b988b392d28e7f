//! One HTTP question whose headers matter too.

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::finding::{Fault, Limit};
use crate::domain::causes;
use crate::probe;

/// So much of an answer is read, bytes.
const MOST: usize = 4 << 20;

/// Asks over HTTP; no redirect is followed.
#[derive(Clone)]
pub(super) struct Wire {
    client: Client<HttpsConnector<HttpConnector>, String>,
    limit: Limit,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Wire {
    pub(super) fn new(limit: Limit) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(probe::connector());
        Self { client, limit }
    }

    pub(super) async fn send(&self, request: Request<String>) -> Result<Answer, Fault> {
        let fault = |what| Fault { what, hint: None };
        let asked = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| fault(format!("no answer: {}", causes(&error))))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MOST).collect().await;
            let body = body.map_err(|error| fault(format!("the answer broke off: {error}")))?;
            Ok::<_, Fault>(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        self.limit.ask(asked).await
    }

    pub(super) async fn get(&self, url: &str) -> Result<Answer, Fault> {
        let request = Request::get(url).body(String::new());
        let request = request.map_err(|error| Fault {
            what: format!("`{url}` is no address: {error}"),
            hint: None,
        })?;
        self.send(request).await
    }
}

impl Answer {
    /// The other side's clock, as its header tells it.
    pub(super) fn clock(&self) -> Option<Timestamp> {
        let date = self.headers.get(hyper::header::DATE)?.to_str().ok()?;
        Some(rfc2822::parse(date).ok()?.timestamp())
    }
}
