//! The commands that are ever sent to a cache. None of them writes data; what is not here is not
//! sent.

use ::redis::{Cmd, cmd};
use secrecy::{ExposeSecret, SecretString};

/// What the bot calls itself.
pub(super) const NAME: &str = "treasury-bot";

/// A command.
#[derive(Debug, Clone)]
pub(super) enum Ask<'a> {
    /// Logs this connection in; servers before 6 know no user names.
    Login {
        user: Option<&'a str>,
        password: &'a SecretString,
    },
    /// Chooses the database of this connection.
    Select(i64),
    Info,
    ConfigGet(&'static str),
    Slowlog(u32),
    Scan {
        cursor: u64,
        pattern: Option<&'a [u8]>,
        count: u32,
    },
    Size,
    MemoryUsage(&'a [u8]),
    Type(&'a [u8]),
    ExpiresIn(&'a [u8]),
    Clients,
    /// Names this connection.
    Introduce,
    /// The number of this connection.
    OwnId,
    /// Closes another client's connection: the one command that does something.
    Kill(u64),
    ClusterInfo,
    ClusterNodes,
    SentinelMaster(&'a str),
    SentinelMasters,
    Sentinels(&'a str),
}

impl Ask<'_> {
    pub(super) fn command(&self) -> Cmd {
        let words = |words: &[&str]| {
            let mut command = cmd(words[0]);
            for word in &words[1..] {
                command.arg(*word);
            }
            command
        };
        match self {
            Self::Login { user, password } => {
                let mut command = cmd("AUTH");
                if let Some(user) = user {
                    command.arg(*user);
                }
                command.arg(password.expose_secret());
                command
            }
            Self::Select(database) => {
                let mut command = cmd("SELECT");
                command.arg(*database);
                command
            }
            Self::Info => words(&["INFO"]),
            Self::ConfigGet(name) => words(&["CONFIG", "GET", name]),
            Self::Slowlog(most) => {
                let mut command = words(&["SLOWLOG", "GET"]);
                command.arg(*most);
                command
            }
            Self::Scan {
                cursor,
                pattern,
                count,
            } => {
                let mut command = cmd("SCAN");
                command.arg(*cursor);
                if let Some(pattern) = pattern {
                    command.arg("MATCH").arg(*pattern);
                }
                command.arg("COUNT").arg(*count);
                command
            }
            Self::Size => words(&["DBSIZE"]),
            Self::MemoryUsage(key) => {
                let mut command = words(&["MEMORY", "USAGE"]);
                command.arg(*key).arg("SAMPLES").arg(5);
                command
            }
            Self::Type(key) => {
                let mut command = cmd("TYPE");
                command.arg(*key);
                command
            }
            Self::ExpiresIn(key) => {
                let mut command = cmd("PTTL");
                command.arg(*key);
                command
            }
            Self::Clients => words(&["CLIENT", "LIST"]),
            Self::Introduce => words(&["CLIENT", "SETNAME", NAME]),
            Self::OwnId => words(&["CLIENT", "ID"]),
            Self::Kill(id) => {
                let mut command = words(&["CLIENT", "KILL", "ID"]);
                command.arg(*id);
                command
            }
            Self::ClusterInfo => words(&["CLUSTER", "INFO"]),
            Self::ClusterNodes => words(&["CLUSTER", "NODES"]),
            Self::SentinelMaster(name) => words(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]),
            Self::SentinelMasters => words(&["SENTINEL", "MASTERS"]),
            Self::Sentinels(name) => words(&["SENTINEL", "SENTINELS", name]),
        }
    }
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
        let password = SecretString::from("hunter2");
        let all = [
            Ask::Login {
                user: Some("bot"),
                password: &password,
            },
            Ask::Select(1),
            Ask::Info,
            Ask::ConfigGet("maxmemory"),
            Ask::Slowlog(1),
            Ask::Scan {
                cursor: 0,
                pattern: None,
                count: 1,
            },
            Ask::Size,
            Ask::MemoryUsage(b"k"),
            Ask::Type(b"k"),
            Ask::ExpiresIn(b"k"),
            Ask::Clients,
            Ask::Introduce,
            Ask::OwnId,
            Ask::Kill(1),
            Ask::ClusterInfo,
            Ask::ClusterNodes,
            Ask::SentinelMaster("m"),
            Ask::SentinelMasters,
            Ask::Sentinels("m"),
        ];
        let reading = [
            "INFO", "CONFIG", "SLOWLOG", "SCAN", "DBSIZE", "MEMORY", "TYPE", "PTTL", "CLIENT",
            "CLUSTER", "SENTINEL", "AUTH", "SELECT",
        ];
        for ask in all {
            assert!(!format!("{ask:?}").contains("hunter2"));
            let packed = ask.command().get_packed_command();
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
