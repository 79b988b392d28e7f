//! Kubernetes, by kube: services are Deployments, StatefulSets or DaemonSets.
//!
//! - `driver`: the platform; `config`: how a cluster is reached
//! - `server`, `error`, `forbidden`: calls to the API server, their time limits and errors
//! - `kind`, `resource`, `object`: requests for objects, and what is read of them
//! - `scope`, `workload`, `pod`, `snapshot`: from a service to its workload and pods; `status`
//! - `cache`, `watched`: what the server tells by its watches, for answers from memory
//! - `edit`: changing an object without overwriting others; `rollout`: following it to its end
//! - `restart`, `scale`: changes; `versions`, `template`, `deploy`: another version
//! - `logs`, `stats`, `events`: looking on
//! - `attachments`, `isolate`, `evidence`: a service that is cut off and examined
//! - `rbac`: the rights that all this takes; `review`: whether the bot has them

mod attachments;
mod cache;
mod config;
mod deploy;
mod driver;
mod edit;
mod error;
mod events;
mod evidence;
mod forbidden;
mod isolate;
mod kind;
mod logs;
mod object;
mod pod;
pub mod rbac;
mod resource;
mod restart;
mod review;
mod rollout;
mod scale;
mod scope;
mod server;
mod snapshot;
mod stats;
mod status;
mod template;
mod versions;
mod watched;
mod workload;

pub use config::{Config, Server};
pub use driver::Kubernetes;
pub use review::{About, Lack};

// What every part speaks of.
pub(crate) use error::{Result, code_of, failed, if_there, not_found};
pub(crate) use kind::Kind;
pub(crate) use object::{Metadata, Object};
pub(crate) use pod::Pod;
pub(crate) use resource::{Resource, patch_params};
pub(crate) use scope::{Scope, WorkloadRef};
pub(crate) use snapshot::Snapshot;
pub(crate) use workload::{Workload, WorkloadObject};
