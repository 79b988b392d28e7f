//! The Docker driver against a real engine: `cargo test --test it docker -- --ignored`.

mod change;
mod deploy;
mod evidence;
mod hang;
mod isolate;
mod look;
mod relapse;
mod scale;
mod swarm;
mod swarm_held;
mod swarm_nodes;
mod swarm_wire;
mod tls;
