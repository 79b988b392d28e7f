//! Shifts: the plan of a rotation with its holidays, and what overrides make of it.

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::Rotation;
use crate::Person;

/// Somebody is on call instead of the one whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Its number. Of several at the same time the newest counts: that of the highest number.
    pub id: i64,
    /// The rotation's name.
    pub rotation: String,
    /// Who is on call.
    pub person: Person,
    /// From then on …
    pub from: Timestamp,
    /// … until then; `None`: until it is removed.
    pub until: Option<Timestamp>,
    /// Who said so.
    pub by: Person,
}

impl Override {
    /// It counts at this moment, unless a newer one does.
    pub fn covers(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

/// Why somebody is on call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShiftReason {
    /// They always are.
    Always,
    /// It is their turn, the n-th since the first.
    Turn(i64),
    /// They take this holiday.
    Holiday(Date),
    /// By the override of this number.
    Override(i64),
}

/// Somebody is on call for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// Who.
    pub person: Person,
    /// From then on (for the shift that is under way when asked: from that moment) …
    pub from: Timestamp,
    /// … until then; `None`: for ever.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: ShiftReason,
}

/// How it stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    /// Who is on call.
    pub person: Person,
    /// When somebody else is; `None`: nobody else for as long as can be foreseen.
    pub until: Option<Timestamp>,
    /// Who that is.
    pub next: Option<Person>,
}

/// Shifts that are looked through for somebody else.
const FORESEEN: usize = 64;

impl Rotation {
    /// The shift at a moment: by the newest override, else by the plan.
    pub fn shift(&self, overrides: &[Override], now: Timestamp) -> Shift {
        let own = || overrides.iter().filter(|one| one.rotation == self.name);
        let newest = own().filter(|one| one.covers(now)).max_by_key(|one| one.id);
        let mut shift = match newest {
            Some(one) => Shift {
                person: one.person.clone(),
                from: now,
                until: one.until,
                reason: ShiftReason::Override(one.id),
            },
            None => self.planned(now),
        };
        // It ends early where a newer override begins.
        let above = newest.map_or(i64::MIN, |one| one.id);
        let begins = own()
            .filter(|one| one.id > above && one.from > now)
            .filter(|one| one.until.is_none_or(|until| until > one.from))
            .map(|one| one.from)
            .min();
        if let Some(begins) = begins {
            shift.until = Some(shift.until.map_or(begins, |until| until.min(begins)));
        }
        shift
    }

    /// The shift at a moment without any overrides.
    pub fn planned(&self, now: Timestamp) -> Shift {
        let Some(handover) = &self.handover else {
            return Shift {
                person: self.members[0].clone(),
                from: now,
                until: None,
                reason: ShiftReason::Always,
            };
        };
        let span = |day: Date| (handover.on(day), handover.on(later(day, 1)));
        let today = handover.date(now);
        let holiday = self
            .holidays
            .range(later(today, -2)..=later(today, 2))
            .map(|day| (*day, span(*day)))
            .find(|(_, (begins, ends))| *begins <= now && now < *ends);
        if let Some((day, (_, ends))) = holiday {
            let rank = self.holidays.range(..day).count();
            if let Some(person) = self.substitutes.get(rank % self.substitutes.len().max(1)) {
                return Shift {
                    person: person.clone(),
                    from: now,
                    until: Some(ends),
                    reason: ShiftReason::Holiday(day),
                };
            }
        }
        let turn = handover.turn(now);
        let who = turn.rem_euclid(self.members.len() as i64) as usize;
        let mut until = handover.begins(turn + 1);
        let next = self
            .holidays
            .range(later(today, -2)..)
            .map(|day| span(*day))
            .find(|(begins, ends)| *begins > now && begins < ends);
        if let (Some((begins, _)), false) = (next, self.substitutes.is_empty()) {
            until = until.min(begins);
        }
        Shift {
            person: self.members[who].clone(),
            from: now,
            until: Some(until),
            reason: ShiftReason::Turn(turn),
        }
    }

    /// The shifts from a moment on, the one under way first; at most `most`.
    pub fn shifts(&self, overrides: &[Override], now: Timestamp, most: usize) -> Vec<Shift> {
        let mut shifts = Vec::new();
        let mut at = now;
        while shifts.len() < most {
            let shift = self.shift(overrides, at);
            let until = shift.until.filter(|until| *until < Timestamp::MAX);
            shifts.push(shift);
            match until {
                Some(until) => at = until,
                None => break,
            }
        }
        shifts
    }

    /// Who is on call, until when, and who is next.
    pub fn duty(&self, overrides: &[Override], now: Timestamp) -> Duty {
        let mut shifts = self.shifts(overrides, now, FORESEEN).into_iter();
        let person = match shifts.next() {
            Some(shift) => shift.person,
            None => self.members[0].clone(),
        };
        let next = shifts.find(|shift| shift.person.id != person.id);
        Duty {
            until: next.as_ref().map(|shift| shift.from),
            next: next.map(|shift| shift.person),
            person,
        }
    }
}

fn later(day: Date, days: i64) -> Date {
    day.saturating_add(Span::new().days(days))
}
