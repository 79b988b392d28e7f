//! One incident.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use serde_json::Value;

use super::html::{ago, foot, frame, lasting, moment, refreshing, severity, status};
use crate::bot::pages::{Chain, Run, Shown, Visitor};
use crate::domain::duration::canonical;
use crate::domain::timeline::cut;
use crate::domain::{Entry, EntryKind, Incident, IncidentRole};

/// How the page is wanted.
pub(super) struct IncidentQuery {
    /// Only entries before this one.
    pub(super) before: Option<i64>,
    pub(super) refresh: bool,
}

pub(super) fn page(
    query: &IncidentQuery,
    view: &Shown,
    visitor: &Visitor,
    command: &str,
) -> Markup {
    let incident = &view.incident;
    let here = format!("/incidents/{}", incident.id);
    // Who reads back in time is left where they are.
    let can_refresh = incident.status.is_open() && query.before.is_none();
    let title = format!(
        "{} {} {}: {}",
        incident.id, incident.severity, incident.status, incident.title
    );
    let body = html! {
        header.top {
            nav aria-label="Way back" { a href="/incidents" { "← All incidents" } }
            p.badges { (severity(incident.severity)) " " (status(incident.status)) }
            h1 { (incident.id) ": " bdi { (incident.title) } }
        }
        main {
            (facts(view))
            @for work in &view.work {
                p.work {
                    strong { "Now: " } (work.text) ", asked for by " bdi { (work.by.name) } ", for "
                    (lasting(work.since, view.now))
                }
            }
            nav.jump aria-label="On this page" {
                a href="#timeline" { "Timeline" }
                a href="#exports" { "Exports" }
            }
            (alerts(view))
            (runs(&view.runs, view.now))
            section aria-labelledby="timeline" {
                h2 id="timeline" { "Timeline" }
                (chain(&view.chain))
                p.small {
                    "Times are UTC, the newest entry is first."
                    @if query.before.is_some() { " " a href=(here) { "To the newest" } }
                }
                (timeline(&view.entries))
                @if let (true, Some(oldest)) = (view.older, view.entries.last()) {
                    nav.pages aria-label="Pages of the timeline" {
                        a rel="next" href={ (here) "?before=" (oldest.seq) } { "Older entries →" }
                    }
                }
            }
            section.exports aria-labelledby="exports" {
                h2 id="exports" { "Take it with you" }
                ul {
                    @for (extension, name, about) in EXPORTS {
                        li {
                            a href={ (here) "/export." (extension) } download { (name) }
                            " " (about)
                        }
                    }
                }
            }
            @if can_refresh { (refreshing(query.refresh, &format!("{here}?"))) }
        }
        (foot(visitor, command, view.now))
    };
    frame(&title, can_refresh && query.refresh, body)
}

const EXPORTS: [(&str, &str, &str); 4] = [
    ("html", "HTML", "to keep: a page with the JSON in it"),
    ("md", "Markdown", "to read"),
    ("json", "JSON", "to verify: treasury-bot verify FILE"),
    ("csv", "CSV", "to calculate"),
];

fn facts(view: &Shown) -> Markup {
    let incident = &view.incident;
    html! {
        dl.facts {
            div {
                dt { "Declared" }
                dd {
                    (moment(incident.declared_at)) " by " bdi { (incident.declared_by.name) }
                    @if incident.status.is_open() {
                        " (" (ago(incident.declared_at, view.now)) ")"
                    }
                }
            }
            @for (name, at) in [("Mitigated", incident.mitigated_at), ("Resolved", incident.resolved_at)] {
                @if let Some(at) = at {
                    div {
                        dt { (name) }
                        dd { (moment(at)) ", after " (lasting(incident.declared_at, at)) }
                    }
                }
            }
            div {
                dt { "Services" }
                dd {
                    @if incident.services.is_empty() { span.none { "none named" } }
                    @for (n, service) in incident.services.iter().enumerate() {
                        @if n > 0 { ", " }
                        code { (service) }
                    }
                }
            }
            @for role in IncidentRole::ALL { (people(incident, role)) }
            @if let Some((person, at)) = &view.acknowledged {
                div {
                    dt { "Acknowledged" }
                    dd { "by " bdi { (person.name) } ", " (ago(*at, view.now)) }
                }
            }
            @if !incident.links.is_empty() {
                div {
                    dt { "Linked" }
                    dd {
                        @for (n, id) in incident.links.iter().enumerate() {
                            @if n > 0 { ", " }
                            a href={ "/incidents/" (id) } { (id) }
                        }
                    }
                }
            }
        }
    }
}

/// Who has a role; of the commander also that there is none.
fn people(incident: &Incident, role: IncidentRole) -> Markup {
    let people: Vec<_> = incident.with_role(role).collect();
    let name = role.as_str();
    html! {
        @if !people.is_empty() || role == IncidentRole::Commander {
            div {
                dt { (name[..1].to_uppercase()) (name[1..]) }
                dd {
                    @if people.is_empty() { span.none { "nobody yet" } }
                    @for (n, person) in people.iter().enumerate() {
                        @if n > 0 { ", " }
                        bdi { (person.name) }
                    }
                }
            }
        }
    }
}

fn alerts(view: &Shown) -> Markup {
    let summary = &view.alerts;
    let all = summary.firing + summary.resolved;
    html! {
        @if all > 0 {
            section aria-labelledby="alerts" {
                h2 id="alerts" {
                    @match summary.firing {
                        0 => "No alert fires any more",
                        1 => "1 alert fires",
                        n => { (n) " alerts fire" }
                    }
                }
                @if summary.resolved > 0 || summary.silenced > 0 {
                    p.small {
                        "Over: " (summary.resolved)
                        @if summary.silenced > 0 { ", silenced: " (summary.silenced) }
                        "."
                    }
                }
                @if !view.firing.is_empty() {
                    div.wide tabindex="0" role="region" aria-labelledby="alerts" {
                        table {
                            (columns(&["Alert", "For", "It says"]))
                            tbody {
                                @for record in &view.firing {
                                    @let tracked = &record.tracked;
                                    tr {
                                        th scope="row" { bdi { (cut(tracked.alert.name(), 80)) } }
                                        td { (lasting(tracked.alert.starts_at, view.now)) }
                                        td.says {
                                            bdi { (cut(tracked.alert.summary(), 300)) }
                                            @if tracked.silenced_until.is_some_and(|until| until > view.now) {
                                                " (silenced)"
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    @if summary.firing > view.firing.len() {
                        p.small { (summary.firing - view.firing.len()) " more left out." }
                    }
                }
            }
        }
    }
}

fn columns(names: &[&str]) -> Markup {
    html! { thead { tr { @for name in names { th scope="col" { (name) } } } } }
}

fn runs(runs: &[Run], now: Timestamp) -> Markup {
    html! {
        @if !runs.is_empty() {
            section aria-labelledby="runs" {
                h2 id="runs" { "Runbooks" }
                div.wide tabindex="0" role="region" aria-labelledby="runs" {
                    table {
                        (columns(&["Run", "Runbook", "State", "By"]))
                        tbody {
                            @for run in runs {
                                tr {
                                    th scope="row" { (run.id) }
                                    td { (run.runbook) @if run.rehearsal { " (rehearsal)" } }
                                    td {
                                        @match run.ended {
                                            Some((word, at)) => {
                                                (word) " after " (lasting(run.began_at, at))
                                            }
                                            None => {
                                                strong { "under way" } " for " (lasting(run.began_at, now))
                                            }
                                        }
                                    }
                                    td { bdi { (run.by) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn chain(chain: &Chain) -> Markup {
    html! {
        @match chain {
            Chain::Verified { entries, head } => {
                p.chain {
                    "✓ Verified: " (entries) @if *entries == 1 { " entry" } @else { " entries" }
                    ", head " code title=(head) { (head.get(..12).unwrap_or(head)) }
                }
            }
            Chain::Broken(why) => {
                p.chain.broken role="alert" {
                    "✗ Not as it was recorded: " (why) ". Somebody changed the database."
                }
            }
            Chain::Long { entries } => {
                p.chain {
                    (entries) " entries are too many to be verified at each view: save the JSON below, then "
                    code { "treasury-bot verify FILE" }
                }
            }
        }
    }
}

fn timeline(entries: &[Entry]) -> Markup {
    let mut days: Vec<(String, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let day = entry.at.to_zoned(TimeZone::UTC).date().to_string();
        match days.last_mut() {
            Some((last, of_day)) if *last == day => of_day.push(entry),
            _ => days.push((day, vec![entry])),
        }
    }
    html! {
        @if entries.is_empty() { p { "Nothing is on it here." } }
        @for (day, entries) in days {
            h3 { (day) }
            ol.timeline reversed start=(entries.first().map_or(0, |first| first.seq)) {
                @for entry in entries { (line(entry)) }
            }
        }
    }
}

fn line(entry: &Entry) -> Markup {
    // Whether something went well is told by a word of the text, too.
    let class = match (entry.kind, entry.data.get("good").and_then(Value::as_bool)) {
        (EntryKind::Outcome, Some(true)) => "good",
        (EntryKind::Outcome, Some(false)) => "bad",
        (EntryKind::Declared | EntryKind::Alert, _) => "alarm",
        (EntryKind::Note, _) => "note",
        (EntryKind::Status | EntryKind::Severity, _) => "turn",
        _ => "other",
    };
    html! {
        li class=(class) id={ "e" (entry.seq) } value=(entry.seq) {
            p.meta {
                time datetime=(canonical(entry.at)) {
                    (entry.at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string())
                }
                " " span.kind { (entry.kind.as_str()) }
                " " bdi { (entry.actor.name) }
                " " a.number href={ "#e" (entry.seq) } aria-label={ "Entry " (entry.seq) } { "#" (entry.seq) }
            }
            p.text { bdi { (entry.text) } }
        }
    }
}
