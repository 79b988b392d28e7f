//! The configuration file, and what it names on this machine.

use std::path::Path;

use super::finding::{Check, Finding, Group};
use crate::app;
use crate::bot::{COMMANDS, Library};
use crate::config::{Config, ConfigErrors, Problem};
use crate::domain::causes;
use crate::domain::counted;

const FILE: Check = Check {
    id: "config.file",
    group: Group::Config,
    asks: "Can the configuration be used, and is there something in it to look at?",
    mend: "`treasury-bot config check` shows each place in the file",
};
const PLATFORMS: Check = Check {
    id: "config.platforms",
    group: Group::Config,
    asks: "Do the certificates and keys of the Docker engines fit together?",
    mend: "correct ca_file, cert_file and key_file in `[docker]` or `[[engine]]`",
};
const RUNBOOKS: Check = Check {
    id: "config.runbooks",
    group: Group::Config,
    asks: "Can all runbooks be run?",
    mend: "`treasury-bot runbook check FOLDER` shows each mistake with its place",
};
pub(super) const CHECKS: &[Check] = &[FILE, PLATFORMS, RUNBOOKS];

/// What keeps the file from being used.
pub(super) fn unusable(errors: &ConfigErrors) -> Vec<Finding> {
    let finding =
        |problem: &Problem| hinted(FILE.failed(&place(problem), &problem.message), problem);
    errors.problems.iter().map(finding).collect()
}

/// `treasury-bot.toml:3`
fn place(problem: &Problem) -> String {
    match &problem.location {
        Some(at) => format!("{}:{}", problem.file, at.line),
        None => problem.file.clone(),
    }
}

fn hinted(finding: Finding, problem: &Problem) -> Finding {
    match &problem.hint {
        Some(hint) => finding.by(hint),
        None => finding,
    }
}

/// Looks at what was read.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let services = counted(config.services.len(), "service");
    let mut found = vec![FILE.ok("the file", format!("{services}, nothing wrong in it"))];
    let warnings = config.warnings.iter();
    found.extend(warnings.map(|one| hinted(FILE.warning(&place(one), &one.message), one)));
    if let Err(error) = app::platforms(config) {
        found.push(PLATFORMS.failed("the platforms", format!("{error:#}")));
    }
    let names = config.services.iter().map(|one| one.name.to_string());
    let folder = config.runbooks.as_deref();
    match Library::open(COMMANDS.callables(), folder, Some(names.collect())) {
        Err(error) => found.push(RUNBOOKS.failed("the folder", causes(&error))),
        Ok(library) => {
            let count = counted(library.runbooks().count(), "runbook");
            found.push(RUNBOOKS.ok("the library", count));
            // Those that come with the bot speak of services that this team may not have.
            let own = library.problems().iter().filter(|one| one.is_error());
            let own = own.filter(|one| folder.is_some() && !one.source.name.contains(" (comes"));
            found.extend(own.map(|one| {
                let finding = RUNBOOKS.failed(&one.source.name, first(&one.findings));
                match folder.map(Path::display) {
                    Some(folder) => finding.by(format!("`treasury-bot runbook check {folder}`")),
                    None => finding,
                }
            }));
        }
    }
    found
}

fn first(findings: &[crate::runbook::Finding]) -> String {
    let first = findings.first().map(|one| one.message.clone());
    let more = findings.len().saturating_sub(1);
    let more = if more > 0 {
        format!(" (and {more} more)")
    } else {
        String::new()
    };
    format!("{}{more}", first.unwrap_or_default())
}
