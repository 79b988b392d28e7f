//! Just enough of an HTTP/1.1 client to POST to a bot on this machine, and Slack's signature.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::workspace::unix_seconds;

pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const JSON: &str = "application/json";
/// An answer longer than this is cut off.
const ANSWER: u64 = 1024 * 1024;

/// The answer to a POST.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The two headers by which a bot knows Slack: `v0=` HMAC-SHA256 of `v0:time:body`.
pub(super) fn signature(secret: &str, body: &str) -> Vec<(String, String)> {
    let at = unix_seconds().to_string();
    vec![
        ("X-Slack-Signature".to_string(), sign(secret, &at, body)),
        ("X-Slack-Request-Timestamp".to_string(), at),
    ]
}

fn sign(secret: &str, at: &str, body: &str) -> String {
    // An HMAC key may have any length, so the error cannot happen.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    for part in ["v0:", at, ":", body] {
        mac.update(part.as_bytes());
    }
    let digest = mac.finalize().into_bytes();
    digest
        .iter()
        .fold("v0=".to_string(), |out, byte| out + &format!("{byte:02x}"))
}

/// POSTs to a `http://` address on loopback and reads the whole answer.
pub(super) async fn post(
    address: &str,
    content_type: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<Answer> {
    let url = url::Url::parse(address).map_err(|e| invalid(&e.to_string()))?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(invalid("an address without a host"));
    };
    let target = loopback(url.scheme(), host, port)?;
    let mut tcp = TcpStream::connect(target).await?;
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\n\
         Accept: */*\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n",
        url.path(),
        body.len(),
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    tcp.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    tcp.take(ANSWER).read_to_end(&mut raw).await?;
    parse(&raw)
}

fn loopback(scheme: &str, host: &str, port: u16) -> io::Result<SocketAddr> {
    let ip: IpAddr = match host.trim_matches(['[', ']']) {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host
            .parse()
            .map_err(|_| invalid("the bot must be on this machine"))?,
    };
    if scheme != "http" || !ip.is_loopback() {
        return Err(invalid("the sandbox POSTs to plain HTTP on loopback only"));
    }
    Ok(SocketAddr::from((ip, port)))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn parse(raw: &[u8]) -> io::Result<Answer> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
    let end = raw
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&raw[..end]);
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .ok_or_else(broken)?;
    let status = status.parse().map_err(|_| broken())?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
        .collect();
    let mut answer = Answer {
        status,
        headers,
        body: String::new(),
    };
    let body = &raw[end + 4..];
    let body = match answer
        .header("content-length")
        .and_then(|n| n.parse::<usize>().ok())
    {
        Some(length) if body.len() < length => return Err(io::ErrorKind::UnexpectedEof.into()),
        _ if answer.header("transfer-encoding") == Some("chunked") => unchunk(body)?,
        _ => body.to_vec(),
    };
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Ok(answer)
}

fn unchunk(mut body: &[u8]) -> io::Result<Vec<u8>> {
    let cut_short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut out = Vec::new();
    loop {
        let end = body
            .windows(2)
            .position(|w| w == b"\r\n")
            .ok_or_else(cut_short)?;
        let size = std::str::from_utf8(&body[..end])
            .ok()
            .and_then(|s| s.split(';').next());
        let size = size
            .and_then(|s| usize::from_str_radix(s.trim(), 16).ok())
            .ok_or_else(cut_short)?;
        if size == 0 {
            return Ok(out);
        }
        out.extend_from_slice(body.get(end + 2..end + 2 + size).ok_or_else(cut_short)?);
        body = body.get(end + 4 + size..).ok_or_else(cut_short)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_slacks_documentation() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
                    &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
                    &command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2F\
                    commands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                    &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        assert_eq!(
            sign("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", body),
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
        );
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (200, "ok"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap().body, "ok");
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").is_err());
        assert!(parse(b"").is_err());
    }

    #[test]
    fn other_machines_are_refused() {
        assert!(loopback("http", "127.0.0.1", 80).is_ok());
        assert!(loopback("http", "[::1]", 80).is_ok());
        assert!(loopback("http", "10.0.0.1", 80).is_err());
        assert!(loopback("http", "hooks.example", 80).is_err());
        assert!(loopback("https", "127.0.0.1", 443).is_err());
    }
}
