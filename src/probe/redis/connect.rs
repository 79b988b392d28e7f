//! Connections, one a server, and why one can't be had.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, FromRedisValue, Pipeline,
    RedisConnectionInfo, RedisError,
};

use super::ask::{Ask, login};
use super::parse::clean;
use super::{Address, Redis};
use crate::probe::{ProbeError, ProbeErrorKind as Kind};

impl Redis {
    /// Asks a server one thing. A connection that turns out to be cut is made anew once.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        at: &Address,
        ask: &Ask<'_>,
    ) -> Result<T, ProbeError> {
        let (mut server, kept) = self.connection(at).await?;
        match ask.command().query_async(&mut server).await {
            Err(error) if kept && is_cut(&error) => {
                self.forget(at).await;
                let (mut server, _) = self.connection(at).await?;
                ask.command()
                    .query_async(&mut server)
                    .await
                    .map_err(|error| self.error(at, &error))
            }
            result => result.map_err(|error| self.error(at, &error)),
        }
    }

    /// Asks a server several things in one go.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &self,
        at: &Address,
        asks: impl Iterator<Item = Ask<'_>>,
    ) -> Result<T, ProbeError> {
        let mut pipeline = Pipeline::new();
        for ask in asks {
            pipeline.add_command(ask.command());
        }
        let (mut server, _) = self.connection(at).await?;
        pipeline
            .query_async(&mut server)
            .await
            .map_err(|error| self.error(at, &error))
    }

    async fn forget(&self, at: &Address) {
        self.kept.lock().await.remove(at);
    }

    /// After a time-out none is used again: answers of old questions may still come.
    pub(super) async fn forget_all(&self) {
        self.kept.lock().await.clear();
    }

    /// A kept connection (`true`) or a new one.
    async fn connection(&self, at: &Address) -> Result<(MultiplexedConnection, bool), ProbeError> {
        if let Some(kept) = self.kept.lock().await.get(at) {
            return Ok((kept.clone(), true));
        }
        if let Err(error) = tokio::net::lookup_host((at.host.as_str(), at.port)).await {
            let host = clean(at.host.as_bytes(), 100);
            return Err(ProbeError::new(
                Kind::Resolve,
                format!("the host name `{host}` has no address"),
                "correct the URL of this cache, or mend DNS",
            )
            .because(error));
        }
        let addr = match self.info.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host: at.host.clone(),
                port: at.port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(at.host.clone(), at.port),
        };
        // Who it is and which database it wants is said below, so that a refusal keeps its words.
        let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        let info = self
            .info
            .clone()
            .set_addr(addr)
            .set_redis_settings(settings);
        // A server of many that is gone must not use up all the time.
        let patience = self.timeout.mul_f64(0.6).max(Duration::from_millis(500));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let client = Client::open(info).map_err(|error| self.error(at, &error))?;
        let mut server = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.unconnected(at, &error))?;
        self.introduce(&mut server, at)
            .await
            .map_err(|error| self.unconnected(at, &error))?;
        self.kept.lock().await.insert(at.clone(), server.clone());
        Ok((server, false))
    }

    /// Says who the bot is, which database it wants, and what it is called.
    async fn introduce(
        &self,
        server: &mut MultiplexedConnection,
        at: &Address,
    ) -> Result<(), RedisError> {
        let own = self.info.redis_settings();
        let sentinel = self.sentinel.is_some() && *at == self.main;
        if let Some(password) = own.password() {
            // A Sentinel often has no password, and then need not learn that of its master.
            let wanted = if sentinel {
                let masters: Result<::redis::Value, RedisError> =
                    Ask::SentinelMasters.command().query_async(server).await;
                match masters {
                    Ok(_) => false,
                    Err(error) if code_is(&error, "NOAUTH") => true,
                    Err(error) => return Err(error),
                }
            } else {
                true
            };
            if wanted {
                let _: () = login(own.username(), password).query_async(server).await?;
            }
        }
        // A Sentinel has no databases.
        if !sentinel && own.db() != 0 {
            let _: () = Ask::Select(own.db()).command().query_async(server).await?;
        }
        let named: Result<(), RedisError> = Ask::Introduce.command().query_async(server).await;
        match named {
            Err(error)
                if code_is(&error, "NOPERM")
                    || code_is(&error, "NOAUTH")
                    || error.to_string().to_lowercase().contains("unknown") =>
            {
                // Sentinels and narrow users refuse it; then it goes without a name.
                tracing::debug!(server = %at, %error, "no name for the connection");
                Ok(())
            }
            other => other,
        }
    }

    /// The same as [`Self::error`] for a connection that is only being made.
    fn unconnected(&self, at: &Address, error: &RedisError) -> ProbeError {
        let tls = matches!(self.info.addr(), ConnectionAddr::TcpTls { .. });
        if tls && error.is_timeout() {
            // A server without TLS waits for the end of a command that never comes.
            return ProbeError::new(
                Kind::Timeout,
                format!("Redis at {at} did not answer in time to an encrypted connection"),
                "write redis:// if it speaks no TLS; else it hangs, or a firewall swallows the \
                 packets",
            );
        }
        self.error(at, error)
    }

    /// What an error means, and what to do about it.
    fn error(&self, at: &Address, error: &RedisError) -> ProbeError {
        let label = format!("Redis at {at}");
        let told = clean(
            error
                .detail()
                .map_or_else(|| error.to_string(), str::to_owned)
                .as_bytes(),
            300,
        );
        let code = error.code().unwrap_or_default();
        let has = |word: &str| code == word || told.contains(word);
        let user = self.info.redis_settings().username().unwrap_or("default");
        if has("max number of clients") {
            return ProbeError::new(
                Kind::Full,
                format!("{label} has no free connection: {told}"),
                "find who holds them (`cache clients` as soon as one is free), restart what leaks \
                 them, or raise maxclients",
            );
        }
        if error.kind() == ErrorKind::AuthenticationFailed
            || has("WRONGPASS")
            || has("NOAUTH")
            || has("without any password configured")
        {
            return ProbeError::new(
                Kind::Authenticate,
                format!("{label} does not let the user \"{user}\" in: {told}"),
                "check the password in the bot's environment or password_file",
            );
        }
        if has("NOPERM") {
            return ProbeError::new(
                Kind::Denied,
                format!("{label}: {told}"),
                format!(
                    "ACL SETUSER {user} +info +ping +config|get +slowlog|get +scan +type +pttl \
                     +memory|usage +dbsize +client|list +client|setname +client|kill \
                     +cluster|info +cluster|nodes +select ~*"
                ),
            );
        }
        if has("LOADING") || has("MASTERDOWN") {
            return ProbeError::new(
                Kind::Starting,
                format!("{label} is loading its data or waits for its master: {told}"),
                "wait a little; if it stays, look at its logs",
            );
        }
        if error.is_timeout() {
            return ProbeError::new(
                Kind::Timeout,
                format!("{label} did not answer in time"),
                "it hangs, is busy with a slow command, or a firewall swallows the packets: look \
                 at its status, stats and logs",
            );
        }
        if error.is_io_error() {
            let tls = matches!(self.info.addr(), ConnectionAddr::TcpTls { .. });
            let certificate = told.contains("certificate") || told.contains("tls");
            if tls && (certificate || told.contains("InvalidContentType")) {
                return ProbeError::new(
                    Kind::Tls,
                    format!("{label}: no encrypted connection ({told})"),
                    "mend its certificate, or write redis:// if it speaks no TLS",
                );
            }
            return ProbeError::new(
                Kind::Connect,
                format!("{label} refuses the connection ({told})"),
                "is it running, and is this the right host and port? Look at its status and logs",
            );
        }
        ProbeError::new(
            Kind::Failed,
            format!("{label} answered: {told}"),
            "see its logs",
        )
    }
}

fn code_is(error: &RedisError, code: &str) -> bool {
    error.code() == Some(code) || error.to_string().contains(code)
}

fn is_cut(error: &RedisError) -> bool {
    error.is_connection_dropped() || (error.is_io_error() && !error.is_timeout())
}
