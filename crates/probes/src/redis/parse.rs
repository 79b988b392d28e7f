//! The texts of `INFO`, `CLIENT LIST` and `CLUSTER NODES`, read. Pure; what can't be read is left
//! out, and nothing panics.

use std::collections::BTreeMap;

use super::address::Address;
use crate::cache::KeyCount;

/// `name:value` lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Info(BTreeMap<String, String>);

impl Info {
    pub(super) fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .take(2_000)
            .filter(|line| !line.starts_with('#'));
        Self(
            lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        self.number(name).unwrap_or(0)
    }

    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.text(name).parse().ok().filter(|n: &f64| n.is_finite())
    }

    /// What the server is, and its version. Valkey tells Redis' version as well, for old clients.
    pub(super) fn product(&self) -> (&'static str, &str) {
        match self.text("valkey_version") {
            "" => ("Redis", self.text("redis_version")),
            version => ("Valkey", version),
        }
    }

    /// The databases that hold keys: `db0:keys=3,expires=1,avg_ttl=0`.
    pub(super) fn databases(&self) -> Vec<KeyCount> {
        let lines = self.0.iter().filter_map(|(name, value)| {
            Some(KeyCount {
                database: name.strip_prefix("db")?.parse().ok()?,
                keys: pairs(value, ',').remove("keys")?.parse().ok()?,
            })
        });
        let mut databases: Vec<KeyCount> = lines.collect();
        databases.sort_by_key(|one| one.database);
        databases
    }

    /// `slave0:ip=…,port=…,state=online,offset=…,lag=…,type=replica`, a replica each. One that is
    /// filled over a channel of its own (Redis 8, Valkey 8) has two lines with the same port.
    pub(super) fn replicas(&self) -> Vec<Replica> {
        let mut all: BTreeMap<(&str, &str), Replica> = BTreeMap::new();
        for value in (0..128).map_while(|n| self.0.get(&format!("slave{n}"))) {
            let fields = pairs(value, ',');
            let text = |name: &str| fields.get(name).copied().unwrap_or_default();
            let one = all.entry((text("ip"), text("port"))).or_default();
            one.syncing |= !matches!(text("state"), "online" | "");
            one.offset = one.offset.max(text("offset").parse().ok());
            one.silent_s = one.silent_s.max(text("lag").parse().unwrap_or(0));
        }
        all.into_values().collect()
    }
}

/// A replica, as its master tells of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replica {
    /// It is being filled with all data.
    pub(super) syncing: bool,
    /// Up to where it has the master's changes.
    pub(super) offset: Option<u64>,
    /// How long ago it last said so, seconds.
    pub(super) silent_s: u64,
}

/// `a=1<separator>b=2`.
pub(super) fn pairs(text: &str, separator: char) -> BTreeMap<&str, &str> {
    text.split(separator)
        .filter_map(|pair| pair.split_once('='))
        .collect()
}

/// A server of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClusterNode {
    pub(super) address: Address,
    pub(super) master: bool,
    /// The others say it has failed.
    pub(super) failed: bool,
    pub(super) slots: String,
}

/// `<id> <ip:port@cport[,hostname]> <flags> <master> <ping> <pong> <epoch> <link> <slot> …`, see
/// <https://redis.io/docs/latest/commands/cluster-nodes/>. `asked` is who told it: a server that has
/// met no other does not know its own host.
pub(super) fn cluster_nodes(text: &str, asked: &Address) -> Vec<ClusterNode> {
    text.lines()
        .take(1_000)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (_, address, flags) = (words.next()?, words.next()?, words.next()?);
            let flags: Vec<&str> = flags.split(',').collect();
            if flags.contains(&"noaddr") || flags.contains(&"handshake") {
                return None;
            }
            let address = match address.split(['@', ',']).next()? {
                hostless if hostless.starts_with(':') && flags.contains(&"myself") => asked.clone(),
                told => Address::parse(told)?,
            };
            let slots: Vec<&str> = words
                .skip(5)
                .filter(|slot| !slot.starts_with('['))
                .take(64)
                .collect();
            Some(ClusterNode {
                address,
                master: flags.contains(&"master"),
                failed: flags.contains(&"fail"),
                slots: slots.join(" "),
            })
        })
        .collect()
}

/// `id=3 addr=127.0.0.1:5000 name=api age=10 idle=2 …`, a client a line.
pub(super) fn clients(text: &str) -> impl Iterator<Item = BTreeMap<&str, &str>> {
    text.lines()
        .map(|line| pairs(line, ' '))
        .filter(|client| client.contains_key("id"))
}

/// A text of the server's or of its clients: bytes that are no text as `\xNN`, no control
/// characters, at most `most` characters.
pub(super) fn clean(bytes: &[u8], most: usize) -> String {
    let mut text = String::new();
    for chunk in bytes[..bytes.len().min(most * 4)].utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.push_str(&format!("\\x{:02x}", c as u32));
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    treasury_domain::timeline::cut(&text, most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn info_is_read() {
        let info = Info::parse(
            "# Server\r\nredis_version:7.0.15\r\nused_memory:1024\r\nmem_fragmentation_ratio:1.25\r\n\
             db0:keys=3,expires=1,avg_ttl=0\r\ndb12:keys=4,expires=0\r\ndbx:keys=9\r\n\
             slave0:ip=10.0.0.2,port=6379,state=online,offset=90,lag=1\r\n",
        );
        assert_eq!(info.text("redis_version"), "7.0.15");
        assert_eq!(info.count("used_memory"), 1024);
        let databases = info.databases();
        let databases: Vec<_> = databases.iter().map(|d| (d.database, d.keys)).collect();
        assert_eq!(databases, [(0, 3), (12, 4)]);
        let replica = Replica {
            syncing: false,
            offset: Some(90),
            silent_s: 1,
        };
        assert_eq!(info.replicas(), [replica]);
        assert_eq!(info.number("missing"), None);
        assert_eq!(info.product(), ("Redis", "7.0.15"));
    }

    #[test]
    fn a_replica_with_two_channels_is_one_and_valkey_is_no_redis() {
        let info = Info::parse(
            "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n\
             slave0:ip=10.0.0.2,port=6379,state=send_bulk,offset=0,lag=0,type=rdb-channel\r\n\
             slave1:ip=10.0.0.2,port=6379,state=bg_transfer,offset=80,lag=2,type=main-channel\r\n\
             slave2:ip=10.0.0.2,port=6380,state=online,offset=90,lag=0,type=replica\r\n",
        );
        let replicas = info.replicas();
        let told: Vec<_> = replicas.iter().map(|r| (r.syncing, r.offset)).collect();
        assert_eq!(told, [(true, Some(80)), (false, Some(90))]);
        assert_eq!(info.product(), ("Valkey", "9.1.2"));
    }

    #[test]
    fn cluster_nodes_are_read() {
        let nodes = cluster_nodes(
            "07c3 127.0.0.1:30004@31004,host4 slave e7d1 0 14 4 connected\n\
             67ed 127.0.0.1:30002@31002 master,fail - 0 14 2 disconnected 5461-10922 [7-<-x]\n\
             e7d1 [::1]:30001@31001 myself,master - 0 0 1 connected 0-5460 16000\n\
             dead :0@0 master,noaddr - 0 0 1 disconnected\n\
             e7d2 :30009@40009 master - 0 0 1 connected\n",
            &asked(),
        );
        assert_eq!(nodes.len(), 3);
        assert!(!nodes[0].master);
        assert!(nodes[1].master && nodes[1].failed);
        assert_eq!(nodes[1].slots, "5461-10922");
        assert_eq!(nodes[2].slots, "0-5460 16000");
        assert_eq!(nodes[2].address.to_string(), "[::1]:30001");
    }

    fn asked() -> Address {
        Address::parse("cache.internal:7000").unwrap()
    }

    #[test]
    fn a_server_alone_is_named_as_it_was_asked() {
        let nodes = cluster_nodes("be57 :7001@17001 myself,master - 0 0 0 connected", &asked());
        assert_eq!(nodes[0].address, asked());
    }

    #[test]
    fn bytes_are_shown_as_text() {
        assert_eq!(clean(b"a\xffb\n", 20), "a\\xffb\\x0a");
        assert_eq!(clean("ä".repeat(50).as_bytes(), 12), "äää […]");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            let info = Info::parse(&text);
            info.databases();
            info.replicas();
            cluster_nodes(&text, &asked());
            clients(&text).count();
            let shown = clean(&bytes, 30);
            prop_assert!(shown.chars().count() <= 30);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
