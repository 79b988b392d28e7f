//! The commands that are ever sent to a cache. None of them writes data; what is not here is not
//! sent.

use std::fmt;

use ::redis::{Cmd, ToRedisArgs};

/// What the bot calls itself.
pub(super) const NAME: &str = "treasury-bot";

/// A command before its arguments.
#[derive(Clone, Copy)]
pub(super) struct Question(&'static str);

/// Logs this connection in: perhaps a user (servers before 6 know none), and a password.
pub(super) const LOGIN: Question = Question("AUTH");
/// Chooses the database of this connection.
pub(super) const SELECT: Question = Question("SELECT");
pub(super) const INFO: Question = Question("INFO");
pub(super) const CONFIG_GET: Question = Question("CONFIG GET");
pub(super) const SLOWLOG: Question = Question("SLOWLOG GET");
/// Valkey's own: commands that were large, or had large replies.
pub(super) const COMMANDLOG: Question = Question("COMMANDLOG GET");
pub(super) const SIZE: Question = Question("DBSIZE");
pub(super) const TYPE: Question = Question("TYPE");
pub(super) const EXPIRES_IN: Question = Question("PTTL");
pub(super) const CLIENTS: Question = Question("CLIENT LIST");
/// Names this connection.
pub(super) const INTRODUCE: Question = Question("CLIENT SETNAME");
/// The number of this connection.
pub(super) const OWN_ID: Question = Question("CLIENT ID");
/// Closes another client's connection: the one command that does something.
pub(super) const KILL: Question = Question("CLIENT KILL ID");
/// Who the bot is, and whether this user may do something: it is not done.
pub(super) const ACL_WHOAMI: Question = Question("ACL WHOAMI");
pub(super) const ACL_DRYRUN: Question = Question("ACL DRYRUN");
pub(super) const CLUSTER_INFO: Question = Question("CLUSTER INFO");
pub(super) const CLUSTER_NODES: Question = Question("CLUSTER NODES");
pub(super) const SENTINEL_MASTER: Question = Question("SENTINEL GET-MASTER-ADDR-BY-NAME");
pub(super) const SENTINEL_MASTERS: Question = Question("SENTINEL MASTERS");
pub(super) const SENTINELS: Question = Question("SENTINEL SENTINELS");

/// A whole command.
pub(super) struct Ask {
    question: Question,
    pub(super) command: Cmd,
}

impl Question {
    /// With these arguments.
    pub(super) fn with(self, arguments: impl ToRedisArgs) -> Ask {
        let mut command = Cmd::new();
        for word in self.0.split(' ') {
            command.arg(word);
        }
        command.arg(arguments);
        Ask {
            question: self,
            command,
        }
    }

    /// Without arguments.
    pub(super) fn alone(self) -> Ask {
        self.with(None::<&str>)
    }
}

/// Without the arguments: one may be a password.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.question.0)
    }
}

/// Some of the keys, beginning at `cursor`.
pub(super) fn scan(cursor: u64, pattern: Option<&[u8]>, count: u32) -> Ask {
    let pattern = pattern.map(|pattern| ("MATCH", pattern));
    Question("SCAN").with((cursor, pattern, "COUNT", count))
}

/// The memory that a key takes, as an estimate from so many of its elements; 0: from all.
pub(super) fn memory_usage(key: &[u8], elements: u64) -> Ask {
    Question("MEMORY USAGE").with((key, "SAMPLES", elements))
}

/// How many elements a key of this type has; `None`: it has none.
pub(super) fn length(kind: &str) -> Option<Question> {
    Some(match kind {
        "hash" => Question("HLEN"),
        "list" => Question("LLEN"),
        "set" => Question("SCARD"),
        "zset" => Question("ZCARD"),
        "stream" => Question("XLEN"),
        _ => return None,
    })
}

/// A prefix as a pattern of `MATCH`: every character stands for itself.
pub(super) fn pattern(prefix: &str) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^' | b'-') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_these_commands_exist_and_none_writes_data() {
        let all = [
            LOGIN.with((Some("bot"), "hunter2")),
            SELECT.with(1),
            INFO.alone(),
            CONFIG_GET.with("maxmemory"),
            SLOWLOG.with(1),
            scan(0, None, 1),
            SIZE.alone(),
            memory_usage(b"k", 0),
            length("hash").unwrap().with("k"),
            length("list").unwrap().with("k"),
            length("set").unwrap().with("k"),
            length("zset").unwrap().with("k"),
            length("stream").unwrap().with("k"),
            COMMANDLOG.with((1, "large-reply")),
            TYPE.with("k"),
            EXPIRES_IN.with("k"),
            CLIENTS.alone(),
            INTRODUCE.with(NAME),
            OWN_ID.alone(),
            KILL.with(1),
            ACL_WHOAMI.alone(),
            ACL_DRYRUN.with(("bot", "CLIENT", "KILL", "ID", "1")),
            CLUSTER_INFO.alone(),
            CLUSTER_NODES.alone(),
            SENTINEL_MASTER.with("m"),
            SENTINEL_MASTERS.alone(),
            SENTINELS.with("m"),
        ];
        let reading = [
            "INFO",
            "CONFIG",
            "SLOWLOG",
            "SCAN",
            "DBSIZE",
            "MEMORY",
            "TYPE",
            "PTTL",
            "CLIENT",
            "CLUSTER",
            "SENTINEL",
            "AUTH",
            "SELECT",
            "ACL",
            "HLEN",
            "LLEN",
            "SCARD",
            "ZCARD",
            "XLEN",
            "COMMANDLOG",
        ];
        for ask in all {
            assert!(!format!("{ask:?}").contains("hunter2"));
            let packed = ask.command.get_packed_command();
            let text = String::from_utf8_lossy(&packed).to_string();
            let word = text.split("\r\n").nth(2).unwrap().to_owned();
            assert!(reading.contains(&word.as_str()), "{word}");
            for bad in ["SET\r", "RESET", "FLUSH", "DEBUG", "FAILOVER", "REWRITE"] {
                assert!(!text.contains(bad), "{text}");
            }
        }
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(pattern("a*[b]?\\"), b"a\\*\\[b\\]\\?\\\\*");
        assert_eq!(pattern("fx:"), b"fx:*");
    }
}
