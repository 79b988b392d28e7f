//! Encryption to a public key by the age format (<https://age-encryption.org/v1>), and sums of what
//! passes by.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::io::AsyncRead as FuturesRead;
use ring::digest;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::{
    FuturesAsyncReadCompatExt, FuturesAsyncWriteCompatExt, TokioAsyncReadCompatExt,
    TokioAsyncWriteCompatExt,
};

use crate::Fault;

/// Whoever holds the key to this can read a backup: `age1…`.
#[derive(Clone)]
pub struct Recipient(age::x25519::Recipient);

impl std::str::FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(recipient) => Ok(Self(recipient)),
            Err(why) => Err(format!("not a public key of age (`age1…`): {why}")),
        }
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Recipient {
    /// Encrypts what is written; only a shutdown makes it whole.
    ///
    /// # Errors
    /// What `to` says to the first bytes.
    pub async fn seal<'w, W>(
        &self,
        to: W,
    ) -> Result<Pin<Box<dyn AsyncWrite + Unpin + Send + 'w>>, Fault>
    where
        W: AsyncWrite + Unpin + Send + 'w,
    {
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&self.0 as _))
            .map_err(|error| Fault::Refused(format!("it can't be encrypted: {error}")))?;
        let sealed = encryptor.wrap_async_output(to.compat_write()).await?;
        Ok(Box::pin(sealed.compat_write()))
    }
}

/// The keys of a file as `age-keygen` writes it.
pub struct Identities(Vec<Box<dyn age::Identity + Send + Sync>>);

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Identities {
    /// Reads a file of keys.
    ///
    /// # Errors
    /// It can't be read, or holds none.
    pub fn read(file: &Path) -> Result<Self, Fault> {
        let refused =
            |why: String| Fault::Refused(format!("the keys in {}: {why}", file.display()));
        let text = std::fs::File::open(file).map_err(|error| refused(error.to_string()))?;
        let keys = age::IdentityFile::from_buffer(io::BufReader::new(text))
            .map_err(|error| refused(error.to_string()))?;
        let keys = keys
            .into_identities()
            .map_err(|error| refused(error.to_string()))?;
        if keys.is_empty() {
            return Err(refused("there is none (`AGE-SECRET-KEY-1…`)".to_owned()));
        }
        Ok(Self(keys))
    }

    /// Decrypts what is read.
    ///
    /// # Errors
    /// [`Fault::Refused`] where these keys are not the right ones, [`Fault::Damaged`] where it is no
    /// age file.
    pub async fn open<'r, R>(
        &self,
        from: R,
    ) -> Result<Box<dyn AsyncRead + Unpin + Send + 'r>, Fault>
    where
        R: AsyncRead + Unpin + Send + 'r,
    {
        let wrong = |error: age::DecryptError| match error {
            age::DecryptError::NoMatchingKeys => Fault::Refused(
                "it is encrypted to another key than those in `identity_file`".to_owned(),
            ),
            age::DecryptError::Io(error) => Fault::Io(error),
            error => Fault::Damaged(format!("it can't be decrypted: {error}")),
        };
        let sealed = age::Decryptor::new_async(from.compat())
            .await
            .map_err(wrong)?;
        let keys = self.0.iter().map(|key| key.as_ref() as &dyn age::Identity);
        let plain = sealed.decrypt_async(keys).map_err(wrong)?;
        Ok(Box::new(boxed(plain).compat()))
    }
}

fn boxed<'r>(plain: impl FuturesRead + Send + 'r) -> Pin<Box<dyn FuturesRead + Send + 'r>> {
    Box::pin(plain)
}

/// How long something is, and what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Its length.
    pub bytes: u64,
    /// SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// Passes bytes on and sums them up.
pub struct Summed<T> {
    inner: T,
    bytes: u64,
    context: digest::Context,
}

impl<T> Summed<T> {
    /// Nothing has passed yet.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            bytes: 0,
            context: digest::Context::new(&digest::SHA256),
        }
    }

    /// Of all that has passed.
    pub fn sum(self) -> Sum {
        let digest = self.context.finish();
        Sum {
            bytes: self.bytes,
            sha256: digest.as_ref().iter().map(|b| format!("{b:02x}")).collect(),
        }
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Summed<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        if let Some(bytes) = bytes.get(..written) {
            self.passed(bytes);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Summed<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, into))?;
        let read = into.filled().get(before..).unwrap_or_default();
        self.passed(read);
        Poll::Ready(Ok(()))
    }
}
