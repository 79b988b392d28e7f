//! Redis (and Valkey): a single server, one under Sentinels, or a cluster.
//!
//! Each server is talked to on its own, over one connection; nothing is ever written.

mod ask;
mod connect;
mod keys;
mod lists;
mod parse;
mod summary;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use self::ask::Ask;
use self::parse::{Info, cluster_nodes};
use super::cache::{BigKeys, Cache, CacheSummary, ClientId, Clients, Keys, SlowLog};
use super::{ProbeError, ProbeErrorKind as Kind};

/// Most servers of a cluster that are asked.
const SERVERS: usize = 32;

/// Where and how a cache is asked.
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
    info: ConnectionInfo,
    /// The server, or the Sentinel, of the URL.
    main: Address,
    sentinel: Option<String>,
    timeout: Duration,
    kept: Mutex<HashMap<Address, MultiplexedConnection>>,
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

/// The servers that hold data.
enum Servers {
    One(Address),
    Cluster(Vec<parse::ClusterNode>),
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
        let mut info = config
            .url
            .as_str()
            .into_connection_info()
            .map_err(|_| bad())?;
        if let Some(password) = &config.password {
            let settings = info
                .redis_settings()
                .clone()
                .set_password(password.expose_secret());
            info = info.set_redis_settings(settings);
        }
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
            main,
            sentinel: config.sentinel_master,
            timeout: config.timeout,
            kept: Mutex::new(HashMap::new()),
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

    async fn info(&self, at: &Address) -> Result<Info, ProbeError> {
        Ok(Info::parse(&self.ask::<String>(at, &Ask::Info).await?))
    }

    /// The server that is asked first: that of the URL, or the Sentinels' master.
    async fn first(&self) -> Result<Address, ProbeError> {
        let Some(name) = &self.sentinel else {
            return Ok(self.main.clone());
        };
        let found: Option<(String, u16)> = self.ask(&self.main, &Ask::SentinelMaster(name)).await?;
        if let Some((host, port)) = found {
            return Ok(Address { host, port });
        }
        let masters: Vec<HashMap<String, String>> =
            self.ask(&self.main, &Ask::SentinelMasters).await?;
        let known: Vec<&str> = masters
            .iter()
            .filter_map(|master| master.get("name").map(String::as_str))
            .collect();
        Err(ProbeError::new(
            Kind::NotFound,
            format!("the Sentinel at {} knows no master `{name}`", self.main),
            format!("set sentinel_master to one of: {}", known.join(", ")),
        ))
    }

    /// The servers that hold data, and what the first of them tells of itself.
    async fn servers(&self) -> Result<(Servers, Info), ProbeError> {
        let first = self.first().await?;
        let info = self.info(&first).await?;
        if info.text("cluster_enabled") != "1" {
            return Ok((Servers::One(first), info));
        }
        let text: String = self.ask(&first, &Ask::ClusterNodes).await?;
        let mut nodes = cluster_nodes(&text);
        nodes.retain(|node| node.master);
        nodes.truncate(SERVERS);
        if nodes.is_empty() {
            return Ok((Servers::One(first), info));
        }
        Ok((Servers::Cluster(nodes), info))
    }

    /// Addresses of the servers that hold data and have not failed.
    async fn masters(&self) -> Result<Vec<Address>, ProbeError> {
        Ok(match self.servers().await?.0 {
            Servers::One(address) => vec![address],
            Servers::Cluster(nodes) => nodes
                .into_iter()
                .filter(|node| !node.failed)
                .map(|node| node.address)
                .collect(),
        })
    }
}

#[async_trait]
impl Cache for Redis {
    async fn summary(&self) -> Result<CacheSummary, ProbeError> {
        self.within(summary::summary(self)).await
    }

    async fn slowlog(&self) -> Result<SlowLog, ProbeError> {
        self.within(lists::slowlog(self)).await
    }

    async fn memory(&self) -> Result<BigKeys, ProbeError> {
        self.within(keys::memory(self)).await
    }

    async fn clients(&self) -> Result<Clients, ProbeError> {
        self.within(lists::clients(self)).await
    }

    async fn keys(&self, prefix: &str) -> Result<Keys, ProbeError> {
        self.within(keys::keys(self, prefix)).await
    }

    async fn kill(&self, client: &ClientId) -> Result<bool, ProbeError> {
        self.within(lists::kill(self, client)).await
    }
}
