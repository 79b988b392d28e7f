//! One request, step by step (name, address, TLS, answer), with the time of each.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::attempt::{Attempt, Bounds, Problem, Step, late, ms_since, within};
use super::exchange::{request, talk};
use super::headers::printable;
use super::offer;
use super::tls::connection;
use crate::ProbeErrorKind;

/// Addresses of a name that are told.
const MAX_ADDRESSES: usize = 8;
/// So many addresses of a name are tried.
const MAX_TRIED: usize = 4;
/// A name has to be resolved within this time.
const DNS_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks once. The name is resolved once, and what it resolved to is what is judged and connected to.
pub(super) async fn ask(url: &Url, cookies: Option<String>, bounds: Bounds<'_>) -> Attempt {
    let started = Instant::now();
    let mut attempt = Attempt::default();
    if let Err(problem) = steps(url, cookies, bounds, &mut attempt).await {
        attempt.problem = Some(problem);
    }
    attempt.check.total_ms = Some(ms_since(started));
    attempt
}

/// Connects, by TLS where the address says so, and says nothing.
pub(super) async fn knock(url: &Url, bounds: Bounds<'_>) -> Attempt {
    let mut attempt = Attempt::default();
    if let Err(problem) = reach(url, bounds, &mut attempt).await.map(drop) {
        attempt.problem = Some(problem);
    }
    attempt
}

/// A connection over which nothing was said yet.
enum Reached {
    Plain(TcpStream),
    Encrypted(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn steps(
    url: &Url,
    cookies: Option<String>,
    bounds: Bounds<'_>,
    attempt: &mut Attempt,
) -> Result<(), Problem> {
    let reached = reach(url, bounds, attempt).await?;
    let request = request(url, cookies)?;
    match reached {
        Reached::Plain(stream) => talk(stream, request, bounds, attempt).await,
        Reached::Encrypted(stream) => talk(*stream, request, bounds, attempt).await,
    }
}

async fn reach(url: &Url, bounds: Bounds<'_>, attempt: &mut Attempt) -> Result<Reached, Problem> {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(Problem::new(
            ProbeErrorKind::Unsupported,
            "the URL names no host",
        ));
    };
    let host = host.to_owned();
    let addresses = resolve(&host, port, bounds, attempt).await?;
    for address in &addresses {
        // One private address among public ones is enough for a no: nobody needs such a name.
        if let Err(error) = bounds.guard.address(&host, port, address.ip()) {
            let problem = Problem::new(error.kind, error.what.clone());
            attempt.refused = Some(error);
            return Err(problem);
        }
    }
    let found = addresses.iter().take(MAX_ADDRESSES);
    attempt.check.addresses = found.map(|address| address.ip().to_string()).collect();
    let stream = connect(&addresses, bounds, attempt).await?;
    if url.scheme() == "https" {
        let stream = encrypt(stream, &host, bounds, attempt).await?;
        Ok(Reached::Encrypted(Box::new(stream)))
    } else {
        Ok(Reached::Plain(stream))
    }
}

async fn resolve(
    host: &Host<String>,
    port: u16,
    bounds: Bounds<'_>,
    attempt: &mut Attempt,
) -> Result<Vec<SocketAddr>, Problem> {
    let name = match host {
        Host::Ipv4(ip) => return Ok(vec![SocketAddr::new(IpAddr::V4(*ip), port)]),
        Host::Ipv6(ip) => return Ok(vec![SocketAddr::new(IpAddr::V6(*ip), port)]),
        Host::Domain(name) => name,
    };
    let started = Instant::now();
    let own = started + DNS_TIMEOUT;
    let lookup = tokio::net::lookup_host((name.as_str(), port));
    let found = if own < bounds.deadline {
        timeout_at(own, lookup).await.map_err(|_| {
            Problem::new(
                ProbeErrorKind::Timeout,
                format!("DNS did not answer for {name} within 5 s"),
            )
        })?
    } else {
        within(Step::Dns, bounds, lookup).await?
    };
    attempt.check.dns_ms = Some(ms_since(started));
    let no_address = |why: &str| {
        Problem::new(
            ProbeErrorKind::Resolve,
            format!("{name} has no address{why}"),
        )
    };
    let found =
        found.map_err(|error| no_address(&format!(" ({})", printable(&error.to_string(), 120))))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(no_address(""));
    }
    Ok(addresses)
}

/// Tries the addresses in turn; one that is silent may use up only its share of the time.
async fn connect(
    addresses: &[SocketAddr],
    bounds: Bounds<'_>,
    attempt: &mut Attempt,
) -> Result<TcpStream, Problem> {
    let tried = &addresses[..addresses.len().min(MAX_TRIED)];
    let mut last = late(Step::Connect, bounds);
    for (index, address) in tried.iter().enumerate() {
        let started = Instant::now();
        let rest = bounds.deadline.saturating_duration_since(started);
        let share = match tried.len() - index {
            1 => rest,
            left => rest / (left as u32),
        };
        match timeout_at(started + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                attempt.check.connect_ms = Some(ms_since(started));
                attempt.check.address = Some(address.to_string());
                // Small requests go out at once; without it only the times are worse.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => {
                let why = match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
                    _ => printable(&error.to_string(), 120),
                };
                last = Problem::new(
                    ProbeErrorKind::Connect,
                    format!("no connection to {address}: {why}"),
                );
            }
            Err(_) => last = late(Step::Connect, bounds),
        }
    }
    Err(last)
}

async fn encrypt(
    stream: TcpStream,
    host: &Host<String>,
    bounds: Bounds<'_>,
    attempt: &mut Attempt,
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
    let (config, recorder) = connection(bounds.roots).map_err(|error| failed(error.to_string()))?;
    let peer = stream.peer_addr();
    let started = Instant::now();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let shaken = within(Step::Tls, bounds, connector.connect(name.clone(), stream)).await;
    attempt.check.certificate = recorder.certificate();
    let stream = match (shaken?, peer) {
        (Ok(stream), _) => stream,
        (Err(error), Ok(peer)) if attempt.check.certificate.is_none() => {
            let offer = within(Step::Tls, bounds, offer::of(peer, &name, bounds.roots)).await;
            let Some(offer) = offer.ok().flatten().filter(|one| one.explains(&error)) else {
                return Err(failed(printable(&error.to_string(), 200)));
            };
            let problem = offer.problem();
            attempt.check.certificate = offer.certificate;
            return Err(problem);
        }
        (Err(error), _) => return Err(failed(printable(&error.to_string(), 200))),
    };
    attempt.check.tls_ms = Some(ms_since(started));
    let (_, session) = stream.get_ref();
    if let Some(certificate) = &mut attempt.check.certificate {
        certificate.tls_version = session
            .protocol_version()
            .map_or(String::new(), offer::version);
        certificate.cipher = session
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()))
            .unwrap_or_default();
    }
    Ok(stream)
}
