//! Incidents: declared, changed, written about, and what is seen of them.

mod asks;
mod change;
mod declare;
mod end;
mod find;
mod kinds;
mod list;
mod notes;
mod place;
mod room;
mod stakeholders;

pub(super) use asks::close_asks;
pub(super) use change::{Change, assign, set_severity, set_status};
pub(super) use declare::{declare, open_incident};
pub(super) use end::end_incident;
pub(crate) use find::leading;
pub(super) use find::{meant, person};
pub(super) use kinds::{DECLARED, RELAPSE};
pub(super) use list::{incident_list, incident_show};
pub(super) use notes::{link, note, update};
pub(super) use place::invite;
pub use place::{room_closed, room_opened};
pub(super) use room::room_message;
pub(super) use stakeholders::notify_listed;
