//! The rules of interactive elements and images.

use serde_json::Value;

use super::findings::Findings;

/// Where an element stands decides which ones may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Actions,
    Accessory,
    Input,
    ContextActions,
}

const TEXT_INPUTS: [&str; 4] = [
    "plain_text_input",
    "email_text_input",
    "url_text_input",
    "number_input",
];

fn may_stand(kind: &str, place: Place) -> bool {
    if place == Place::ContextActions {
        return matches!(kind, "feedback_buttons" | "icon_button");
    }
    match kind {
        "button" | "overflow" | "workflow_button" => place != Place::Input,
        "image" => place == Place::Accessory,
        "plain_text_input" | "email_text_input" | "url_text_input" | "number_input"
        | "rich_text_input" | "file_input" => place == Place::Input,
        "datetimepicker" => place != Place::Accessory,
        "multi_static_select"
        | "multi_users_select"
        | "multi_conversations_select"
        | "multi_channels_select"
        | "multi_external_select" => place != Place::Actions,
        "static_select"
        | "external_select"
        | "users_select"
        | "conversations_select"
        | "channels_select"
        | "datepicker"
        | "timepicker"
        | "checkboxes"
        | "radio_buttons" => true,
        _ => false,
    }
}

/// The elements of an `actions` block; an `action_id` may stand there once.
pub(super) fn check_all(found: &mut Findings, at: &str, elements: &[Value], place: Place) {
    let mut ids: Vec<&str> = Vec::new();
    for (i, element) in elements.iter().enumerate() {
        let at = format!("{at}/elements/{i}");
        check(found, &at, element, place);
        if let Some(id) = element["action_id"].as_str().filter(|id| !id.is_empty()) {
            if ids.contains(&id) {
                found.say(
                    &format!("{at}/action_id"),
                    &format!("`action_id` already exists: {id}"),
                );
            }
            ids.push(id);
        }
    }
}

/// One element.
pub(super) fn check(found: &mut Findings, at: &str, element: &Value, place: Place) {
    let kind = element["type"].as_str().unwrap_or_default();
    if !may_stand(kind, place) {
        found.say(&format!("{at}/type"), &format!("unsupported type: {kind}"));
        return;
    }
    if kind == "image" {
        return image(found, at, element);
    }
    found.string(element, at, "action_id", 255, false);
    if let Some(ask) = element.get("confirm").filter(|v| !v.is_null()) {
        confirm(found, &format!("{at}/confirm"), ask);
    }
    if place != Place::ContextActions && !["button", "overflow", "workflow_button"].contains(&kind)
    {
        found.plain_text(element, at, "placeholder", 150, false);
    }
    match kind {
        "button" => button(found, at, element),
        "workflow_button" => {
            button(found, at, element);
            if !element["workflow"]["trigger"]["url"].is_string() {
                found.say(at, "missing required field: workflow");
            }
        }
        "icon_button" => {
            found.string(element, at, "icon", 75, true);
            found.plain_text(element, at, "text", 75, true);
        }
        "feedback_buttons" => {
            for key in ["positive_button", "negative_button"] {
                match element.get(key) {
                    Some(one) => found.plain_text(one, &format!("{at}/{key}"), "text", 75, true),
                    None => found.say(at, &format!("missing required field: {key}")),
                }
            }
        }
        "overflow" => options(found, at, element, "options", 1, 5, 75),
        "checkboxes" | "radio_buttons" => {
            options(found, at, element, "options", 1, 10, 75);
            initial_options(found, at, element);
        }
        "static_select" | "multi_static_select" => select(found, at, element),
        "datepicker" => date(found, at, element),
        kind if TEXT_INPUTS.contains(&kind) => text_input(found, at, element),
        _ => {}
    }
}

fn button(found: &mut Findings, at: &str, element: &Value) {
    found.plain_text(element, at, "text", 75, true);
    found.string(element, at, "value", 2000, false);
    found.string(element, at, "url", 3000, false);
    found.string(element, at, "accessibility_label", 75, false);
    let style = &element["style"];
    if !style.is_null() && style != "primary" && style != "danger" {
        found.say(&format!("{at}/style"), "must be one of: primary, danger");
    }
}

fn confirm(found: &mut Findings, at: &str, ask: &Value) {
    found.plain_text(ask, at, "title", 100, true);
    match ask.get("text") {
        Some(text) => found.text_object(text, &format!("{at}/text"), 300, false),
        None => found.say(at, "missing required field: text"),
    }
    found.plain_text(ask, at, "confirm", 30, true);
    found.plain_text(ask, at, "deny", 30, true);
    let style = &ask["style"];
    if !style.is_null() && style != "primary" && style != "danger" {
        found.say(&format!("{at}/style"), "must be one of: primary, danger");
    }
}

fn select(found: &mut Findings, at: &str, element: &Value) {
    match (element.get("options"), element.get("option_groups")) {
        (Some(_), Some(_)) => found.say(at, "only one of options and option_groups allowed"),
        (_, None) => options(found, at, element, "options", 1, 100, 75),
        (None, Some(_)) => {
            for (i, group) in found
                .array(element, at, "option_groups", 1, 100)
                .iter()
                .enumerate()
            {
                let at = format!("{at}/option_groups/{i}");
                found.plain_text(group, &at, "label", 75, true);
                options(found, &at, group, "options", 1, 100, 75);
            }
        }
    }
    initial_options(found, at, element);
}

fn options(
    found: &mut Findings,
    at: &str,
    of: &Value,
    key: &str,
    least: usize,
    most: usize,
    text: usize,
) {
    for (i, option) in found.array(of, at, key, least, most).iter().enumerate() {
        let at = format!("{at}/{key}/{i}");
        // In menus an option's text is plain; check boxes and radio buttons may have mrkdwn.
        let plain = !matches!(of["type"].as_str(), Some("checkboxes" | "radio_buttons"));
        match option.get("text") {
            Some(object) => found.text_object(object, &format!("{at}/text"), text, plain),
            None => found.say(&at, "missing required field: text"),
        }
        found.string(option, &at, "value", 150, true);
        if let Some(description) = option.get("description").filter(|v| !v.is_null()) {
            found.text_object(description, &format!("{at}/description"), 75, plain);
        }
    }
}

/// A default must be one of the options, to the letter.
fn initial_options(found: &mut Findings, at: &str, element: &Value) {
    let groups = element["option_groups"].as_array().into_iter().flatten();
    let grouped = groups.filter_map(|g| g["options"].as_array()).flatten();
    let all: Vec<_> = element["options"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(grouped)
        .collect();
    let known = |option: &Value| {
        all.iter()
            .any(|o| o["value"] == option["value"] && o["text"]["text"] == option["text"]["text"])
    };
    let wrong = "provided options do not match any of the available options";
    if element
        .get("initial_option")
        .is_some_and(|option| !option.is_null() && !known(option))
    {
        found.say(&format!("{at}/initial_option"), wrong);
    }
    if let Some(initial) = element.get("initial_options").filter(|v| !v.is_null()) {
        let initial = initial.as_array().map_or(&[][..], Vec::as_slice);
        if initial.is_empty() || !initial.iter().all(known) {
            found.say(&format!("{at}/initial_options"), wrong);
        }
    }
}

fn text_input(found: &mut Findings, at: &str, element: &Value) {
    found.string(element, at, "initial_value", 3000, false);
    let length = |key| element.get(key).filter(|v: &&Value| !v.is_null());
    for key in ["min_length", "max_length"] {
        if length(key).is_some_and(|v| v.as_u64().is_none_or(|n| n > 3000)) {
            found.say(&format!("{at}/{key}"), "must be less than 3001");
        }
    }
    if element["type"] == "number_input" && !element["is_decimal_allowed"].is_boolean() {
        found.say(at, "missing required field: is_decimal_allowed");
    }
}

fn date(found: &mut Findings, at: &str, element: &Value) {
    let given = &element["initial_date"];
    let fits = |text: &str| {
        let digits = text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
        text.len() == 10 && digits
    };
    if !given.is_null() && !given.as_str().is_some_and(fits) {
        found.say(
            &format!("{at}/initial_date"),
            "must match the format YYYY-MM-DD",
        );
    }
}

/// An image, as a block or inside one.
pub(super) fn image(found: &mut Findings, at: &str, image: &Value) {
    if image["slack_file"].is_null() {
        found.string(image, at, "image_url", 3000, true);
    }
    found.string(image, at, "alt_text", 2000, true);
}
