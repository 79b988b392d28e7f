//! What is said in the sandbox's Slack, as lines of a terminal.

use serde_json::Value;

use crate::sandbox::slack::{Message, Workspace};

/// Lines of a log that are shown; of longer ones the rest is counted.
const CODE_LINES: usize = 6;

/// A message as a terminal shows it: fields beside their names, buttons in brackets.
pub(super) fn lines(world: &Workspace, message: &Message) -> Vec<String> {
    let mut out = Vec::new();
    if message.blocks.is_empty() {
        put(&mut out, &plain(world, &message.text));
    }
    for block in &message.blocks {
        if let Some(text) = block["text"]["text"].as_str() {
            put(&mut out, &plain(world, text));
        }
        let fields: Vec<(String, String)> = list(&block["fields"])
            .filter_map(|field| {
                let text = plain(world, field["text"].as_str()?);
                let (name, value) = text.split_once('\n')?;
                Some((name.to_owned(), value.replace('\n', " ")))
            })
            .collect();
        let wide = fields.iter().map(|(name, _)| name.chars().count()).max();
        for (name, value) in fields {
            let wide = wide.unwrap_or_default();
            out.push(format!("  {name:<wide$}  {value}"));
        }
        let elements = list(&block["elements"]);
        if block["type"] == "actions" {
            let labels: Vec<String> = elements.filter_map(control).collect();
            out.push(labels.join(" "));
        } else {
            for element in elements.filter_map(|one| one["text"].as_str()) {
                put(&mut out, &plain(world, element));
            }
        }
    }
    out
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `[Restart]`, `[Scale to … ▾]`.
fn control(element: &Value) -> Option<String> {
    match element["placeholder"]["text"].as_str() {
        Some(text) => Some(format!("[{text} ▾]")),
        None => Some(format!("[{}]", element["text"]["text"].as_str()?)),
    }
}

fn put(out: &mut Vec<String>, text: &str) {
    for (at, part) in text.split("```").enumerate() {
        let all: Vec<&str> = part
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let is_code = at % 2 == 1;
        let shown = if is_code { CODE_LINES } else { usize::MAX };
        let indent = if is_code { "  " } else { "" };
        let shown = all.iter().take(shown);
        out.extend(shown.map(|line| format!("{indent}{}", line.trim_end())));
        if is_code && all.len() > CODE_LINES {
            out.push(format!("{indent}… and {} more", all.len() - CODE_LINES));
        }
    }
}

/// Slack's mrkdwn without its marks: names for people and channels, the time that stands for one.
fn plain(world: &Workspace, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let (inner, after) = after.split_once('>').unwrap_or((after, ""));
        let (target, label) = inner.split_once('|').unwrap_or((inner, ""));
        if let Some(id) = target.strip_prefix('@') {
            let name = world.person(id).map_or(id, |person| &person.name);
            out.push_str(&format!("@{name}"));
        } else if let Some(id) = target.strip_prefix('#') {
            let name = world.channel(id).map_or(id, |channel| &channel.name);
            out.push_str(&format!("#{name}"));
        } else if label.is_empty() {
            out.push_str(target);
        } else if target.starts_with("http") && label != target {
            out.push_str(&format!("{label} ({target})"));
        } else {
            out.push_str(label);
        }
        rest = after;
    }
    out.push_str(rest);
    // Stars and single back-ticks are marks; three of them begin and end a log.
    let out = out.replace("```", "\u{0}").replace(['`', '*'], "");
    out.replace('\u{0}', "```")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
