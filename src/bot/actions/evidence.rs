//! Keeping what a service is and says before it is cut off.

use std::time::Duration;

use serde_json::json;

use super::job::Site;
use crate::bot::Context;
use crate::domain::action::ActionRow;
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, counted};
use crate::store::{Kept, StoreError};

/// A platform that gathers longer than this holds up the isolation for too long. The processes go
/// on: what they say can still be had afterwards.
const GATHERING: Duration = Duration::from_secs(30);

/// Gathers evidence and keeps it in the store, with its digests on the timeline. Returns how many
/// pieces there are, or why there are none.
pub(super) async fn keep_evidence(
    context: &Context,
    row: &ActionRow,
    site: &Site<'_>,
) -> Result<usize, String> {
    let service = site.service;
    let pieces = tokio::time::timeout(GATHERING, site.platform.evidence(service))
        .await
        .map_err(|_| format!("it took longer than {} s", GATHERING.as_secs()))?
        .map_err(|error| error.to_string())?;
    let pieces: Vec<Kept> = pieces.into_iter().map(Kept::from).collect();
    let count = pieces.len();
    let listed: Vec<_> = pieces
        .iter()
        .map(|one| json!({"name": one.name, "bytes": one.text.len(), "sha256": one.sha256}))
        .collect();
    let bytes: usize = pieces.iter().map(|one| one.text.len()).sum();
    let text = format!(
        "kept evidence of {}: {}, {bytes} bytes (`treasury-bot evidence {}`)",
        service.name,
        counted(count, "piece"),
        row.id
    );
    let draft = Draft::new(&row.record.actor, EntryKind::Evidence, text)
        .data(json!({"action": row.id, "service": service.name, "pieces": listed}));
    let (id, record) = (row.id, row.record.clone());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                // After a crash it is there already: what was kept first counts.
                if tx.evidence_put(id, &pieces).await? {
                    for stream in record.streams() {
                        tx.append(&stream, draft.clone()).await?;
                    }
                }
                Ok::<_, StoreError>(())
            })
        })
        .await
        .map_err(|error| error.to_string())?;
    Ok(count)
}
