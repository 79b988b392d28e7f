//! Backups as the catalogue has them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Person;

/// A backup of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Whose it is: the name in the configuration.
    pub name: String,
    /// The time of its beginning, UTC, as `20241201_120000`.
    pub id: String,
    /// What is known of it.
    pub state: BackupState,
    /// Who wanted it.
    pub by: Person,
    pub started_at: Timestamp,
    /// When it was whole, or failed.
    pub ended_at: Option<Timestamp>,
    /// Where it lies, in words.
    pub to: String,
    /// What is stored, bytes.
    pub bytes: u64,
    /// How long it took.
    pub milliseconds: u64,
    /// What it covers, in words.
    pub covers: String,
    /// Of server and programs, by name.
    pub versions: BTreeMap<String, String>,
    /// Whose key opens it; `None`: it is not encrypted.
    pub recipient: Option<String>,
    /// Why it failed, or what is damaged.
    pub why: Option<String>,
    /// When its checksums, and where it could be opened every block, were last found good.
    pub verified_at: Option<Timestamp>,
    /// What the last drill came to.
    pub drill: Option<Drill>,
}

/// What is known of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupState {
    /// It is being taken.
    Running,
    /// It is whole as it was written; only its checksums could be read back.
    Taken,
    /// It was read back whole.
    Verified,
    /// It never became whole; nothing of it is kept.
    Failed,
    /// It was whole once, and is not what was written.
    Damaged,
    /// It was removed when its time had come.
    Removed,
}

impl BackupState {
    /// Of one that was read back and found good; `opened`: every block of it, and not its checksums
    /// only.
    pub fn read_back(opened: bool) -> Self {
        if opened { Self::Verified } else { Self::Taken }
    }
}

/// A backup that was tried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// When.
    pub at: Timestamp,
    /// Nothing was lost, and all answers were good.
    pub good: bool,
    /// How long it took until the data could be asked (RTO).
    pub restored_in_ms: u64,
    /// How old the data were (RPO).
    pub data_age_s: u64,
    /// What it found, a line each.
    pub found: Vec<String>,
}

impl Backup {
    /// It can be restored as far as is known.
    pub fn is_good(&self) -> bool {
        matches!(self.state, BackupState::Taken | BackupState::Verified)
    }
}
