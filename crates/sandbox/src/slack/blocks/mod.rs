//! The rules of Block Kit: what is wrong with some blocks, in Slack's words, each with the place
//! as a JSON pointer: `must be less than 3001 characters [json-pointer:/blocks/0/text/text]`.

mod elements;
mod findings;

use serde_json::{Value, json};

use elements::Place;
use findings::Findings;

const IN_MESSAGE: usize = 50;
const IN_VIEW: usize = 100;

/// What is wrong with the blocks of a message.
pub(super) fn check_message(blocks: &[Value]) -> Vec<String> {
    let mut found = Findings::default();
    list(&mut found, "/blocks", blocks, IN_MESSAGE, false);
    found.done()
}

/// What is wrong with the blocks of a message's attachment.
pub(super) fn check_attachment(blocks: &[Value], attachment: usize) -> Vec<String> {
    let mut found = Findings::default();
    list(
        &mut found,
        &format!("/attachments/{attachment}/blocks"),
        blocks,
        IN_MESSAGE,
        false,
    );
    found.done()
}

/// What is wrong with a modal or a home tab.
pub(super) fn check_view(view: &Value) -> Vec<String> {
    let mut found = Findings::default();
    let modal = match view["type"].as_str() {
        Some("modal") => true,
        Some("home") => false,
        _ => {
            found.say("/view/type", "must be one of: modal, home");
            return found.done();
        }
    };
    if modal {
        found.plain_text(view, "/view", "title", 24, true);
        found.plain_text(view, "/view", "submit", 24, false);
        found.plain_text(view, "/view", "close", 24, false);
    }
    found.string(view, "/view", "private_metadata", 3000, false);
    found.string(view, "/view", "callback_id", 255, false);
    found.string(view, "/view", "external_id", 255, false);
    let Some(blocks) = view["blocks"].as_array() else {
        found.say("/view", "missing required field: blocks");
        return found.done();
    };
    list(&mut found, "/view/blocks", blocks, IN_VIEW, true);
    let has_input = blocks.iter().any(|b| b["type"] == "input");
    if modal && has_input && view["submit"].is_null() {
        found.say("/view", "missing required field: submit");
    }
    found.done()
}

fn list(found: &mut Findings, at: &str, blocks: &[Value], most: usize, in_view: bool) {
    if blocks.len() > most {
        found.say(at, &format!("no more than {most} items allowed"));
    }
    let mut ids: Vec<&str> = Vec::new();
    for (i, one) in blocks.iter().enumerate() {
        let at = format!("{at}/{i}");
        block(found, &at, one, in_view);
        found.string(one, &at, "block_id", 255, false);
        if let Some(id) = one["block_id"].as_str().filter(|id| !id.is_empty()) {
            if ids.contains(&id) {
                found.say(&format!("{at}/block_id"), "`block_id` already exists");
            }
            ids.push(id);
        }
    }
}

fn block(found: &mut Findings, at: &str, block: &Value, in_view: bool) {
    let kind = block["type"].as_str().unwrap_or_default();
    match kind {
        "section" => section(found, at, block),
        "header" => found.plain_text(block, at, "text", 150, true),
        "divider" => {}
        "context" => {
            let inner = found.array(block, at, "elements", 1, 10);
            for (i, element) in inner.iter().enumerate() {
                let at = format!("{at}/elements/{i}");
                if element["type"] == "image" {
                    elements::image(found, &at, element);
                } else {
                    found.text_object(element, &at, 3000, false);
                }
            }
        }
        "actions" => {
            let inner = found.array(block, at, "elements", 1, 25);
            elements::check_all(found, at, inner, Place::Actions);
        }
        "input" => input(found, at, block),
        "image" => {
            elements::image(found, at, block);
            found.plain_text(block, at, "title", 2000, false);
        }
        "rich_text" => rich_text(found, at, block),
        "context_actions" if !in_view => {
            let inner = found.array(block, at, "elements", 1, 5);
            elements::check_all(found, at, inner, Place::ContextActions);
        }
        "table" if !in_view => table(found, at, block),
        "video" => video(found, at, block),
        "markdown" if in_view => found.say(&format!("{at}/type"), "unsupported type: markdown"),
        "markdown" => found.string(block, at, "text", 12_000, true),
        // An app may show a remote file, and only by this source.
        "file" => {
            found.string(block, at, "external_id", 255, true);
            if block["source"] != "remote" {
                found.say(&format!("{at}/source"), "must be one of: remote");
            }
        }
        _ => found.say(&format!("{at}/type"), &format!("unsupported type: {kind}")),
    }
}

fn section(found: &mut Findings, at: &str, block: &Value) {
    match (block.get("text"), block.get("fields")) {
        (None, None) => found.say(at, "missing required field: text"),
        (text, fields) => {
            if let Some(text) = text {
                found.text_object(text, &format!("{at}/text"), 3000, false);
            }
            if fields.is_some() {
                for (i, field) in found.array(block, at, "fields", 1, 10).iter().enumerate() {
                    found.text_object(field, &format!("{at}/fields/{i}"), 2000, false);
                }
            }
        }
    }
    if let Some(accessory) = block.get("accessory") {
        elements::check(
            found,
            &format!("{at}/accessory"),
            accessory,
            Place::Accessory,
        );
    }
}

fn input(found: &mut Findings, at: &str, block: &Value) {
    found.plain_text(block, at, "label", 2000, true);
    found.plain_text(block, at, "hint", 2000, false);
    match block.get("element") {
        Some(element) => elements::check(found, &format!("{at}/element"), element, Place::Input),
        None => found.say(at, "missing required field: element"),
    }
}

/// <https://docs.slack.dev/reference/block-kit/blocks/table-block>
fn table(found: &mut Findings, at: &str, block: &Value) {
    for (i, row) in found.array(block, at, "rows", 1, 100).iter().enumerate() {
        let at = format!("{at}/rows/{i}");
        let cells = row.as_array().map_or(&[][..], Vec::as_slice);
        if cells.is_empty() || cells.len() > 20 {
            found.say(&at, "must have 1 to 20 items");
        }
        for (j, cell) in cells.iter().enumerate() {
            let at = format!("{at}/{j}");
            match cell["type"].as_str() {
                Some("raw_text") => found.string(cell, &at, "text", 12_000, true),
                Some("rich_text") => rich_text(found, &at, cell),
                other => {
                    let other = other.unwrap_or_default();
                    found.say(&format!("{at}/type"), &format!("unsupported type: {other}"));
                }
            }
        }
    }
    if !block["column_settings"].is_null() {
        found.array(block, at, "column_settings", 0, 20);
    }
}

/// <https://docs.slack.dev/reference/block-kit/blocks/video-block>
fn video(found: &mut Findings, at: &str, block: &Value) {
    found.plain_text(block, at, "title", 200, true);
    found.plain_text(block, at, "description", 200, false);
    for (key, most) in [
        ("alt_text", 2_000),
        ("thumbnail_url", 3_000),
        ("video_url", 3_000),
    ] {
        found.string(block, at, key, most, true);
    }
    if !block["video_url"]
        .as_str()
        .is_some_and(|url| url.starts_with("https://"))
    {
        found.say(&format!("{at}/video_url"), "must be an https URL");
    }
}

fn rich_text(found: &mut Findings, at: &str, block: &Value) {
    const PARTS: [&str; 4] = [
        "rich_text_section",
        "rich_text_list",
        "rich_text_preformatted",
        "rich_text_quote",
    ];
    for (i, part) in found
        .array(block, at, "elements", 1, 100)
        .iter()
        .enumerate()
    {
        let at = format!("{at}/elements/{i}");
        let kind = part["type"].as_str().unwrap_or_default();
        if !PARTS.contains(&kind) {
            found.say(&format!("{at}/type"), &format!("unsupported type: {kind}"));
        }
        for (j, leaf) in found
            .array(part, &at, "elements", 0, 1_000)
            .iter()
            .enumerate()
        {
            let at = format!("{at}/elements/{j}");
            match leaf["type"].as_str() {
                Some("text") => found.string(leaf, &at, "text", 3000, true),
                Some(_) => {}
                None => found.say(&at, "missing required field: type"),
            }
        }
    }
}

/// Gives a `block_id` to every block and an `action_id` to every element without one, as Slack does.
pub(super) fn give_ids(blocks: &mut [Value], next: &mut dyn FnMut() -> u64) {
    const SILENT: [&str; 3] = ["image", "mrkdwn", "plain_text"];
    for block in blocks {
        if block["block_id"].as_str().is_none_or(str::is_empty) {
            block["block_id"] = json!(format!("b{}", next()));
        }
        let holds = matches!(
            block["type"].as_str(),
            Some("actions" | "context_actions" | "section" | "input")
        );
        if !holds {
            continue;
        }
        let Some(parts) = block.as_object_mut() else {
            continue;
        };
        for (key, part) in parts.iter_mut() {
            let inner: Vec<&mut Value> = match (key.as_str(), part) {
                ("elements", Value::Array(elements)) => elements.iter_mut().collect(),
                ("element" | "accessory", element) => vec![element],
                _ => Vec::new(),
            };
            for element in inner {
                let silent = element["type"]
                    .as_str()
                    .is_none_or(|kind| SILENT.contains(&kind));
                if !silent && element["action_id"].as_str().is_none_or(str::is_empty) {
                    element["action_id"] = json!(format!("a{}", next()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
