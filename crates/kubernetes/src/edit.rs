//! Changing an object without overwriting what somebody else changes at the same time.
//!
//! It is read, changed in memory, and only the difference is sent, good for exactly the version
//! that was read. If that is no longer the newest, the server refuses (409) and all begins anew; so
//! it does when the connection breaks, and what was done already is not done again.

use std::time::Duration;

use kube::api::Patch;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::{Resource, Result, code_of, patch_params};
use treasury_ports::platform::PlatformError;

/// How often a change is tried when others change the same object all the time.
const TRIES: u32 = 8;

/// Between two tries, times their number.
const PAUSE: Duration = Duration::from_millis(50);

/// Brings an object to what `change` makes of it; where that is nothing, nothing is sent. `change`
/// may be called several times.
pub(crate) async fn edit(
    resource: &Resource,
    name: &str,
    change: &mut (dyn FnMut(&mut Value) + Send),
) -> Result<()> {
    let mut tries = 0;
    loop {
        let before: Value = resource.get(name).await?;
        let mut after = before.clone();
        change(&mut after);
        let Some(mut difference) = difference(&before, &after) else {
            return Ok(());
        };
        difference["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        let patch = Patch::Merge(&difference);
        let request = resource.request.patch(name, &patch_params(), &patch);
        let what = format!("changing {name}");
        let Err(error) = resource.send::<IgnoredAny>(&what, request).await else {
            return Ok(());
        };
        // After a cut nobody knows whether it was done: the next look does.
        let cut = matches!(error, PlatformError::Unreachable { .. });
        tries += 1;
        if tries == TRIES || !(cut || code_of(&error) == Some(409)) {
            return Err(error);
        }
        tokio::time::sleep(PAUSE * tries).await;
    }
}

/// The merge patch that makes `to` of `from`; `None` where they are equal.
fn difference(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return Some(to.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        let part = match old.get(key) {
            Some(old) => difference(old, value),
            None => Some(value.clone()),
        };
        if let Some(part) = part {
            patch.insert(key.clone(), part);
        }
    }
    Some(Value::Object(patch))
}

/// The member at this path; maps are made where they are missing.
pub(crate) fn member<'a>(object: &'a mut Value, path: &[&str]) -> &'a mut Value {
    path.iter().fold(object, |at, key| {
        if !at.is_object() {
            *at = json!({});
        }
        &mut at[*key]
    })
}

/// Removes a member of the map at this path.
pub(crate) fn remove(object: &mut Value, path: &[&str], key: &str) {
    let pointer: String = path.iter().map(|part| format!("/{part}")).collect();
    if let Some(map) = object.pointer_mut(&pointer).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_difference_is_sent() {
        let from = json!({"a": 1, "b": {"c": 1, "d": [1, 2]}, "e": {"f": 1}, "g": 1});
        let to = json!({"a": 1, "b": {"c": 1, "d": [1]}, "e": {}, "h": {"i": 1}});
        assert_eq!(
            difference(&from, &to),
            Some(json!({"b": {"d": [1]}, "e": {"f": null}, "g": null, "h": {"i": 1}}))
        );
        assert_eq!(difference(&from, &from.clone()), None);
    }

    #[test]
    fn a_member_is_made_where_it_is_missing_and_goes_again() {
        let mut object = json!({"metadata": {"name": "web"}});
        *member(&mut object, &["metadata", "annotations", "a/b"]) = "x".into();
        assert_eq!(object["metadata"]["annotations"]["a/b"], "x");
        remove(&mut object, &["metadata", "annotations"], "a/b");
        assert_eq!(object["metadata"]["annotations"], json!({}));
    }
}
