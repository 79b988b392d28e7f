//! `service.versions`, which runbooks ask.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::deploy::left_behind;
use crate::bot::entry::Probe;
use crate::bot::{Context, Fault};
use crate::domain::service::Version;
use crate::domain::{Line, Message, Tone, duration};

/// Which service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
}

/// What a service runs and ran.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Known {
    /// The image it runs.
    present: Option<String>,
    /// The image that a rollback brings it to; none where the one before was rolled back from, or
    /// never got well.
    former: Option<String>,
    /// How long it has run the present one, ms, where the platform knows.
    present_for_ms: Option<u64>,
    /// All that the platform knows of, the present one first, at most 10.
    versions: Vec<Version>,
}

impl Probe for Versions {
    const STEP: &'static str = "service.versions";
    const SUMMARY: &'static str = "The versions that a service runs and ran";
    type Found = Known;

    async fn look(self, context: &Context) -> Result<(Known, Message), Fault> {
        let (service, platform) = context
            .catalogue()
            .find(&self.service, |near| format!("status {near}"))?;
        let versions = platform.versions(service).await?;
        let left = left_behind(context, service, &versions).await?.is_some();
        let image = |at: usize| versions.get(at).map(|one: &Version| one.image.clone());
        let title = Line::new().code(&service.name).text(format!(
            " runs {}; before: {}",
            image(0).as_deref().unwrap_or("nothing known"),
            image(1).as_deref().unwrap_or("nothing known"),
        ));
        let title = if left {
            title.text(", which was left: no rollback goes there")
        } else {
            title
        };
        let message = Message::new(Tone::Plain, title);
        let result = Known {
            present: image(0),
            former: image(1).filter(|_| !left),
            present_for_ms: versions
                .first()
                .and_then(|one| one.since)
                .map(|since| duration::between(since, context.store().now()).as_millis() as u64),
            versions,
        };
        Ok((result, message))
    }
}
