//! The HTTP of a hop: one GET over a stream that is already there, every part of it bounded.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use super::headers::told;
use super::hop::{Asked, Head, Problem, Step, Way, late, within};
use crate::ProbeErrorKind;

/// Of a body no more is read, bytes.
const MAX_BODY: u64 = 2 * 1024 * 1024;
/// The head of an answer may be this big, bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Who asks.
const USER_AGENT: &str = concat!("treasury-bot/", env!("CARGO_PKG_VERSION"));

pub(super) async fn talk<S>(
    stream: S,
    url: &Url,
    way: Way<'_>,
    asked: &mut Asked,
) -> Result<(), Problem>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let first = Arc::new(OnceLock::new());
    let watched = Watched {
        stream,
        first: Arc::clone(&first),
    };
    let handshake = hyper::client::conn::http1::Builder::new()
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(watched));
    let (mut sender, connection) = within(Step::FirstByte, way, handshake)
        .await?
        .map_err(|error| broken(&error))?;
    // Drives the connection; its error is told to the request as well. Ends with this function.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = request(url)?;
    let sent = Instant::now();
    let answer = within(Step::Head, way, sender.send_request(request)).await;
    asked.first_byte = first
        .get()
        .map(|at: &Instant| at.saturating_duration_since(sent));
    let answer = match answer {
        Ok(answer) => answer.map_err(|error| broken(&error))?,
        Err(_) if asked.first_byte.is_none() => return Err(late(Step::FirstByte, way)),
        Err(problem) => return Err(problem),
    };
    let (parts, body) = Response::into_parts(answer);
    asked.head = Some(Head {
        status: parts.status,
        version: format!("{:?}", parts.version),
        headers: parts.headers,
    });
    // Nobody reads the body of a redirect.
    if asked.location().is_some() {
        return Ok(());
    }
    read(body, way, asked).await
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, Problem> {
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Request::get(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header("Host", host)
        .header("User-Agent", USER_AGENT)
        .header("Accept", "*/*")
        .header("Accept-Encoding", "br, gzip, zstd")
        .header("Connection", "close")
        .body(Empty::new())
        .map_err(|error| {
            Problem::new(
                ProbeErrorKind::Unsupported,
                format!("this address can't be asked for: {error}"),
            )
        })
}

async fn read(mut body: Incoming, way: Way<'_>, asked: &mut Asked) -> Result<(), Problem> {
    loop {
        let frame = within(Step::Body, way, body.frame()).await?;
        match frame {
            None => {
                asked.body_complete = true;
                return Ok(());
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    asked.body_bytes += data.len() as u64;
                }
                if asked.body_bytes >= MAX_BODY {
                    asked.body_complete = asked.body_bytes == MAX_BODY && body.is_end_stream();
                    asked.body_bytes = MAX_BODY;
                    return Ok(());
                }
            }
            Some(Err(error)) => {
                return Err(Problem::new(
                    ProbeErrorKind::Failed,
                    format!(
                        "the body broke off after {} bytes ({})",
                        asked.body_bytes,
                        told(&error.to_string(), 120)
                    ),
                ));
            }
        }
    }
}

fn broken(error: &hyper::Error) -> Problem {
    let text = if error.is_incomplete_message() {
        "it closed the connection without a whole answer".to_owned()
    } else if error.is_parse_too_large() {
        format!(
            "its headers are too big (more than {} KiB, or more than 100)",
            MAX_HEAD / 1024
        )
    } else if error.is_parse() {
        "what it answered is no HTTP/1.1".to_owned()
    } else {
        format!("the connection broke ({})", told(&error.to_string(), 120))
    };
    Problem::new(ProbeErrorKind::Failed, text)
}

/// A stream that remembers when its first byte came: headers can come long before they are whole.
struct Watched<S> {
    stream: S,
    first: Arc<OnceLock<Instant>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.first.get_or_init(Instant::now);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
