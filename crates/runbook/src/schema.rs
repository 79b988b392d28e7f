//! The language as a JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::model::ParamKind;
use super::vocabulary::Vocabulary;

/// The schema of a runbook, with the probes and actions there are.
pub fn schema(vocabulary: &Vocabulary) -> Value {
    let duration = json!({
        "type": "string",
        "pattern": "^([0-9]+[smhd])+$",
        "description": "A duration such as 90s, 10m, 2h or 1h30m",
    });
    let text = |about: &str| json!({"type": "string", "description": about});
    let condition = |about: &str| json!({"type": ["string", "boolean"], "description": about});
    let role = json!({"enum": ["viewer", "responder", "commander"]});
    let kinds: Vec<&str> = ParamKind::WORDS.iter().map(|(word, _)| *word).collect();
    let param = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type"],
        "properties": {
            "type": {"enum": kinds},
            "summary": text("What it is for"),
            "default": {"type": ["string", "number", "boolean"]},
            "optional": {"type": "boolean", "description": "It may be left out, and is null then"},
            "choices": {"type": "array", "description": "The only values allowed"},
            "min": {"type": ["number", "string"]},
            "max": {"type": ["number", "string"]},
        },
    });
    let trigger = json!({
        "oneOf": [
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["alert"],
                "properties": {"alert": {
                    "description": "An alert's name, or labels that it must have",
                    "oneOf": [
                        {"type": "string"},
                        {"type": "object", "additionalProperties": {"type": "string"}},
                    ],
                }},
            },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["keyword"],
                "properties": {"keyword": text("A word of an incident's title")},
            },
        ],
    });
    let wait = json!({
        "description": "How long; or, beside `uses`, until what holds",
        "oneOf": [
            text("A duration such as 2m, or ${{ … }}"),
            {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "for": text("A duration such as 2m, or ${{ … }}"),
                    "until": condition("What has to hold; `result` is the newest result"),
                    "every": duration,
                    "timeout": duration,
                },
            },
        ],
    });
    let asked = |more: Value, required: &[&str]| {
        let mut properties = Map::new();
        properties.insert("text".into(), text("What is asked"));
        properties.insert("by".into(), role.clone());
        properties.insert("timeout".into(), duration.clone());
        if let Value::Object(more) = more {
            properties.extend(more);
        }
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": required,
            "properties": properties,
        })
    };
    let names: Vec<Value> = vocabulary
        .callables
        .iter()
        .map(|(name, callable)| json!({"const": name, "description": callable.summary}))
        .collect();
    let calls: Vec<Value> = vocabulary
        .callables
        .iter()
        .map(|(name, callable)| {
            json!({
                "if": {"properties": {"uses": {"const": name}}, "required": ["uses"]},
                "then": {"properties": {"with": loosened(&callable.params)}},
            })
        })
        .collect();
    let steps = json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}});
    let step = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
            "title": text("For people; may have ${{ … }} in it"),
            "when": condition("The step is done only if this holds"),
            "for_each": text("An expression that gives a list; each item is `item`"),
            "timeout": duration,
            "retry": {"oneOf": [
                {"type": "integer", "minimum": 1, "maximum": 20},
                {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["attempts"],
                    "properties": {
                        "attempts": {"type": "integer", "minimum": 1, "maximum": 20},
                        "delay": duration,
                        "backoff": {"type": "number", "minimum": 1, "maximum": 10},
                    },
                },
            ]},
            "on_failure": {"oneOf": [
                {"enum": ["stop", "continue"]},
                {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["goto"],
                    "properties": {"goto": text("A later step of the same list")},
                },
            ]},
            "with": {"type": "object", "description": "The parameters of the call"},
            "message": text("What is said when `assert` does not hold"),
            "uses": {"description": "A probe or an action", "oneOf": names},
            "wait": wait,
            "ask": asked(json!({"choices": {
                "type": "array", "minItems": 2, "maxItems": 5, "items": {"type": "string"},
                "description": "The answers to choose from",
            }}), &["text", "choices"]),
            "approve": asked(json!({
                "count": {"type": "integer", "minimum": 1, "maximum": 5},
                "other": {"type": "boolean", "description": "Who started the run does not count"},
            }), &["text"]),
            "assert": condition("Fails unless this holds"),
            "note": text("Written to the timeline"),
            "notify": text("Said in the incident's room, or where the run was started"),
            "runbook": text("Another runbook that is run and awaited"),
            "manual": {"oneOf": [text("What a person has to do"), asked(json!({}), &["text"])]},
            "parallel": steps,
            "steps": steps,
        },
        "allOf": calls,
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A runbook of treasury-bot",
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "steps"],
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z][a-z0-9-]*$",
                "description": "The name of the file without .yml"},
            "title": text("For people"),
            "summary": text("What it is for"),
            "triggers": {"type": "array", "items": trigger},
            "params": {"type": "object", "additionalProperties": param},
            "timeout": duration,
            "steps": steps,
            "finally": steps,
        },
        "$defs": {"step": step},
    })
}

/// Each parameter may also be an expression.
fn loosened(params: &Value) -> Value {
    let mut params = params.clone();
    if let Some(Value::Object(fields)) = params.get_mut("properties") {
        for field in fields.values_mut() {
            let own = field.take();
            *field = json!({"anyOf": [own, {"type": "string", "pattern": "\\$\\{\\{"}]});
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{KEYS, PARAM_KEYS, STEP_KEYS};

    #[test]
    fn every_key_of_the_language_is_in_the_schema_and_no_other() {
        let schema = schema(&Vocabulary::default());
        let keys = |at: &Value| {
            let mut keys: Vec<String> = at["properties"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect();
            keys.sort();
            keys
        };
        let sorted = |words: &[&str]| {
            let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            words.sort();
            words
        };
        assert_eq!(keys(&schema), sorted(&KEYS));
        assert_eq!(keys(&schema["$defs"]["step"]), sorted(&STEP_KEYS));
        let param = &schema["properties"]["params"]["additionalProperties"];
        assert_eq!(keys(param), sorted(&PARAM_KEYS));
    }
}
