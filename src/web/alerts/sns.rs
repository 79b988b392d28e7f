//! Amazon SNS: what it signs, and what it asks.

use super::answer::Outcome;
use super::{AlertSource, Intake};
use crate::bot;
use crate::domain::alert::generic::sns::signed;
use crate::telemetry::metrics;

impl Intake {
    /// Judges the signature. `let_in`: by the token. What SNS has signed of a topic that the source
    /// names needs no token; anybody may have SNS sign messages of a topic of their own.
    pub(super) async fn signed_by_sns(
        &self,
        source: &AlertSource,
        body: &[u8],
        let_in: Result<(), Outcome>,
    ) -> Result<(), Outcome> {
        let signed = match signed(body) {
            Ok(Some(signed)) => signed,
            // Raw delivery is not signed.
            Ok(None) => return let_in,
            Err(error) => return Err(Outcome::NotAllowed(error.to_string())),
        };
        if let_in.is_err() && !source.topics.contains(&signed.topic) {
            return let_in;
        }
        let mirror = source.certificates.as_deref();
        match bot::signed_by_sns(&self.bot, &signed, mirror).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let told = "this is not the signature of Amazon SNS";
                Err(Outcome::NotAllowed(told.to_owned()))
            }
            // The token was shown: an alert is not lost because Amazon can't be reached from here.
            Err(why) if let_in.is_ok() => {
                metrics::ALERTS_UNVERIFIED.count(&[]);
                tracing::warn!(
                    source = source.name,
                    why,
                    "SNS' signature could not be verified"
                );
                Ok(())
            }
            Err(why) => Err(Outcome::Later(format!("SNS' certificate: {why}"))),
        }
    }

    /// No more comes of a topic.
    pub(super) async fn unsubscribed(&self, source: &str, topic: &str) -> Outcome {
        match bot::unsubscribed(&self.bot, source, topic).await {
            Ok(()) => Outcome::Received("told".to_owned()),
            Err(error) => {
                tracing::error!(%error, "the end of a subscription could not be recorded");
                Outcome::Later("it could not be recorded: send it again".to_owned())
            }
        }
    }
}

/// Amazon SNS asks whether it may send here. Who confirms decides whose messages come in: that is no
/// program's to do, and the address came in with the request.
pub(super) fn subscription(source: &str, topic: &str, url: Option<String>) -> Outcome {
    metrics::ALERTS_SUBSCRIPTIONS.count(&[]);
    match url {
        Some(url) => tracing::warn!(
            source,
            topic,
            url,
            "SNS asks to confirm a subscription: if the topic is yours, open this address once"
        ),
        None => tracing::warn!(
            source,
            topic,
            "somebody asks to confirm a subscription with an address that is not Amazon's: ignore it"
        ),
    }
    let said = "not confirmed by itself: the bot's log has the address that a person opens";
    Outcome::Received(said.to_owned())
}
