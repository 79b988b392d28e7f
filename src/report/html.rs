//! The export to keep: one page that any browser shows and prints, without script and without
//! anything from outside, with the JSON export in it to be saved and verified.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::format::{Format, file_name};
use super::json;
use crate::domain::duration::{self, between, canonical, utc_text};
use crate::domain::timeline::GENESIS;
use crate::domain::{Entry, Incident, IncidentRole};

const STYLE: &str = include_str!("html.css");

/// What the page begins with.
const BEGIN: &str = "<!DOCTYPE html>";

/// Stands before the JSON in base64, once in a page: people's words can't hold a bare `"`.
const DATA: &str = "\"data:application/json;base64,";

pub(super) fn export(incident: &Incident, entries: &[Entry], exported_at: Timestamp) -> String {
    let data = json::export(incident, entries, exported_at);
    let head = entries.last().map_or(GENESIS, |last| &last.hash);
    let name = file_name(Format::Json, incident.id, exported_at);
    // Somebody's words are escaped; should one ever come through, nothing of it runs or loads.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        BASE64.encode(Sha256::digest(STYLE))
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (incident.id) ": " (incident.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (incident.id) ": " bdi { (incident.title) } }
                table.facts {
                    caption { "The incident" }
                    @for (name, value) in facts(incident) {
                        tr { th scope="row" { (name) } td { bdi { (value) } } }
                    }
                }
                h2 { "Timeline" }
                p { "Times are UTC." }
                (timeline(entries))
                h2 { "Verification" }
                p { (entries.len()) " entries; the last one's hash is" }
                pre { (head) }
                p {
                    "This page holds the JSON export: "
                    a download=(name) href={ "data:application/json;base64," (BASE64.encode(&data)) } {
                        "save " (name)
                    }
                    ". To verify either of them offline: "
                    code { "treasury-bot verify FILE" }
                    ". Each entry carries the SHA-256 of its content and of the entry before it: a "
                    "changed, removed, added or moved entry breaks the chain. Compare the hash above "
                    "with the one that was said at the export."
                }
                p { "Exported " (utc_text(exported_at)) "." }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

fn facts(incident: &Incident) -> Vec<(String, String)> {
    let joined = |items: Vec<String>| items.join(", ");
    let mut facts = vec![
        ("Severity".to_owned(), incident.severity.to_string()),
        ("Status".to_owned(), incident.status.to_string()),
    ];
    if !incident.services.is_empty() {
        let services = incident.services.iter().map(ToString::to_string).collect();
        facts.push(("Services".to_owned(), joined(services)));
    }
    for role in IncidentRole::ALL {
        let people = incident.with_role(role).map(|person| person.name.clone());
        let people: Vec<String> = people.collect();
        if !people.is_empty() {
            let name = role.as_str();
            let name = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
            facts.push((name, joined(people)));
        }
    }
    facts.push((
        "Declared".to_owned(),
        format!(
            "{} by {}",
            utc_text(incident.declared_at),
            incident.declared_by
        ),
    ));
    for (name, at) in [
        ("Mitigated", incident.mitigated_at),
        ("Resolved", incident.resolved_at),
    ] {
        if let Some(at) = at {
            let after = duration::text(between(incident.declared_at, at));
            facts.push((
                name.to_owned(),
                format!("{}, {after} after it was declared", utc_text(at)),
            ));
        }
    }
    if !incident.links.is_empty() {
        let links = incident.links.iter().map(ToString::to_string).collect();
        facts.push(("Linked".to_owned(), joined(links)));
    }
    facts
}

fn timeline(entries: &[Entry]) -> Markup {
    html! {
        @if entries.is_empty() { p { "Nothing is on it." } }
        @else {
            table.timeline {
                caption { "All entries, the oldest first" }
                thead {
                    tr { @for name in ["#", "Time", "Who", "What", ""] { th scope="col" { (name) } } }
                }
                tbody {
                    @for entry in entries {
                        tr {
                            td { (entry.seq) }
                            td {
                                time datetime=(canonical(entry.at)) {
                                    (utc_text(entry.at).trim_end_matches(" UTC"))
                                }
                            }
                            td { bdi { (entry.actor.name) } }
                            td { (entry.kind.as_str()) }
                            td.text { bdi { (entry.text) } }
                        }
                    }
                }
            }
        }
    }
}

/// These bytes are a page and not JSON.
pub(super) fn is_page(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGIN.as_bytes())
}

/// The JSON export within a page.
pub(super) fn data(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once(DATA)?;
    let (data, _) = rest.split_once('"')?;
    BASE64.decode(data).ok()
}
