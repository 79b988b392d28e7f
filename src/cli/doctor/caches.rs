//! Redis servers that people ask about.

use super::finding::{Check, Finding, Group, Limit};
use crate::probe::redis::{Config, Redis};

const SERVER: Check = Check {
    id: "caches.server",
    group: Group::Caches,
    asks: "Does the server answer, and let the bot in?",
    mend: "correct `url` of the `[[cache]]`, or the password; is the server running?",
};
const RIGHTS: Check = Check {
    id: "caches.rights",
    group: Group::Caches,
    asks: "May the bot ask all its questions, and close a client's connection (each question is asked; \
           CLIENT KILL by ACL DRYRUN, from Redis 7 on)?",
    mend: "grant the command: ACL SETUSER USER +COMMAND",
};
pub(super) const CHECKS: &[Check] = &[SERVER, RIGHTS];

/// Looks at one.
pub(super) async fn look(config: Config, limit: Limit) -> Vec<Finding> {
    let name = config.name.clone();
    let server = match Redis::new(config) {
        Ok(server) => server,
        Err(error) => return vec![SERVER.broken(&name, error)],
    };
    let rights = match limit.ask(Box::pin(server.rights())).await {
        Ok(rights) => rights,
        Err(fault) => {
            let why = "not looked at: the server does not let the bot ask";
            return vec![SERVER.broken(&name, fault), RIGHTS.unknown(&name, why)];
        }
    };
    let mut found = vec![SERVER.ok(&name, format!("{} answers", rights.server))];
    if !rights.lacking.is_empty() {
        let what = format!("it refuses {}", rights.lacking.join(", "));
        let finding = RIGHTS.warning(&name, what);
        found.push(match rights.hint {
            Some(hint) => finding.by(hint),
            None => finding.by("ACL SETUSER USER +client|kill"),
        });
    } else if rights.unknown.is_empty() {
        found.push(RIGHTS.ok(&name, "the bot may ask and do all that it can"));
    }
    let unknown = rights.unknown.into_iter();
    found.extend(unknown.map(|(command, why)| RIGHTS.unknown(&name, format!("{command}: {why}"))));
    found
}
