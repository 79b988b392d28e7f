//! Changing a service's description without losing what others wrote.

use serde_json::Value;

use super::json_api;
use super::snapshot::{SwarmService, text};
use crate::engine::Result;
use treasury_domain::service::Patience;
use treasury_ports::platform::{PlatformError, ProgressSink};

/// So often a change is tried that others overtake.
const MAX_TRIES: usize = 6;

/// A change of a service: how long it may take, and who hears of its steps.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    pub service: SwarmService<'a>,
    pub patience: Patience,
    pub progress: &'a ProgressSink,
}

impl Change<'_> {
    /// Changes the description as long as `edit` finds something to change. Whoever is overtaken
    /// by another change looks at the new description and tries again: nothing is overwritten
    /// unseen.
    pub async fn update(self, edit: impl Fn(&mut Value) -> bool) -> Result<()> {
        let mut tries = 0;
        loop {
            let mut service = self.service.read().await?;
            let (id, version) = (text(&service["ID"]), service["Version"]["Index"].clone());
            let spec = &mut service["Spec"];
            if !edit(spec) {
                return Ok(());
            }
            let path = format!("/services/{id}/update?version={version}&registryAuthFrom=spec");
            let what = format!("the change of {}", self.service.name);
            match json_api::post(self.service.engine, &what, &path, spec).await {
                Err(PlatformError::Failed { message, .. })
                    if message.contains("out of sequence") && tries < MAX_TRIES =>
                {
                    tries += 1;
                }
                result => return result.map(drop),
            }
        }
    }
}
