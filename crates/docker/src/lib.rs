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
//! | the MAC address follows from the IPv4 address, and joining again by the alias alone gives the same; 29.7.2 draws another | 20.10.24, 29.7.2 | a container that is joined again requests all that `inspect` gave, with the address that it had |
//! | a MAC address that was asked for is `Config.MacAddress`; from API 1.44 on it belongs to a place in a network, and from 1.52 on only addresses in use are shown, as documented | 20.10.24, 28.5.2 | it is read in the words of API 1.44, where the engine has them, and written in both places |
//! | the oldest API that is answered: 1.12; 29.0 to 29.2, as documented: 1.44; 29.7.2: 1.40 | 20.10.24, 28.5.2 told to, 29.7.2 | nothing older than 1.44 is asked for |
//! | of a stop, `die` comes before `stop`; on 29.7.2 `stop` before `die`, without the keys `status`, `id`, `from` | 20.10.24, 29.7.2 | no order of them counts; names are read from `Action` and `Actor` |
//! | logs have no Content-Type; on 29.7.2 `raw-stream` at v1.41 although they are multiplexed | 20.10.24, 29.7.2 | the bytes decide, not the header |
//! | the last words of a run are noted up to 72 ms after its end, and its `die` up to 180 ms, where the machine is busy | 20.10.24, 28.5.2 | the run before ends halfway to the next start; an end that `inspect` tells ahead of its event waits for that |
//! | `ps` of the engine's machine lists the processes; without it the call fails | 20.10.24, 28.5.2 | evidence says so in that place, and has the rest |
//! | who uses the namespace of a container that was started anew goes on in the one that ended, without a network | 20.10.24 | it is restarted after it, and told as not well |
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
