//! What an expression may speak of, and what conditions make sure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Expr, Kind, Op, path};
use crate::types::Type;

/// What an expression may speak of.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Names and their types; `steps` is a record of the steps' results.
    pub names: BTreeMap<String, Type>,
    /// Steps that stand later or elsewhere: known, but without a result here.
    pub absent: BTreeSet<String>,
    /// Paths that are known to be there, such as `steps.stats` or `params.image`.
    pub present: BTreeSet<String>,
}

impl Scope {
    /// The same, with what this condition makes sure.
    #[must_use]
    pub fn given(&self, condition: &Expr) -> Self {
        let mut scope = self.clone();
        collect(condition, &mut scope.present);
        scope
    }
}

/// Adds the paths that are not null when a condition is true: those of the parts joined by `and`
/// that say that something is there.
pub(super) fn collect(condition: &Expr, present: &mut BTreeSet<String>) {
    match &condition.kind {
        Kind::Binary(Op::And, left, right) => {
            collect(left, present);
            collect(right, present);
        }
        Kind::Binary(Op::Unequal, left, right) => {
            let named = match (&left.kind, &right.kind) {
                (Kind::Null, _) => path(right),
                (_, Kind::Null) => path(left),
                _ => None,
            };
            // A field that is there is in a record that is there.
            let mut name = named.as_deref();
            while let Some(part) = name {
                present.insert(part.to_owned());
                name = part.rsplit_once('.').map(|(of, _)| of);
            }
        }
        Kind::Call(name, arguments) if name == "succeeded" => {
            if let Some(Kind::Text(step)) = arguments.first().map(|one| &one.kind) {
                present.insert(format!("steps.{step}"));
            }
        }
        _ => {}
    }
}
