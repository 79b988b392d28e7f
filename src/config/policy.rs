//! `[access]`, `[policy]` and `[runbooks]`: who may do what, what is asked about first, and what
//! runs of runbooks go by.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::kind::Kind;
use super::section::Section;
use super::source::Secrets;
use crate::bot::Access;
use crate::domain::Guarded;
use crate::domain::service::Patience;

pub(super) const ACCESS: Kind = Kind::single("access", "viewers responders commanders declarers");
pub(super) const POLICY: Kind = Kind::single(
    "policy",
    "confirm second_person confirm_within restart_healthy_within stop_grace show_keys",
);
pub(super) const RUNBOOKS: Kind = Kind::single("runbooks", "folder hold");

/// `[policy]`: confirmations and patience.
pub(super) struct Policy {
    /// `confirm`: what is asked about before it is done; default: everything.
    pub(super) confirm: BTreeSet<Guarded>,
    /// `second_person`: what somebody else than the asker has to confirm; default: `isolate`.
    pub(super) second_person: BTreeSet<Guarded>,
    /// `confirm_within`: how long a question stays open, default 5 minutes.
    pub(super) confirm_within: Duration,
    /// `restart_healthy_within`, default 2 minutes, and `stop_grace`, default 10 seconds.
    pub(super) patience: Patience,
    /// `show_keys`: names of a cache's keys are told whole to responders who ask; default: no.
    pub(super) show_keys: bool,
}

pub(super) fn access(section: &Section<'_>) -> Access {
    let access = Access {
        viewers: people(section, "viewers"),
        responders: people(section, "responders"),
        commanders: people(section, "commanders"),
        declarers: section
            .texts("declarers")
            .map(|_| people(section, "declarers")),
    };
    if access.responders.is_empty() && access.commanders.is_empty() {
        let (span, message) = (
            section.span.clone(),
            "nobody is a responder: nobody can act",
        );
        let hint = "list user ids in `access.responders`";
        section.source.warning(span, message, hint);
    }
    access
}

fn people(section: &Section<'_>, key: &str) -> Vec<String> {
    let mut people = Vec::new();
    for entry in section.texts(key).unwrap_or_default() {
        let (text, what) = (entry.value, &entry.what);
        let id = text.starts_with(['U', 'W', 'S'])
            && text.len() > 1
            && text
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let name = text
            .strip_prefix('@')
            .is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace));
        if text == "*" && !["viewers", "declarers"].contains(&key) {
            let message = format!("`*` is not allowed in `{what}`, only among viewers");
            entry.error(
                message,
                "list the people who may act, or a user group (`S…`)",
            );
            continue;
        }
        if !id && !name && text != "*" {
            let message = format!("`{text}` in `{what}` is neither a user nor a user group");
            let hint = "write a user id (`U…`), a user group's id (`S…`) or `@name`";
            entry.error(message, hint);
            continue;
        }
        if name {
            let message = format!("`{text}` in `{what}` is a name, and names can be changed");
            let hint = "prefer the user id (`U…`): in Slack, Profile, Copy member ID";
            entry.warning(message, hint);
        }
        people.push(text.to_owned());
    }
    people
}

/// The ids of the user groups that are listed.
pub(super) fn groups(access: &Access) -> Vec<String> {
    let lists = [&access.viewers, &access.responders, &access.commanders];
    let listed = lists
        .into_iter()
        .flatten()
        .chain(access.declarers.iter().flatten());
    listed.filter(|one| one.starts_with('S')).cloned().collect()
}

pub(super) fn policy(section: &Section<'_>) -> Policy {
    let guarded = |key| -> Option<BTreeSet<Guarded>> {
        let listed = section.texts(key)?;
        let found = listed.iter().filter_map(|text| text.one_of(&Guarded::ALL));
        Some(found.collect())
    };
    let usual = Patience::default();
    Policy {
        confirm: guarded("confirm").unwrap_or_else(Guarded::all),
        second_person: guarded("second_person").unwrap_or_else(|| [Guarded::Isolate].into()),
        confirm_within: section.duration_or("confirm_within", Duration::from_secs(300)),
        patience: Patience {
            stop: section.duration_or("stop_grace", usual.stop),
            healthy: section.duration_or("restart_healthy_within", usual.healthy),
        },
        show_keys: section.boolean("show_keys").unwrap_or(false),
    }
}

/// `folder` of `*.yml` files, beside the configuration file (a file takes the place of the runbook
/// of the same name that comes with the bot), and `hold`: how long a failed step waits for somebody
/// to retry it or leave it out; default 15 min.
pub(super) fn runbooks(section: &Section<'_>) -> (Option<PathBuf>, Duration) {
    let folder = section.text("folder").and_then(|text| {
        let path = text.path();
        if path.is_dir() {
            return Some(path);
        }
        let path = path.display();
        if text.source.secrets == Secrets::MayLack {
            let message = format!("`runbooks.folder`: there is no folder {path} here");
            text.warning(
                message,
                "its runbooks, and what names them, are not looked at",
            );
            return None;
        }
        text.parsed(Err(format!("can't read {path}: there is no such folder")))
    });
    (
        folder,
        section.duration_or("hold", Duration::from_secs(900)),
    )
}
