//! The events of the whole stack.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::container::Container;
use super::role::Role;
use treasury_domain::service::Event;

/// Events kept.
pub const MAX_EVENTS: usize = 1_000;

/// The bounded list of events and the count of changes worth telling.
#[derive(Debug, Default)]
pub struct Journal {
    /// Oldest first.
    pub events: VecDeque<(Role, Event)>,
    /// Rises with every event.
    pub changes: u64,
}

impl Journal {
    /// Adds an event; the oldest goes when the list is full.
    pub fn note(&mut self, of: &Container, at: Timestamp, what: &str, detail: Option<String>) {
        while self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        let event = Event {
            at,
            replica: of.name.clone(),
            what: what.to_owned(),
            detail,
        };
        self.events.push_back((of.role, event));
        self.changes += 1;
    }
}
