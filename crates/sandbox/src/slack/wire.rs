//! TCP connections that can be cut from outside, so that the sandbox can fail the way networks do:
//! in the middle of an answer, without a word.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Listens on loopback; everything accepted ends when `stop` is cancelled.
pub(super) struct CutListener {
    pub tcp: TcpListener,
    pub stop: CancellationToken,
}

/// The handle of one connection, for whoever answers on it.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    cut: CancellationToken,
}

impl Wire {
    /// Ends the connection at once; what is not yet written is never sent.
    pub fn cut(&self) {
        self.cut.cancel();
    }
}

/// A connection with scissors.
pub(super) struct CutStream {
    tcp: TcpStream,
    wire: Wire,
    was_cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl CutStream {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.was_cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Listener for CutListener {
    type Io = CutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CutStream, SocketAddr) {
        let (tcp, peer) = Listener::accept(&mut self.tcp).await;
        // Small answers at once: the sandbox is also measured.
        tcp.set_nodelay(true).ok();
        let wire = Wire {
            cut: self.stop.child_token(),
        };
        let was_cut = Box::pin(wire.cut.clone().cancelled_owned());
        (CutStream { tcp, wire, was_cut }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, CutListener>> for Wire {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Self {
        stream.io().wire.clone()
    }
}

impl AsyncRead for CutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
