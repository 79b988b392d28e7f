//! Lists of boxes that people, and where it can tell the bot itself, tick.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{IncidentId, Outgoing, Person, ServiceName, Stream};

/// A checklist that somebody works on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checklist {
    /// Its number; 0 until it is recorded.
    #[serde(skip)]
    pub id: i64,
    /// Which list it is, such as `deploy`.
    pub name: String,
    /// What it is about.
    pub service: Option<ServiceName>,
    /// Whose timeline it is written on; the audit, where there is none.
    pub incident: Option<IncidentId>,
    /// Who began it.
    pub begun_by: Person,
    /// When.
    pub begun_at: Timestamp,
    /// The boxes, in their order.
    pub boxes: Vec<TickBox>,
    /// Who ended it, and when.
    pub ended: Option<(Person, Timestamp)>,
    /// Its message.
    pub message: Outgoing,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickBox {
    /// What it belongs to, such as `Pre-deployment`.
    pub phase: String,
    /// What is to be so.
    pub text: String,
    /// The probe that tells, by its step's name.
    pub probe: Option<String>,
    /// Who ticked it, and when.
    pub tick: Option<(Person, Timestamp)>,
    /// What the probe last told, and when.
    pub found: Option<(String, Timestamp)>,
}

impl Checklist {
    /// How many boxes are ticked.
    pub fn ticked(&self) -> usize {
        self.boxes.iter().filter(|one| one.tick.is_some()).count()
    }

    /// The timeline that it is written on.
    pub fn stream(&self) -> Stream {
        self.incident.map_or(Stream::Audit, Stream::Incident)
    }
}
