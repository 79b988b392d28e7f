//! PostgreSQL by its own `pg_dump` and `pg_restore`, with what its server says of the same moment.

mod archive;
mod child;
mod drill;
mod dump;
mod fingerprint;
mod globals;
mod programs;
mod restore;
mod server;

pub use archive::Archive;
pub use drill::{Answer, Drilled, Question};
pub use dump::Dump;
pub use fingerprint::{Fingerprint, Recorded, differences};
pub use globals::Globals;
pub use programs::{Programs, Suite};
pub use restore::Restored;
pub use server::{Config, Server};

use std::sync::Arc;

use crate::repository::{Manifest, Repository};
use crate::{Contents, Fault, Identities, Part};

/// A database, and the roles and tablespaces of its server.
pub struct Database {
    globals: Globals,
    dump: Dump,
    recorded: Recorded,
}

impl Database {
    /// Nothing is connected yet.
    pub fn new(server: Server) -> Self {
        let server = Arc::new(server);
        let recorded = Recorded::default();
        Self {
            globals: Globals::new(server.clone()),
            dump: Dump::new(server, recorded.clone()),
            recorded,
        }
    }

    /// What it is at this moment.
    ///
    /// # Errors
    /// The server can't be reached, or hides something from us.
    pub async fn fingerprint(server: &Server) -> Result<Fingerprint, Fault> {
        let mut session = server.connect("treasury-bot").await?;
        fingerprint::prepare(&mut session, server.lock_wait.as_millis()).await?;
        fingerprint::of(&mut session).await
    }

    /// What a backup of it is made of, in this order.
    pub fn parts(&self) -> [Part<'_>; 3] {
        [
            Part {
                name: "globals",
                source: &self.globals,
            },
            Part {
                name: "dump",
                source: &self.dump,
            },
            Part {
                name: "fingerprint",
                source: &self.recorded,
            },
        ]
    }

    /// Reads a backup back whole and compares what its dump holds with what the server said.
    /// `None`: it is encrypted, and only the checksums could be compared.
    ///
    /// # Errors
    /// [`Fault::Damaged`] with what is wrong.
    pub async fn verify(
        &self,
        repository: &Repository,
        manifest: &Manifest,
        keys: Option<&Identities>,
    ) -> Result<Option<Contents>, Fault> {
        let mut all = Vec::new();
        for part in self.parts() {
            let stored = manifest
                .parts
                .iter()
                .find(|stored| stored.name == part.name);
            let stored = stored
                .ok_or_else(|| Fault::Damaged(format!("the backup has no part `{}`", part.name)))?;
            let read = repository.read_back(manifest, stored, part.source, keys);
            all.extend(read.await?);
        }
        let [_, dump, recorded] = all.as_mut_slice() else {
            return Ok(None);
        };
        for (what, said) in &recorded.counts {
            let held = dump.counts.get(what).copied().unwrap_or_default();
            if held != *said {
                return Err(Fault::Damaged(format!(
                    "the dump holds {held} {what}; the server had {said}"
                )));
            }
        }
        Ok(Some(std::mem::take(dump)))
    }
}
