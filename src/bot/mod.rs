//! Use cases: the only place that decides.
//!
//! A request comes in by [`accept`], which records it and returns. [`run`] takes recorded requests
//! up, carries them out and writes the answer to the outbox, in one transaction with everything the
//! answer tells of. The bot never calls a chat.

mod access;
mod actions;
mod alerts;
mod arrivals;
mod backups;
mod charts;
mod chat;
mod checklists;
mod commands;
mod confirm;
mod context;
mod entry;
mod headings;
mod heartbeat;
mod heartbeats;
mod history;
mod incidents;
mod library;
mod listener;
mod measurements;
mod notify;
mod oncall;
pub mod pages;
mod periods;
mod policy;
mod probes;
mod rates;
mod readiness;
mod refusal;
mod request;
mod retention;
mod runs;
mod services;
mod settings;
mod table;
mod tasks;
mod timers;
mod tokens;
mod wakers;
mod watch;
mod worker;
mod zones;

pub use access::Access;
pub(crate) use alerts::unread_pages;
pub use alerts::{receive, refused, signed_by_sns, take_alerts, unsubscribed};
pub use arrivals::Taken;
pub use chat::{ChatRefusal, chat_refuses};
pub use commands::COMMANDS;
pub use context::Context;
pub use context::Context as Bot;
pub use heartbeats::{hear, hear_watchdogs};
pub use history::file_pieces;
pub use incidents::{room_closed, room_opened};
pub use library::{Library, Problem as RunbookProblem};
pub use notify::{DirectMessages, deliver};
pub use pages::acknowledge::{ack_answer, ack_link, acknowledge};
pub use pages::view::{page_of_incident, page_of_incidents};
pub use pages::{enter, leave, page_export, page_link, visitor};
pub use readiness::store_takes_writes;
pub use refusal::{Failure, Fault, Refusal};
pub use request::answer_key;
pub use retention::{Pruned, begin_pruning, pruned};
pub use runs::runs_over;
pub use services::{Catalogue, Named};
pub use settings::{
    AlertSettings, BackupPlan, Deadman, NotifySettings, ReachSettings, Routine, Settings,
};
pub use table::{Commands, Spec, ask_probe};
pub use worker::Acceptance;
pub use worker::{
    accept, appear, begin_routine, disappear, end_visit, run, run_due, start_visit, visit,
};
pub use zones::Zones;
