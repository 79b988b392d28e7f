//! What a runbook may speak of: given from outside, since the language knows no platform.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::model::Param;
use super::types::Type;
use treasury_domain::Role;

/// A probe or an action that `uses:` may name.
#[derive(Debug, Clone, PartialEq)]
pub struct Callable {
    /// What it does, in one line.
    pub summary: String,
    /// It changes something.
    pub changes: bool,
    /// The role that somebody needs who has it done.
    pub needs: Role,
    /// JSON Schema of its parameters, without references; `format` is `service` where a service
    /// is named, `duration-text` where a duration such as `10m` is written.
    pub params: Value,
    /// What it gives.
    pub result: Type,
}

/// Another runbook, as far as its callers need it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signature {
    /// What it is told at its start.
    pub params: Vec<Param>,
    /// The runbooks that it calls.
    pub calls: BTreeSet<String>,
}

/// What a runbook may speak of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vocabulary {
    /// Probes and actions by name.
    pub callables: BTreeMap<String, Callable>,
    /// The services there are; `None` where that is not known (no configuration is given).
    pub services: Option<BTreeSet<String>>,
    /// The runbooks there are.
    pub runbooks: BTreeMap<String, Signature>,
}
