//! Connections, one a server, and the questions that go over them.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, RedisResult, Value,
    from_redis_value,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::address::Address;
use super::ask::{Ask, INTRODUCE, LOGIN, NAME, OWN_ID, SELECT};
use super::fault::{ErrorContext, is_cut, is_refused, no_tls, words};
use super::parse::clean;
use crate::{ProbeError, ProbeErrorKind as Kind};

/// Most servers of a cluster that are asked, and most that are kept in mind.
pub(super) const SERVERS: usize = 32;

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
    /// Where and whether with TLS; who logs in is below.
    info: ConnectionInfo,
    pub(super) context: ErrorContext,
    password: Option<SecretString>,
    /// The database of the URL.
    pub(super) database: u16,
    /// The server, or the Sentinel, of the URL.
    pub(super) main: Address,
    pub(super) sentinel: Option<String>,
    pub(super) timeout: Duration,
    kept: Mutex<HashMap<Address, Kept>>,
    /// Other servers of the cluster, or other Sentinels, as last told.
    pub(super) seeds: Mutex<Vec<Address>>,
}

/// A connection that is used again.
struct Kept {
    server: MultiplexedConnection,
    /// Its number at the server, where that tells it.
    id: Option<u64>,
}

/// Answers about several keys.
pub(super) struct Answers<T> {
    /// In the order of the questions; `None`: refused.
    pub(super) each: Vec<Option<T>>,
    /// Why the first of those that were refused was.
    pub(super) gap: Option<ProbeError>,
}

impl<T> Answers<T> {
    /// The answer to the one question that was asked.
    pub(super) fn one(mut self) -> Result<T, ProbeError> {
        let told = self.each.pop().flatten();
        told.ok_or_else(|| {
            self.gap.unwrap_or_else(|| {
                ProbeError::new(Kind::Failed, "Redis gave no answer", "see its logs")
            })
        })
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cache at {}", self.main)
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
        let database = settings.db().try_into().map_err(|_| bad())?;
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
            context: ErrorContext {
                user,
                tls: matches!(info.addr(), ConnectionAddr::TcpTls { .. }),
            },
            info,
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
    pub(super) async fn within<T>(
        &self,
        question: impl Future<Output = Result<T, ProbeError>>,
    ) -> Result<T, ProbeError> {
        let answer = tokio::time::timeout(self.timeout, question).await;
        let answer = answer.unwrap_or_else(|_| {
            let (main, seconds) = (&self.main, self.timeout.as_secs_f32());
            Err(ProbeError::new(
                Kind::Timeout,
                format!("the cache at {main} did not answer within {seconds} s"),
                "it hangs, is busy with a slow command, or a firewall swallows the packets",
            ))
        });
        if matches!(&answer, Err(error) if error.kind == Kind::Timeout) {
            // None is used again: answers of old questions may still come.
            self.kept.lock().await.clear();
        }
        answer
    }

    /// This is a Sentinel's address.
    pub(super) async fn is_sentinel(&self, at: &Address) -> bool {
        self.sentinel.is_some() && (*at == self.main || self.seeds.lock().await.contains(at))
    }

    /// Keeps in mind whom to ask when the server of the URL is gone.
    pub(super) async fn remember(&self, others: impl Iterator<Item = Address>) {
        let others = others.filter(|at| *at != self.main).take(SERVERS).collect();
        *self.seeds.lock().await = others;
    }

    /// Asks a server one thing. A connection that turns out to be cut is made anew once.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        at: &Address,
        ask: &Ask,
    ) -> Result<T, ProbeError> {
        let (mut server, kept) = self.connection(at).await?;
        let mut result = ask.command.query_async(&mut server).await;
        if matches!(&result, Err(error) if kept && is_cut(error)) {
            self.forget(at).await;
            let (mut server, _) = self.connection(at).await?;
            result = ask.command.query_async(&mut server).await;
        }
        result.map_err(|error| self.context.error(at, &error))
    }

    /// Asks a server about several keys of a database in one go. That one key is refused, because
    /// it moved to another server of the cluster, say, does not spoil the others.
    pub(super) async fn ask_in<T: FromRedisValue>(
        &self,
        at: &Address,
        database: u16,
        asks: impl Iterator<Item = Ask>,
    ) -> Result<Answers<T>, ProbeError> {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        // Others ask over the same connection: which database is meant goes with the questions.
        pipeline.add_command(SELECT.with(database).command);
        for ask in asks {
            pipeline.add_command(ask.command);
        }
        let mut answers = Answers {
            each: Vec::new(),
            gap: None,
        };
        if pipeline.len() == 1 {
            return Ok(answers);
        }
        let (mut server, _) = self.connection(at).await?;
        let results: Vec<RedisResult<Value>> = pipeline
            .query_async(&mut server)
            .await
            .map_err(|error| self.context.error(at, &error))?;
        let mut results = results.into_iter();
        match results.next() {
            // Who may not choose is always in the one of the URL.
            Some(Err(error)) if database != self.database || !is_refused(&error) => {
                return Err(self.context.error(at, &error));
            }
            _ => {}
        }
        for result in results {
            let result = result.and_then(|told| Ok(from_redis_value(told)?));
            if let Err(error) = &result {
                let gap = || self.context.error(at, error);
                answers.gap.get_or_insert_with(gap);
            }
            answers.each.push(result.ok());
        }
        Ok(answers)
    }

    /// The number of the bot's connection to this server.
    pub(super) async fn own(&self, at: &Address) -> Option<u64> {
        self.kept.lock().await.get(at)?.id
    }

    pub(super) async fn forget(&self, at: &Address) {
        self.kept.lock().await.remove(at);
    }

    /// A kept connection (`true`) or a new one.
    async fn connection(&self, at: &Address) -> Result<(MultiplexedConnection, bool), ProbeError> {
        if let Some(kept) = self.kept.lock().await.get(at) {
            return Ok((kept.server.clone(), true));
        }
        if let Err(error) = tokio::net::lookup_host((at.host.as_str(), at.port)).await {
            let host = clean(at.host.as_bytes(), 100);
            return Err(ProbeError::new(
                Kind::Resolve,
                format!("the host name `{host}` has no address"),
                "correct the URL of this cache, or fix DNS",
            )
            .because(error));
        }
        let mut server = self.open(at).await?;
        let id = self.greet(at, &mut server).await?;
        // A question that was quicker has one already: then ours is closed, so that the bot holds
        // one a server and knows its number.
        let mut all = self.kept.lock().await;
        let kept = all.entry(at.clone()).or_insert(Kept { server, id });
        Ok((kept.server.clone(), false))
    }

    /// Connects, without a word yet: in its own way to log in, the library loses what the server
    /// says.
    async fn open(&self, at: &Address) -> Result<MultiplexedConnection, ProbeError> {
        let mut addr = self.info.addr().clone();
        if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } =
            &mut addr
        {
            (*host, *port) = (at.host.clone(), at.port);
        }
        let info = self
            .info
            .clone()
            .set_addr(addr)
            .set_redis_settings(RedisConnectionInfo::default().set_skip_set_lib_name());
        // A server of many that is gone must not use up all the time.
        let patience = self.timeout.mul_f64(0.6).max(Duration::from_millis(500));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let client = Client::open(info).map_err(|error| self.context.error(at, &error))?;
        match client
            .get_multiplexed_async_connection_with_config(&config)
            .await
        {
            Ok(server) => Ok(server),
            // A plain server waits for the end of the line that it takes the handshake for.
            Err(error) if error.is_timeout() && self.context.tls && self.is_plain(at).await => {
                Err(no_tls(at).because(error))
            }
            Err(error) => Err(self.context.error(at, &error)),
        }
    }

    /// Logs in, chooses the database and gives the connection a name. Returns its number.
    async fn greet(
        &self,
        at: &Address,
        server: &mut MultiplexedConnection,
    ) -> Result<Option<u64>, ProbeError> {
        if self.is_sentinel(at).await {
            // The password is the master's: a Sentinel gets it only when it asks for one.
            if let Err(refused) = self.introduce(at, server).await? {
                tracing::debug!(sentinel = %at, refused, "logging in");
                self.login(at, server, true).await?;
            }
        } else {
            self.login(at, server, false).await?;
            if self.database != 0 {
                let select = SELECT.with(self.database).command;
                let chosen: RedisResult<()> = select.query_async(server).await;
                if let Err(error) = chosen {
                    return Err(self.hung_up(at, &error).await);
                }
            }
            if let Err(refused) = self.introduce(at, server).await? {
                tracing::debug!(server = %at, refused, "no name for the connection");
            }
        }
        match OWN_ID.alone().command.query_async(server).await {
            Ok(id) => Ok(Some(id)),
            Err(error) if is_refused(&error) => Ok(None),
            Err(error) => Err(self.context.error(at, &error)),
        }
    }

    /// Gives the connection a name, where the server lets it; otherwise its words.
    async fn introduce(
        &self,
        at: &Address,
        server: &mut MultiplexedConnection,
    ) -> Result<Result<(), String>, ProbeError> {
        match INTRODUCE.with(NAME).command.query_async(server).await {
            Ok(()) => Ok(Ok(())),
            Err(error) if is_refused(&error) => Ok(Err(words(&error))),
            Err(error) => Err(self.hung_up(at, &error).await),
        }
    }

    async fn login(
        &self,
        at: &Address,
        server: &mut MultiplexedConnection,
        sentinel: bool,
    ) -> Result<(), ProbeError> {
        let Some(password) = &self.password else {
            return Ok(());
        };
        let users = [self.context.user.as_deref(), None];
        for user in &users[usize::from(users[0].is_none())..] {
            let login = LOGIN.with((*user, password.expose_secret())).command;
            let entered: RedisResult<()> = login.query_async(server).await;
            let Err(error) = entered else {
                return Ok(());
            };
            let told = words(&error);
            // Before version 6 there are no users, only a password.
            if user.is_some() && told.contains("wrong number of arguments") {
                continue;
            }
            if sentinel && told.contains("without any password configured") {
                return Ok(());
            }
            return Err(self.hung_up(at, &error).await);
        }
        Ok(())
    }

    /// Why the first words failed. A server that is full or in protected mode says so and hangs up
    /// before it is asked anything; the library may have lost that.
    async fn hung_up(&self, at: &Address, error: &RedisError) -> ProbeError {
        if is_cut(error)
            && !self.context.tls
            && let Some(told) = self.talk(at, b"").await
            && let Some(told) = told.strip_prefix('-')
        {
            return self.context.answered(at, told.trim_end());
        }
        self.context.error(at, error)
    }

    /// It answers unencrypted.
    async fn is_plain(&self, at: &Address) -> bool {
        let told = self.talk(at, b"PING\r\n").await;
        told.is_some_and(|told| told.starts_with(['+', '-']))
    }

    /// What a server says on a new, plain connection; nothing secret goes over it.
    async fn talk(&self, at: &Address, say: &[u8]) -> Option<String> {
        let talk = async {
            let mut stream = TcpStream::connect((at.host.as_str(), at.port)).await?;
            stream.write_all(say).await?;
            let mut told = [0; 200];
            let length = stream.read(&mut told).await?;
            Ok::<_, std::io::Error>(clean(told[..length].trim_ascii_end(), 200))
        };
        tokio::time::timeout(self.timeout / 5, talk)
            .await
            .ok()?
            .inspect_err(|error| tracing::debug!(server = %at, %error, "no word"))
            .ok()
    }
}
