//! Something on its way into a destination.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWrite, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Fault;

/// So much may wait between the writer and the destination, beside the part that is being filled.
const BETWEEN: usize = 256 * 1024;

/// Takes an upload's parts.
#[async_trait]
pub(super) trait Parts: Send + 'static {
    /// How long each part is, but for the last.
    fn bytes(&self) -> usize;
    /// Stores the next; one that is shorter than [`Self::bytes`] is the last.
    async fn part(&mut self, part: Vec<u8>) -> std::result::Result<(), Fault>;
    /// All were given: now it may be seen.
    async fn complete(&mut self) -> std::result::Result<(), Fault>;
    /// Takes back what was stored.
    async fn abort(&mut self) -> std::result::Result<(), Fault>;
}

/// Something on its way into a destination: written, then finished. Errors of writing hold the [`Fault`].
///
/// One that is dropped is taken back by a task of its own; what a process leaves that dies is for
/// [`super::Destination::tidy`].
#[derive(Debug)]
pub struct Upload {
    pipe: DuplexStream,
    /// Sent when all was written.
    whole: oneshot::Sender<()>,
    /// Carries what is written; its end is taken out once.
    task: Option<JoinHandle<std::result::Result<Option<u64>, Fault>>>,
}

impl Upload {
    pub(super) fn begin(mut parts: impl Parts) -> Self {
        let (pipe, mut from) = tokio::io::duplex(BETWEEN);
        let (whole, is_whole) = oneshot::channel();
        let task = tokio::spawn(async move {
            let result = carry(&mut parts, &mut from, is_whole).await;
            if !matches!(result, Ok(Some(_)))
                && let Err(error) = parts.abort().await
            {
                tracing::warn!(%error, "what was stored of an upload can't be taken back");
                return result.and(Err(error));
            }
            result
        });
        Self {
            pipe,
            whole,
            task: Some(task),
        }
    }

    /// All was written: waits until it is stored, and can be seen from now on. Its length in bytes.
    ///
    /// # Errors
    /// Nothing can be seen then.
    pub async fn finish(self) -> std::result::Result<u64, Fault> {
        let Self { pipe, whole, task } = self;
        // Who takes it is gone after an error, which the task tells.
        let _ = whole.send(());
        drop(pipe);
        end(task).await?.ok_or_else(broken_off)
    }

    /// Takes back what was stored so far.
    pub async fn abort(self) -> std::result::Result<(), Fault> {
        let Self { pipe, whole, task } = self;
        drop(whole);
        drop(pipe);
        if task.is_some() {
            end(task).await?;
        }
        Ok(())
    }

    /// Why the task ended, where it did before everything was written.
    fn poll_why(&mut self, context: &mut Context<'_>, error: Error) -> Poll<Error> {
        if error.kind() != ErrorKind::BrokenPipe {
            return Poll::Ready(error);
        }
        let Some(task) = &mut self.task else {
            return Poll::Ready(Error::other(broken_off()));
        };
        let ended = ready!(Pin::new(task).poll(context));
        self.task = None;
        Poll::Ready(match ended {
            Ok(Err(fault)) => Error::other(fault),
            Ok(Ok(_)) => error,
            Err(error) => Error::other(error),
        })
    }
}

/// Reads parts and hands them on; the length, or `None` where the writer was dropped.
async fn carry(
    parts: &mut impl Parts,
    from: &mut DuplexStream,
    mut is_whole: oneshot::Receiver<()>,
) -> std::result::Result<Option<u64>, Fault> {
    let mut bytes = 0;
    loop {
        let mut part = Vec::with_capacity(parts.bytes());
        let most = parts.bytes() as u64;
        let read = (&mut *from).take(most).read_to_end(&mut part).await?;
        bytes += read as u64;
        let last = read < parts.bytes();
        // Whoever finishes says so before the pipe ends.
        if last && is_whole.try_recv().is_err() {
            return Ok(None);
        }
        parts.part(part).await?;
        if last {
            parts.complete().await?;
            return Ok(Some(bytes));
        }
    }
}

async fn end(
    task: Option<JoinHandle<std::result::Result<Option<u64>, Fault>>>,
) -> std::result::Result<Option<u64>, Fault> {
    match task {
        Some(task) => task.await.map_err(Error::other)?,
        None => Err(broken_off()),
    }
}

fn broken_off() -> Fault {
    Fault::Refused("the upload was broken off; what was stored of it is not kept".to_owned())
}

impl AsyncWrite for Upload {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        match ready!(Pin::new(&mut self.pipe).poll_write(context, bytes)) {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(error) => self.poll_why(context, error).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    /// Ends nothing: only [`Upload::finish`] says that all was written.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush(context)
    }
}
