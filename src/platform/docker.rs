//! Docker Engine, by bollard: services are containers with Compose labels, or one by its name.

mod engine;
mod events;
mod fate;
mod find;
mod logs;
mod recipe;
mod restart;
mod stats;
mod wait;

use crate::platform::PlatformError;
use engine::Engine;

/// This platform's name in errors.
const PLATFORM: &str = "Docker";

/// The engine that one address leads to.
#[derive(Debug)]
pub struct Docker {
    engine: Engine,
}

impl Docker {
    /// An engine at `unix:///path` or `tcp://host:port`; where `None`, at `DOCKER_HOST`, or else
    /// at `/var/run/docker.sock`. Nothing is asked of it yet: only a malformed address fails.
    pub fn new(host: Option<&str>) -> Result<Self, PlatformError> {
        let engine = Engine::new(host)?;
        Ok(Self { engine })
    }
}
