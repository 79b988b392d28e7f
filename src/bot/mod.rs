//! Use cases: the only place that decides.
//!
//! A request comes in by [`Bot::accept`], which records it and returns. [`Bot::run`] takes recorded
//! requests up, carries them out and writes the answer to the outbox, in one transaction with
//! everything the answer tells of. The bot never calls a chat.

mod actions;
mod alerts;
mod confirm;
mod context;
mod diagnose;
mod graph;
mod heartbeat;
mod history;
mod incidents;
mod library;
mod measurements;
mod menu;
mod notify;
mod oncall;
pub mod pages;
mod policy;
mod probes;
mod recover;
mod refusal;
pub mod registry;
mod request;
mod runs;
mod services;
mod settings;
mod watch;
mod worker;

pub use alerts::Taken;
pub use alerts::take_alerts;
pub use context::Context;
pub use context::Context as Bot;
pub use library::Library;
pub use notify::post::keep_mailing;
pub use pages::view::{page_of_incident, page_of_incidents};
pub use pages::{enter, leave, page_export, page_link, visitor};
pub use policy::Access;
pub use refusal::{Failure, Fault, Refusal};
pub use registry::ask_probe;
pub use request::answer_key;
pub use runs::drive::runs_over;
pub use services::{Catalogue, Named};
pub use settings::{AlertSettings, MailSettings, Settings};
pub use worker::Acceptance;
pub use worker::{accept, end_visit, run, start_visit, visit};
