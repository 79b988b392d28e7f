//! `[[person]]`: where people are reached, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::at::{At, did_you_mean};
use super::email::mailbox;
use super::kind::Kind;
use super::reach::REACH;
use super::root::Root;
use super::section::Section;
use crate::bot::NotifySettings;
use crate::domain::mail::Mailbox;
use crate::domain::notification::{Recipient, Way, WayRecipient};
use crate::domain::{Person, person};
use crate::notify::http::WayConfig;

pub(super) const PERSON: Kind = Kind::list("person", "id name email reach");
/// An entry of a person's `reach`.
const WAY: Kind = Kind::list("reach", "by to after");

/// The longest delay.
const LONGEST: Duration = Duration::from_hours(24);

/// All `[[person]]`.
#[derive(Default)]
pub(super) struct People {
    /// Where they get mail, by user id.
    pub(super) mail: BTreeMap<String, Vec<Recipient>>,
    /// By which ways they are asked, by user id; not those who didn't say.
    pub(super) ways: BTreeMap<String, Vec<Way>>,
}

/// All `[[person]]`. `has_email`: there is `[email]`.
pub(super) fn people(root: &Root<'_>, ways: &[WayConfig], has_email: bool) -> People {
    let (mut people, mut ids) = (People::default(), BTreeSet::new());
    root.list(PERSON, |section| {
        let (who, mail) = who(section)?;
        if !ids.insert(who.id.clone()) {
            section.error(format!("a second person `{}`", who.id), "");
        }
        let email = mail.map(Recipient::Email);
        let reach = section.texts_or_tables(WAY, |name, entry| {
            way(
                name,
                entry,
                &who,
                email.as_ref().filter(|_| has_email),
                ways,
            )
        });
        let reach = reach.map(|reach| people.ways.insert(who.id.clone(), reach));
        if email.is_none() && reach.is_none() && section.written("email").is_none() {
            let hint = "such as `email = \"ana@example.com\"` or `reach = [\"slack\"]`";
            section.error("a person without `email` or `reach`", hint);
        }
        people.mail.extend(email.map(|email| (who.id, vec![email])));
        Some(())
    });
    people
}

/// Who it is, and their mailbox.
fn who(section: &Section<'_>) -> Option<(Person, Option<Mailbox>)> {
    let hint = "such as `id = \"U0123456789\"`";
    let id = section.required("id", "a person without `id`", hint);
    let id = id.and_then(|text| {
        let good = person::is_slack_user_id(text.value);
        if !good {
            let message = format!("`person.id` can't be `{}`: it is no user id", text.value);
            let hint = "write a user id (`U…`): in Slack, Profile, Copy member ID";
            text.error(message, hint);
        }
        good.then(|| text.value.to_owned())
    });
    let email = section.text("email").and_then(|text| mailbox(&text));
    let name = section.text("name").and_then(|text| {
        let good = Mailbox::is_name(text.value);
        if !good {
            let message = "`person.name` can't be empty, or hold `<`, `>`, `\"` or `\\`";
            text.error(message, "");
        }
        good.then(|| text.value.trim().to_owned())
    });
    let name = name.or_else(|| email.as_ref()?.name.clone());
    let email = email.map(|email| Mailbox {
        name: name.clone(),
        ..email
    });
    let id = id?;
    let name = name.unwrap_or_else(|| id.clone());
    Some((Person { id, name }, email))
}

/// One way of somebody. `email`: their mailbox, where there is one and mail is sent.
fn way(
    name: Option<At<'_>>,
    entry: &Section<'_>,
    who: &Person,
    email: Option<&Recipient>,
    ways: &[WayConfig],
) -> Option<Way> {
    let hint = "such as `{by = \"slack\"}`";
    let by = match name {
        Some(name) => name,
        None => entry.required("by", "a way without `by`", hint)?,
    };
    let after = entry.duration_or("after", Duration::ZERO);
    if after > LONGEST {
        entry.error_at("after", "`reach.after` must be at most 24h", "");
    }
    let to = entry.text("to");
    let needs = |needed: Option<bool>| match (&to, needed) {
        (None, Some(true)) => {
            let message = format!("`{}` needs `to`", by.value);
            by.error(message, "the person's topic, key or number there");
        }
        (Some(to), Some(false)) => {
            to.error(format!("`{}` takes no `to`", by.value), "leave it out");
        }
        _ => {}
    };
    let to = match by.value {
        "slack" => {
            needs(Some(false));
            Recipient::Slack(who.clone())
        }
        "email" => {
            needs(Some(false));
            if email.is_none() {
                let message = "`reach` by e-mail needs `email` of the person, and `[email]`";
                by.error(message, "add them, or take this way out");
            }
            email?.clone()
        }
        other => {
            let Some(way) = ways.iter().find(|way| way.name == other) else {
                if by.source.is_left_out(REACH.name, other) {
                    return None;
                }
                let names = || {
                    let own = ways.iter().map(|way| way.name.as_str());
                    ["slack", "email"].into_iter().chain(own)
                };
                let all = format!("there are: {}", names().collect::<Vec<_>>().join(", "));
                let message = format!("there is no way `{other}`");
                by.error(message, did_you_mean(other, names(), all));
                return None;
            };
            needs(way.service.needs_to());
            Recipient::Way(WayRecipient {
                way: way.name.clone(),
                to: to
                    .as_ref()
                    .map(|to| to.value.to_owned())
                    .unwrap_or_default(),
                name: who.name.clone(),
                follows: way.service.follows(),
            })
        }
    };
    Some(Way { to, after })
}

/// Warns of what is allowed, though somebody would miss a notification. `mail`: who gets mail.
pub(super) fn look_over(
    root: &Root<'_>,
    people: &People,
    mail: Option<&NotifySettings>,
    on_call: &BTreeSet<&str>,
) {
    if mail.is_none() {
        let by_mail = |id: &&String| !people.ways.contains_key(*id);
        if people.mail.keys().any(|id| by_mail(&id)) {
            let message = "there are people with addresses, but no `email` to send by";
            root.source
                .warning(None, message, "add [email] with its `host`");
        }
        if people.ways.is_empty() {
            return;
        }
    }
    for id in on_call {
        let by_mail = mail.is_some() && people.mail.contains_key(*id);
        if by_mail || people.ways.contains_key(*id) {
            continue;
        }
        let message = format!("`{id}` is on call, but is asked in Slack only");
        let hint = format!("add a [[person]] with `id = \"{id}\"` and `email` or `reach`");
        root.source.warning(None, message, hint);
    }
}
