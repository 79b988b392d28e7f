//! Backups in a folder.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::AsyncRead;

use super::upload::Parts;
use super::{Stored, Upload};
use crate::Fault;

/// The end of the name of what isn't whole yet; with a dot in front.
const PART: &str = ".part";

/// So much is written at once.
const AT_ONCE: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Folder(pub(super) PathBuf);

/// A file that isn't whole yet.
struct Unfinished {
    file: Arc<File>,
    part: PathBuf,
    whole: PathBuf,
}

impl Folder {
    pub(super) async fn put(&self, name: &str) -> std::result::Result<Upload, Fault> {
        let (root, whole) = (self.0.clone(), self.0.join(name));
        let file = blocking(&self.0.join(name), move || unfinished(&root, whole)).await?;
        Ok(Upload::begin(file))
    }

    pub(super) async fn get(
        &self,
        name: &str,
    ) -> std::result::Result<Box<dyn AsyncRead + Unpin + Send>, Fault> {
        let path = self.0.join(name);
        match tokio::fs::File::open(&path).await {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err(fault(&path, &error)),
        }
    }

    pub(super) async fn list(&self) -> std::result::Result<Vec<Stored>, Fault> {
        let root = self.0.clone();
        blocking(&self.0, move || {
            let (whole, _) = walk(&root)?;
            Ok(whole)
        })
        .await
    }

    pub(super) async fn delete(&self, name: &str) -> std::result::Result<(), Fault> {
        let (root, path) = (self.0.clone(), self.0.join(name));
        blocking(&self.0, move || {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed?,
            }
            // Folders of what is gone go too; one that holds something stays.
            let within = path.ancestors().skip(1);
            for folder in within.take_while(|&folder| folder != root) {
                if std::fs::remove_dir(folder).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn tidy(&self, before: Timestamp) -> std::result::Result<u64, Fault> {
        let root = self.0.clone();
        blocking(&self.0, move || {
            let (_, mut parts) = walk(&root)?;
            parts.retain(|part| part.modified < before);
            for part in &parts {
                std::fs::remove_file(root.join(&part.name))?;
            }
            Ok(parts.len() as u64)
        })
        .await
    }
}

/// Does something with a path, away from the tasks that must go on.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> std::result::Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(Error::other).and_then(|done| done);
    done.map_err(|error| fault(path, &error))
}

#[async_trait]
impl Parts for Unfinished {
    fn bytes(&self) -> usize {
        AT_ONCE
    }

    async fn part(&mut self, part: Vec<u8>) -> std::result::Result<(), Fault> {
        let file = Arc::clone(&self.file);
        let write = move || std::io::Write::write_all(&mut &*file, &part);
        blocking(&self.whole, write).await
    }

    async fn complete(&mut self) -> std::result::Result<(), Fault> {
        let file = Arc::clone(&self.file);
        let (part, whole) = (self.part.clone(), self.whole.clone());
        blocking(&self.whole, move || {
            file.sync_all()?;
            // Never over another; a link is refused where a rename would go through.
            std::fs::hard_link(&part, &whole).or_else(|error| match error.kind() {
                ErrorKind::AlreadyExists => Err(error),
                // File systems without links: it was not there when this began.
                _ => std::fs::rename(&part, &whole),
            })?;
            match std::fs::remove_file(&part) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => within(&whole).map_or(Ok(()), |folder| File::open(folder)?.sync_all()),
            }
        })
        .await
    }

    async fn abort(&mut self) -> std::result::Result<(), Fault> {
        let part = self.part.clone();
        blocking(&self.whole, move || match std::fs::remove_file(part) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

/// Makes the file that will be `whole`, and the folders that it lies in.
fn unfinished(root: &Path, whole: PathBuf) -> Result<Unfinished> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    if whole.try_exists()? {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let mut folders: Vec<&Path> = whole.ancestors().skip(1).collect();
    folders.truncate(folders.iter().position(|one| *one == root).unwrap_or(0) + 1);
    for folder in folders.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let file = whole.file_name().unwrap_or_default().to_string_lossy();
    let part = whole.with_file_name(format!(".{file}.{process}-{next}{PART}"));
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    Ok(Unfinished {
        // One of this name was left by another process that had our number.
        file: Arc::new(options.create(true).truncate(true).open(&part)?),
        part,
        whole,
    })
}

fn within(path: &Path) -> Option<&Path> {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
}

/// What is there whole, and what isn't, by names within the folder. Links are not followed.
fn walk(root: &Path) -> Result<(Vec<Stored>, Vec<Stored>)> {
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    let mut to_read = VecDeque::from([String::new()]);
    while let Some(folder) = to_read.pop_front() {
        let entries = match std::fs::read_dir(root.join(&folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(file) = entry.file_name().into_string() else {
                continue;
            };
            let name = format!("{folder}{file}");
            let about = match entry.metadata() {
                // It was removed meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                about => about?,
            };
            if about.is_dir() && super::check(&name).is_ok() {
                to_read.push_back(name + "/");
            } else if about.is_file() {
                let hidden = file.starts_with('.');
                let modified = Timestamp::try_from(about.modified()?).map_err(Error::other)?;
                let stored = Stored {
                    bytes: about.len(),
                    modified,
                    name,
                };
                if hidden && file.ends_with(PART) {
                    parts.push(stored);
                } else if super::check(&stored.name).is_ok() {
                    whole.push(stored);
                }
            }
        }
    }
    Ok((whole, parts))
}

fn fault(path: &Path, error: &Error) -> Fault {
    let path = path.display();
    Fault::Refused(match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("there is a {path} already, which is not written over")
        }
        ErrorKind::NotFound => {
            format!(
                "{path} is not there: is its disk mounted? A folder is made only in one that is there"
            )
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("{path} can't be used ({error}): it must be our user's")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("the disk of {path} is full: free room there, or keep fewer backups")
        }
        _ => format!("{path}: {error}"),
    })
}
