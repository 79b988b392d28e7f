//! A small server that does what its script says, over TCP or TLS.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What a server does with each connection.
#[derive(Debug, Clone)]
pub enum Script {
    /// Reads the request and writes these bytes, whatever was asked for.
    Once(String),
    /// (path and query, status, location); anything else is `200`.
    Redirects(Vec<(&'static str, &'static str, String)>),
    /// Accepts, and says nothing.
    Silent,
    /// Writes headers byte by byte without end.
    Dripping,
    /// A body of so many bytes.
    Big(usize),
}

/// An HTTP answer.
pub fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let length = format!("Content-Length: {}", body.len());
    let lines = [&[&length, "Connection: close"], headers].concat();
    format!("HTTP/1.1 {status}\r\n{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// Runs until it is dropped.
pub struct Server {
    port: u16,
    tls: bool,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Over TCP.
    pub async fn plain(script: Script) -> Self {
        Self::start(script, None).await
    }

    /// Over TLS.
    pub async fn tls(script: Script, config: ServerConfig) -> Self {
        Self::start(script, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start(script: Script, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let tls = acceptor.is_some();
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, acceptor, seen) = (script.clone(), acceptor.clone(), seen.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => play(script, stream, &seen).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => play(script, stream, &seen).await,
                            Err(error) => println!("the stub's TLS: {error}"),
                        },
                    }
                });
            }
        });
        Self {
            port,
            tls,
            asked,
            task,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play<S>(script: Script, mut stream: S, seen: &Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // A TLS greeting is no request and has no such end.
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
        if head[0] == 0x16 && !matches!(script, Script::Silent) {
            break;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap().push(head);
    // The prober may hang up at any time: that it does is what some tests are about.
    let _ = match script {
        Script::Once(bytes) => finish(&mut stream, bytes.as_bytes()).await,
        Script::Redirects(steps) => {
            let bytes = match steps.iter().find(|(from, _, _)| *from == path) {
                Some((_, status, place)) => answer(status, &[&format!("Location: {place}")], ""),
                None => answer("200 OK", &[], "there"),
            };
            finish(&mut stream, bytes.as_bytes()).await
        }
        Script::Silent => stream.read_u8().await.map(drop),
        Script::Dripping => drip(&mut stream).await,
        Script::Big(bytes) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
            let body = vec![b'x'; bytes];
            finish(&mut stream, &[head.as_bytes(), &body].concat()).await
        }
    };
}

async fn finish<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await
}

async fn drip<S: AsyncWrite + Unpin>(stream: &mut S) -> std::io::Result<()> {
    let endless = b"HTTP/1.1 200 OK\r\n"
        .iter()
        .chain(b"X-A: b\r\n".iter().cycle());
    for byte in endless {
        stream.write_all(&[*byte]).await?;
        stream.flush().await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
