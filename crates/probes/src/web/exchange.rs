//! The HTTP of a hop: one GET over a stream that is already there, every part of it bounded.

use std::sync::{Arc, OnceLock};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::io::InspectReader;
use url::Url;

use super::attempt::{Attempt, Bounds, Problem, Step, late, ms, within};
use super::headers::printable;
use crate::ProbeErrorKind;

/// Of a body no more is read, bytes.
const MAX_BODY: u64 = 2 * 1024 * 1024;
/// The head of an answer may be this big, bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Who asks.
const USER_AGENT: &str = concat!("treasury-bot/", env!("CARGO_PKG_VERSION"));

pub(super) async fn talk<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    bounds: Bounds<'_>,
    attempt: &mut Attempt,
) -> Result<(), Problem>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let first = Arc::new(OnceLock::new());
    let noted = Arc::clone(&first);
    // Headers can come long before they are whole.
    let watched = InspectReader::new(stream, move |read: &[u8]| {
        if !read.is_empty() {
            noted.get_or_init(Instant::now);
        }
    });
    let handshake = hyper::client::conn::http1::Builder::new()
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(watched));
    let (mut sender, connection) = within(Step::FirstByte, bounds, handshake)
        .await?
        .map_err(|error| broken(&error))?;
    // Drives the connection; its error is told to the request as well. Ends with this function.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let sent = Instant::now();
    let answer = within(Step::Head, bounds, sender.send_request(request)).await;
    let first = first.get().copied();
    let check = &mut attempt.check;
    check.first_byte_ms = first.map(|at: Instant| ms(at.saturating_duration_since(sent)));
    let answer = match answer {
        Ok(answer) => answer.map_err(|error| broken(&error))?,
        Err(_) if first.is_none() => return Err(late(Step::FirstByte, bounds)),
        Err(problem) => return Err(problem),
    };
    let (parts, body) = Response::into_parts(answer);
    check.http_version = Some(format!("{:?}", parts.version));
    attempt.head = Some(Response::from_parts(parts, ()));
    // Nobody reads the body of a redirect.
    if attempt.location().is_some() {
        return Ok(());
    }
    read(body, bounds, attempt).await
}

/// The request for an address, with the cookies that belong to it.
pub(super) fn request(
    url: &Url,
    cookies: Option<String>,
) -> Result<Request<Empty<Bytes>>, Problem> {
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let mut request = Request::get(&url[url::Position::BeforePath..url::Position::AfterQuery]);
    if let Some(cookies) = cookies {
        request = request.header("Cookie", cookies);
    }
    request
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

async fn read(
    mut body: Incoming,
    bounds: Bounds<'_>,
    attempt: &mut Attempt,
) -> Result<(), Problem> {
    let check = &mut attempt.check;
    loop {
        let frame = within(Step::Body, bounds, body.frame()).await?;
        match frame {
            None => {
                check.body_complete = true;
                return Ok(());
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    check.body_bytes += data.len() as u64;
                }
                if check.body_bytes >= MAX_BODY {
                    check.body_complete = check.body_bytes == MAX_BODY && body.is_end_stream();
                    check.body_bytes = MAX_BODY;
                    return Ok(());
                }
            }
            Some(Err(error)) => {
                return Err(Problem::new(
                    ProbeErrorKind::Failed,
                    format!(
                        "the body broke off after {} bytes ({})",
                        check.body_bytes,
                        printable(&error.to_string(), 120)
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
        format!(
            "the connection broke ({})",
            printable(&error.to_string(), 120)
        )
    };
    Problem::new(ProbeErrorKind::Failed, text)
}
