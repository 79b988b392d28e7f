//! The language as a JSON Schema, for editors.

use serde_json::{Value, json};

use super::model::ParamKind;
use super::vocabulary::Vocabulary;

/// The schema of a runbook, with the probes and actions there are.
pub fn schema(vocabulary: &Vocabulary) -> Value {
    let steps = steps();
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
            "triggers": {"type": "array", "items": trigger()},
            "params": {"type": "object", "additionalProperties": param()},
            "timeout": duration(),
            "steps": steps,
            "finally": steps,
        },
        "$defs": {"step": step(vocabulary)},
    })
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn condition(about: &str) -> Value {
    json!({"type": ["string", "boolean"], "description": about})
}

fn duration() -> Value {
    json!({
        "type": "string",
        "pattern": "^([0-9]+[smhd])+$",
        "description": "A duration such as 90s, 10m, 2h or 1h30m",
    })
}

/// These keys and no others.
fn object(required: &[&str], properties: Value) -> Value {
    let mut object = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn param() -> Value {
    let kinds: Vec<&str> = ParamKind::WORDS.iter().map(|(word, _)| *word).collect();
    let properties = json!({
        "type": {"enum": kinds},
        "summary": text("What it is for"),
        "default": {"type": ["string", "number", "boolean"]},
        "optional": {"type": "boolean", "description": "It may be left out, and is null then"},
        "choices": {"type": "array", "description": "The only values allowed"},
        "min": {"type": ["number", "string"]},
        "max": {"type": ["number", "string"]},
    });
    object(&["type"], properties)
}

fn trigger() -> Value {
    let alert = json!({
        "description": "An alert's name, or labels that it must have",
        "oneOf": [
            {"type": "string"},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ],
    });
    let keyword = text("A word of an incident's title");
    json!({"oneOf": [
        object(&["alert"], json!({"alert": alert})),
        object(&["keyword"], json!({"keyword": keyword})),
    ]})
}

fn steps() -> Value {
    json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}})
}

fn wait() -> Value {
    let properties = json!({
        "for": text("A duration such as 2m, or ${{ … }}"),
        "until": condition("What has to hold; `result` is the newest result"),
        "every": duration(),
        "timeout": duration(),
    });
    json!({
        "description": "How long; or, beside `uses`, until what holds",
        "oneOf": [text("A duration such as 2m, or ${{ … }}"), object(&[], properties)],
    })
}

/// What people are asked, with keys of its own.
fn question(more: Value, required: &[&str]) -> Value {
    let mut question = object(
        required,
        json!({
            "text": text("What is asked"),
            "by": {"enum": ["viewer", "responder", "commander"]},
            "timeout": duration(),
        }),
    );
    if let (Some(properties), Value::Object(more)) = (question["properties"].as_object_mut(), more)
    {
        properties.extend(more);
    }
    question
}

fn retry() -> Value {
    let attempts = json!({"type": "integer", "minimum": 1, "maximum": 20});
    let properties = json!({
        "attempts": attempts,
        "delay": duration(),
        "backoff": {"type": "number", "minimum": 1, "maximum": 10},
    });
    json!({"oneOf": [attempts, object(&["attempts"], properties)]})
}

fn on_failure() -> Value {
    let goto = json!({"goto": text("A later step of the same list")});
    json!({"oneOf": [{"enum": ["stop", "continue"]}, object(&["goto"], goto)]})
}

fn step(vocabulary: &Vocabulary) -> Value {
    let callables = || vocabulary.callables.iter();
    let names: Vec<Value> = callables()
        .map(|(name, callable)| json!({"const": name, "description": callable.summary}))
        .collect();
    let calls: Vec<Value> = callables()
        .map(|(name, callable)| {
            json!({
                "if": {"properties": {"uses": {"const": name}}, "required": ["uses"]},
                "then": {"properties": {"with": loosened(&callable.params)}},
            })
        })
        .collect();
    let choices = json!({
        "type": "array", "minItems": 2, "maxItems": 5, "items": {"type": "string"},
        "description": "The answers to choose from",
    });
    let approvers = json!({
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
        "other": {"type": "boolean", "description": "Who started the run does not count"},
    });
    let properties = json!({
        "id": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "title": text("For people; may have ${{ … }} in it"),
        "when": condition("The step is done only if this holds"),
        "for_each": text("An expression that gives a list; each item is `item`"),
        "timeout": duration(),
        "retry": retry(),
        "on_failure": on_failure(),
        "with": {"type": "object", "description": "The parameters of the call"},
        "message": text("What is said when `assert` does not hold"),
        "uses": {"description": "A probe or an action", "oneOf": names},
        "wait": wait(),
        "ask": question(json!({"choices": choices}), &["text", "choices"]),
        "approve": question(approvers, &["text"]),
        "assert": condition("Fails unless this holds"),
        "note": text("Written to the timeline"),
        "notify": text("Said in the incident's room, or where the run was started"),
        "runbook": text("Another runbook that is run and awaited"),
        "manual": {"oneOf": [text("What a person has to do"), question(json!({}), &["text"])]},
        "parallel": steps(),
        "steps": steps(),
    });
    let mut step = object(&[], properties);
    step["allOf"] = calls.into();
    step
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
