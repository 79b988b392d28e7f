//! What an engine says of itself.

use jiff::Timestamp;

use super::connection::Engine;
use super::error::Result;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its version, such as `20.10.24`.
    pub version: String,
    /// The newest version of its API, such as `1.41`.
    pub api: String,
    /// It is a manager of a Swarm.
    pub manages: bool,
    /// Its clock at the moment of the answer.
    pub clock: Option<Timestamp>,
}

impl Engine {
    /// Asks it what it is; nothing is changed.
    pub async fn about(&self) -> Result<About> {
        let version = self.query("its version", self.client()?.version()).await?;
        let info = self.info().await?;
        let swarm = info.swarm.unwrap_or_default();
        Ok(About {
            version: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            manages: swarm.control_available == Some(true),
            clock: info.system_time.and_then(|time| time.parse().ok()),
        })
    }
}
