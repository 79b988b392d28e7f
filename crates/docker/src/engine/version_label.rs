//! The labels in which a deployment notes what ran before it: neither the engine nor Swarm
//! remembers more than one former description, if any.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use treasury_domain::service::Version;

/// Our label for the versions that ran before, the newest first.
pub const PREVIOUS: &str = "treasury-bot.previous";

/// Our label for the image as it was requested, which the id of an image does not show.
pub const IMAGE: &str = "treasury-bot.image";

/// The most former versions that are remembered.
pub const MAX_FORMER: usize = 9;

/// A former version in the label. A type of its own: labels outlive releases of the bot.
#[derive(Debug, Serialize, Deserialize)]
struct Former {
    id: String,
    image: String,
    #[serde(default)]
    since: Option<Timestamp>,
}

/// A version, which runs since a time that may not be known.
pub fn version(
    id: impl Into<String>,
    image: impl Into<String>,
    since: Option<Timestamp>,
) -> Version {
    Version {
        id: id.into(),
        image: image.into(),
        since,
        changes: Vec::new(),
    }
}

/// What the label of `name` lists and is `good`, at most [`MAX_FORMER`], none twice and not the
/// present one. Anybody can write a label: only what is good goes on to the engine.
pub fn former(
    text: &str,
    name: &str,
    present: &str,
    good: impl Fn(&Version) -> bool,
) -> Vec<Version> {
    if text.is_empty() {
        return Vec::new();
    }
    let listed: Vec<Former> = serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::warn!(%error, name, "the label {PREVIOUS} can't be read");
        Vec::new()
    });
    let mut versions: Vec<Version> = Vec::new();
    for Former { id, image, since } in listed {
        let image: String = image.chars().take(300).collect();
        let version = version(id, image, since);
        let twice = version.id == present || versions.iter().any(|other| other.id == version.id);
        if good(&version) && !twice && versions.len() < MAX_FORMER {
            versions.push(version);
        }
    }
    versions
}

/// The label for what replaces these versions, the newest first, by the one of the id `next`.
pub fn previous(ran: impl Iterator<Item = Version>, next: &str) -> String {
    let ran = ran.filter(|version| version.id != next).take(MAX_FORMER);
    let listed: Vec<Former> = ran
        .map(
            |Version {
                 id, image, since, ..
             }| Former { id, image, since },
        )
        .collect();
    // Texts and times can't fail; without a history there is still a service.
    serde_json::to_string(&listed).unwrap_or_else(|_| "[]".to_owned())
}
