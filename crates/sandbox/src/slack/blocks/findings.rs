//! Collects what is wrong, and checks the parts that every block is made of.

use serde_json::Value;

/// Slack lists a handful of errors; more would help nobody.
const MOST: usize = 20;

/// What has been found wrong so far.
#[derive(Default)]
pub(super) struct Findings(Vec<String>);

impl Findings {
    pub fn done(self) -> Vec<String> {
        self.0
    }

    /// Something is wrong at this JSON pointer.
    pub fn say(&mut self, at: &str, what: &str) {
        if self.0.len() < MOST {
            self.0.push(format!("{what} [json-pointer:{at}]"));
        }
    }

    fn length(&mut self, at: &str, text: &str, most: usize) {
        if text.is_empty() {
            self.say(at, "must be more than 0 characters");
        }
        if text.chars().count() > most {
            self.say(at, &format!("must be less than {} characters", most + 1));
        }
    }

    /// A string field of `of`.
    pub fn string(&mut self, of: &Value, at: &str, key: &str, most: usize, required: bool) {
        match of.get(key) {
            Some(Value::String(text)) if required || !text.is_empty() => {
                self.length(&format!("{at}/{key}"), text, most);
            }
            // An empty optional string is as good as none.
            Some(Value::String(_)) => {}
            None | Some(Value::Null) if !required => {}
            None | Some(Value::Null) => self.say(at, &format!("missing required field: {key}")),
            Some(_) => self.say(&format!("{at}/{key}"), "must be a string"),
        }
    }

    /// A text object, `plain_text` or, unless `plain`, `mrkdwn`.
    pub fn text_object(&mut self, text: &Value, at: &str, most: usize, plain: bool) {
        match text["type"].as_str() {
            Some("plain_text") => {}
            Some("mrkdwn") if !plain => {
                if !text["emoji"].is_null() {
                    self.say(at, "no more than the fields of mrkdwn allowed: emoji");
                }
            }
            Some(other) => {
                self.say(&format!("{at}/type"), &format!("unsupported type: {other}"));
            }
            None => self.say(at, "missing required field: type"),
        }
        self.string(text, at, "text", most, true);
    }

    /// A field of `of` that holds a `plain_text` object.
    pub fn plain_text(&mut self, of: &Value, at: &str, key: &str, most: usize, required: bool) {
        match of.get(key).filter(|v| !v.is_null()) {
            Some(text) => self.text_object(text, &format!("{at}/{key}"), most, true),
            None if required => self.say(at, &format!("missing required field: {key}")),
            None => {}
        }
    }

    /// A list field of `of` with so many items; empty when it is no list.
    pub fn array<'a>(
        &mut self,
        of: &'a Value,
        at: &str,
        key: &str,
        least: usize,
        most: usize,
    ) -> &'a [Value] {
        let Some(items) = of[key].as_array() else {
            self.say(at, &format!("missing required field: {key}"));
            return &[];
        };
        if items.len() < least {
            self.say(
                &format!("{at}/{key}"),
                &format!("must have at least {least} items"),
            );
        }
        if items.len() > most {
            self.say(
                &format!("{at}/{key}"),
                &format!("no more than {most} items allowed"),
            );
        }
        items
    }
}
