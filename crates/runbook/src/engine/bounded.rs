//! Results that are kept small enough to be stored.

use std::collections::BTreeMap;

use serde_json::Value;
use treasury_domain::timeline;

/// Most bytes of a step's result as JSON.
const MAX_RESULT: usize = 32 * 1024;

/// The result, made smaller where it is too large: lists and texts are cut until it fits. Then also
/// what was left out, for people: `lines 100 of 500, long texts`.
pub fn bounded(value: Value) -> (Value, Option<String>) {
    if value.to_string().len() <= MAX_RESULT {
        return (value, None);
    }
    let (mut small, mut left_out) = (value, LeftOut::default());
    for (items, bytes) in [(100, 2_000), (30, 500), (10, 200), (3, 80), (0, 40)] {
        cut(&mut small, "items", items, bytes, &mut left_out);
        if small.to_string().len() <= MAX_RESULT {
            break;
        }
    }
    (small, Some(left_out.words()))
}

/// What had to be left out of a result.
#[derive(Default)]
struct LeftOut {
    /// Of the first list of each name, how many items are left of how many.
    lists: BTreeMap<String, (usize, usize)>,
    texts: bool,
}

impl LeftOut {
    fn words(&self) -> String {
        let lists = self.lists.iter().take(3);
        let lists = lists.map(|(name, (left, of))| format!("{name} {left} of {of}"));
        let texts = self.texts.then(|| "long texts".to_owned());
        lists.chain(texts).collect::<Vec<_>>().join(", ")
    }
}

fn cut(value: &mut Value, name: &str, items: usize, bytes: usize, left_out: &mut LeftOut) {
    match value {
        Value::String(text) if text.len() > bytes => {
            *text = timeline::cut(text, bytes);
            left_out.texts = true;
        }
        Value::Array(list) => {
            if list.len() > items {
                let counts = left_out.lists.entry(name.to_owned());
                counts.or_insert((items, list.len())).0 = items;
                if is_in_time(list) {
                    list.drain(..list.len() - items);
                } else {
                    list.truncate(items);
                }
            }
            for item in list {
                cut(item, name, items, bytes, left_out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                cut(field, name, items, bytes, left_out);
            }
        }
        _ => {}
    }
}

/// Its items are in the order of their time: the last ones matter most.
fn is_in_time(list: &[Value]) -> bool {
    let at = |item: Option<&Value>| Some(item?.get("at")?.as_str()?.to_owned());
    at(list.first())
        .zip(at(list.last()))
        .is_some_and(|(first, last)| first < last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_result_is_cut_and_keeps_its_shape() {
        let line = serde_json::json!({"text": "x".repeat(1_000), "n": 1});
        let value = serde_json::json!({"count": 500, "lines": vec![line; 500]});
        let (small, left_out) = bounded(value);
        assert!(small.to_string().len() <= MAX_RESULT);
        assert_eq!(left_out.as_deref(), Some("lines 30 of 500, long texts"));
        assert_eq!(small["count"], 500);
        assert_eq!(small["lines"][0]["n"], 1);
        let line = |n: i32| serde_json::json!({"at": format!("{n:04}"), "text": "x".repeat(400)});
        let (small, _) =
            bounded(serde_json::json!({"lines": (0..500).map(line).collect::<Vec<_>>()}));
        assert_eq!(small["lines"].as_array().unwrap().last(), Some(&line(499)));
        let little = serde_json::json!({"a": [1, 2]});
        assert_eq!(bounded(little.clone()), (little, None));
    }
}
