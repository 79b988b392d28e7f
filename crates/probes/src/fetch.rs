//! One HTTP question with bounds: how long it may take, and how much is read.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::{Request, Response};

use super::ProbeErrorKind as Kind;
use super::http::{HttpClient, client};
use treasury_domain::causes;
use treasury_domain::timeline::cut;

/// Why there is no answer.
pub(super) struct NoAnswer {
    /// At which step.
    pub(super) kind: Kind,
    /// What happened, to follow a name: `can't be reached (…)`.
    pub(super) what: String,
}

/// Asks; connections are kept.
pub(super) struct Fetch {
    client: HttpClient,
    most: usize,
}

impl Fetch {
    /// Reads answers of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            client: client(),
            most,
        }
    }

    /// The answer with its whole body, whatever its status.
    pub(super) async fn send(
        &self,
        request: Request<String>,
        timeout: Duration,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let asked = async {
            let answer = self.client.request(request).await.map_err(|error| {
                let causes = causes(&error);
                let kind = if causes.contains("lookup") || causes.contains("resolve") {
                    Kind::Resolve
                } else if causes.contains("certificate") {
                    Kind::Tls
                } else {
                    Kind::Connect
                };
                NoAnswer {
                    kind,
                    what: format!("can't be reached ({})", cut(&causes, 200)),
                }
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, self.most).collect().await;
            let body = body.map_err(|_| NoAnswer {
                kind: Kind::Failed,
                what: format!("the answer is over {} MiB or broke off", self.most >> 20),
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(timeout, asked)
            .await
            .unwrap_or_else(|_| {
                Err(NoAnswer {
                    kind: Kind::Timeout,
                    what: format!("did not answer within {} s", timeout.as_secs()),
                })
            })
    }
}
