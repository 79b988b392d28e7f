//! Services that ring a phone, each as its own documentation has it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{AUTHORIZATION, HeaderName};
use serde_json::{Value, json};

use super::call::{Call, General};
use super::template::{Field, Values, in_url, in_xml};
use crate::domain::timeline::cut;

/// A notification of Pushover may have so many characters (<https://pushover.net/api#limits>).
const PUSHOVER_TEXT: usize = 1_024;
/// A text of ntfy may have so many bytes; a longer one becomes a file
/// (<https://docs.ntfy.sh/publish/#limitations>).
const NTFY_TEXT: usize = 4_000;

/// Who takes a notification.
#[derive(Debug, Clone)]
pub enum Service {
    /// ntfy, at this address without a path of a topic.
    Ntfy(String),
    /// Pushover.
    Pushover(String),
    /// Gotify.
    Gotify(String),
    /// A call by Twilio.
    Twilio {
        /// The API's address.
        url: String,
        /// The account's SID.
        account: String,
        /// SID of an API key, where the token is that key's secret; else the account's.
        user: String,
        /// The number that calls.
        from: String,
    },
    /// PagerDuty's Events API v2.
    PagerDuty(String),
    /// Any other.
    General(General),
}

impl Service {
    /// A person's `to` (a topic, a user's key, a number) is needed; or there can't be one. `None`: as
    /// you like.
    pub fn needs_to(&self) -> Option<bool> {
        match self {
            Self::Ntfy(_) | Self::Pushover(_) | Self::Twilio { .. } => Some(true),
            Self::Gotify(_) | Self::PagerDuty(_) => Some(false),
            Self::General(general) => general.needs_to(),
        }
    }

    /// It goes on by itself until it hears of an acknowledgement, or of the end.
    pub fn follows(&self) -> bool {
        match self {
            Self::Pushover(_) | Self::PagerDuty(_) => true,
            Self::General(general) => general.uses(Field::Event),
            _ => false,
        }
    }

    /// Scheme, host and port of all its requests: no placeholder stands there.
    pub fn origin(&self) -> Option<String> {
        let url = self.call(&Values::default()).url;
        Some(url::Url::parse(&url).ok()?.origin().ascii_serialization())
    }

    /// The request that hands a notification over.
    pub(super) fn call(&self, values: &Values) -> Call {
        match self {
            Self::Ntfy(url) => ntfy(url, values),
            Self::Pushover(url) => pushover(url, values),
            Self::Gotify(url) => gotify(url, values),
            Self::Twilio {
                url,
                account,
                user,
                from,
            } => {
                let url = format!("{url}/2010-04-01/Accounts/{}/Calls.json", in_url(account));
                twilio(url, user, from, values)
            }
            Self::PagerDuty(url) => pager_duty(url, values),
            Self::General(general) => general.call(values),
        }
    }
}

/// <https://docs.ntfy.sh/publish/#publish-as-json>: to the server's own address. Priority 5 rings
/// through silent mode. What has one `sequence_id` (since 2.16) is shown once; older ones don't
/// mind it.
fn ntfy(url: &str, values: &Values) -> Call {
    let mut body = json!({
        "topic": values.of(Field::To),
        "sequence_id": values.of(Field::Id),
        "title": values.of(Field::Title),
        "message": cut(values.of(Field::Text), NTFY_TEXT),
        "priority": 5,
        "tags": ["rotating_light", values.of(Field::Severity)],
    });
    let link = values.of(Field::Link);
    if !link.is_empty() {
        body["click"] = json!(link);
        body["actions"] = json!([
            {"action": "http", "label": "Acknowledge", "url": link, "method": "POST", "clear": true},
            {"action": "view", "label": "Open", "url": link},
        ]);
    }
    let call = Call::json(format!("{url}/"), &body);
    match values.of(Field::Token) {
        "" => call,
        token => call.header(AUTHORIZATION, format!("Bearer {token}")),
    }
}

/// <https://pushover.net/api>: priority 2 rings through quiet hours, again each `retry` seconds until
/// somebody acknowledges or `expire` seconds are over; who acknowledges here ends it by the tag.
fn pushover(url: &str, values: &Values) -> Call {
    let token = values.of(Field::Token).to_owned();
    let tag = tag(values.of(Field::Thread));
    if values.of(Field::Event) != "trigger" {
        let url = format!("{url}/1/receipts/cancel_by_tag/{tag}.json");
        return Call::form(url, &[("token", token)]);
    }
    let link = values.of(Field::Link);
    let of_link = |text: &str| if link.is_empty() { "" } else { text }.to_owned();
    Call::form(
        format!("{url}/1/messages.json"),
        &[
            ("token", token),
            ("user", values.of(Field::To).to_owned()),
            ("title", values.of(Field::Title).to_owned()),
            ("message", cut(values.of(Field::Text), PUSHOVER_TEXT)),
            ("url", link.to_owned()),
            ("url_title", of_link("Acknowledge")),
            ("priority", "2".to_owned()),
            ("retry", "60".to_owned()),
            ("expire", "1800".to_owned()),
            ("tags", tag),
        ],
    )
}

/// Letters and digits of a thread's key.
fn tag(thread: &str) -> String {
    let of_tag = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    thread.chars().map(of_tag).collect()
}

/// <https://gotify.net/api-docs#/message/createMessage> and
/// <https://gotify.net/docs/msgextras>: the token is the application's.
fn gotify(url: &str, values: &Values) -> Call {
    let mut extras = json!({
        "client::display": {"contentType": "text/plain"},
        "treasury-bot::notification": {"id": values.of(Field::Id)},
    });
    let mut text = values.of(Field::Text).to_owned();
    let link = values.of(Field::Link);
    if !link.is_empty() {
        extras["client::notification"] = json!({"click": {"url": link}});
        text = format!("{text}\nAcknowledge: {link}");
    }
    let body = json!({
        "title": values.of(Field::Title),
        "message": text,
        "priority": 10,
        "extras": extras,
    });
    Call::json(format!("{url}/message"), &body).header(
        HeaderName::from_static("x-gotify-key"),
        values.of(Field::Token).to_owned(),
    )
}

/// <https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource>: says it twice. At
/// most 4,000 characters of TwiML (error 32018); a title and a subject are far fewer.
fn twilio(url: String, user: &str, from: &str, values: &Values) -> Call {
    let said = format!("{}. {}", values.of(Field::Title), values.of(Field::Subject));
    let say = format!("<Say>{}</Say>", cut(&in_xml(&said), 1_500));
    let login = BASE64.encode(format!("{user}:{}", values.of(Field::Token)));
    Call::form(
        url,
        &[
            ("To", values.of(Field::To).to_owned()),
            ("From", from.to_owned()),
            (
                "Twiml",
                format!("<Response>{say}<Pause length=\"1\"/>{say}</Response>"),
            ),
        ],
    )
    .header(AUTHORIZATION, format!("Basic {login}"))
}

/// <https://developer.pagerduty.com/docs/events-api-v2/overview/>: one alert there for an incident
/// here; only a trigger has a payload.
fn pager_duty(url: &str, values: &Values) -> Call {
    let event = values.of(Field::Event);
    let mut body = json!({
        "routing_key": values.of(Field::Token),
        "event_action": event,
        "dedup_key": cut(values.of(Field::Thread), 255),
    });
    if event == "trigger" {
        body["client"] = json!("treasury-bot");
        body["payload"] = json!({
            // At most 1,024 characters.
            "summary": cut(values.of(Field::Subject), 1_000),
            "source": "treasury-bot",
            "severity": match values.of(Field::Severity) {
                "SEV1" => "critical",
                "SEV2" => "error",
                "SEV3" => "warning",
                _ => "info",
            },
            "custom_details": {
                "asked": values.of(Field::Person),
                "text": values.of(Field::Text),
                "id": values.of(Field::Id),
            },
        });
        let link = values.of(Field::Link);
        let links: Vec<Value> = match link {
            "" => Vec::new(),
            link => vec![json!({"href": link, "text": "Acknowledge"})],
        };
        body["links"] = json!(links);
    }
    Call::json(format!("{url}/v2/enqueue"), &body)
}
