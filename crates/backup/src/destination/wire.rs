//! How an S3 store is reached: by the client that everything else of ours goes by.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use tokio::time::{Instant, Sleep};

/// An answer must begin within this time, what was sent with the question included (a part, say), and go on.
const PATIENCE: Duration = Duration::from_secs(120);

/// Connects by the system's certificate authorities. Clones share connections.
#[derive(Clone, Debug)]
pub(super) struct Wire(Client<HttpsConnector<Tcp>, HttpRequestBody>);

impl Wire {
    pub(super) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build(treasury_probes::connector()))
    }
}

impl HttpConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = tokio::time::timeout(PATIENCE, self.0.request(request)).await;
        let answer = answer
            .map_err(|_| silent())?
            .map_err(|error| HttpError::new(kind(&error, error.is_connect()), error))?;
        Ok(answer.map(|body| {
            HttpResponseBody::new(Patient {
                body,
                until: Box::pin(tokio::time::sleep(PATIENCE)),
            })
        }))
    }
}

/// Whether it may be asked again depends on this.
fn kind(error: &(dyn Error + 'static), connecting: bool) -> HttpErrorKind {
    if connecting {
        return HttpErrorKind::Connect;
    }
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let known = causes.find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && (error.is_closed() || error.is_incomplete_message() || error.is_canceled())
        {
            return Some(HttpErrorKind::Request);
        }
        cause
            .downcast_ref::<std::io::Error>()
            .map(|_| HttpErrorKind::Interrupted)
    });
    known.unwrap_or(HttpErrorKind::Unknown)
}

fn silent() -> HttpError {
    let seconds = PATIENCE.as_secs();
    let why = std::io::Error::other(format!("no word for {seconds} s"));
    HttpError::new(HttpErrorKind::Timeout, why)
}

/// An answer's body, which must go on.
struct Patient {
    body: Incoming,
    until: Pin<Box<Sleep>>,
}

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.until.as_mut().reset(Instant::now() + PATIENCE);
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))
            }));
        }
        let over = self.until.as_mut().poll(context);
        over.map(|()| Some(Err(silent())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
