//! Incidents and their life.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Person, Place, ServiceName};

/// The number of an incident; shown as `INC-12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub i64);

impl IncidentId {
    /// Reads `INC-12`, `inc-12`, `#12` or `12`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("INC-") => &text[4..],
            _ => text.strip_prefix('#').unwrap_or(text),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().filter(|n| *n > 0).map(Self)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INC-{}", self.0)
    }
}

/// How bad it is; SEV1 is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Money can't move, or data is lost.
    Sev1,
    /// A main function fails for many.
    Sev2,
    /// A function is impaired; there is a way around.
    Sev3,
    /// A nuisance.
    Sev4,
}

impl Severity {
    /// All of them, worst first.
    pub const ALL: [Self; 4] = [Self::Sev1, Self::Sev2, Self::Sev3, Self::Sev4];

    /// 1 to 4.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The severity of this number; the mildest for any other.
    pub fn of_number(number: i64) -> Self {
        let index = usize::try_from(number - 1).ok();
        index
            .and_then(|at| Self::ALL.get(at))
            .copied()
            .unwrap_or(Self::Sev4)
    }

    /// Reads `SEV2`, `sev2` or `2`.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        match lower.strip_prefix("sev").unwrap_or(&lower) {
            "1" => Some(Self::Sev1),
            "2" => Some(Self::Sev2),
            "3" => Some(Self::Sev3),
            "4" => Some(Self::Sev4),
            _ => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sev1 => "SEV1",
            Self::Sev2 => "SEV2",
            Self::Sev3 => "SEV3",
            Self::Sev4 => "SEV4",
        })
    }
}

/// Where an incident is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It hurts.
    Open,
    /// It no longer hurts; the cause may remain.
    Mitigated,
    /// The cause is gone.
    Resolved,
    /// The review is done; nothing more is added.
    Closed,
}

impl Status {
    /// May the status change to `next`? Forward by one or two steps (open may be resolved at once),
    /// closing needs resolved, and anything ended or mitigated can be reopened.
    pub fn may_become(self, next: Self) -> bool {
        use Status::{Closed, Mitigated, Open, Resolved};
        matches!(
            (self, next),
            (Open, Mitigated)
                | (Open | Mitigated, Resolved)
                | (Resolved, Closed)
                | (Mitigated | Resolved | Closed, Open)
        )
    }

    /// Commands in its channel still mean it, and actions are put on its timeline.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Mitigated)
    }
}

crate::words!(Status {
    Open: "open",
    Mitigated: "mitigated",
    Resolved: "resolved",
    Closed: "closed",
});

/// What somebody does in an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentRole {
    /// Decides.
    Commander,
    /// Keeps stakeholders informed.
    Communications,
    /// Writes down.
    Scribe,
    /// Works on it.
    Responder,
}

impl IncidentRole {
    /// Only one person at a time can have it.
    pub fn is_single(self) -> bool {
        self != Self::Responder
    }
}

crate::words!(IncidentRole {
    Commander: "commander",
    Communications: "communications",
    Scribe: "scribe",
    Responder: "responder",
});

/// One incident as it stands now. Its history is its timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// What is wrong, in one line.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// Where in its life.
    pub status: Status,
    /// Services concerned.
    pub services: Vec<ServiceName>,
    /// Where it is worked on, once there is such a place.
    pub place: Option<Place>,
    /// Who declared it.
    pub declared_by: Person,
    /// Who has which role.
    pub assignments: Vec<(IncidentRole, Person)>,
    /// Incidents that belong to it.
    pub links: Vec<IncidentId>,
    /// When it was declared.
    pub declared_at: Timestamp,
    /// When it last became mitigated.
    pub mitigated_at: Option<Timestamp>,
    /// When it last became resolved.
    pub resolved_at: Option<Timestamp>,
}

impl Incident {
    /// Who has this role.
    pub fn with_role(&self, role: IncidentRole) -> impl Iterator<Item = &Person> {
        let found = self.assignments.iter().filter(move |(own, _)| *own == role);
        found.map(|(_, person)| person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_severities_are_read_generously() {
        for text in ["INC-12", "inc-12", "#12", "12"] {
            assert_eq!(IncidentId::parse(text), Some(IncidentId(12)), "{text}");
        }
        for text in ["", "INC-", "0", "-1", "12x", "99999999999999999999", "+5"] {
            assert_eq!(IncidentId::parse(text), None, "{text}");
        }
        assert_eq!(Severity::parse("2"), Some(Severity::Sev2));
        assert_eq!(Severity::parse("Sev1"), Some(Severity::Sev1));
        assert_eq!(Severity::parse("5"), None);
    }

    #[test]
    fn the_status_moves_only_along_its_life() {
        use Status::{Closed, Mitigated, Open, Resolved};
        let allowed = [
            (Open, Mitigated),
            (Open, Resolved),
            (Mitigated, Resolved),
            (Resolved, Closed),
            (Mitigated, Open),
            (Resolved, Open),
            (Closed, Open),
        ];
        for from in [Open, Mitigated, Resolved, Closed] {
            for to in [Open, Mitigated, Resolved, Closed] {
                assert_eq!(
                    from.may_become(to),
                    allowed.contains(&(from, to)),
                    "{from} → {to}"
                );
            }
        }
    }
}
