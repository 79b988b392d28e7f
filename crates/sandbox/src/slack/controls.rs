//! Buttons, menus and inputs as a person meets them: which one is meant, what choosing does.

use serde_json::{Map, Value, json};

use super::cannot_act::CannotAct;
use super::workspace::{Message, Workspace};

/// An interactive element and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Control {
    pub block_id: String,
    pub element: Value,
    /// In which attachment, if in one.
    pub attachment: Option<usize>,
}

impl Control {
    pub fn action_id(&self) -> &str {
        self.element["action_id"].as_str().unwrap_or_default()
    }

    fn label(&self) -> &str {
        self.element["text"]["text"].as_str().unwrap_or_default()
    }

    fn is_meant_by(&self, wanted: &str) -> bool {
        self.action_id() == wanted || self.label() == wanted || self.element["value"] == wanted
    }
}

/// All controls of a list of blocks, in reading order.
pub(super) fn controls(blocks: &[Value], attachment: Option<usize>) -> Vec<Control> {
    let mut out = Vec::new();
    for block in blocks {
        let many = block["elements"].as_array().into_iter().flatten();
        for element in many
            .chain(block.get("accessory"))
            .chain(block.get("element"))
        {
            if element["action_id"].is_string() {
                out.push(Control {
                    block_id: block["block_id"].as_str().unwrap_or_default().to_string(),
                    element: element.clone(),
                    attachment,
                });
            }
        }
    }
    out
}

/// All controls of a message, those in attachments last.
pub(super) fn in_message(message: &Message) -> Vec<Control> {
    let mut out = controls(&message.blocks, None);
    for (at, attachment) in message.attachments.iter().enumerate() {
        if let Some(blocks) = attachment["blocks"].as_array() {
            out.extend(controls(blocks, Some(at)));
        }
    }
    out
}

/// The one control that is meant by its action_id, its label or its value.
pub(super) fn pick(all: Vec<Control>, wanted: &str) -> Result<Control, CannotAct> {
    let have = || {
        all.iter()
            .map(|c| format!("{} “{}”", c.action_id(), c.label()))
            .collect()
    };
    let mut fitting = all.iter().filter(|c| c.is_meant_by(wanted));
    match (fitting.next(), fitting.next()) {
        (Some(control), None) => Ok(control.clone()),
        (None, _) => Err(CannotAct::NoControl {
            wanted: wanted.to_string(),
            have: have(),
        }),
        _ => Err(CannotAct::Ambiguous {
            wanted: wanted.to_string(),
            have: have(),
        }),
    }
}

/// The name of the field that holds what was chosen, and of the one that holds the default.
fn fields_of(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "plain_text_input" | "number_input" | "email_text_input" | "url_text_input" => {
            ("value", "initial_value")
        }
        "static_select" | "external_select" | "radio_buttons" | "overflow" => {
            ("selected_option", "initial_option")
        }
        "multi_static_select" | "multi_external_select" | "checkboxes" => {
            ("selected_options", "initial_options")
        }
        "users_select" => ("selected_user", "initial_user"),
        "multi_users_select" => ("selected_users", "initial_users"),
        "conversations_select" => ("selected_conversation", "initial_conversation"),
        "multi_conversations_select" => ("selected_conversations", "initial_conversations"),
        "channels_select" => ("selected_channel", "initial_channel"),
        "multi_channels_select" => ("selected_channels", "initial_channels"),
        "datepicker" => ("selected_date", "initial_date"),
        "timepicker" => ("selected_time", "initial_time"),
        "datetimepicker" => ("selected_date_time", "initial_date_time"),
        _ => return None,
    })
}

/// The state of an element when nobody has touched it; `None` for those that have no state.
pub(super) fn initial(element: &Value) -> Option<Value> {
    let kind = element["type"].as_str()?;
    let (field, default) = fields_of(kind)?;
    if kind == "overflow" {
        return None;
    }
    let empty = if field == "selected_options" {
        json!([])
    } else {
        Value::Null
    };
    Some(json!({"type": kind, field: element.get(default).cloned().unwrap_or(empty)}))
}

/// The state of an element after a person has chosen `value`: an option's value or label, a
/// person's name, a text, a date; a list where several may be chosen.
pub(super) fn choose(
    world: &Workspace,
    element: &Value,
    value: &Value,
) -> Result<Map<String, Value>, CannotAct> {
    let kind = element["type"].as_str().unwrap_or_default();
    let Some((field, _)) = fields_of(kind) else {
        return Err(CannotAct::NothingToChoose(kind.to_string()));
    };
    let one = |value: &Value| -> Result<Value, CannotAct> {
        let text = value.as_str().unwrap_or_default();
        Ok(match field.trim_end_matches('s') {
            "selected_option" if kind.contains("external") => {
                json!({"text": {"type": "plain_text", "text": text}, "value": text})
            }
            "selected_option" => option(element, text)?,
            "selected_user" => json!(world.person(text).map_or(text, |p| &p.id)),
            "selected_channel" | "selected_conversation" => {
                json!(world.channel(text).map_or(text, |c| &c.id))
            }
            "value" if value.is_number() => json!(value.to_string()),
            _ => value.clone(),
        })
    };
    let chosen = match value {
        Value::Array(values) => Value::Array(values.iter().map(one).collect::<Result<_, _>>()?),
        value if field.ends_with('s') => json!([one(value)?]),
        value => one(value)?,
    };
    let mut out = Map::new();
    out.insert("type".to_string(), json!(kind));
    out.insert(field.to_string(), chosen);
    Ok(out)
}

fn option(element: &Value, wanted: &str) -> Result<Value, CannotAct> {
    let groups = element["option_groups"].as_array().into_iter().flatten();
    let grouped = groups.filter_map(|g| g["options"].as_array()).flatten();
    let all: Vec<_> = element["options"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(grouped)
        .collect();
    let found = all
        .iter()
        .find(|o| o["value"] == wanted || o["text"]["text"] == wanted);
    found
        .map(|o| (*o).clone())
        .ok_or_else(|| CannotAct::NoOption {
            wanted: wanted.to_string(),
            have: all
                .iter()
                .map(|o| o["value"].as_str().unwrap_or_default().to_string())
                .collect(),
        })
}

/// The `state.values` of some controls, untouched.
pub(super) fn initial_state(all: &[Control]) -> Map<String, Value> {
    let mut out = Map::new();
    for control in all {
        if let Some(state) = initial(&control.element) {
            out.entry(&control.block_id).or_insert_with(|| json!({}))[control.action_id()] = state;
        }
    }
    out
}

/// The `state.values` of a message as one person sees it.
pub(super) fn message_state(message: &Message, user: &str) -> Map<String, Value> {
    let mut out = initial_state(&in_message(message));
    for (block, actions) in message.chosen.get(user).into_iter().flatten() {
        for (action, state) in actions.as_object().into_iter().flatten() {
            if let Some(slot) = out.get_mut(block).and_then(|b| b.get_mut(action)) {
                *slot = state.clone();
            }
        }
    }
    out
}
