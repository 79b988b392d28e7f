//! Diagnostics against the docker command line, in the same run: 30 containers of one service.
//!
//! `cargo bench --bench diagnostics` needs a Docker Engine, the `docker` command and a static
//! `busybox`. Prints medians in ms and exits 1 where the bot is slower than it promises: the first
//! answer of `stats` at least 10 times sooner than `docker stats --no-stream`, `logs` of 200 lines
//! faster than `docker logs`, `restart` no slower than `docker restart`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench fails by panicking"
)]

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use treasury_bot::domain::service::{Intent, LogQuery, Patience, Service};
use treasury_bot::domain::{ServiceName, Target};
use treasury_bot::platform::docker::Docker;
use treasury_bot::platform::{Platform, ProgressSink};

const CONTAINERS: usize = 30;
const ROUNDS: usize = 7;
const PROJECT: &str = "treasury-bot-bench";

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Removes the containers, also when the bench fails.
struct Containers(Vec<String>);

impl Drop for Containers {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rm", "-f"])
            .args(&self.0)
            .stdout(Stdio::null())
            .status();
        let _ = Command::new("docker")
            .args(["rmi", "-f", PROJECT])
            .stdout(Stdio::null())
            .status();
    }
}

fn start() -> Containers {
    let folder = std::env::temp_dir().join(PROJECT);
    std::fs::create_dir_all(&folder).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .expect("busybox-static is not installed");
    std::fs::copy(busybox, folder.join("busybox")).unwrap();
    let tar = folder.join("image.tar");
    let made = Command::new("tar")
        .arg("-cf")
        .arg(&tar)
        .arg("-C")
        .arg(&folder)
        .arg("busybox")
        .status()
        .unwrap();
    assert!(made.success());
    docker(&["import", tar.to_str().unwrap(), PROJECT]);
    std::fs::remove_dir_all(&folder).unwrap();
    // Lines enough for the logs, and an end at once when asked to stop.
    let script = "trap 'exit 0' TERM; i=0; while [ $i -lt 500 ]; do echo \"line $i of a log that is as long as lines are\"; i=$((i+1)); done; /busybox sleep 6000 & wait";
    let names = (1..=CONTAINERS).map(|n| {
        let name = format!("{PROJECT}-web-{n}");
        docker(&[
            "run",
            "-d",
            "--name",
            &name,
            "--label",
            &format!("com.docker.compose.project={PROJECT}"),
            "--label",
            "com.docker.compose.service=web",
            "--label",
            &format!("com.docker.compose.container-number={n}"),
            PROJECT,
            "/busybox",
            "sh",
            "-c",
            script,
        ]);
        name
    });
    Containers(names.collect())
}

fn service(target: Target) -> Service {
    Service {
        name: ServiceName::parse("web").unwrap(),
        target,
        min_replicas: 1,
        max_replicas: 100,
        health_url: None,
        check: Vec::new(),
        metrics_page: None,
        depends_on: Vec::new(),
        metrics: std::collections::BTreeMap::new(),
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

#[tokio::main]
async fn main() -> ExitCode {
    let containers = start();
    let all = service(Target::Compose {
        engine: None,
        project: PROJECT.into(),
        service: "web".into(),
    });
    let one = service(Target::Container {
        engine: None,
        name: containers.0[0].clone(),
    });
    let bot = Docker::new(None).unwrap();
    // The bot samples the services it watches all the time; that is how it is found.
    bot.stats(&all).await.unwrap();
    bot.stats(&one).await.unwrap();

    let mut stats = (Vec::new(), Vec::new());
    let mut logs = (Vec::new(), Vec::new());
    let mut restart = (Vec::new(), Vec::new());
    let query = LogQuery {
        lines: 200,
        since: None,
        grep: None,
        previous: false,
        container: None,
    };
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let found = bot.stats(&all).await.unwrap();
        stats.0.push(began.elapsed());
        // The one that was restarted last may not have been sampled again yet.
        assert!(found.replicas.len() >= CONTAINERS - 1);
        let began = Instant::now();
        let mut words = vec!["stats", "--no-stream"];
        words.extend(containers.0.iter().map(String::as_str));
        docker(&words);
        stats.1.push(began.elapsed());

        let began = Instant::now();
        let found = bot.logs(&one, &query).await.unwrap();
        logs.0.push(began.elapsed());
        assert_eq!(found.lines.len(), 200);
        let began = Instant::now();
        docker(&["logs", "--tail", "200", &containers.0[0]]);
        logs.1.push(began.elapsed());

        let intent = Intent::new("1", jiff::Timestamp::now());
        let began = Instant::now();
        bot.restart(
            &one,
            None,
            &intent,
            Patience::default(),
            &ProgressSink::none(),
        )
        .await
        .unwrap();
        restart.0.push(began.elapsed());
        let began = Instant::now();
        docker(&["restart", &containers.0[0]]);
        restart.1.push(began.elapsed());
    }
    drop(containers);

    let mut good = true;
    for (what, (own, theirs), least) in [
        ("stats of 30, first answer", stats, 10.0),
        ("logs --lines 200", logs, 1.0),
        // A shared machine: a tenth is noise.
        ("restart of one", restart, 0.9),
    ] {
        let (own, theirs) = (median(own), median(theirs));
        let holds = theirs / own >= least;
        good &= holds;
        println!(
            "{what:<28} bot {own:>8.2} ms   docker {theirs:>8.2} ms   {:>6.1} times sooner{}",
            theirs / own,
            if holds { "" } else { "   NOT AS PROMISED" }
        );
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
