//! Requests that slack-morphism has no form for.

use std::error::Error;
use std::time::{Duration, Instant};

use futures_util::stream::{BoxStream, TryStreamExt};
use http_body_util::StreamBody;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::TokioExecutor;
use slack_morphism::api::SlackApiFilesGetUploadUrlExternalResponse;

use super::client::Client;
use super::error::ApiError;
use crate::telemetry::metrics;

/// The name by which uploads are counted; they are no method.
const UPLOAD: &str = "files.upload";

/// A file's content, piece by piece.
pub(super) type Pieces<E> = BoxStream<'static, Result<Bytes, E>>;

impl Client {
    /// Puts so many bytes where [`Client::upload_url`] said.
    pub(super) async fn upload<E>(
        &self,
        to: SlackApiFilesGetUploadUrlExternalResponse,
        length: usize,
        media_type: &str,
        pieces: Pieces<E>,
    ) -> Result<(), ApiError>
    where
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        let started = Instant::now();
        let request = Request::post(to.upload_url.0.as_str())
            .header(CONTENT_TYPE, media_type)
            .header(CONTENT_LENGTH, length)
            .body(StreamBody::new(pieces.map_ok(Frame::data)))
            .map_err(|error| ApiError::transient(error.to_string(), false))?;
        let result = self.timely(self.send(request)).await.map(|_| ());
        metrics::SLACK_CALL.took(&[], started.elapsed());
        self.state().called(UPLOAD, &result, None);
        let outcome = result.as_ref().err().map_or("ok", ApiError::kind);
        metrics::SLACK_CALLS.count(&[UPLOAD, outcome]);
        result
    }

    /// The answer, if it is HTTP 200.
    pub(super) async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, ApiError>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let http = Http::builder(TokioExecutor::new()).build(self.connector.clone());
        let answer = http.request(request).await.map_err(|error| {
            let what = if error.is_connect() {
                "no connection"
            } else {
                "connection lost"
            };
            ApiError::transient(what, !error.is_connect())
        })?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            429 => {
                let after = answer.headers().get(RETRY_AFTER);
                let after = after.and_then(|text| text.to_str().ok()?.parse().ok());
                let after = Duration::from_secs(after.unwrap_or(30));
                Err(ApiError::RateLimited { after })
            }
            status => Err(ApiError::transient(format!("HTTP {status}"), true)),
        }
    }
}
