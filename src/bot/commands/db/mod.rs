//! What is asked of databases, and done to their sessions.

pub mod cancel;
pub mod connections;
pub mod locks;
pub mod replication;
pub mod size;
pub mod slow;
pub mod summary;
pub mod terminate;
mod words;
