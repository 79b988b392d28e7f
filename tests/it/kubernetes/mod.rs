//! A small API server of Kubernetes with its controllers and kubelets, in this process.
//!
//! It answers over HTTP as a kube-apiserver does, in the same words. What a real one does
//! differently is a bug of it.
//!
//! - `serve`, `path`, `discovery`, `status`: the HTTP side; `fault`: what is made to go wrong
//! - `store`, `resource`, `json`, `select`: objects, their versions, and how they are found
//! - `read`, `watch`, `write`, `patch`, `apply`, `fields`, `defaults`, `check`: objects
//! - `sub`, `log`, `event`, `metrics`: what is more than objects
//! - `control`: controllers and kubelets
//! - `cluster`: what tests do to it
//! - `real`: the kubelets alone, under a real control plane

mod apply;
mod check;
mod cluster;
mod control;
mod defaults;
mod discovery;
mod event;
mod fault;
mod fields;
pub mod json;
mod log;
mod metrics;
mod patch;
mod path;
mod read;
#[cfg(feature = "real-cluster")]
pub mod real;
mod resource;
mod select;
mod serve;
mod status;
pub mod store;
mod sub;
#[cfg(test)]
mod tests;
mod watch;
mod write;

#[cfg(feature = "real-cluster")]
pub use cluster::reached;
pub use cluster::{Cluster, TOKEN};
pub use control::{Behaviour, End};
pub use fault::{Fault, Grant};
pub use store::Store;
