//! Redis (and Valkey): a single server, one under Sentinels, or a cluster.
//!
//! Each server is talked to on its own, over one connection; nothing is ever written.

mod address;
mod ask;
mod clients;
mod connect;
mod fault;
mod keys;
mod parse;
mod rights;
mod sentinel;
mod servers;
mod sizes;
mod slowlog;
mod summary;

use async_trait::async_trait;

use super::ProbeError;
use super::cache::{BigKeys, Cache, CacheSummary, ClientId, Clients, Keys, SlowLog};

pub use connect::{Config, Redis};
pub use rights::Rights;

#[async_trait]
impl Cache for Redis {
    async fn summary(&self) -> Result<CacheSummary, ProbeError> {
        self.within(summary::summary(self)).await
    }

    async fn slowlog(&self) -> Result<SlowLog, ProbeError> {
        self.within(slowlog::slowlog(self)).await
    }

    async fn memory(&self) -> Result<BigKeys, ProbeError> {
        self.within(keys::memory(self)).await
    }

    async fn clients(&self) -> Result<Clients, ProbeError> {
        self.within(clients::clients(self)).await
    }

    async fn keys(&self, prefix: &str) -> Result<Keys, ProbeError> {
        self.within(keys::keys(self, prefix)).await
    }

    async fn kill(&self, client: &ClientId) -> Result<bool, ProbeError> {
        self.within(clients::kill(self, client)).await
    }
}
