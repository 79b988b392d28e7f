//! Backups as they lie in a destination.
//!
//! A backup is a folder `NAME/ID/` of parts, and a `manifest.json` that is written last: without it
//! there is no backup, whatever else lies there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::io::InspectWriter;

use crate::destination::Destination;
use crate::seal::{Identities, Recipient, Sum, Summed};
use crate::{Contents, Fault, Source};

const MANIFEST: &str = "manifest.json";

/// What a backup is called: the time of its beginning, UTC, as `20241201_120000`.
pub fn id(at: Timestamp) -> String {
    at.strftime("%Y%m%d_%H%M%S").to_string()
}

/// A part of a backup to be taken.
pub struct Part<'s> {
    /// Such as `dump`, `globals`.
    pub name: &'s str,
    /// What it is taken of.
    pub source: &'s dyn Source,
}

/// What is known of a backup, beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Whose backup it is: the name in the configuration.
    pub name: String,
    /// See [`id`].
    pub id: String,
    pub started_at: Timestamp,
    /// How long it took.
    pub milliseconds: u64,
    /// What it covers, in words for people.
    pub covers: String,
    /// By part and name, such as `dump.server`.
    pub versions: BTreeMap<String, String>,
    /// To whom it is encrypted; nobody: it is not.
    pub recipient: Option<String>,
    pub parts: Vec<Stored>,
}

impl Manifest {
    /// What is stored, all parts together.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.stored.bytes).sum()
    }
}

/// A part of a backup as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    pub name: String,
    /// Its file in the backup's folder.
    pub file: String,
    /// As the source wrote it.
    pub plain: Sum,
    /// As it lies there.
    pub stored: Sum,
}

/// How many bytes a source has written so far.
pub type Progress = Arc<AtomicU64>;

/// The backups of a destination.
#[derive(Clone, Debug)]
pub struct Repository {
    destination: Destination,
}

impl Repository {
    /// What lies there.
    pub fn new(destination: Destination) -> Self {
        Self { destination }
    }

    /// Takes all parts, one after the other, then writes the manifest. `expected`: about how many bytes
    /// come; 0 where nobody knows.
    ///
    /// # Errors
    /// There is no backup then: what was stored of it is removed as far as the destination lets us.
    pub async fn take(
        &self,
        (name, id, started_at): (&str, &str, Timestamp),
        parts: &[Part<'_>],
        recipient: Option<&Recipient>,
        expected: u64,
        progress: &Progress,
    ) -> Result<Manifest, Fault> {
        let mut manifest = Manifest {
            name: name.to_owned(),
            id: id.to_owned(),
            started_at,
            milliseconds: 0,
            covers: String::new(),
            versions: BTreeMap::new(),
            recipient: recipient.map(ToString::to_string),
            parts: Vec::new(),
        };
        let began = Instant::now();
        let taken = async {
            let mut covers = Vec::new();
            for part in parts {
                let taken = self.take_part(&mut manifest, part, recipient, expected, progress);
                covers.push(taken.await?);
            }
            covers.retain(|words| !words.is_empty());
            manifest.covers = covers.join("; ");
            manifest.milliseconds = began.elapsed().as_millis() as u64;
            let text = serde_json::to_vec_pretty(&manifest).map_err(std::io::Error::other)?;
            let mut upload = self.destination.put(&manifest_of(name, id), 0).await?;
            upload.write_all(&text).await.map_err(fault)?;
            upload.finish().await
        };
        let taken: Result<u64, Fault> = taken.await;
        if taken.is_err() {
            for part in &manifest.parts {
                let file = file_of(name, id, &part.file);
                if let Err(error) = self.destination.delete(&file).await {
                    tracing::warn!(file, %error, "what is left of a failed backup stays");
                }
            }
        }
        taken.map(|_| manifest)
    }

    /// What it covers.
    async fn take_part(
        &self,
        manifest: &mut Manifest,
        part: &Part<'_>,
        recipient: Option<&Recipient>,
        expected: u64,
        progress: &Progress,
    ) -> Result<String, Fault> {
        let sealed = if recipient.is_some() { ".age" } else { "" };
        let file = format!("{}.{}{sealed}", part.name, part.source.extension());
        let at = file_of(&manifest.name, &manifest.id, &file);
        let mut upload = self.destination.put(&at, expected).await?;
        let mut stored = Summed::new(&mut upload);
        let taken = async {
            let out: Box<dyn AsyncWrite + Unpin + Send> = match recipient {
                Some(recipient) => Box::new(recipient.seal(&mut stored).await?),
                None => Box::new(&mut stored),
            };
            let counted = |bytes: &[u8]| {
                progress.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            };
            let mut plain = Summed::new(InspectWriter::new(out, counted));
            let taken = part.source.take(&mut plain).await?;
            // The end of the encryption.
            plain.shutdown().await.map_err(fault)?;
            Ok((taken, plain.sum()))
        };
        let taken: Result<_, Fault> = taken.await;
        let stored = stored.sum();
        let (taken, plain) = match taken {
            Ok(taken) => taken,
            Err(why) => {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(file, %error, "the upload of a failed backup stays begun");
                }
                return Err(why);
            }
        };
        // Only this makes it visible.
        upload.finish().await?;
        for (key, version) in taken.versions {
            let key = format!("{}.{key}", part.name);
            manifest.versions.insert(key, version);
        }
        manifest.parts.push(Stored {
            name: part.name.to_owned(),
            file,
            plain,
            stored,
        });
        Ok(taken.covers)
    }

    /// The backups of this name that are whole, oldest first.
    ///
    /// # Errors
    /// The destination can't be read, or one of its manifests.
    pub async fn list(&self, name: &str) -> Result<Vec<Manifest>, Fault> {
        let mut found = Vec::new();
        for stored in self.destination.list().await? {
            let mut segments = stored.name.split('/');
            if segments.next() == Some(name)
                && let Some(id) = segments.next()
                && segments.eq([MANIFEST])
            {
                found.push(self.manifest(name, id).await?);
            }
        }
        found.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(found)
    }

    /// Of this backup.
    ///
    /// # Errors
    /// The destination can't be read, there is no such backup (or it never became whole), or what lies there
    /// is no manifest of it.
    pub async fn manifest(&self, name: &str, id: &str) -> Result<Manifest, Fault> {
        let mut text = Vec::new();
        let mut found = self.destination.get(&manifest_of(name, id)).await?;
        found.read_to_end(&mut text).await?;
        let damaged = |why: String| Fault::Damaged(format!("the manifest of {name} {id}: {why}"));
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if manifest.name != name || manifest.id != id {
            let (name, id) = (&manifest.name, &manifest.id);
            return Err(damaged(format!("it is that of {name} {id}")));
        }
        Ok(manifest)
    }

    /// Reads a part back whole: its sum as it lies there, then, where it can be decrypted, every block of
    /// it by the source. `None`: it is encrypted and nobody gave a key; only the sum was compared.
    ///
    /// # Errors
    /// [`Fault::Damaged`] with what is wrong.
    pub async fn read_back(
        &self,
        manifest: &Manifest,
        part: &Stored,
        source: &dyn Source,
        keys: Option<&Identities>,
    ) -> Result<Option<Contents>, Fault> {
        // First, so that no program is fed what somebody has changed.
        let mut stored = Summed::new(self.bytes_of(manifest, part).await?);
        tokio::io::copy(&mut stored, &mut tokio::io::sink()).await?;
        same(&part.file, &part.stored, &stored.sum())?;
        if manifest.recipient.is_some() && keys.is_none() {
            return Ok(None);
        }
        let mut plain = Summed::new(self.open(manifest, part, keys).await?);
        let contents = source.read_back(&mut plain).await?;
        tokio::io::copy(&mut plain, &mut tokio::io::sink()).await?;
        same(&part.name, &part.plain, &plain.sum())?;
        Ok(Some(contents))
    }

    /// A part as the source wrote it.
    ///
    /// # Errors
    /// It is gone, or encrypted to somebody else.
    pub async fn open(
        &self,
        manifest: &Manifest,
        part: &Stored,
        keys: Option<&Identities>,
    ) -> Result<Box<dyn AsyncRead + Unpin + Send>, Fault> {
        let stored = self.bytes_of(manifest, part).await?;
        match (&manifest.recipient, keys) {
            (None, _) => Ok(stored),
            (Some(_), Some(keys)) => keys.open(stored).await,
            (Some(to), None) => Err(Fault::Refused(format!(
                "it is encrypted to {to}, and no `identity_file` is configured"
            ))),
        }
    }

    async fn bytes_of(
        &self,
        manifest: &Manifest,
        part: &Stored,
    ) -> Result<Box<dyn AsyncRead + Unpin + Send>, Fault> {
        let at = file_of(&manifest.name, &manifest.id, &part.file);
        self.destination.get(&at).await
    }

    /// Removes a backup, the manifest first, so that none is ever listed without its parts; one that never
    /// became whole as well.
    ///
    /// # Errors
    /// Something of it is still there.
    pub async fn remove(&self, name: &str, id: &str) -> Result<(), Fault> {
        self.destination.delete(&manifest_of(name, id)).await?;
        let folder = file_of(name, id, "");
        for stored in self.destination.list().await? {
            if stored.name.starts_with(&folder) {
                self.destination.delete(&stored.name).await?;
            }
        }
        Ok(())
    }
}

/// The destination's own words, which its errors of writing hold.
pub(crate) fn fault(error: std::io::Error) -> Fault {
    error.downcast().unwrap_or_else(Fault::Io)
}

fn file_of(name: &str, id: &str, file: &str) -> String {
    format!("{name}/{id}/{file}")
}

fn manifest_of(name: &str, id: &str) -> String {
    file_of(name, id, MANIFEST)
}

fn same(what: &str, wanted: &Sum, found: &Sum) -> Result<(), Fault> {
    if wanted.bytes != found.bytes {
        let (found, wanted) = (found.bytes, wanted.bytes);
        let words = format!("{what} has {found} bytes; {wanted} were written");
        return Err(Fault::Damaged(words));
    }
    if wanted.sha256 != found.sha256 {
        let words = format!("{what} is not what was written: its checksum differs");
        return Err(Fault::Damaged(words));
    }
    Ok(())
}
