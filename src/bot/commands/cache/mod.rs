//! What is asked of caches, and done to their clients.

pub mod clients;
pub mod keys;
pub mod kill;
pub mod memory;
mod rows;
pub mod slowlog;
pub mod summary;
