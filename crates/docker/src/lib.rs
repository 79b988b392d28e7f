//! Docker Engine and Swarm, by bollard: two platforms on one connection.
//!
//! - `engine`: what both stand on: the connection, errors, containers, images, logs, events, samples
//! - `docker`: services that are containers with Compose labels, or one container by its name
//! - `swarm`: services of a Swarm, whose containers are Swarm's to change
//!
//! What differs between engines, and the version that it was seen at:
//!
//! | what | seen at | so |
//! |---|---|---|
//! | a container takes one network at its creation, several only from API 1.44 on | 20.10.24 (API 1.41) | it is made in one and joined to the others before it starts |
//! | a call for a container that is being removed is answered with 500, not 404 | 20.10.24 | its words decide |
//! | the MAC address follows from the IPv4 address; newer engines draw one by chance | 20.10.24, 28 | a container that is joined again asks for the one that it had |
//! | a sample of resource use takes a second, and `one_shot` is no faster | 20.10.24 | samples are taken in the background |
//! | page cache is `total_inactive_file` with cgroups 1, `inactive_file` with cgroups 2; the words of disk operations begin with a capital or not | 20.10.24 | both are read |
//! | an engine without a swarm says so by a 503 with the words `not a swarm manager` | 20.10.24 | its words decide |

mod docker;
mod engine;
mod swarm;

pub use docker::Docker;
pub use engine::{EngineConfig, Identity, Tls};
pub use swarm::Swarm;
