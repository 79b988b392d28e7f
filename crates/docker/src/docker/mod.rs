//! Services that are containers with Compose labels, or one container by its name.
//!
//! - `dependants`, `touches`: who hangs on a container, asked before every change
//! - `find`, `lost`: from a service to its containers and their status; `wait`: until they are well
//! - `steps`, `spec`: what changes are made of; `restart`, `outcome`, `scale`: changes
//! - `inspected`: what a copy has to carry that bollard's models drop
//! - `versions`, `deploy`, `successor`: another image
//! - `logs`, `evidence`: what containers said and are
//! - `attachments`, `isolate`: a service that is cut off from its networks

mod attachments;
mod dependants;
mod deploy;
mod discover;
mod driver;
mod evidence;
mod find;
mod inspected;
mod isolate;
mod logs;
mod lost;
mod outcome;
mod restart;
mod scale;
mod spec;
mod steps;
mod successor;
mod touches;
mod versions;
mod wait;

pub use driver::Docker;
