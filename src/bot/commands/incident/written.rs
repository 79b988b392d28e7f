//! What a step that writes into the records of incidents gives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which incident it was.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// Its id, such as `INC-12`.
    incident: String,
    /// It was not so before.
    changed: bool,
}
