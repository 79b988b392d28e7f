//! Controllers and kubelets. They lag behind the writes, as real ones do.

mod autoscaler;
mod daemonset;
mod deployment;
mod endpoints;
mod kubelet;
mod object;
mod pods;
mod progress;
mod replicaset;
mod revision;
mod rollout;
mod run;
mod sets;
mod statefulset;

pub use run::{is_settled, run};
