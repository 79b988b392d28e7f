//! Requests to the demo's own bot, as a sender of alerts or a browser makes them.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    headers: String,
    pub(super) body: String,
}

impl Reply {
    /// The cookies that it sets, as a browser sends them back.
    pub(super) fn cookies(&self) -> String {
        let set = self.headers.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_cookie = name.eq_ignore_ascii_case("set-cookie");
            is_cookie.then(|| {
                value
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            })
        });
        set.collect::<Vec<_>>().join("; ")
    }

    /// The text of the page's heading.
    pub(super) fn heading(&self) -> Option<String> {
        let (_, rest) = self.body.split_once("<h1")?;
        let (_, rest) = rest.split_once('>')?;
        let (inner, _) = rest.split_once("</h1>")?;
        let outside = inner.split('<').map(|part| match part.split_once('>') {
            Some((_, text)) => text,
            None => part,
        });
        Some(outside.collect())
    }
}

/// Asks over a connection of its own. HTTP/1.0: the answer ends with the connection.
pub(super) async fn visit(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> anyhow::Result<Reply> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("{address} gave no whole answer");
    };
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Reply {
        status: status.context("an answer without a status")?,
        headers: head.to_owned(),
        body: body.to_owned(),
    })
}
