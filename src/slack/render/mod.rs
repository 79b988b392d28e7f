//! A [`Message`] as Slack shows it: Block Kit, and a text for the phone's notification.
//!
//! Pure. Every user's text is escaped, every limit of Slack is kept, and what had to be left out
//! is said. `verbatim` keeps Slack from finding mentions and links in what somebody typed.

mod mrkdwn;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(super) use self::mrkdwn::escape;
use self::mrkdwn::{Atoms, code_chunks, cut_plain, size};
use super::inbound::{PICK, SAY};
use crate::domain::timeline::hex;
use crate::domain::{Button, Line, Message, Part, Style, Tone, counted};

/// Blocks in a message.
const BLOCKS: usize = 50;
/// Characters of a section's text.
const SECTION: usize = 3_000;
/// Characters of one field, and fields of one section.
const FIELD: usize = 2_000;
const FIELDS: usize = 10;
/// Fields shown of one part; more would scroll the buttons off a phone.
const FIELDS_SHOWN: usize = 20;
/// Buttons in a visible row, and in a part.
const ROW: usize = 5;
const BUTTONS: usize = 25;
const LABEL: usize = 75;
const VALUE: usize = 2_000;
const OPTIONS: usize = 100;
const OPTION_VALUE: usize = 150;
const ID: usize = 255;
const PLACEHOLDER: usize = 150;
/// Sections that one long paragraph or one log may take.
const CHUNKS: usize = 3;
/// Characters of the small print.
const FOOTER: usize = 2_000;
/// Characters of a text without blocks; Slack asks for no more.
const TEXT: usize = 4_000;
/// All texts of a message together. Slack documents 40,000 for `text`, but refuses blocks with
/// `msg_blocks_too_long` from about 12,000 on, containers included (slackapi/bolt-js#2509, #2867).
const TOTAL: usize = 9_000;
/// Kept free for what must not be lost: buttons and menus.
const RESERVE: usize = 1_000;

/// What goes over the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// For notifications, and for clients that show no blocks. Never empty.
    pub text: String,
    /// Block Kit.
    pub blocks: Vec<Value>,
}

/// Renders a message within all of Slack's limits.
pub fn render(message: &Message) -> Rendered {
    let mut page = Page::default();
    let title = Atoms::title(&message.title, emoji(message.tone));
    page.section(&title.cut(SECTION));
    for (at, part) in message.parts.iter().enumerate() {
        // One block stays for saying what is left out, one for the small print.
        if page.blocks.len() + 2 >= BLOCKS {
            page.left_out(message.parts.len() - at, "part");
            break;
        }
        page.part(part);
    }
    if !message.footer.is_empty() {
        let mut small = Atoms::default();
        for (at, line) in message.footer.iter().enumerate() {
            if at > 0 {
                small.plain(" · ");
            }
            small.line(line);
        }
        page.context(&small.cut(FOOTER));
    }
    Rendered {
        text: notification(message),
        blocks: page.finish(),
    }
}

/// The whole message as one text without blocks: for when Slack refuses the blocks.
pub fn plain(message: &Message) -> String {
    let mut out = Atoms::title(&message.title, emoji(message.tone));
    for part in &message.parts {
        match part {
            Part::Text(line) => {
                out.plain("\n");
                out.line(line);
            }
            Part::Fields(fields) => {
                for (label, value) in fields {
                    out.plain(&format!("\n{label}: "));
                    out.line(value);
                }
            }
            Part::Code(text) => {
                out.plain("\n");
                for chunk in code_chunks(text, SECTION - 500, 1) {
                    out.whole(chunk);
                }
            }
            Part::Buttons(buttons) => {
                for button in buttons {
                    out.plain(&format!("\n{}: ", button.label));
                    out.line(&Line::new().code(&button.sentence));
                }
            }
            Part::Menu { sentence, .. } => {
                out.plain("\n");
                out.line(&Line::new().code(sentence));
            }
            Part::Divider => {}
        }
    }
    out.cut(TEXT)
}

fn notification(message: &Message) -> String {
    let title = message.title.plain();
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = [emoji(message.tone), &title].join(" ");
    let text = cut_plain(text.trim(), TEXT);
    if text.is_empty() {
        "…".to_owned()
    } else {
        text
    }
}

fn emoji(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Question => "❓",
        Tone::Progress => "⏳",
        Tone::Good => "✅",
        Tone::Warning => "⚠️",
        Tone::Bad => "❌",
    }
}

/// Blocks so far, and how many characters they have.
#[derive(Default)]
struct Page {
    blocks: Vec<Value>,
    used: usize,
}

impl Page {
    fn part(&mut self, part: &Part) {
        match part {
            Part::Text(line) => {
                let mut atoms = Atoms::default();
                atoms.line(line);
                for chunk in atoms.chunks(SECTION, CHUNKS) {
                    if self.has_room(&chunk) {
                        self.section(&chunk);
                    } else {
                        self.left_out(1, "paragraph");
                        break;
                    }
                }
            }
            Part::Fields(fields) => self.fields(fields),
            Part::Code(text) => self.code(text),
            Part::Buttons(buttons) => self.buttons(buttons),
            Part::Menu {
                placeholder,
                sentence,
                choices,
            } => self.menu(placeholder, sentence, choices),
            Part::Divider => self.push(json!({"type": "divider"})),
        }
    }

    fn code(&mut self, text: &str) {
        let room = TOTAL.saturating_sub(self.used + RESERVE);
        if room < 200 {
            self.left_out(text.lines().count().max(1), "line");
            return;
        }
        let section = room.min(SECTION);
        for chunk in code_chunks(text, section, (room / section).clamp(1, CHUNKS)) {
            self.section(&chunk);
        }
    }

    fn fields(&mut self, fields: &[(String, Line)]) {
        let mut shown = 0;
        for row in fields[..fields.len().min(FIELDS_SHOWN)].chunks(FIELDS) {
            let mut cells = Vec::new();
            for (label, value) in row {
                let mut atoms = Atoms::default();
                atoms.line(&Line::new().bold(label));
                atoms.plain("\n");
                atoms.line(value);
                let cell = atoms.cut(FIELD);
                if !self.has_room(&cell) {
                    break;
                }
                self.used += size(&cell);
                cells.push(mrkdwn(&cell));
            }
            if cells.is_empty() {
                break;
            }
            shown += cells.len();
            self.push(json!({"type": "section", "fields": cells}));
        }
        self.left_out(fields.len() - shown, "field");
    }

    fn buttons(&mut self, buttons: &[Button]) {
        // A sentence that doesn't fit is never cut: it would say something else.
        let fits =
            |button: &&Button| !button.sentence.is_empty() && size(&button.sentence) <= VALUE;
        let shown: Vec<&Button> = buttons.iter().filter(fits).take(BUTTONS).collect();
        let mut placed = 0;
        for row in shown.chunks(ROW) {
            if self.blocks.len() + 2 >= BLOCKS {
                break;
            }
            placed += row.len();
            let at = self.blocks.len();
            let elements: Vec<Value> = row
                .iter()
                .enumerate()
                .map(|(n, button)| {
                    self.used += size(&button.label).min(LABEL);
                    let mut element = json!({
                        "type": "button",
                        "text": plain_text(&button.label, LABEL),
                        "action_id": format!("{SAY}{at}.{n}"),
                        "value": button.sentence,
                    });
                    match button.style {
                        Style::Plain => {}
                        Style::Primary => element["style"] = json!("primary"),
                        Style::Danger => element["style"] = json!("danger"),
                    }
                    element
                })
                .collect();
            self.push(json!({"type": "actions", "elements": elements}));
        }
        self.left_out(buttons.len() - placed, "button");
    }

    fn menu(&mut self, placeholder: &str, sentence: &str, choices: &[(String, String)]) {
        let action_id = format!("{PICK}{}:{sentence}", self.blocks.len());
        let fits = |(value, _): &&(String, String)| {
            !value.is_empty() && size(value) <= OPTION_VALUE && !value.contains('\0')
        };
        let options: Vec<Value> = choices
            .iter()
            .filter(fits)
            .take(OPTIONS)
            .map(|(value, label)| json!({"text": plain_text(label, LABEL), "value": value}))
            .collect();
        if options.is_empty() || size(&action_id) > ID {
            self.left_out(1, "menu");
            return;
        }
        let left_out = choices.len() - options.len();
        self.push(json!({"type": "actions", "elements": [{
            "type": "static_select",
            "action_id": action_id,
            "placeholder": plain_text(placeholder, PLACEHOLDER),
            "options": options,
        }]}));
        self.left_out(left_out, "choice");
    }

    /// Says that something is missing; nothing if nothing is.
    fn left_out(&mut self, count: usize, what: &str) {
        if count == 0 || self.blocks.len() + 1 >= BLOCKS {
            return;
        }
        self.context(&format!(
            "… {} left out",
            counted(count, &format!("more {what}"))
        ));
    }

    fn has_room(&self, text: &str) -> bool {
        self.used + size(text) + RESERVE <= TOTAL
    }

    fn section(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.used += size(text);
            self.push(json!({"type": "section", "text": mrkdwn(text)}));
        }
    }

    fn context(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.used += size(text);
            self.push(json!({"type": "context", "elements": [mrkdwn(text)]}));
        }
    }

    fn push(&mut self, block: Value) {
        if self.blocks.len() < BLOCKS {
            self.blocks.push(block);
        }
    }

    /// Names the blocks: by place and content, so that the same message has the same names, and an
    /// edited menu forgets what was chosen in it.
    fn finish(mut self) -> Vec<Value> {
        for (at, block) in self.blocks.iter_mut().enumerate() {
            let digest = hex(&Sha256::digest(block.to_string().as_bytes())[..4]);
            block["block_id"] = json!(format!("b{at}-{digest}"));
        }
        self.blocks
    }
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn plain_text(text: &str, max: usize) -> Value {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = cut_plain(&text, max);
    let text = if text.is_empty() {
        "…".to_owned()
    } else {
        text
    };
    json!({"type": "plain_text", "text": text, "emoji": true})
}

/// A topic or another text that isn't a message: escaped and cut.
pub fn one_line(text: &str, max: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if size(&escape(&text)) <= max {
        escape(&text)
    } else {
        cut_plain(&text, max)
    }
}

#[cfg(test)]
mod tests;
