//! What steps see of each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::expr::{Expr, Kind, Scope};
use crate::types::Type;

/// What those behind a step see of it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) id: String,
    /// The type of its result; optional where it may have none.
    pub(super) found: Type,
}

impl Seen {
    /// From now on it is seen.
    pub(super) fn enter(&self, scope: &mut Scope) {
        scope.absent.remove(&self.id);
        if let Some(Type::Record(steps)) = scope.names.get_mut("steps") {
            Arc::make_mut(steps).insert(self.id.clone(), self.found.clone());
        }
    }
}

/// The parameters that an expression speaks of.
pub(super) fn params_of(expr: &Expr, used: &mut BTreeSet<String>) {
    if let Kind::Field(of, field, _) = &expr.kind
        && matches!(&of.kind, Kind::Name(name) if name == "params")
    {
        used.insert(field.clone());
    }
    for part in expr.parts() {
        params_of(part, used);
    }
}
