//! One request, step by step (name, address, TLS, answer), with the time of each.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::answer::Certificate;
use super::delivery;
use super::exchange::talk;
use super::guard::Guard;
use super::headers::told;
use super::tls::Roots;
use crate::ProbeErrorKind;

/// So many addresses of a name are tried.
const MAX_TRIED: usize = 4;
/// A name has to be resolved within this time.
const DNS_TIMEOUT: Duration = Duration::from_secs(5);
/// What a request stands on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) guard: &'a Guard,
    pub(super) roots: &'a Roots,
    /// All has to be over by then.
    pub(super) deadline: Instant,
    /// The whole time there was, for the words about a time-out.
    pub(super) timeout: Duration,
}

/// What went wrong, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: ProbeErrorKind,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn new(kind: ProbeErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: hyper::StatusCode,
    pub(super) version: String,
    pub(super) headers: HeaderMap,
}

/// As far as a request came.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) address: Option<SocketAddr>,
    pub(super) dns: Option<Duration>,
    pub(super) connect: Option<Duration>,
    pub(super) tls: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    pub(super) total: Duration,
    pub(super) certificate: Option<Certificate>,
    pub(super) head: Option<Head>,
    pub(super) body_bytes: u64,
    pub(super) body_complete: bool,
    pub(super) problem: Option<Problem>,
    /// The guard said no: nothing was connected to.
    pub(super) refused: Option<crate::ProbeError>,
}

impl Asked {
    /// Where the answer leads, if it is a redirect.
    pub(super) fn location(&self) -> Option<String> {
        let head = self.head.as_ref()?;
        delivery::redirect(head.status.as_u16(), &head.headers)
    }
}

/// Where a request is while it waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Dns,
    Connect,
    Tls,
    FirstByte,
    Head,
    Body,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "resolving the name (DNS)",
            Self::Connect => "connecting",
            Self::Tls => "agreeing on TLS",
            Self::FirstByte => "waiting for the first byte",
            Self::Head => "reading the headers",
            Self::Body => "reading the body",
        })
    }
}

/// Asks once. The name is resolved once, and what it resolved to is what is judged and connected to.
pub(super) async fn ask(url: &Url, way: Way<'_>) -> Asked {
    let started = Instant::now();
    let mut asked = Asked::default();
    if let Err(problem) = steps(url, way, &mut asked).await {
        asked.problem = Some(problem);
    }
    asked.total = started.elapsed();
    asked
}

async fn steps(url: &Url, way: Way<'_>, asked: &mut Asked) -> Result<(), Problem> {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(Problem::new(
            ProbeErrorKind::Unsupported,
            "the URL names no host",
        ));
    };
    let host = host.to_owned();
    let addresses = resolve(&host, port, way, asked).await?;
    for address in &addresses {
        // One private address among public ones is enough for a no: nobody needs such a name.
        if let Err(error) = way.guard.address(&host, port, address.ip()) {
            let problem = Problem::new(error.kind, error.what.clone());
            asked.refused = Some(error);
            return Err(problem);
        }
    }
    asked.addresses = addresses.iter().map(SocketAddr::ip).collect();
    let stream = connect(&addresses, way, asked).await?;
    if url.scheme() == "https" {
        let stream = encrypt(stream, &host, way, asked).await?;
        talk(stream, url, way, asked).await
    } else {
        talk(stream, url, way, asked).await
    }
}

/// Waits for a step at most until the deadline.
pub(super) async fn within<T>(
    step: Step,
    way: Way<'_>,
    work: impl Future<Output = T>,
) -> Result<T, Problem> {
    timeout_at(way.deadline, work)
        .await
        .map_err(|_| late(step, way))
}

pub(super) fn late(step: Step, way: Way<'_>) -> Problem {
    Problem::new(
        ProbeErrorKind::Timeout,
        format!(
            "no answer within {} s; the time ran out while {step}",
            way.timeout.as_secs_f64()
        ),
    )
}

async fn resolve(
    host: &Host<String>,
    port: u16,
    way: Way<'_>,
    asked: &mut Asked,
) -> Result<Vec<SocketAddr>, Problem> {
    let name = match host {
        Host::Ipv4(ip) => return Ok(vec![SocketAddr::new(IpAddr::V4(*ip), port)]),
        Host::Ipv6(ip) => return Ok(vec![SocketAddr::new(IpAddr::V6(*ip), port)]),
        Host::Domain(name) => name,
    };
    let started = Instant::now();
    let own = started + DNS_TIMEOUT;
    let lookup = tokio::net::lookup_host((name.as_str(), port));
    let found = if own < way.deadline {
        timeout_at(own, lookup).await.map_err(|_| {
            Problem::new(
                ProbeErrorKind::Timeout,
                format!("DNS did not answer for {name} within 5 s"),
            )
        })?
    } else {
        within(Step::Dns, way, lookup).await?
    };
    asked.dns = Some(started.elapsed());
    let mut addresses: Vec<SocketAddr> = Vec::new();
    match found {
        Ok(found) => {
            for address in found {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Err(error) => {
            return Err(Problem::new(
                ProbeErrorKind::Resolve,
                format!("{name} has no address ({})", told(&error.to_string(), 120)),
            ));
        }
    }
    if addresses.is_empty() {
        return Err(Problem::new(
            ProbeErrorKind::Resolve,
            format!("{name} has no address"),
        ));
    }
    Ok(addresses)
}

/// Tries the addresses in turn; one that is silent may use up only its share of the time.
async fn connect(
    addresses: &[SocketAddr],
    way: Way<'_>,
    asked: &mut Asked,
) -> Result<TcpStream, Problem> {
    let tried = &addresses[..addresses.len().min(MAX_TRIED)];
    let mut last = late(Step::Connect, way);
    for (index, address) in tried.iter().enumerate() {
        let started = Instant::now();
        let rest = way.deadline.saturating_duration_since(started);
        let share = match tried.len() - index {
            1 => rest,
            left => rest / (left as u32),
        };
        match timeout_at(started + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                asked.connect = Some(started.elapsed());
                asked.address = Some(*address);
                // Small requests go out at once; without it only the times are worse.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => {
                let why = match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
                    _ => told(&error.to_string(), 120),
                };
                last = Problem::new(
                    ProbeErrorKind::Connect,
                    format!("no connection to {address}: {why}"),
                );
            }
            Err(_) => last = late(Step::Connect, way),
        }
    }
    Err(last)
}

async fn encrypt(
    stream: TcpStream,
    host: &Host<String>,
    way: Way<'_>,
    asked: &mut Asked,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Problem> {
    let failed = |why: String| Problem::new(ProbeErrorKind::Tls, format!("no TLS: {why}"));
    let name = match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            ServerName::try_from(name).map_err(|error| failed(error.to_string()))?
        }
        Host::Ipv4(ip) => ServerName::from(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => ServerName::from(IpAddr::V6(*ip)),
    };
    let (config, recorder) = way
        .roots
        .connection()
        .map_err(|error| failed(error.to_string()))?;
    let started = Instant::now();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let shaken = within(Step::Tls, way, connector.connect(name, stream)).await;
    asked.certificate = recorder.certificate(Timestamp::now());
    let stream = shaken?.map_err(|error| failed(told(&error.to_string(), 200)))?;
    asked.tls = Some(started.elapsed());
    let (_, session) = stream.get_ref();
    if let Some(certificate) = &mut asked.certificate {
        certificate.tls_version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            other => format!("{other:?}"),
        };
        certificate.cipher = session
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()))
            .unwrap_or_default();
    }
    Ok(stream)
}
