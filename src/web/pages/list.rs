//! The list of incidents.

use jiff::Timestamp;
use maud::{Markup, html};

use super::html::{ago, foot, frame, lasting, refreshing, severity, status};
use crate::bot::pages::{Listed, Visitor};
use crate::domain::timeline::cut;
use crate::domain::{EntryKind, IncidentRole};

/// How the list is wanted.
pub(super) struct ListQuery {
    pub(super) all: bool,
    /// From 1.
    pub(super) page: u32,
    pub(super) refresh: bool,
}

impl ListQuery {
    /// The address of another page of this list, ready for a further parameter.
    fn address(&self, page: u32) -> String {
        let show = if self.all { "show=all&" } else { "" };
        if page > 1 {
            format!("/incidents?{show}page={page}&")
        } else {
            format!("/incidents?{show}")
        }
    }

    fn link(&self, page: u32) -> String {
        let refresh = if self.refresh { "" } else { "refresh=off" };
        let address = format!("{}{refresh}", self.address(page));
        address.trim_end_matches(['?', '&']).to_owned()
    }
}

pub(super) fn page(
    query: &ListQuery,
    listed: &[Listed],
    more: bool,
    now: Timestamp,
    visitor: &Visitor,
    command: &str,
) -> Markup {
    let open = listed.iter().filter(|one| one.incident.status.is_open());
    let open = open.count();
    let title = match (query.all, open) {
        (true, _) => "All incidents".to_owned(),
        (false, 0) => "No incident is open".to_owned(),
        (false, 1) if !more => "1 incident is open".to_owned(),
        (false, _) if more || query.page > 1 => "Open incidents".to_owned(),
        (false, n) => format!("{n} incidents are open"),
    };
    let body = html! {
        header.top {
            h1 { (title) }
            nav aria-label="Which incidents" {
                @if query.all { a href="/incidents" { "Open" } strong aria-current="page" { "All" } }
                @else { strong aria-current="page" { "Open" } a href="/incidents?show=all" { "All" } }
            }
        }
        main {
            @if listed.is_empty() {
                p.calm {
                    @if query.all { "There has been no incident." }
                    @else { "Nothing hurts, as far as the bot knows." }
                }
            }
            ul.cards {
                @for one in listed { li { (card(one, now)) } }
            }
            @if query.page > 1 || more {
                nav.pages aria-label="Pages" {
                    @if query.page > 1 { a rel="prev" href=(query.link(query.page - 1)) { "← Newer" } }
                    span { "Page " (query.page) }
                    @if more { a rel="next" href=(query.link(query.page + 1)) { "Older →" } }
                }
            }
            (refreshing(query.refresh, &query.address(query.page)))
        }
        (foot(visitor, command, now))
    };
    frame(&title, query.refresh, body)
}

fn card(one: &Listed, now: Timestamp) -> Markup {
    let incident = &one.incident;
    let mut commanders = incident.with_role(IncidentRole::Commander);
    let commander = commanders.next().map(|person| &person.name);
    let class = if incident.status.is_open() {
        format!("card {}", incident.severity.to_string().to_lowercase())
    } else {
        "card over".to_owned()
    };
    html! {
        article class=(class) {
            p.badges { (severity(incident.severity)) " " (status(incident.status)) }
            h2 {
                a href={ "/incidents/" (incident.id) } {
                    (incident.id) ": " bdi { (incident.title) }
                }
            }
            dl {
                div {
                    dt { "Declared" }
                    dd {
                        (ago(incident.declared_at, now))
                        @if let Some(at) = incident.resolved_at {
                            ", over after " (lasting(incident.declared_at, at))
                        }
                    }
                }
                @if !incident.services.is_empty() {
                    div {
                        dt { "Services" }
                        dd {
                            @for (n, service) in incident.services.iter().enumerate() {
                                @if n > 0 { ", " }
                                (service)
                            }
                        }
                    }
                }
                div {
                    dt { "Commander" }
                    dd {
                        @match commander {
                            Some(name) => bdi { (name) },
                            None => span.none { "nobody yet" },
                        }
                    }
                }
            }
            @match one.firing {
                0 => {}
                1 => p.fires { "1 alert fires" },
                n => p.fires { (n) " alerts fire" },
            }
            @for work in &one.work {
                p.work { "Now: " (work.text) ", for " (lasting(work.since, now)) }
            }
            @if let Some(last) = &one.last {
                p.last {
                    bdi { (last.actor.name) } ", " (ago(last.at, now)) ": "
                    // The declaration says the title, which stands above.
                    @if last.kind == EntryKind::Declared { "declared it" }
                    @else { bdi { (cut(&last.text, 200)) } }
                }
            }
        }
    }
}
