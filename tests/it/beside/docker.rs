//! `status` and `stats` beside docker, on the engine that runs here.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::containers::{Container, figures, replicas, trouble, usage};
use super::{Beside, Bot, Tally, output, random, read, seeds, until};
use rand::RngExt;
use rand::rngs::StdRng;

/// Services of a state.
pub const SERVICES: usize = 4;
pub const SLEEP: &str = "trap exit TERM; sleep 1000 & wait";

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// So many containers run, without a check of their health.
    Runs(u32),
    Healthy(u32),
    Unhealthy,
    /// Its check has not passed yet.
    Starting,
    /// One of two has ended with this code.
    PartlyDead(u8),
    Dead(u8),
    /// It ends as soon as it begins, and is started again.
    Restarting,
    OutOfMemory,
    Paused,
    NeverStarted,
    /// Its memory is nearly full.
    NearLimit,
    /// It uses a third of a processor.
    Busy,
    /// It lives in the network of the first service's first container.
    Shares,
    /// Its containers are of different images.
    TwoImages,
    /// There is nothing of it.
    Gone,
}

pub fn state(rng: &mut StdRng) -> Vec<Kind> {
    let mut kinds = vec![Kind::Runs(rng.random_range(1..3))];
    while kinds.len() < SERVICES {
        kinds.push(match rng.random_range(0..14) {
            0 => Kind::Healthy(rng.random_range(1..3)),
            1 => Kind::Unhealthy,
            2 => Kind::Starting,
            3 => Kind::PartlyDead(rng.random_range(0..5)),
            4 => Kind::Dead(rng.random_range(0..200)),
            5 => Kind::Restarting,
            6 => Kind::OutOfMemory,
            7 => Kind::Paused,
            8 => Kind::NeverStarted,
            9 => Kind::NearLimit,
            10 => Kind::Busy,
            11 => Kind::Shares,
            12 => Kind::TwoImages,
            _ => Kind::Gone,
        });
    }
    kinds
}

pub fn docker(words: &[&str]) -> String {
    output(Command::new("docker").args(words))
}

/// A project of its own, removed when dropped.
pub struct World {
    project: String,
    bot: Bot,
}

impl World {
    pub fn start() -> Self {
        let project = format!("tb{}beside", std::process::id());
        let services = (0..SERVICES).map(|n| {
            format!(
                "[[service]]\nname = \"s{n}\"\ncompose_project = \"{project}\"\n\
                 compose_service = \"s{n}\"\n"
            )
        });
        let world = Self {
            bot: Bot::new(&services.collect::<String>()),
            project,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for part in ["bin", "tmp"] {
            std::fs::create_dir(path.join(part)).unwrap();
        }
        std::fs::copy(busybox(), path.join("bin/busybox")).unwrap();
        for name in ["sh", "sleep", "tail", "dd", "test"] {
            symlink("/bin/busybox", path.join("bin").join(name)).unwrap();
        }
        let file = path.with_extension("tar");
        let file = file.to_str().unwrap();
        output(Command::new("tar").args(["-C", path.to_str().unwrap(), "-cf", file, "."]));
        for tag in [1, 2] {
            docker(&["import", file, &world.image(tag)]);
        }
        std::fs::remove_file(file).unwrap();
        world
    }

    pub fn image(&self, tag: u32) -> String {
        format!("{}:{tag}", self.project)
    }

    /// Makes the containers of a service, each with further options, an image, a script.
    pub fn put(&self, n: usize, kind: Kind) {
        let check = "--health-cmd=test -f /tmp/well --health-interval=300ms --health-retries=1";
        let well = format!("echo > /tmp/well; {SLEEP}");
        let one = |options: &str, script: &str| vec![(options.to_owned(), 1, script.to_owned())];
        let containers = match kind {
            Kind::Runs(count) => vec![(String::new(), 1, SLEEP.to_owned()); count as usize],
            Kind::Healthy(count) => vec![(check.to_owned(), 1, well); count as usize],
            Kind::Unhealthy => one(check, SLEEP),
            Kind::Starting => one(&check.replace("300ms", "1h"), SLEEP),
            Kind::PartlyDead(code) => {
                vec![
                    (String::new(), 1, SLEEP.to_owned()),
                    (String::new(), 1, format!("exit {code}")),
                ]
            }
            Kind::Dead(code) => one("", &format!("exit {code}")),
            Kind::Restarting => one("--restart=always", "exit 3"),
            Kind::OutOfMemory => one("--memory=12m --memory-swap=12m", "tail /dev/zero"),
            Kind::Paused | Kind::NeverStarted => one("", SLEEP),
            Kind::NearLimit => {
                let fill = "dd if=/dev/zero of=/dev/shm/full bs=1M count=37 2>/dev/null";
                one(
                    "--memory=40m --memory-swap=40m",
                    &format!("{fill}; {SLEEP}"),
                )
            }
            Kind::Busy => one("--cpus=0.33", "while :; do :; done"),
            Kind::Shares => one(&format!("--network=container:{}-s0-1", self.project), SLEEP),
            Kind::TwoImages => {
                vec![
                    (String::new(), 1, SLEEP.to_owned()),
                    (String::new(), 2, SLEEP.to_owned()),
                ]
            }
            Kind::Gone => Vec::new(),
        };
        for (number, (options, tag, script)) in containers.iter().enumerate() {
            self.run(
                n,
                number + 1,
                kind,
                (options.as_str(), *tag, script.as_str()),
            );
        }
    }

    pub fn run(
        &self,
        n: usize,
        number: usize,
        kind: Kind,
        (options, tag, script): (&str, u32, &str),
    ) {
        let project = &self.project;
        let name = format!("{project}-s{n}-{number}");
        let verb: &[&str] = match kind {
            Kind::NeverStarted => &["create"],
            _ => &["run", "--detach"],
        };
        let mut command = Command::new("docker");
        command.args(verb).args(["--name", &name]);
        for (label, value) in [
            ("project", project.clone()),
            ("service", format!("s{n}")),
            ("container-number", number.to_string()),
            ("oneoff", "False".to_owned()),
        ] {
            command.args(["--label", &format!("com.docker.compose.{label}={value}")]);
        }
        if !options.contains("--network") && n > 0 {
            command.arg("--network=none");
        }
        // An option's own spaces stand before no dashes.
        for option in options.split(" --").filter(|option| !option.is_empty()) {
            command.arg(format!("--{}", option.trim_start_matches("--")));
        }
        output(command.arg(self.image(tag)).args(["/bin/sh", "-c", script]));
        if kind == Kind::Paused {
            docker(&["pause", &name]);
        }
    }

    /// Each is as it is meant to be.
    pub fn settled(&self, kinds: &[Kind]) {
        until("all are as they are to be", || {
            let all = self.containers();
            all.iter().all(|one| {
                let kind = kinds[one.service[1..].parse::<usize>().unwrap()];
                match kind {
                    Kind::Healthy(_) => one.health == "healthy",
                    Kind::Unhealthy => one.health == "unhealthy",
                    Kind::Dead(_) | Kind::OutOfMemory => one.status == "exited",
                    Kind::PartlyDead(_) => one.status == "exited" || one.name.ends_with("-1"),
                    Kind::Restarting => one.restarts > 3 && one.status == "restarting",
                    _ => true,
                }
            })
        });
    }

    pub fn containers(&self) -> Vec<Container> {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let ids = docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        let form = "{{index .Config.Labels \"com.docker.compose.service\"}} {{.Name}} \
                    {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}unchecked\
                    {{end}} {{.RestartCount}} {{.State.ExitCode}} {{.State.OOMKilled}} \
                    {{.State.StartedAt}} {{.Config.Image}} {{.HostConfig.Memory}}";
        let mut words = vec!["inspect", "--format", form];
        words.extend(ids.lines());
        if words.len() == 3 {
            return Vec::new();
        }
        let text = docker(&words);
        let all = text.lines().filter(|line| !line.is_empty());
        all.map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            Container {
                service: parts[0].to_owned(),
                name: parts[1].trim_start_matches('/').to_owned(),
                status: parts[2].to_owned(),
                health: parts[3].to_owned(),
                restarts: parts[4].parse().unwrap(),
                exit_code: parts[5].parse().unwrap(),
                out_of_memory: parts[6] == "true",
                started_at: parts[7].to_owned(),
                image: parts[8].to_owned(),
                memory: parts[9].parse().unwrap(),
            }
        })
        .collect()
    }

    pub fn clean(&self) {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let ids = docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        let mut words = vec!["rm", "--force", "--volumes"];
        words.extend(ids.lines());
        if words.len() > 3 {
            docker(&words);
        }
    }

    pub fn look(&self, beside: &mut Beside) {
        let all = self.containers();
        let mut every = Vec::new();
        let (stats, found): (_, Vec<_>) = std::thread::scope(|scope| {
            let usage = scope.spawn(usage);
            let ask = |n: usize| {
                let service = format!("service=s{n}");
                scope.spawn(move || {
                    (
                        self.bot.probe("service.status", &[&service]),
                        self.bot.probe("service.stats", &[&service]),
                        self.bot.says(&format!("status s{n}")),
                    )
                })
            };
            let asked: Vec<_> = (0..SERVICES).map(ask).collect();
            let found = asked.into_iter().map(|one| one.join().unwrap()).collect();
            (usage.join().unwrap(), found)
        });
        for (n, (status, used, words)) in found.into_iter().enumerate() {
            let name = format!("s{n}");
            let own: Vec<&Container> = all.iter().filter(|one| one.service == name).collect();
            let trouble = trouble(&own);
            beside.no_tick(&format!("status {name}"), &words, &trouble);
            let trouble = trouble.into_iter().map(|what| format!("{name}: {what}"));
            every.extend(trouble);
            if own.is_empty() {
                beside.same(&format!("{name} is there"), status.is_ok(), false);
                continue;
            }
            match status {
                Ok(found) => replicas(&name, &own, &found, beside),
                Err(error) => beside.failed("service.status", &error),
            }
            match used {
                Ok(found) => figures(&name, &own, &stats, &found, beside),
                Err(error) => beside.failed("service.stats", &error),
            }
        }
        beside.no_tick("status", &self.bot.says("status"), &every);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.clean();
        for tag in [1, 2] {
            docker(&["rmi", "--force", &self.image(tag)]);
        }
    }
}

pub fn busybox() -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&paths).map(|path| path.join("busybox"));
    found.find(|path| path.is_file()).expect("busybox (static)")
}

#[test]
#[ignore = "needs a Docker Engine"]
fn each_figure_of_status_and_stats_is_what_docker_says() {
    let world = &World::start();
    let mut tally = Tally::new("docker");
    for seed in seeds(41, 20) {
        let kinds = state(&mut random(seed));
        tally.begin(seed, &kinds);
        // The first is there when others are to share with it.
        world.put(0, kinds[0]);
        std::thread::scope(|scope| {
            for (n, kind) in kinds.iter().enumerate().skip(1) {
                scope.spawn(move || world.put(n, *kind));
            }
        });
        world.settled(&kinds);
        let beside = read(|beside| world.look(beside));
        tally.add(beside);
        world.clean();
    }
    tally.end();
}
