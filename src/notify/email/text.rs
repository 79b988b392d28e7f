//! A mail as plain text, for those who read it so.

use crate::domain::notification::Notification;
use crate::notify::text::{body, line};

/// The plain text of a mail.
pub(super) fn render(mail: &Notification, small_print: &str) -> String {
    let message = &mail.message;
    // Mail programs take what follows the two dashes for a signature.
    let mut out = format!("{}\n\n{}\n-- \n", line(&message.title), body(message));
    for note in &message.footer {
        out.push_str(&format!("{}\n", line(note)));
    }
    out.push_str(&format!("{small_print}\n"));
    out
}
