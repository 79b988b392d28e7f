//! `cache *` beside redis-cli, on Redis and Valkey, each with a replica.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::keys::{clients, keys, memory, trouble};
use super::pressure::{Fault, Held, state};
use super::{Beside, Bot, Tally, output, random, read, seeds, until};
use crate::support::redis::{Redis, newest_redis, newest_valkey, oldest_redis};

/// A server, and redis-cli beside it.
pub struct Server(pub Redis);

impl Server {
    async fn start(program: &Path, more: &[&str]) -> Self {
        // Redis 6.2 protects none.
        let open: &[&str] = if program.ends_with("redis-server-6.2") {
            &[]
        } else {
            &["--enable-protected-configs", "yes"]
        };
        Self(Redis::start_of(program, &[open, more].concat()).await)
    }

    pub fn cli(&self, words: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.0.port().to_string()]).args(words);
        command
    }

    pub fn tell(&self, words: &[&str]) -> String {
        output(&mut self.cli(words)).trim().to_owned()
    }

    /// Several commands, a line each.
    pub fn tell_all(&self, database: u64, commands: &str) -> String {
        let mut cli = self.cli(&["-n", &database.to_string()]);
        let cli = cli.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut cli = cli.spawn().unwrap();
        let mut input = cli.stdin.take().unwrap();
        let commands = commands.to_owned();
        let writer = std::thread::spawn(move || input.write_all(commands.as_bytes()).unwrap());
        let told = cli.wait_with_output().unwrap();
        writer.join().unwrap();
        String::from_utf8(told.stdout).unwrap()
    }

    pub fn info(&self) -> BTreeMap<String, String> {
        let text = self.tell(&["INFO", "everything"]);
        let pairs = text
            .lines()
            .filter_map(|line| line.trim().split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        pairs.collect()
    }

    pub fn setting(&self, name: &str) -> String {
        let told = self.tell(&["CONFIG", "GET", name]);
        told.lines().nth(1).unwrap_or_default().trim().to_owned()
    }
}

/// A master and its replica, and the bot that asks them.
pub struct World {
    pub product: &'static str,
    pub main: Server,
    pub copy: Server,
    pub bot: Bot,
}

impl World {
    pub async fn start(product: &'static str, program: &Path) -> Self {
        let main = Server::start(program, &[]).await;
        let port = main.0.port().to_string();
        let copy = Server::start(program, &["--replicaof", "127.0.0.1", &port]).await;
        let caches = [("main", main.0.port()), ("copy", copy.0.port())].map(|(name, port)| {
            format!("[[cache]]\nname = \"{name}\"\nurl = \"redis://127.0.0.1:{port}/0\"\n")
        });
        let world = Self {
            product,
            bot: Bot::new(&caches.concat()),
            main,
            copy,
        };
        world.follows();
        world
    }

    pub fn follows(&self) {
        until("the replica follows", || {
            let told = self.main.info().get("slave0").cloned();
            self.copy.info()["master_link_status"] == "up"
                && told.is_some_and(|told| told.contains("state=online"))
        });
    }

    pub fn look(&self, faults: &[Fault], beside: &mut Beside) {
        for (name, server) in [("main", &self.main), ("copy", &self.copy)] {
            if name == "copy" && !faults.contains(&Fault::LostMaster) {
                continue;
            }
            let sentence = format!("cache summary --cache {name}");
            beside.no_tick(&sentence, &self.bot.says(&sentence), &trouble(server));
            match self.bot.probe("cache.summary", &[&format!("cache={name}")]) {
                Ok(found) => self.summary(server, &found, beside),
                Err(error) => beside.failed("cache.summary", &error),
            }
        }
        let mut ask = |name: &str, more: &[&str], look: &dyn Fn(&Value, &mut Beside)| match self
            .bot
            .probe(name, &[&["cache=main"], more].concat())
        {
            Ok(found) => look(&found, beside),
            Err(error) => beside.failed(name, &error),
        };
        ask("cache.clients", &[], &|found, beside| {
            clients(&self.main, found, beside);
        });
        ask("cache.slowlog", &[], &|found, beside| {
            self.slowlog(found, beside);
        });
        let keys = keys(&self.main);
        ask("cache.memory", &[], &|found, beside| {
            memory(&keys, found, beside);
        });
        ask("cache.keys", &["prefix=session:"], &|found, beside| {
            let matching = keys
                .iter()
                .filter(|key| key.name.starts_with("session:"))
                .count();
            beside.same(
                "cache.keys matched",
                found["matched"].as_u64(),
                Some(matching as u64),
            );
            beside.same(
                "cache.keys complete",
                found["complete"].as_bool(),
                Some(true),
            );
            let told = found["keys"].as_array().map_or(0, Vec::len);
            beside.same("cache.keys keys", told, matching.min(50));
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, redis-cli, the wheels of Redis and Valkey"]
async fn each_figure_of_cache_is_what_redis_cli_says() {
    let worlds = [
        World::start("Redis", Path::new("redis-server")).await,
        World::start("Valkey", &newest_valkey()).await,
        World::start("Redis", &oldest_redis()).await,
        World::start("Redis", &newest_redis()).await,
    ];
    let mut tally = Tally::new("redis-cli");
    for seed in seeds(21, 20) {
        let world = &worlds[seed as usize % worlds.len()];
        let faults = state(&mut random(seed));
        tally.begin(seed, &(world.product, &faults));
        let mut held = Held::default();
        for fault in &faults {
            world.put(*fault, &mut held);
        }
        let beside = read(|beside| world.look(&faults, beside));
        tally.add(beside);
        world.clean(held);
    }
    tally.end();
}
