//! The store: sqlx over SQLite (embedded) or PostgreSQL, with one text for both.
//!
//! Reads go to a pool. Writes go through a queue: on SQLite one writer takes all waiting writes into
//! one transaction (a savepoint each), so that many of them cost one flush to disk; on PostgreSQL a
//! few writers take one write each. A write is answered only after its commit.

mod action;
mod alert;
mod clock;
mod dialect;
mod error;
mod evidence;
mod figures;
mod inbox;
mod incident;
mod inspect;
mod migrations;
mod notification;
mod oncall;
mod outbox;
mod page;
mod people;
mod question;
mod run;
mod sample;
mod silence;
mod store;
mod timeline;
mod timer;
mod writer;

use std::time::Duration;

use clock::moment;

pub use clock::{Clock, Hand};
pub use dialect::Dialect;
pub use error::StoreError;
pub use evidence::{Kept, KeptFor};
pub use figures::{Figures, Queue};
pub use inbox::{Accepted, Claimed};
pub use incident::NewIncident;
pub use inspect::{Inspection, inspect};
pub use notification::{Attempt, Backlog, NotificationRow};
pub use outbox::{Delivered, Parcel, Sent};
pub use page::{PageLink, PageSession};
pub use run::{NewRun, RunLock, RunRow, RunWrite};
pub use store::{Store, Use};
pub use timer::TimerRow;
pub use writer::Tx;

/// A process without a heartbeat for this long is dead, and its work is taken over.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
