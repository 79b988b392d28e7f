//! The state of a service, for people.

use std::collections::BTreeSet;

use crate::domain::service::{Attachment, ServiceStatus, images, well_text};
use crate::domain::timeline::cut;

/// `healthy 2/3 · nginx:1.25`.
pub(in crate::bot) fn state_text(status: &ServiceStatus) -> String {
    let mut text = well_text(status);
    for image in images(status).keys() {
        text.push_str(" · ");
        text.push_str(&cut(image, 80));
    }
    text
}

/// What attachments lead to, each once: `network treasury_default`.
pub(in crate::bot) fn joined_to(attachments: &[Attachment]) -> String {
    let to: BTreeSet<&str> = attachments
        .iter()
        .map(|attachment| attachment.to.as_str())
        .collect();
    let shown: Vec<String> = to.iter().take(5).map(|to| cut(to, 80)).collect();
    match to.len().saturating_sub(shown.len()) {
        0 if to.is_empty() => "nothing".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
