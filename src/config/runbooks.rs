//! The runbooks of `[runbooks] folder` and those that come with the bot, and who names them.

use std::path::Path;

use super::at::{At, did_you_mean};
use super::kind::Kind;
use super::root::Root;
use crate::bot::{COMMANDS, Library};
use crate::domain::Service;

/// All runbooks there are. Those that can't be run are warned of.
pub(super) fn library(
    root: &Root<'_>,
    service: Kind,
    folder: Option<&Path>,
    services: &[Service],
) -> Library {
    // After a mistake in a service nobody knows which there are.
    let names = services.iter().map(|service| service.name.to_string());
    let names = (services.len() == root.count(service)).then(|| names.collect());
    let library = Library::open(COMMANDS.callables(), folder, names).unwrap_or_else(|error| {
        let message = format!("`runbooks.folder`: {error}");
        root.source.error(None, message, "");
        Library::default()
    });
    let broken = library.problems().iter().filter(|one| one.is_error());
    let broken: Vec<&str> = broken.map(|one| &*one.source.name).collect();
    if let [first, rest @ ..] = broken.as_slice() {
        let more = match rest.len() {
            0 => String::new(),
            more => format!(", nor {more} more"),
        };
        let message = format!("{first} can't be run{more}: it has mistakes");
        let hint = "`treasury-bot runbook check` with the folder tells them";
        root.source.warning(None, message, hint);
    }
    library
}

/// The runbook that somebody names is one that can be run.
pub(super) fn known_runbook(text: &At<'_>, library: &Library) {
    let wanted = text.value;
    let file = |name: &str| {
        Path::new(name)
            .file_stem()
            .is_some_and(|stem| stem == wanted)
    };
    let is_told = || library.problems().iter().any(|one| file(&one.source.name));
    if library.find(wanted).is_some() || is_told() {
        return;
    }
    let names = || library.runbooks().map(|one| one.name.value.as_str());
    let all = format!("there are: {}", names().collect::<Vec<_>>().join(", "));
    let message = format!("`{}`: there is no runbook `{wanted}`", text.what);
    text.fiction(message, did_you_mean(wanted, names(), all));
}
