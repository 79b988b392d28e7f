//! The log store.

use jiff::{SignedDuration, Timestamp};

use super::finding::{Check, Finding, Group, Limit};
use crate::domain::Service;
use crate::probe::log_store::{Config, LogStore, Search};

const SERVER: Check = Check {
    id: "logs.server",
    group: Group::Logs,
    asks: "Does the log store answer a search?",
    mend: "correct `[logs] url`, its token or user; is it running?",
};
const SERVICE: Check = Check {
    id: "logs.service",
    group: Group::Logs,
    asks: "Has it a line of each service, of the last day?",
    mend: "correct `field` or `names` in `[logs]`: what names the service of a line there",
};
pub(super) const CHECKS: &[Check] = &[SERVER, SERVICE];

/// Looks at it, and for lines of these services.
pub(super) async fn look(config: Config, services: Vec<Service>, limit: Limit) -> Vec<Finding> {
    let subject = config.url.clone();
    let store = LogStore::new(config);
    let until = Timestamp::now();
    let search = Search {
        lines: 1,
        since: until - SignedDuration::from_hours(24),
        until,
        grep: None,
    };
    let flavour = store.flavour().name();
    let mut found = Vec::new();
    for service in &services {
        let name = service.name.as_str();
        match limit.ask(store.search(name, &search)).await {
            Ok(lines) => {
                let (field, value) = store.place(name);
                found.push(if lines.logs.lines.is_empty() {
                    let what = format!("no line of the last day where {field} is {value}");
                    SERVICE.warning(name, what)
                } else {
                    SERVICE.ok(name, format!("it has lines where {field} is {value}"))
                });
            }
            Err(fault) => return vec![SERVER.broken(&subject, fault)],
        }
    }
    if found.is_empty() {
        return vec![SERVER.unknown(&subject, "not looked at: there is no service to search for")];
    }
    found.insert(0, SERVER.ok(&subject, format!("{flavour} answers")));
    found
}
