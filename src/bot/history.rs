//! The export of an incident's timeline, for whichever door.

use super::Context;
use crate::domain::{Incident, Stream, counted};
use crate::report::{self, Format};
use crate::store::StoreError;

/// An export with what is said of it.
pub(super) struct Exported {
    pub(super) name: String,
    pub(super) text: String,
    /// How many entries.
    pub(super) count: i64,
    /// The beginning of the last entry's hash.
    pub(super) head: String,
    /// For the audit.
    pub(super) said: String,
}

/// An incident's whole timeline as a file, for whichever door.
pub(super) async fn exported(
    context: &Context,
    incident: &Incident,
    format: Format,
) -> Result<Exported, StoreError> {
    let id = incident.id;
    let entries = context.store().entries(&Stream::Incident(id)).await?;
    let now = context.store().now();
    let name = report::file_name(format, id, now);
    let (count, head) = entries.last().map_or((0, String::new()), |last| {
        (last.seq, last.hash[..12].to_owned())
    });
    Ok(Exported {
        text: report::export(format, incident, &entries, now),
        said: format!(
            "{id} exported as {name}: {}, head {head}",
            counted(count, "entry")
        ),
        name,
        count,
        head,
    })
}
