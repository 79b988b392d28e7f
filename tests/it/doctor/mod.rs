//! `treasury-bot doctor`: on a sound installation it finds nothing, and each planted fault is found,
//! with what mends it. The binary is the real one, and so is all that it asks.

mod engines;
mod facts;
mod files;
mod peers;
mod slack;
mod world;

use std::process::Command;

use self::world::{Case, Report, World};
use crate::support::process::root;

/// A fault as somebody might make it.
struct Fault {
    /// What was done.
    name: &'static str,
    /// Which groups are looked at.
    only: &'static str,
    /// Does it.
    plant: fn(&World, &mut Case),
    /// The check that has to find it.
    id: &'static str,
    state: &'static str,
    /// Words of what was found.
    found: &'static str,
    /// Words of what mends it.
    mend: &'static str,
}

fn all() -> impl Iterator<Item = &'static Fault> {
    let tables = [
        slack::FAULTS,
        engines::FAULTS,
        peers::FAULTS,
        facts::FAULTS,
        files::FAULTS,
    ];
    tables.into_iter().flatten()
}

/// Why a report does not say of a fault what it has to.
fn wrong(fault: &Fault, report: &Report) -> Option<String> {
    let group = fault.id.split('.').next()?;
    let fits = |one: &world::Line| {
        one.id == fault.id
            && one.state == fault.state
            && one.found.contains(fault.found)
            && one
                .mend
                .as_deref()
                .is_some_and(|mend| !mend.is_empty() && mend.contains(fault.mend))
    };
    let code = match (fault.id, fault.state) {
        ("config.file", _) => 2,
        (_, "failed") => 1,
        _ => 0,
    };
    // What is planted in one place is no reason to warn of another.
    let noise = |one: &&world::Line| {
        matches!(one.state.as_str(), "failed" | "warning") && one.group != group
    };
    let why = if !report.checks.iter().any(fits) {
        "it was not found"
    } else if report.code != code {
        "the exit code is wrong"
    } else if report.checks.iter().find(noise).is_some() {
        "another group is said to be ill"
    } else {
        return None;
    };
    Some(format!("{}: {why}: {report:#?}", fault.name))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL, Redis, Prometheus, Alertmanager, aiosmtpd, faketime, and root"]
async fn a_sound_installation_raises_no_alarm_and_each_planted_fault_is_found_with_its_mend() {
    let world = World::start().await;

    // All is configured, the bot serves.
    let serve = world.serve().await;
    let report = world.ask(Case::sound(&world)).await;
    let ill = report.checks.iter().filter(|one| one.state != "ok");
    let ill: Vec<_> = ill.collect();
    assert!(ill.is_empty() && report.code == 0, "{ill:#?}");
    assert_eq!(
        world.sandbox.sockets(),
        2,
        "the serving bot keeps its sockets"
    );
    let groups: std::collections::BTreeSet<&str> =
        report.checks.iter().map(|one| one.group.as_str()).collect();
    assert_eq!(groups.len(), 15, "{groups:?}");
    drop(serve);

    // What it says to Slack and to the cluster changes nothing.
    let (before, files) = (world.sandbox.calls().len(), world.files());
    let mut failed = Vec::new();
    let mut count = 0;
    for fault in all() {
        count += 1;
        let mut case = Case::sound(&world);
        case.only = fault.only;
        (fault.plant)(&world, &mut case);
        let report = world.ask(case).await;
        failed.extend(wrong(fault, &report));
        world.heal();
    }
    println!("{count} faults");
    assert!(
        failed.is_empty(),
        "{} of {count}:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(count >= 30);
    let calls = world.sandbox.calls();
    let written = calls[before..].iter().find(|call| {
        let reads = [
            "auth.test",
            "bots.info",
            "apps.connections.open",
            "users.info",
            "conversations.list",
            "conversations.info",
            "usergroups.users.list",
        ];
        !reads.contains(&call.method.as_str())
    });
    assert!(written.is_none(), "{written:?}");
    assert!(world.cluster.writes("").is_empty());
    assert_eq!(world.files(), files);
}

#[test]
fn the_page_of_the_doctor_has_the_table_of_all_its_checks() {
    let told = Command::new(env!("CARGO_BIN_EXE_treasury-bot"))
        .args(["doctor", "--list"])
        .output()
        .unwrap();
    let table = String::from_utf8(told.stdout).unwrap();
    let page = std::fs::read_to_string(root().join("docs/doctor.md")).unwrap();
    assert!(page.contains(&table), "docs/doctor.md lacks:\n\n{table}");
    for fault in all() {
        assert!(table.contains(&format!("`{}`", fault.id)), "{}", fault.id);
    }
}

#[test]
fn a_configuration_that_cant_be_read_is_told_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_treasury-bot"));
    command.current_dir(&folder).arg("doctor");
    let told = command.output().unwrap();
    let err = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(2));
    assert!(err.contains("treasury-bot.toml"), "{err}");

    let told = command.arg("--json").output().unwrap();
    assert_eq!(told.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(report["checks"][0]["id"], "config.file");
    assert_eq!(report["checks"][0]["state"], "failed");
}
