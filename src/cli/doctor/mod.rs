//! `treasury-bot doctor`: what could be wrong at run time, each with its mend. It changes nothing and
//! takes nothing away from a bot that serves: no lock, no socket, no post.
//!
//! From the top: this file · `plan` (what of a configuration is looked at) · a file a group · `wire`,
//! `finding`.

mod alerts;
mod backups;
mod caches;
mod certificates;
mod configured;
mod databases;
mod docker;
mod finding;
mod kubernetes;
mod logs;
mod plan;
mod prometheus;
mod reached;
mod slack;
mod store;
mod web;
mod wire;
mod zones;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use futures_util::stream::{FuturesOrdered, StreamExt};
use serde::Serialize;

use self::finding::{Check, Finding, Group, Limit, State};
use super::config_file::ConfigFile;
use super::terminal::{Paint, put};
use crate::domain::counted;
use crate::domain::duration::Human;
use crate::telemetry::log;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON: {"checks": [{"id", "group", "subject", "state", "found", "mend"}]}
    #[arg(long)]
    json: bool,
    /// Look only at these, such as `slack,docker`
    #[arg(long, value_enum, value_name = "GROUP", value_delimiter = ',')]
    only: Vec<Group>,
    /// How long each answer is waited for
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Human,
    /// Print all checks there are, as a table in Markdown, and look at nothing
    #[arg(long)]
    list: bool,
}

/// All checks, in the order of their groups.
const CHECKS: [&[Check]; 16] = [
    configured::CHECKS,
    slack::CHECKS,
    docker::CHECKS,
    kubernetes::CHECKS,
    databases::CHECKS,
    backups::CHECKS,
    caches::CHECKS,
    web::CHECKS,
    prometheus::CHECKS,
    logs::CHECKS,
    alerts::CHECKS,
    reached::MAIL_CHECKS,
    reached::WAY_CHECKS,
    certificates::CHECKS,
    zones::CHECKS,
    store::CHECKS,
];

/// All that was found.
#[derive(Debug, Serialize)]
struct Report {
    checks: Vec<Finding>,
}

/// Exit codes: 0 all works; 1 something does not; 2 the configuration can't be used.
pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    log::start("off", false);
    if options.list {
        put(&table())?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = match options.file.load() {
        Ok(config) => config,
        Err(errors) if options.json => {
            let checks = configured::unusable(&errors);
            print_json(&Report { checks })?;
            return Ok(ExitCode::from(2));
        }
        Err(errors) => return Err(errors.into()),
    };
    let limit = Limit(options.timeout.0);
    let wanted = |group: Group| options.only.is_empty() || options.only.contains(&group);
    let mut looked: FuturesOrdered<_> = plan::examinations(config, limit)
        .into_iter()
        .filter(|(group, _)| wanted(*group))
        .map(|(_, examination)| examination)
        .collect();
    let (mut checks, paint) = (Vec::new(), Paint::stdout());
    // Each is told as soon as all before it are.
    while let Some(found) = looked.next().await {
        for one in found {
            if !options.json {
                let is_first = checks
                    .last()
                    .is_none_or(|last: &Finding| last.group != one.group);
                put(&shown(&one, is_first, paint))?;
            }
            checks.push(one);
        }
    }
    let count = |state| checks.iter().filter(|one| one.state == state).count();
    let failed = count(State::Failed);
    if options.json {
        print_json(&Report { checks })?;
    } else {
        let (warnings, unknown) = (count(State::Warning), count(State::Unknown));
        put(&format!(
            "\n{} in order, {}, {failed} broken, {unknown} not known\n",
            count(State::Ok),
            counted(warnings, "warning"),
        ))?;
    }
    Ok(if failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print_json(report: &Report) -> anyhow::Result<()> {
    put(&format!("{}\n", serde_json::to_string_pretty(report)?))?;
    Ok(())
}

fn name(group: Group) -> String {
    let value = group.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A finding, a line each for what was found and for what helps.
fn shown(one: &Finding, is_first: bool, paint: Paint) -> String {
    let mut text = String::new();
    if is_first {
        text.push_str(&format!("\n{}\n", paint.style("1", &name(one.group))));
    }
    let (mark, subject) = (one.state.mark(), &one.subject);
    text.push_str(&format!("{mark} {subject}: {}\n", one.found));
    if let Some(mend) = &one.mend {
        text.push_str(&format!("   → {mend}\n"));
    }
    text
}

/// The table of all checks, as the documentation has it.
fn table() -> String {
    let mut text = String::from("| Check | What it asks | What helps |\n|---|---|---|\n");
    for check in CHECKS.into_iter().flatten() {
        let Check { id, asks, mend, .. } = check;
        let mend = mend.replace('|', "\\|");
        text.push_str(&format!("| `{id}` | {asks} | {mend} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_check_has_a_name_of_its_own_that_says_its_group() {
        let mut names = BTreeSet::new();
        for check in CHECKS.into_iter().flatten() {
            let group = format!("{}.", name(check.group));
            assert!(check.id.starts_with(&group), "{}", check.id);
            assert!(names.insert(check.id), "{} twice", check.id);
        }
    }

    #[test]
    fn a_finding_is_two_lines_and_its_group_a_heading() {
        let one = configured::CHECKS[0].failed("x.toml", "it is not there");
        let text = shown(&one, true, Paint(false));
        let mend = configured::CHECKS[0].mend;
        assert_eq!(
            text,
            format!("\nconfig\n❌ x.toml: it is not there\n   → {mend}\n")
        );
    }
}
