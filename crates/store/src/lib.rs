//! The store: sqlx over SQLite (embedded) or PostgreSQL, with one text for both.
//!
//! Reads go to a pool. Writes go through a queue: on SQLite one writer takes all waiting writes into
//! one transaction (a savepoint each), so that many of them cost one flush to disk; on PostgreSQL a
//! few writers take one write each. A write is answered only after its commit.

mod action;
mod alert;
mod alert_count;
mod backup;
mod changes;
mod checklist;
mod clock;
mod dialect;
mod error;
mod evidence;
mod figures;
mod file;
mod heartbeat;
mod inbox;
mod incident;
mod inspect;
mod instance;
mod migrations;
mod notification;
mod oncall;
mod outbox;
mod page;
mod people;
mod period;
mod prune;
mod question;
mod run;
mod sample;
mod silence;
mod store;
mod task;
mod timeline;
mod timer;
mod writer;

use std::time::Duration;

use clock::moment;

pub use clock::{Clock, Hand};
pub use dialect::Dialect;
pub use error::{StoreError, Trouble};
pub use evidence::{Kept, KeptFor};
pub use figures::{Figures, Queue};
pub use inbox::{Accepted, Claimed};
pub use incident::NewIncident;
pub use inspect::{Inspection, inspect};
pub use migrations::Steps;
pub use notification::{Attempt, Backlog, NotificationRow};
pub use outbox::{Delivered, Parcel, Sent};
pub use page::{PageLink, PageSession};
pub use prune::{Candidate, Page, Place, Prunable};
pub use run::{NewRun, RunLock, RunRow, RunWrite};
pub use store::{Store, Use};
pub use timer::TimerRow;
pub use writer::Tx;

/// What was claimed by these rows, by their numbers: one that can't be read must not keep the others.
fn readable<T>(rows: impl Iterator<Item = (i64, Result<T, StoreError>)>) -> Vec<T> {
    let read = |(id, row): (i64, Result<T, StoreError>)| {
        row.inspect_err(|error| tracing::error!(id, %error, "a claimed row can't be read"))
            .ok()
    };
    rows.filter_map(read).collect()
}

/// How often a process says that it is alive.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// A process without a heartbeat for this long is dead, and its work is taken over: looked for every two
/// or three seconds, so that all of it is in other hands within 15 s.
pub const DEAD_AFTER: Duration = Duration::from_secs(10);
