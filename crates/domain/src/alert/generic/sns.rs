//! Amazon SNS by HTTP: its envelope, what is signed in it, and what is in its `Message`.
//!
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use serde_json::{Value, json};

use super::super::Malformed;
use super::aws;
use super::mapping::Mapping;
use super::presets::Preset;
use super::shape::{Opened, Read, digest};
use crate::timeline::cut;

/// A signed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Whose message it is.
    pub topic: String,
    /// What is signed.
    pub text: String,
    /// The signature, in base64.
    pub signature: String,
    /// With SHA-256 (version 2), else SHA-1 (version 1).
    pub sha256: bool,
    /// Where the certificate is; an address of Amazon's.
    pub certificate: String,
}

/// What is signed in a body, `None` where it is no envelope with a signature. An error where the
/// signature can't be one of Amazon's.
pub fn signed(body: &[u8]) -> Result<Option<Signed>, Malformed> {
    let Ok(root) = serde_json::from_slice::<Value>(body) else {
        return Ok(None);
    };
    let text = |key: &str| root.get(key).and_then(Value::as_str);
    let (Some(kind), Some(signature)) = (text("Type"), text("Signature")) else {
        return Ok(None);
    };
    // In this order; what is not there is left out (`Subject`).
    let keys: &[&str] = match kind {
        "Notification" => &[
            "Message",
            "MessageId",
            "Subject",
            "Timestamp",
            "TopicArn",
            "Type",
        ],
        _ => &[
            "Message",
            "MessageId",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ],
    };
    let lines = keys
        .iter()
        .filter_map(|key| Some(format!("{key}\n{}\n", text(key)?)));
    let certificate = text("SigningCertURL").unwrap_or_default();
    if !is_amazons(certificate) || certificate.contains('?') {
        let why = "this is no address of Amazon SNS";
        return Err(Malformed::new("SigningCertURL", why));
    }
    let sha256 = match text("SignatureVersion") {
        Some("1") => false,
        Some("2") => true,
        _ => return Err(Malformed::new("SignatureVersion", "must be \"1\" or \"2\"")),
    };
    Ok(Some(Signed {
        topic: text("TopicArn").unwrap_or_default().to_owned(),
        text: lines.collect(),
        signature: signature.to_owned(),
        sha256,
        certificate: certificate.to_owned(),
    }))
}

/// `https://sns.REGION.amazonaws.com/…`. Only such an address confirms a subscription or has SNS'
/// certificates. The region is one name without dots: `sns.x.s3.amazonaws.com` is anybody's bucket.
fn is_amazons(url: &str) -> bool {
    let host = url
        .strip_prefix("https://sns.")
        .and_then(|rest| rest.split('/').next());
    let region = host.and_then(|host| {
        let host = host.strip_suffix(".cn").unwrap_or(host);
        host.strip_suffix(".amazonaws.com")
    });
    region.is_some_and(|region| {
        !region.is_empty()
            && region
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    }) && url.len() < 1_000
        && url.bytes().all(|b| b.is_ascii_graphic())
}

/// What is in a body. What is no envelope is SNS' raw delivery: the message itself.
pub(super) fn open(body: &[u8], mapping: &Mapping) -> Result<Opened, Malformed> {
    let body = std::str::from_utf8(body)
        .map_err(|_| Malformed::new("", "this is neither JSON nor other text in UTF-8"))?;
    if body.trim().is_empty() {
        return Err(Malformed::new("", "the body is empty"));
    }
    let root: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |key: &str| root.get(key).and_then(Value::as_str);
    let topic = || cut(text("TopicArn").unwrap_or("of no name"), 300);
    Ok(match (text("Type"), text("Message")) {
        (Some("SubscriptionConfirmation"), _) => {
            let url = text("SubscribeURL").filter(|url| is_amazons(url));
            let url = url.map(str::to_owned);
            Opened::Read(Read::Subscription {
                topic: topic(),
                url,
            })
        }
        (Some("UnsubscribeConfirmation"), _) => Opened::Read(Read::Unsubscribed { topic: topic() }),
        (Some("Notification"), Some(message)) => opened(message, text("Subject"), mapping),
        _ => opened(body, None, mapping),
    })
}

/// What a message is: what the source's mapping is for, an event of AWS, our own plain shape, any
/// other JSON, or text.
fn opened(message: &str, subject: Option<&str>, mapping: &Mapping) -> Opened {
    let other = |value, own| Opened::Other(value, Box::new(own));
    let mut value: Value = serde_json::from_str(message).unwrap_or_default();
    if !value.is_object() {
        let digest = digest([&json!(subject), &json!(message)]);
        let text = json!({"subject": subject, "text": message, "sns_digest": digest});
        return other(text, aws::text());
    }
    if mapping.status.is_empty() || mapping.status.find(&value).is_some() {
        return Opened::Report(value);
    }
    if value["detail-type"].is_string() {
        let is_alarm = value["detail"]["alarmName"].is_string()
            && value["detail"]["state"]["value"].is_string();
        let own = if is_alarm {
            aws::alarm(mapping)
        } else {
            aws::event()
        };
        return other(value, own);
    }
    if value["Event Message"].is_string() {
        // `http://docs.amazonwebservices.com/…#RDS-EVENT-0006`
        let code = value["Event ID"]
            .as_str()
            .and_then(|id| id.rsplit('#').next());
        value["event_code"] = json!(code);
        return other(value, aws::rds());
    }
    let plain = Preset::Plain.mapping();
    if plain.firing(plain.status.find(&value)).is_ok() {
        return other(value, plain);
    }
    value["sns_digest"] = digest([&value]).into();
    value["sns_subject"] = json!(subject);
    other(value, aws::hand_made())
}
