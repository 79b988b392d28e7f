//! What handlers are asked and what they answer.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Response, header};
use serde_json::{Value, json};

use crate::event;
use crate::path::Operation;
use crate::select::{Fields, Labels};
use crate::status::Status;

/// What a handler makes: a body with its type, or a refusal.
pub type Answer = Result<Response<Body>, Status>;

/// A JSON answer.
pub fn reply(code: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// A request with what its headers say.
pub struct Call<'a> {
    pub operation: &'a Operation,
    pub content_type: &'a str,
    pub accept: &'a str,
    pub user_agent: &'a str,
    pub body: &'a [u8],
}

impl Call<'_> {
    /// The body as JSON; an empty object where there is none.
    pub fn json(&self) -> Result<Value, Status> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(self.body).map_err(|error| {
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): couldn't get \
                 version/kind; json parse error: {error}",
                self.operation.kind.kind
            ))
        })
    }

    /// Who is told to own the fields that this writes.
    pub fn manager(&self) -> String {
        match self.operation.word("fieldManager") {
            "" => {
                let product = self.user_agent.split('/').next().unwrap_or("");
                let product = if product.is_empty() {
                    "unknown"
                } else {
                    product
                };
                product.to_owned()
            }
            manager => manager.to_owned(),
        }
    }

    pub fn dry_run(&self) -> bool {
        self.operation.word("dryRun") == "All"
    }
}

/// An object as this request's group and version show it.
pub fn shown(operation: &Operation, object: &Value) -> Value {
    if operation.kind.group == "events.k8s.io" {
        event::to_new(object)
    } else {
        object.clone()
    }
}

/// A body out of lines that come when they come.
pub fn stream(
    mut lines: tokio::sync::mpsc::Receiver<String>,
    content_type: &str,
) -> Response<Body> {
    use futures_util::{StreamExt, stream};
    let lines = stream::poll_fn(move |cx| lines.poll_recv(cx)).map(Ok::<_, Infallible>);
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from_stream(lines))
        .unwrap()
}

/// Both selectors of a request.
pub struct Selectors {
    pub labels: Labels,
    pub fields: Fields,
}

impl Selectors {
    pub fn of(call: &Call<'_>) -> Result<Self, Status> {
        let operation = call.operation;
        Ok(Self {
            labels: Labels::parse(operation.word("labelSelector"))?,
            fields: Fields::parse(operation.word("fieldSelector"), operation.kind.plural)?,
        })
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

/// Only the metadata was asked for.
pub fn metadata_only(accept: &str) -> bool {
    accept.contains("as=PartialObjectMetadata")
}

/// The object as it was asked for.
pub fn form(call: &Call<'_>, object: &Value) -> Value {
    let object = shown(call.operation, object);
    if !metadata_only(call.accept) {
        return object;
    }
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}
