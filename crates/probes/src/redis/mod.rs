//! Redis (and Valkey): a single server, one under Sentinels, or a cluster.
//!
//! Each server is talked to on its own, over one connection; nothing is ever written.

mod ask;
mod clients;
mod connect;
mod fault;
mod keys;
mod parse;
mod sentinel;
mod servers;
mod slowlog;
mod summary;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Mutex;

use self::connect::Kept;
use super::cache::{BigKeys, Cache, CacheSummary, ClientId, Clients, Keys, SlowLog};
use super::{ProbeError, ProbeErrorKind as Kind};

/// Where and how a cache is asked.
#[derive(Debug)]
pub struct Config {
    /// The cache's name in the configuration.
    pub name: String,
    /// `redis://` or `rediss://[user@]host:port/database`, without a password.
    pub url: String,
    /// The password.
    pub password: Option<SecretString>,
    /// Then `url` is a Sentinel's, and this the name of the master.
    pub sentinel_master: Option<String>,
    /// The longest that any question may take.
    pub timeout: Duration,
}

/// A Redis.
pub struct Redis {
    /// Where and whether with TLS; whom to log in is below.
    info: ConnectionInfo,
    user: Option<String>,
    password: Option<SecretString>,
    database: i64,
    /// The server, or the Sentinel, of the URL.
    main: Address,
    sentinel: Option<String>,
    timeout: Duration,
    kept: Mutex<HashMap<Address, Kept>>,
    /// Other servers of the cluster, or other Sentinels, as last told.
    seeds: Mutex<Vec<Address>>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// `host:port`, `[v6]:port` or, as Redis writes it, `v6:port`.
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            host: (!host.is_empty()).then(|| host.to_owned())?,
            port: port.parse().ok().filter(|port| *port > 0)?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis at {}", self.main)
    }
}

impl Redis {
    /// Checks the configuration. Nothing is connected yet.
    pub fn new(config: Config) -> Result<Self, ProbeError> {
        let bad = || {
            // The library's own words may repeat the URL.
            ProbeError::new(
                Kind::Unsupported,
                format!("the URL of the cache `{}` is not understood", config.name),
                "write redis://host:port/0, or rediss:// with TLS",
            )
        };
        let info = config
            .url
            .as_str()
            .into_connection_info()
            .map_err(|_| bad())?;
        let settings = info.redis_settings();
        let user = settings.username().map(str::to_owned);
        let in_url = settings.password().map(SecretString::from);
        let database = settings.db();
        let main = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Address {
                    host: host.clone(),
                    port: *port,
                }
            }
            _ => return Err(bad()),
        };
        Ok(Self {
            info,
            user,
            password: config.password.or(in_url),
            database,
            main,
            sentinel: config.sentinel_master,
            timeout: config.timeout,
            kept: Mutex::new(HashMap::new()),
            seeds: Mutex::new(Vec::new()),
        })
    }

    /// Ends a question when its time is over.
    async fn within<T>(
        &self,
        question: impl Future<Output = Result<T, ProbeError>>,
    ) -> Result<T, ProbeError> {
        match tokio::time::timeout(self.timeout, question).await {
            Ok(Err(error)) => {
                if error.kind == Kind::Timeout {
                    self.forget_all().await;
                }
                Err(error)
            }
            Ok(answer) => answer,
            Err(_) => {
                self.forget_all().await;
                Err(ProbeError::new(
                    Kind::Timeout,
                    format!(
                        "Redis at {} did not answer within {} s",
                        self.main,
                        self.timeout.as_secs_f32()
                    ),
                    "it hangs, is busy with a slow command, or a firewall swallows the packets",
                ))
            }
        }
    }
}

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
