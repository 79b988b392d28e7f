//! Who is on call: rotations with their handovers, holidays and overrides, and who is asked next.

mod handover;
mod moment;
mod shift;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Person, ServiceName};

pub use handover::Handover;
pub(crate) use handover::{WEEKDAYS, time};
pub use moment::{Length, Moment};
pub use shift::{Duty, Override, Shift, ShiftReason};

/// People who are on call in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Its name in chat.
    pub name: String,
    /// Who takes turns, in their order; not empty.
    pub members: Vec<Person>,
    /// When they do; `None`: the first of them always is on call.
    pub handover: Option<Handover>,
    /// On these days those of `substitutes` are on call, one after another, from the hour of the
    /// handover to that of the next day.
    pub holidays: BTreeSet<Date>,
    /// Who takes the holidays; not empty where there are any.
    pub substitutes: Vec<Person>,
    /// Who is asked after the one on call; `None`: whoever has the next turn.
    pub backups: Option<Vec<Backup>>,
    /// The services it serves.
    pub services: Vec<ServiceName>,
    /// The teams it serves.
    pub teams: Vec<String>,
    /// It serves everything that no other serves.
    pub default: bool,
}

/// Whom to ask when somebody does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backup {
    /// Always the same.
    Person(Person),
    /// Whoever is on call by this rotation then.
    Rotation(String),
}

/// All rotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnCall {
    rotations: Vec<Rotation>,
}

impl OnCall {
    /// Everybody who is on call at some time.
    pub fn members(&self) -> impl Iterator<Item = &Person> {
        self.rotations.iter().flat_map(|one| &one.members)
    }

    /// The name of the rotation that a fixed order of people makes.
    pub const FIXED: &str = "on-call";

    /// The rotations, and a fixed order of people (possibly empty) for what they don't serve.
    pub fn new(mut rotations: Vec<Rotation>, fixed: &[Person]) -> Self {
        if let Some((first, rest)) = fixed.split_first() {
            rotations.push(Rotation {
                name: Self::FIXED.to_owned(),
                members: vec![first.clone()],
                handover: None,
                holidays: BTreeSet::new(),
                substitutes: Vec::new(),
                backups: Some(rest.iter().cloned().map(Backup::Person).collect()),
                services: Vec::new(),
                teams: Vec::new(),
                default: true,
            });
        }
        Self { rotations }
    }

    /// All of them, in the order of the configuration.
    pub fn rotations(&self) -> &[Rotation] {
        &self.rotations
    }

    /// The rotation of this name.
    pub fn rotation(&self, name: &str) -> Option<&Rotation> {
        self.rotations.iter().find(|one| one.name == name)
    }

    /// The rotation that serves a service, else that of the team, else the default.
    pub fn rotation_for(
        &self,
        service: Option<&ServiceName>,
        team: Option<&str>,
    ) -> Option<&Rotation> {
        let all = || self.rotations.iter();
        let by_service =
            service.and_then(|service| all().find(|one| one.services.contains(service)));
        let by_team =
            || team.and_then(|team| all().find(|one| one.teams.iter().any(|name| name == team)));
        by_service
            .or_else(by_team)
            .or_else(|| all().find(|one| one.default))
    }

    /// Who is asked, one after another, as it stands now: who is on call, then those after them.
    /// Nobody comes twice.
    pub fn escalation_order(
        &self,
        rotation: &Rotation,
        overrides: &[Override],
        now: Timestamp,
    ) -> Vec<Person> {
        let duty = rotation.duty(overrides, now);
        let mut order = vec![duty.person];
        match &rotation.backups {
            None => order.extend(duty.next),
            Some(backups) => order.extend(backups.iter().filter_map(|next| match next {
                Backup::Person(person) => Some(person.clone()),
                Backup::Rotation(name) => Some(self.rotation(name)?.duty(overrides, now).person),
            })),
        }
        let mut seen = BTreeSet::new();
        order.retain(|person| seen.insert(person.id.clone()));
        order
    }
}

#[cfg(test)]
mod tests;
