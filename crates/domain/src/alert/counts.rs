//! How a service stood, in figures.

use serde::{Deserialize, Serialize};

use crate::service::ServiceStatus;

/// The replicas of a service at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaCounts {
    /// Replicas that are well.
    pub well: usize,
    /// All replicas.
    pub total: usize,
    /// How often the platform restarted them by itself, over all.
    pub restarts: u64,
}

impl From<&ServiceStatus> for ReplicaCounts {
    fn from(status: &ServiceStatus) -> Self {
        Self {
            well: status.well(),
            total: status.replicas.len(),
            restarts: status.replicas.iter().map(|one| one.restarts).sum(),
        }
    }
}

impl ReplicaCounts {
    /// `healthy 1/2 → 2/2, restarted by itself 3×`.
    pub fn change_to(self, now: Self) -> String {
        let mut text = format!(
            "healthy {}/{} → {}/{}",
            self.well, self.total, now.well, now.total
        );
        // Replicas that were replaced count from nothing again.
        let restarts = now.restarts.saturating_sub(self.restarts);
        if restarts > 0 {
            text.push_str(&format!(", restarted by itself {restarts}×"));
        }
        text
    }
}
