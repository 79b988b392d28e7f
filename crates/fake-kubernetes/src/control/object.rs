//! What controllers write about their objects.

use serde_json::Value;

use crate::event::{self, reference};
use crate::json::{dense, set};
use crate::resource::Kind;
use crate::state::State;
use crate::store::Key;

/// A controller's event about an object.
pub fn tell(state: &mut State, plural: &str, about: &Value, reason: &str, message: &str) {
    let component = match plural {
        "deployments" => "deployment-controller",
        "replicasets" => "replicaset-controller",
        "statefulsets" => "statefulset-controller",
        _ => "daemonset-controller",
    };
    let about = reference(Kind::kept(plural), about);
    event::tell(state, &about, "Normal", reason, message, component);
}

/// The status with what is not there or 0 left out.
pub fn set_status(state: &mut State, key: &Key, status: Value) {
    let status = dense(status);
    state
        .store
        .modify(key, |object| set(object, &["status"], status));
}
