//! Reading and writing JSON objects by pointers.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The text at a pointer; empty where there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// The number at a pointer.
pub fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// The list at a pointer; empty where there is none.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// The map at a pointer, made where it is missing. `path` has the keys from the root.
pub fn map<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut at = value;
    for key in path {
        if !at.is_object() {
            *at = json!({});
        }
        at = at
            .as_object_mut()
            .unwrap()
            .entry(*key)
            .or_insert_with(|| json!({}));
    }
    if !at.is_object() {
        *at = json!({});
    }
    at.as_object_mut().unwrap()
}

/// Sets a value at a path of keys; `Null` removes it.
pub fn set(value: &mut Value, path: &[&str], to: Value) {
    let (last, parents) = path.split_last().unwrap();
    let parent = map(value, parents);
    if to.is_null() {
        parent.remove(*last);
    } else {
        parent.insert((*last).to_owned(), to);
    }
}

/// Sets what is not there yet.
pub fn default(value: &mut Value, path: &[&str], to: Value) {
    let (last, parents) = path.split_last().unwrap();
    let entry = map(value, parents).entry(*last);
    let present = entry.or_insert(Value::Null);
    if present.is_null() {
        *present = to;
    }
}

/// A count as Kubernetes writes it: left out where it is 0.
pub fn count(value: usize) -> Value {
    if value == 0 {
        Value::Null
    } else {
        json!(value)
    }
}

/// An object without the keys whose value is `Null`.
pub fn dense(mut value: Value) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, one| !one.is_null());
    }
    value
}

/// A `metav1.Time`: whole seconds.
pub fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A `metav1.MicroTime`.
pub fn micros(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The time now in whole seconds.
pub fn now() -> String {
    seconds(Timestamp::now())
}

/// How long ago a `metav1.Time` was, seconds.
pub fn age(time: &str) -> f64 {
    let Ok(at) = time.parse::<Timestamp>() else {
        return 0.0;
    };
    (Timestamp::now() - at)
        .total(jiff::Unit::Second)
        .unwrap_or(0.0)
}

/// The object's own controller: the reference with `controller: true`.
pub fn owner(object: &Value) -> Option<&Value> {
    list(object, "/metadata/ownerReferences")
        .iter()
        .find(|one| one["controller"] == true)
}

/// The uid of the object's controller; empty where it has none.
pub fn owner_uid(object: &Value) -> &str {
    owner(object).map_or("", |one| text(one, "/uid"))
}

/// It was asked to go.
pub fn going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// A condition of the object's status.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions")
        .iter()
        .find(|one| one["type"] == kind)
}

/// A pod that is ready.
pub fn ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|one| one["status"] == "True")
}

/// A number, or a percentage of `of` rounded up.
pub fn share(value: &Value, of: usize) -> Option<usize> {
    if let Some(number) = value.as_u64() {
        return Some(number as usize);
    }
    let percent: usize = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some((percent * of).div_ceil(100))
}
