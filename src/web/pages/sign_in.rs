//! The door: the page of a link, and what is said to who is not let in.

use maud::{Markup, html};

use super::html::notice;
use crate::bot::pages::NoEntry;
use crate::domain::{IncidentId, Message};

/// The page of a link that is good: a button. It says nothing about anybody or any incident.
pub(super) fn door(token: &str, incident: Option<IncidentId>) -> Markup {
    let what = incident.map_or_else(|| "the incident pages".to_owned(), |id| id.to_string());
    let body = html! {
        p { "This link opens the incident pages once, in this browser." }
        form method="post" action={ "/incidents/link/" (token) } {
            button.main type="submit" autofocus { "Open " (what) }
        }
    };
    notice("treasury-bot", "treasury-bot", body)
}

/// Why somebody is not let in, and what to do.
pub(super) fn refused(no: &NoEntry, command: &str, wanted: Option<IncidentId>) -> Markup {
    let title = match no {
        NoEntry::SignedOut => "Sign in to read this",
        NoEntry::NoLink => "There is no such link",
        NoEntry::Used => "This link was used already",
        NoEntry::Expired => "This link is too old",
        NoEntry::NotAllowed(_) => "You may not read this",
        NoEntry::Forged | NoEntry::Store(_) => "That was not done",
    };
    let body = html! {
        @match no {
            NoEntry::NotAllowed(person) => {
                p {
                    bdi { (person.name) } " (" (person.id) ") is not, or no longer, a viewer. \
                    Nothing is wrong with the link."
                }
                p {
                    "Fix: have this id added to " code { "viewers" } " under "
                    code { "[access]" } " in the bot's configuration."
                }
            }
            NoEntry::Forged => {
                p { "The request did not come from a page of your session. Go back, and try again." }
                p { a href="/incidents" { "All incidents" } }
            }
            NoEntry::Used => {
                p { "Links work once. If it was not you who used it, tell your commander." }
                (how(command, wanted))
            }
            NoEntry::Expired => {
                p { "Links work for ten minutes." }
                (how(command, wanted))
            }
            _ => (how(command, wanted)),
        }
    };
    notice(title, title, body)
}

pub(super) fn signed_out(command: &str) -> Markup {
    notice("Signed out", "You are signed out", how(command, None))
}

/// The page of a notification's link: a button.
pub(super) fn acknowledge(token: &str, sentence: &str) -> Markup {
    let what = sentence.strip_prefix("ack ").unwrap_or(sentence);
    let body = html! {
        p { "Press to say that you have taken " bdi { (what) } " up: nobody further is asked then." }
        form method="post" action={ "/incidents/ack/" (token) } {
            button.main type="submit" autofocus { "Acknowledge " (what) }
        }
    };
    notice("treasury-bot", "treasury-bot", body)
}

/// What an acknowledgement came to.
pub(super) fn acknowledged(answer: Option<&Message>) -> Markup {
    match answer.map(|answer| answer.title.plain()) {
        Some(title) => notice(&title, &title, html! { p { "You can close this page." } }),
        None => {
            let title = "It is recorded, but not answered yet";
            let body = html! { p { "Look into Slack in a moment: the alert's message says who has acknowledged." } };
            notice(title, title, body)
        }
    }
}

/// A notification's link that does nothing any more, with what it came to when it was used.
pub(super) fn no_acknowledgement(no: &NoEntry, answer: Option<&Message>, command: &str) -> Markup {
    let title = match no {
        NoEntry::Used => "This link was used already",
        _ => "This link is too old: nothing was acknowledged",
    };
    let body = html! {
        @if let Some(answer) = answer {
            p { "It came to this: " (answer.title.plain()) "." }
        }
        p { "Links of notifications work once, within ten minutes. To acknowledge, type in Slack:" }
        p { code.typed { (command) " ack" } }
    };
    notice(title, title, body)
}

/// How to get a link.
fn how(command: &str, wanted: Option<IncidentId>) -> Markup {
    let page = match wanted {
        Some(id) => format!("page {id}"),
        None => "page".to_owned(),
    };
    html! {
        p { "To get a link for your browser, type in Slack:" }
        p { code.typed { (command) " " (page) } }
        p { "When Slack is down, on the machine that the bot runs on:" }
        p { code.typed { "treasury-bot exec \"" (page) "\"" } }
    }
}
