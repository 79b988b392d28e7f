//! Alertmanager, and what lets senders of alerts in.

use super::finding::{Check, Finding, Group, Limit};
use crate::probe::ProbeError;
use crate::probe::alertmanager::{Alertmanager, Config};

const SERVER: Check = Check {
    id: "alerts.alertmanager",
    group: Group::Alerts,
    asks: "Does each member of `[alertmanager]` answer?",
    mend: "correct `[alertmanager] url`, or the token or user; is it running?",
};
const RECEIVER: Check = Check {
    id: "alerts.receiver",
    group: Group::Alerts,
    asks: "Has it a receiver that sends to the bot? (Newer versions hide addresses: then it can't be \
           told.)",
    mend: "add a receiver with `webhook_configs: - url: http://THE-BOT:8080/alerts/alertmanager` and a \
           route to it",
};
const TOKEN: Check = Check {
    id: "alerts.token",
    group: Group::Alerts,
    asks: "Is there a token that lets senders of alerts in?",
    mend: "set TREASURY_BOT_ALERTS_TOKEN (or `[alerts] token_file`), and give it to the senders",
};
pub(super) const CHECKS: &[Check] = &[SERVER, RECEIVER, TOKEN];

/// The tokens: `all`: the one of all senders is set; `without`: sources that have no other way in.
/// `wanted`: alerts are spoken of in the configuration.
pub(super) fn tokens(all: bool, wanted: bool, without: &[String]) -> Vec<Finding> {
    if all {
        return vec![TOKEN.ok("token", "it is set")];
    }
    let mut found: Vec<Finding> = without
        .iter()
        .map(|source| TOKEN.failed(source, "it has no token: all that it sends is refused"))
        .collect();
    if wanted {
        let what = "none is set: what Alertmanager sends is refused";
        found.push(TOKEN.failed("token", what));
    } else if found.is_empty() {
        let why = "none is set, and nothing in the configuration speaks of alerts from outside";
        found.push(TOKEN.unknown("token", why));
    }
    found
}

/// Looks at the members.
pub(super) async fn look(config: Config, limit: Limit) -> Vec<Finding> {
    let urls = config.urls.clone();
    let alertmanager = Alertmanager::new(config);
    let members = async { Ok::<_, ProbeError>(alertmanager.members().await) };
    let members = match limit.ask(members).await {
        Ok(members) => members,
        Err(fault) => return vec![SERVER.broken(&urls.join(", "), fault)],
    };
    let mut found = Vec::new();
    for (url, member) in urls.iter().zip(members) {
        let member = match member {
            Ok(member) => member,
            Err(error) => {
                found.push(SERVER.broken(url, error));
                continue;
            }
        };
        found.push(SERVER.ok(url, format!("Alertmanager {} answers", member.version)));
        let has = |text: &str| member.config.contains(text);
        found.push(if has("/alerts/alertmanager") {
            RECEIVER.ok(url, "a receiver sends to /alerts/alertmanager")
        } else if has("url: <secret>") || has("url_file:") {
            let why = "it has webhooks, and does not tell where they lead";
            RECEIVER.unknown(url, why)
        } else {
            RECEIVER.warning(url, "no receiver sends to /alerts/alertmanager")
        });
    }
    found
}
