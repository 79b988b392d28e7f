//! A gate before an HTTP server on a Unix socket: it lets requests through, refuses changes, keeps
//! them waiting, or is closed.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Open,
    /// Changes are answered 403.
    Deny,
    /// Changes get no answer.
    Hang,
    /// Nobody listens.
    Closed,
}

/// Ends with the runtime of the test.
pub struct Gate {
    pub address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
}

impl Gate {
    pub async fn new(socket: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Open));
        tokio::spawn(guard(listener, socket, Arc::clone(&mode)));
        Self { address, mode }
    }

    /// Cuts all connections; from now on it is so.
    pub async fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        // The listener is closed or opened before anybody asks again.
        let is_open = async || {
            let reached = TcpStream::connect(self.address).await.is_ok();
            (reached != (mode == Mode::Closed)).then_some(())
        };
        crate::support::engine::eventually("the gate has moved", is_open).await;
    }
}

async fn guard(listener: TcpListener, socket: &'static str, mode: Arc<watch::Sender<Mode>>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut changed = mode.subscribe();
    loop {
        let now = *changed.borrow_and_update();
        if now == Mode::Closed {
            listener = None;
            changed.changed().await.ok();
            continue;
        }
        let Some(open) = &listener else {
            listener = TcpListener::bind(address).await.ok();
            continue;
        };
        tokio::select! {
            taken = open.accept() => {
                let Ok((client, _)) = taken else { continue };
                let mut cut = mode.subscribe();
                let now = *cut.borrow_and_update();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = pass(client, socket, now) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
            _ = changed.changed() => {}
        }
    }
}

/// One connection. A gate that is not open lets one request through at a time.
async fn pass(mut client: TcpStream, socket: &str, mode: Mode) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let change = !head.starts_with(b"GET") && !head.starts_with(b"HEAD");
    match mode {
        Mode::Deny if change => {
            let body = "{\"message\":\"authorization denied by plugin gate\"}";
            let answer = format!(
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            client.write_all(answer.as_bytes()).await?;
            return client.shutdown().await;
        }
        Mode::Hang if change => std::future::pending::<()>().await,
        Mode::Open => {}
        _ => {
            let line = head.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            head.splice(line + 1..=line, *b"Connection: close\r\n");
        }
    }
    let mut server = UnixStream::connect(socket).await?;
    server.write_all(&head).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
