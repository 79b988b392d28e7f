//! The export of an incident's timeline, for whichever door.

use futures_util::stream::{BoxStream, StreamExt, once, unfold};
use tokio::sync::mpsc;

use super::Context;
use crate::domain::timeline::cut;
use crate::domain::{Entry, Incident, Stream, TimelineFile, counted};
use crate::report::{self, Format, Pieces};
use crate::store::{Store, StoreError};

/// How many entries are read at a time.
const AT_ONCE: i64 = 500;

/// An export with what is said of it.
pub(super) struct Exported {
    pub(super) name: String,
    pub(super) file: TimelineFile,
    /// For the audit.
    pub(super) said: String,
}

impl Exported {
    /// The beginning of the last entry's hash.
    pub(super) fn head(&self) -> String {
        cut(&self.file.head, 12)
    }
}

/// An incident's whole timeline as a file, for whichever door.
pub(super) async fn exported(
    context: &Context,
    incident: &Incident,
    format: Format,
) -> Result<Exported, StoreError> {
    let id = incident.id;
    let (entries, head) = context.store().chain_head(&Stream::Incident(id)).await?;
    let at = context.store().now();
    let name = report::file_name(format, id, at);
    let count = counted(entries, "entry");
    Ok(Exported {
        said: format!("{id} exported as {name}: {count}, head {}", &head[..12]),
        name,
        file: TimelineFile {
            format: format.to_string(),
            incident: incident.clone(),
            entries,
            head,
            at,
        },
    })
}

/// The content of a file, piece by piece, the same each time. In formats whose beginning tells of all
/// entries it is one piece.
pub fn file_pieces(
    store: &Store,
    file: &TimelineFile,
) -> BoxStream<'static, Result<String, StoreError>> {
    let format = Format::parse(&file.format).unwrap_or(Format::Json);
    let head = (file.entries, file.head.as_str());
    let (store, file) = (store.clone(), file.clone());
    let stream = Stream::Incident(file.incident.id);
    let Some(pieces) = Pieces::new(format, &file.incident, head, file.at) else {
        let whole = async move {
            let entries = store.entries_after(&stream, 0, file.entries).await?;
            Ok(report::export(format, &file.incident, &entries, file.at))
        };
        return once(whole).boxed();
    };
    // The next ones are read while some are written.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(read(store, stream, file.entries, sender));
    let begin = pieces.begin();
    let rest = unfold(Some((pieces, receiver)), async |state| {
        let (mut pieces, mut receiver) = state?;
        match receiver.recv().await {
            Some(Ok(entries)) => {
                let text = pieces.entries(&entries);
                Some((Ok(text), Some((pieces, receiver))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Ok(pieces.end()), None)),
        }
    });
    once(async { Ok(begin) }).chain(rest).boxed()
}

type Read = Result<Vec<Entry>, StoreError>;

/// Reads the first entries of a chain until nobody wants more.
async fn read(store: Store, stream: Stream, most: i64, sender: mpsc::Sender<Read>) {
    let mut last = 0;
    while last < most {
        let limit = AT_ONCE.min(most - last);
        let entries = store.entries_after(&stream, last, limit).await;
        let read = entries.as_ref().ok().and_then(|entries| entries.last());
        // A chain has no gaps: where nothing more comes, it ended badly.
        let next = read.map_or(most, |entry| entry.seq);
        let entries = match entries {
            Ok(entries) if entries.is_empty() => Err(StoreError::Unreadable(format!(
                "{stream} ends with entry {last} of {most}"
            ))),
            entries => entries,
        };
        if sender.send(entries).await.is_err() {
            return;
        }
        last = next;
    }
}
