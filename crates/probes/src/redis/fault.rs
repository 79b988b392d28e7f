//! What an error of a server means, and what to do about it.

use ::redis::RedisError;

use super::address::Address;
use super::parse::clean;
use crate::{ProbeError, ProbeErrorKind as Kind};

/// What the bot's user may do, so that every question is answered.
const RIGHTS: &str = "+info +select +config|get +slowlog|get +scan +type +pttl +memory|usage \
                      +dbsize +hlen +llen +scard +zcard +xlen +client|list +client|setname \
                      +client|id +client|kill +cluster|info +cluster|nodes ~*";

/// What the server said, cleaned, with its code: `NOPERM this user has no permissions …`.
pub(super) fn words(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (None, Some(detail)) => detail.to_owned(),
        (_, None) => error.to_string(),
    };
    clean(text.as_bytes(), 300)
}

/// The server does not let this connection do that, which is no reason to give up.
pub(super) fn is_refused(error: &RedisError) -> bool {
    let said = words(error);
    ["NOPERM", "NOAUTH", "unknown command", "nknown subcommand"]
        .iter()
        .any(|word| said.contains(word))
}

/// The connection is gone.
pub(super) fn is_cut(error: &RedisError) -> bool {
    error.is_connection_dropped() || (error.is_io_error() && !error.is_timeout())
}

/// It does not answer in time.
pub(super) fn late(at: &Address) -> ProbeError {
    ProbeError::new(
        Kind::Timeout,
        format!("the cache at {at} did not answer in time"),
        "it hangs, is busy with a slow command, or a firewall swallows the packets: look at \
         its status, stats and logs",
    )
}

/// A plain answer came where an encrypted one was asked for.
pub(super) fn no_tls(at: &Address) -> ProbeError {
    ProbeError::new(
        Kind::Tls,
        format!("the cache at {at} speaks no TLS on this port: it answers unencrypted"),
        "write redis:// in its URL, or the port that speaks TLS (tls-port)",
    )
}

/// How the bot comes to its servers, as far as errors name it.
pub(super) struct ErrorContext {
    pub(super) user: Option<String>,
    /// The URL asks for encryption.
    pub(super) tls: bool,
}

impl ErrorContext {
    /// What an error means, and what to do about it.
    pub(super) fn error(&self, at: &Address, error: &RedisError) -> ProbeError {
        let said = words(error);
        if error.is_timeout() {
            return late(at);
        }
        if error.is_io_error() {
            return self.cut(at, &said);
        }
        self.answered(at, &said)
    }

    /// No connection, or one that broke.
    fn cut(&self, at: &Address, said: &str) -> ProbeError {
        let has = |word: &str| said.contains(word);
        if self.tls && (has("certificate") || has("tls") || has("InvalidContentType")) {
            return ProbeError::new(
                Kind::Tls,
                format!("the cache at {at}: no encrypted connection ({said})"),
                "fix its certificate, write redis:// if it speaks no TLS, or raise maxclients if \
                 it is full (a full server hangs up before TLS)",
            );
        }
        let hint = if self.tls {
            "is it running, and is this the right host and port? Look at its status and logs"
        } else {
            "is it running, and is this the right host and port? Look at its status and logs; \
             write rediss:// if it speaks only TLS"
        };
        ProbeError::new(
            Kind::Connect,
            format!("the cache at {at} refuses the connection ({said})"),
            hint,
        )
    }

    /// It answered with an error: its words, with the code in front.
    pub(super) fn answered(&self, at: &Address, said: &str) -> ProbeError {
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let user = self.user.as_deref().unwrap_or("default");
        let (kind, what, hint) = if has(&["max number of clients"]) {
            (
                Kind::Full,
                format!("has no free connection: {said}"),
                "find who holds them (`cache clients` as soon as one is free), restart what leaks \
                 them, or raise maxclients",
            )
        } else if has(&["without any password configured", "no password is set"]) {
            (
                Kind::Authenticate,
                format!("has no password, but one was sent: {said}"),
                "take the password out of this cache's configuration, or set one at the server",
            )
        } else if said.starts_with("DENIED") {
            (
                Kind::Authenticate,
                "is in protected mode: it lets only its own host in".to_owned(),
                "set a password at the server, or bind it to an inner address and switch \
                 protected-mode off",
            )
        } else if has(&["WRONGPASS", "NOAUTH", "invalid password"]) {
            (
                Kind::Authenticate,
                format!("does not let the user \"{user}\" in: {said}"),
                "check the password in the bot's environment or password_file",
            )
        } else if has(&["NOPERM"]) {
            let what = format!("the cache at {at}: {said}");
            // A server that has no such command refuses a right to it.
            let further = if has(&["commandlog"]) {
                " +commandlog|get"
            } else {
                ""
            };
            let hint = format!("ACL SETUSER {user} {RIGHTS}{further}");
            return ProbeError::new(Kind::Denied, what, hint);
        } else if has(&["LOADING", "MASTERDOWN"]) {
            (
                Kind::Starting,
                format!("is loading its data or waits for its master: {said}"),
                "wait a little; if it stays, look at its logs",
            )
        } else if has(&["CLUSTERDOWN"]) {
            (
                Kind::Failed,
                "tells no more than names of keys: its cluster is down".to_owned(),
                "bring back the server that is down; `cache` shows which",
            )
        } else if ["MOVED", "ASK", "TRYAGAIN"]
            .iter()
            .any(|word| said.starts_with(word))
        {
            (
                Kind::Failed,
                "does not describe keys that are moving between servers".to_owned(),
                "ask again when the slots have moved",
            )
        } else {
            (Kind::Failed, format!("answered: {said}"), "see its logs")
        };
        ProbeError::new(kind, format!("the cache at {at} {what}"), hint)
    }
}
