//! Plain types and rules: incidents, the timeline, services, people, requests, messages.
//!
//! Nothing here does I/O, reads a clock, or knows of Slack, SQL or HTTP.

pub mod action;
pub mod alert;
pub mod backup;
mod causes;
pub mod checklist;
pub mod duration;
mod guard;
pub mod heartbeat;
pub mod history;
pub mod incident;
pub mod mail;
pub mod message;
pub mod notification;
pub mod oncall;
pub mod outgoing;
pub mod period;
pub mod person;
pub mod question;
pub mod request;
pub mod schedule;
pub mod series;
pub mod service;
pub mod task;
pub mod timeline;
pub mod trend;
pub mod unit;
mod words;

pub use causes::causes;
pub use guard::Guarded;
pub use incident::{Incident, IncidentId, IncidentRole, Severity, Status};
pub use mail::Mailbox;
pub use message::{Audience, Button, Line, Message, Part, Span, Style, Tone};
pub use outgoing::{Content, Destination, Outgoing, TimelineFile, announcement_key, moved_key};
pub use person::{Person, Role};
pub use request::{Door, Place, Reply, Request};
pub use service::{Service, ServiceName, Target};
pub use timeline::{Entry, EntryKind, Stream};
pub use unit::Unit;
pub use words::counted;
