//! What an error of a server means, and what to do about it.

use ::redis::{ConnectionAddr, RedisError};

use super::parse::clean;
use super::{Address, Redis};
use crate::{ProbeError, ProbeErrorKind as Kind};

/// What the bot's user may do, so that every question is answered.
const RIGHTS: &str = "+info +select +config|get +slowlog|get +scan +type +pttl +memory|usage \
                      +dbsize +client|list +client|setname +client|id +client|kill +cluster|info \
                      +cluster|nodes ~*";

/// What the server said, cleaned, with its code: `NOPERM this user has no permissions …`.
pub(super) fn words(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (None, Some(detail)) => detail.to_owned(),
        (_, None) => error.to_string(),
    };
    clean(text.as_bytes(), 300)
}

/// It does not answer in time.
pub(super) fn late(at: &Address) -> ProbeError {
    ProbeError::new(
        Kind::Timeout,
        format!("Redis at {at} did not answer in time"),
        "it hangs, is busy with a slow command, or a firewall swallows the packets: look at \
         its status, stats and logs",
    )
}

/// A plain answer came where an encrypted one was asked for.
pub(super) fn no_tls(at: &Address) -> ProbeError {
    ProbeError::new(
        Kind::Tls,
        format!("Redis at {at} speaks no TLS on this port: it answers unencrypted"),
        "write redis:// in its URL, or the port that speaks TLS (tls-port)",
    )
}

impl Redis {
    /// What an error means, and what to do about it.
    pub(super) fn error(&self, at: &Address, error: &RedisError) -> ProbeError {
        let told = words(error);
        if error.is_timeout() {
            return late(at);
        }
        if error.is_io_error() {
            return self.cut(at, &told);
        }
        self.answered(at, &told)
    }

    /// No connection, or one that broke.
    fn cut(&self, at: &Address, told: &str) -> ProbeError {
        let label = format!("Redis at {at}");
        let certificate = told.contains("certificate") || told.contains("tls");
        if self.tls() && (certificate || told.contains("InvalidContentType")) {
            return ProbeError::new(
                Kind::Tls,
                format!("{label}: no encrypted connection ({told})"),
                "mend its certificate, write redis:// if it speaks no TLS, or raise maxclients if \
                 it is full (a full server hangs up before TLS)",
            );
        }
        let hint = if self.tls() {
            "is it running, and is this the right host and port? Look at its status and logs"
        } else {
            "is it running, and is this the right host and port? Look at its status and logs; \
             write rediss:// if it speaks only TLS"
        };
        ProbeError::new(
            Kind::Connect,
            format!("{label} refuses the connection ({told})"),
            hint,
        )
    }

    /// It answered with an error: its words, with the code in front.
    pub(super) fn answered(&self, at: &Address, told: &str) -> ProbeError {
        let label = format!("Redis at {at}");
        let has = |word: &str| told.contains(word);
        let user = self.user.as_deref().unwrap_or("default");
        if has("max number of clients") {
            return ProbeError::new(
                Kind::Full,
                format!("{label} has no free connection: {told}"),
                "find who holds them (`cache clients` as soon as one is free), restart what leaks \
                 them, or raise maxclients",
            );
        }
        if has("without any password configured") || has("no password is set") {
            return ProbeError::new(
                Kind::Authenticate,
                format!("{label} has no password, but one was sent: {told}"),
                "take the password out of this cache's configuration, or set one at the server",
            );
        }
        if told.starts_with("DENIED") {
            return ProbeError::new(
                Kind::Authenticate,
                format!("{label} is in protected mode: it lets only its own host in"),
                "set a password at the server, or bind it to an inner address and switch \
                 protected-mode off",
            );
        }
        if has("WRONGPASS") || has("NOAUTH") || has("invalid password") {
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
                format!("ACL SETUSER {user} {RIGHTS}"),
            );
        }
        if has("LOADING") || has("MASTERDOWN") {
            return ProbeError::new(
                Kind::Starting,
                format!("{label} is loading its data or waits for its master: {told}"),
                "wait a little; if it stays, look at its logs",
            );
        }
        if has("CLUSTERDOWN") {
            return ProbeError::new(
                Kind::Failed,
                format!("{label} tells no more than names of keys: its cluster is down"),
                "bring back the server that is down; `cache` shows which",
            );
        }
        if ["MOVED", "ASK", "TRYAGAIN"]
            .iter()
            .any(|word| told.starts_with(word))
        {
            return ProbeError::new(
                Kind::Failed,
                format!("{label} does not describe keys that are moving between servers"),
                "ask again when the slots have moved",
            );
        }
        ProbeError::new(
            Kind::Failed,
            format!("{label} answered: {told}"),
            "see its logs",
        )
    }

    /// The URL asks for encryption.
    pub(super) fn tls(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }
}
