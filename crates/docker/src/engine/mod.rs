//! What both platforms share.
//!
//! - `address`, `tls`, `connection`, `about`: where the engine is, who it is, time limits; `error`
//! - `json_api`: what bollard's models would drop; `container`, `image`, `version_label`: what it has; `events`, `logs`, `samplers`: what it tells

mod about;
mod address;
mod connection;
pub mod container;
mod error;
pub mod events;
pub mod image;
pub mod json_api;
mod log_entries;
pub mod logs;
mod sample;
mod samplers;
mod tls;
pub mod version_label;

pub use about::About;
pub use address::{EngineConfig, Identity, Tls};
pub use connection::{CHANGE_LIMIT, Engine, optional};
pub use container::ContainerRef;
pub use error::{PLATFORM, Result, all_well, not_found, timeout, unsupported, unusable, unwell};
pub use samplers::Samplers;
