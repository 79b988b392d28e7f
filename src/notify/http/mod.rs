//! Ways to reach somebody by one HTTP request: services by preset, and any other by templates.

mod call;
mod presets;
mod template;
mod way;

pub use call::{Body, General, JsonTemplate};
pub use presets::Service;
pub use template::{Field, Template, TemplateError};
pub use way::{HttpWay, WayConfig};
