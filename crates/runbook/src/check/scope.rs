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
    match &expr.kind {
        Kind::Field(of, field, _) => {
            if matches!(&of.kind, Kind::Name(name) if name == "params") {
                used.insert(field.clone());
            }
            params_of(of, used);
        }
        Kind::List(items) | Kind::Call(_, items) => {
            for item in items {
                params_of(item, used);
            }
        }
        Kind::Index(a, b) | Kind::Where(a, b) | Kind::Binary(_, a, b) => {
            params_of(a, used);
            params_of(b, used);
        }
        Kind::Each(inner) | Kind::Not(inner) | Kind::Minus(inner) => params_of(inner, used),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Name(_) => {}
    }
}
