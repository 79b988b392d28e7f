//! Where backups go: a folder, or an S3-compatible store.
//!
//! What is put there is seen by nobody until it is whole: in a folder it has another name until then, and S3
//! shows an upload only when it is completed.

mod bucket;
mod fault;
mod folder;
mod upload;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::io::AsyncRead;
use url::Url;

use self::bucket::Store;
use self::folder::Folder;
use crate::Fault;

pub use upload::Upload;

/// Keys of an S3 store.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The access key's id.
    pub access: String,
    /// The secret access key.
    pub secret: SecretString,
    /// The session's token, where the keys are for a time only.
    pub session: Option<SecretString>,
}

/// A bucket, and how it is reached.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub bucket: String,
    /// What all names begin with, without `/` at its ends; empty: nothing.
    pub prefix: String,
    /// Where the store is, such as `https://minio.example:9000`; `None`: Amazon's, in the region. The
    /// bucket's name comes after it, as a path.
    pub endpoint: Option<Url>,
    pub region: String,
    pub keys: Keys,
}

/// Something that is stored whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub name: String,
    pub bytes: u64,
    pub modified: Timestamp,
}

/// Where backups go. Clones share connections.
#[derive(Clone)]
pub struct Destination(Place);

#[derive(Clone)]
enum Place {
    Folder(Folder),
    Bucket(Arc<Store>),
}

impl Destination {
    /// A folder. It is made by the first backup, for our user alone; the folder that it lies in must be there,
    /// so that a disk which isn't mounted is not taken for an empty one.
    pub fn folder(path: PathBuf) -> Self {
        Self(Place::Folder(Folder(path)))
    }

    /// A bucket of S3 or of what speaks like it. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Fault::Refused`] for a prefix or keys that can't be.
    pub fn bucket(settings: &Bucket) -> Result<Self, Fault> {
        Store::new(settings).map(|store| Self(Place::Bucket(Arc::new(store))))
    }

    /// Begins to store something. `expected`: about how many bytes come (0: not known); an S3 store takes twice
    /// as many, or 80 GB where that is more, since an upload has at most 10,000 parts, all of one size.
    ///
    /// # Errors
    /// Where it can't be reached or refuses, and where there is one of this name already.
    pub async fn put(&self, name: &str, expected: u64) -> Result<Upload, Fault> {
        check(name)?;
        match &self.0 {
            Place::Folder(folder) => folder.put(name).await,
            Place::Bucket(store) => store.put(name, expected).await,
        }
    }

    /// Reads something back: every byte of it, else an error at the place where it ends too early.
    pub async fn get(&self, name: &str) -> Result<Box<dyn AsyncRead + Unpin + Send>, Fault> {
        check(name)?;
        match &self.0 {
            Place::Folder(folder) => folder.get(name).await,
            Place::Bucket(store) => store.get(name).await,
        }
    }

    /// All that is there whole, by name. A folder that isn't there yet is empty.
    pub async fn list(&self) -> Result<Vec<Stored>, Fault> {
        let mut all = match &self.0 {
            Place::Folder(folder) => folder.list().await,
            Place::Bucket(store) => store.list().await,
        }?;
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Removes something. That it is gone already is fine.
    pub async fn delete(&self, name: &str) -> Result<(), Fault> {
        check(name)?;
        match &self.0 {
            Place::Folder(folder) => folder.delete(name).await,
            Place::Bucket(store) => store.delete(name).await,
        }
    }

    /// Removes what uploads left that were begun before this and broken off (by `kill -9`, say); how many.
    pub async fn tidy(&self, before: Timestamp) -> Result<u64, Fault> {
        match &self.0 {
            Place::Folder(folder) => folder.tidy(before).await,
            Place::Bucket(store) => store.tidy(before).await,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Folder(folder) => write!(f, "{}", folder.0.display()),
            Place::Bucket(store) => write!(f, "{store}"),
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name of something stored: segments of letters, digits, `.`, `_` and `-`, divided by `/`, none beginning
/// with a dot.
fn check(name: &str) -> Result<(), Fault> {
    let known = |letter: u8| letter.is_ascii_alphanumeric() || b"._-".contains(&letter);
    let good = |one: &str| !one.is_empty() && !one.starts_with('.') && one.bytes().all(known);
    if name.split('/').all(good) {
        Ok(())
    } else {
        Err(Fault::Refused(format!(
            "`{name}` can't be a backup's name: letters, digits and ._- only, no dot in front"
        )))
    }
}

#[cfg(test)]
mod tests;
