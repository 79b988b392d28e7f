//! Services that are containers with Compose labels, or one container by its name.
//!
//! - `find`: from a service to its containers and their status; `wait`: until they are well
//! - `steps`, `spec`: what changes are made of; `restart`, `outcome`, `scale`: changes
//! - `versions`, `deploy`, `successor`: another image
//! - `logs`, `evidence`: what containers said and are
//! - `attachments`, `isolate`: a service that is cut off from its networks

mod attachments;
mod deploy;
mod discover;
mod driver;
mod evidence;
mod find;
mod isolate;
mod logs;
mod outcome;
mod restart;
mod scale;
mod spec;
mod steps;
mod successor;
mod versions;
mod wait;

pub use driver::Docker;
