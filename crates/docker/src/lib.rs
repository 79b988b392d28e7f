//! Docker Engine and Swarm, by bollard: two platforms on one connection.
//!
//! - `engine`: what both share: the connection, errors, containers, images, logs, events, samples
//! - `docker`: services that are containers with Compose labels, or one container by its name
//! - `swarm`: services of a Swarm, whose containers are Swarm's to change
//!
//! What engines do differently, the version that it was seen at, and what is done about it:
//!
//! | what | seen at | so |
//! |---|---|---|
//! | a container takes one network when it is made; several from API 1.44 on, as documented | 20.10.24 (API 1.41) | it is made in one and joined to the others before it starts |
//! | a call for a container that is being removed is answered by 500 and not by 404 | 20.10.24 | the words `marked for removal` decide |
//! | an engine that is no Swarm manager answers by an error without a code of its own | 20.10.24 | the words `not a swarm manager` decide |
//! | the MAC address follows from the IPv4 address; newer engines draw it, as documented | 20.10.24 | a container that is joined again requests the one that it had |
//! | an image's id is the digest of its manifest, which stands in `RepoDigests` too, also of an image that no registry has | 29.7.2 | such a digest is pinned only where the registry knows it |
//! | a task whose image can't be had stays `preparing` with the error beside it; 20.10 rejects it | 29.7.2 | a task that names a reason is told after three seconds |
//! | the log of a task on a node that is lost has no end; 29.7.2 ends it after 20 s | 20.10.24 | it is waited for four seconds, and told as missing |
//! | a node that is lost keeps its tasks' last states; one that Swarm still waits for keeps a rollout from going on | 20.10.24 | what is told of a task counts only while its node answers |
//! | a sample of resource use takes a second, also with `one_shot` | 20.10.24 | samples are taken in the background |
//! | the page cache is `total_inactive_file` with cgroups 1 and `inactive_file` with cgroups 2; words such as `Read` are written in either case | 20.10.24 | both are read |
//!
//! Bollard 0.21 leaves the API's version out of its requests: an engine answers by its newest one.

mod docker;
mod engine;
mod swarm;

pub use docker::Docker;
pub use engine::{About, EngineConfig, Identity, Tls};
pub use swarm::Swarm;
