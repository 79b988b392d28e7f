//! What is done to a cache server: keys, full memory, clients that wait or are too many, saves that fail,
//! a replica that has lost its master.

use std::net::TcpStream;
use std::process::{Child, Stdio};

use rand::RngExt;
use rand::rngs::StdRng;

use super::caches::World;
use super::{some, until};

/// What can be put into a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// So many keys in this database.
    Keys(u64, u32),
    /// Many small fields and one huge one.
    HugeField,
    /// A big key of each type.
    BigOnes,
    /// Keys that expire.
    Expiring,
    /// Reads that find nothing.
    Misses,
    /// Commands that take long.
    Slow(u32),
    /// A command that is large itself.
    LargeRequest,
    /// The log of changes is kept.
    AppendOnly,
    /// A save, or the log's rewrite, fails.
    SaveFails,
    RewriteFails,
    /// So many wait in a blocking command.
    Blocked(u32),
    /// So many are connected and do nothing.
    Idle(u32),
    /// Nearly as many are connected as may be.
    NearlyAll,
    /// Some were not let in.
    Rejected,
    /// The replica has lost its master.
    LostMaster,
    /// Memory is full, and keys are kept, or thrown out.
    Full,
    Evicts,
}

pub fn state(rng: &mut StdRng) -> Vec<Fault> {
    use Fault::{
        AppendOnly, BigOnes, Blocked, Evicts, Expiring, Full, HugeField, Idle, Keys, LargeRequest,
        LostMaster, Misses, NearlyAll, Rejected, RewriteFails, SaveFails, Slow,
    };
    let all = [
        Keys(0, rng.random_range(1..3_000)),
        Keys(rng.random_range(1..16), rng.random_range(1..400)),
        HugeField,
        BigOnes,
        Expiring,
        Misses,
        Slow(rng.random_range(1..30)),
        LargeRequest,
        AppendOnly,
        SaveFails,
        RewriteFails,
        Blocked(rng.random_range(1..5)),
        Idle(rng.random_range(1..12)),
        NearlyAll,
        Rejected,
        LostMaster,
        Full,
        Evicts,
    ];
    let mut faults = some(rng, &all, 6);
    if faults.contains(&Evicts) {
        faults.retain(|one| *one != Full);
    }
    faults
}

/// What goes on until it is taken out.
#[derive(Default)]
pub struct Held {
    pub clients: Vec<TcpStream>,
    pub waiting: Vec<Child>,
}

impl World {
    pub fn put(&self, fault: Fault, held: &mut Held) {
        let main = &self.main;
        let lua = |script: &str| {
            let told = main.tell(&["EVAL", script, "0"]);
            assert!(!told.contains("ERR"), "{told}");
        };
        match fault {
            Fault::Keys(database, count) => {
                let sets = (0..count).map(|n| {
                    let size = n % 90 + 1;
                    format!("SET session:{n} {:0>size$}\n", 7, size = size as usize)
                });
                main.tell_all(database, &sets.collect::<String>());
            }
            Fault::HugeField => lua(
                "for n = 1, 2000 do redis.call('HSET', 'positions:all', 'f' .. n, string.rep('p', 70)) end \
                 redis.call('HSET', 'positions:all', 'snapshot', string.rep('s', 8000000))",
            ),
            Fault::BigOnes => lua("redis.call('SET', 'report:last', string.rep('r', 900000)) \
                 for n = 1, 3000 do redis.call('RPUSH', 'queue:mail', 'm' .. n .. string.rep('x', n % 200)) \
                 redis.call('SADD', 'seen:ids', 'id' .. n) redis.call('ZADD', 'due:jobs', n, 'job' .. n) \
                 redis.call('XADD', 'log:events', '*', 'n', n) end"),
            Fault::Expiring => {
                lua("for n = 1, 20 do redis.call('SET', 'short:' .. n, 'x', 'EX', 3600) end");
            }
            Fault::Misses => {
                main.tell_all(0, &"GET nothing\n".repeat(1_500));
            }
            Fault::Slow(times) => {
                main.tell(&["CONFIG", "SET", "slowlog-log-slower-than", "2000"]);
                let script = "local x = 0 for n = 1, 300000 do x = x + n end return x";
                main.tell_all(0, &format!("EVAL \"{script}\" 0\n").repeat(times as usize));
            }
            Fault::LargeRequest => {
                let text = "l".repeat(2_000_000);
                main.tell_all(0, &format!("SET upload:1 {text}\n"));
            }
            Fault::AppendOnly => {
                main.tell(&["CONFIG", "SET", "appendonly", "yes"]);
                until("the log is kept", || {
                    main.info()["aof_rewrite_in_progress"] == "0"
                });
            }
            Fault::SaveFails | Fault::RewriteFails => {
                main.tell(&["CONFIG", "SET", "dir", "/proc"]);
                let (command, status) = match fault {
                    Fault::SaveFails => ("BGSAVE", "rdb_last_bgsave_status"),
                    _ => ("BGREWRITEAOF", "aof_last_bgrewrite_status"),
                };
                until("it fails", || {
                    main.tell(&[command]);
                    main.info()[status] == "err"
                });
            }
            other => self.put_clients(other, held),
        }
    }

    pub fn put_clients(&self, fault: Fault, held: &mut Held) {
        let main = &self.main;
        let mut connect = |count: u32| {
            for _ in 0..count {
                held.clients
                    .push(TcpStream::connect(("127.0.0.1", main.0.port())).unwrap());
            }
        };
        match fault {
            Fault::Blocked(count) => {
                for _ in 0..count {
                    let mut cli = main.cli(&["BLPOP", "nothing:here", "0"]);
                    held.waiting
                        .push(cli.stdout(Stdio::null()).spawn().unwrap());
                }
                let wanted = held.waiting.len().to_string();
                until("they wait", || main.info()["blocked_clients"] == wanted);
            }
            Fault::Idle(count) => connect(count),
            Fault::NearlyAll => {
                connect(20);
                let used: u32 = main.info()["connected_clients"].parse().unwrap();
                // One for each reader, replicas apart.
                main.tell(&["CONFIG", "SET", "maxclients", &(used + 2).to_string()]);
            }
            Fault::Rejected => {
                let before = main.setting("maxclients");
                let used: u32 = main.info()["connected_clients"].parse().unwrap();
                main.tell(&["CONFIG", "SET", "maxclients", &(used + 3).to_string()]);
                connect(6);
                // Those that were let in make room again.
                held.clients.truncate(held.clients.len() - 6);
                until("there is room", || {
                    main.cli(&["PING"]).output().unwrap().stdout == b"PONG\n"
                });
                main.tell(&["CONFIG", "SET", "maxclients", &before]);
            }
            Fault::LostMaster => {
                self.copy.tell(&["REPLICAOF", "127.0.0.1", "1"]);
            }
            Fault::Full => {
                let used: u64 = main.info()["used_memory"].parse().unwrap();
                main.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
                main.tell(&["CONFIG", "SET", "maxmemory", &(used * 97 / 100).to_string()]);
            }
            Fault::Evicts => {
                let used: u64 = main.info()["used_memory"].parse().unwrap();
                main.tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
                main.tell(&[
                    "CONFIG",
                    "SET",
                    "maxmemory",
                    &(used + 2_000_000).to_string(),
                ]);
                let script =
                    "for n = 1, 100 do redis.call('SET', 'page:' .. n, string.rep('p', 60000)) end";
                main.tell_all(0, &format!("EVAL \"{script}\" 0\n").repeat(2));
            }
            _ => {}
        }
    }

    /// Takes everything out.
    pub fn clean(&self, mut held: Held) {
        drop(held.clients);
        for one in &mut held.waiting {
            let _ = one.kill();
            let _ = one.wait();
        }
        let main = &self.main;
        let folder = main.0.folder().to_str().unwrap();
        until("there is room", || {
            main.cli(&["PING"]).output().unwrap().stdout == b"PONG\n"
        });
        for (name, value) in [
            ("maxclients", "10000"),
            ("maxmemory", "0"),
            ("maxmemory-policy", "noeviction"),
            ("slowlog-log-slower-than", "10000"),
            ("dir", folder),
            ("appendonly", "no"),
        ] {
            main.tell(&["CONFIG", "SET", name, value]);
        }
        main.tell(&["FLUSHALL"]);
        until("saves and rewrites succeed", || {
            main.tell(&["BGSAVE"]);
            main.tell(&["BGREWRITEAOF"]);
            let info = main.info();
            info["rdb_last_bgsave_status"] == "ok" && info["aof_last_bgrewrite_status"] == "ok"
        });
        main.tell(&["CONFIG", "RESETSTAT"]);
        main.tell(&["SLOWLOG", "RESET"]);
        if self.product == "Valkey" {
            main.tell(&["COMMANDLOG", "RESET", "large-request"]);
            main.tell(&["COMMANDLOG", "RESET", "large-reply"]);
        }
        self.copy
            .tell(&["REPLICAOF", "127.0.0.1", &main.0.port().to_string()]);
        self.follows();
    }
}
