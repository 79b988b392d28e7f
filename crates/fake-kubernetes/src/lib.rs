//! A small API server of Kubernetes with its controllers and kubelets, in this process.
//!
//! It answers over HTTP as a kube-apiserver does, in the same words. What a real one does
//! differently is a bug of it.
//!
//! - `store`, `resource`, `json`, `select`: objects, their versions, and how they are found
//! - `state`: what server, controllers and tests share; `fault`: what is made to go wrong
//! - `serve`, `path`, `request`, `discovery`, `status`: the HTTP side
//! - `read`, `watch`, `change`, `patch`, `apply`: requests for objects
//! - `write`, `fields`, `defaults`, `check`, `garbage`: what becomes of the objects
//! - `sub`, `log`, `event`, `metrics`: what is more than objects
//! - `control`: controllers; `kubelet`: what runs on the nodes
//! - `cluster`: what tests do to it
//! - `real`: the kubelets alone, under a real control plane

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "only tests use it: they fail by panicking"
)]

mod apply;
mod change;
mod check;
mod cluster;
mod control;
mod defaults;
mod discovery;
mod event;
mod fault;
mod fields;
mod garbage;
pub mod json;
mod kubelet;
mod log;
mod metrics;
mod patch;
mod path;
mod read;
#[cfg(feature = "real-cluster")]
pub mod real;
mod request;
mod resource;
mod select;
mod serve;
mod state;
mod status;
pub mod store;
mod sub;
#[cfg(test)]
mod tests;
mod watch;
mod write;

pub use cluster::Cluster;
#[cfg(feature = "real-cluster")]
pub use cluster::reached;
pub use fault::{Fault, Grant};
pub use kubelet::{Behaviour, End};
pub use state::TOKEN;
pub use store::Store;
