//! The Docker driver against a real engine: `cargo test --test it docker -- --ignored`.

mod change;
mod look;
mod relapse;
mod scale;
