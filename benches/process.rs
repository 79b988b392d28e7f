//! The bot as a process under load: starting it, sending commands to it, what it uses.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use treasury_bot::domain::timeline::hex;
use treasury_bot::sandbox::slack::Sandbox;

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A configuration for HTTP mode against a sandbox; further sections may follow.
pub fn configuration(sandbox: &Sandbox, store_url: &str, port: u16) -> String {
    format!(
        "[slack]\nmode = \"http\"\napi_url = \"{}\"\n[store]\nurl = \"{store_url}\"\n\
         [web]\nlisten = \"127.0.0.1:{port}\"\n[log]\nlevel = \"error\"\n",
        sandbox.api_url()
    )
}

/// The binary that serves by a configuration file.
pub fn serve(sandbox: &Sandbox, file: &Path) -> Command {
    let mut command = bot(sandbox, file);
    command.arg("serve");
    command
}

/// The binary by a configuration file; what it is to do may follow.
pub fn bot(sandbox: &Sandbox, file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treasury-bot"));
    command
        .env("TREASURY_BOT_CONFIG", file)
        .env("TREASURY_BOT_SLACK_BOT_TOKEN", sandbox.bot_token())
        .env(
            "TREASURY_BOT_SLACK_SIGNING_SECRET",
            sandbox.signing_secret(),
        )
        .stdin(Stdio::null());
    command
}

/// Waits until this address answers well.
pub async fn ready(url: &str, patience: Duration) {
    let (client, started) = (reqwest::Client::new(), Instant::now());
    let is_ready = async || {
        let answer = client.get(url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    };
    while !is_ready().await {
        assert!(started.elapsed() < patience, "{url} is not ready");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sends a signed slash command, of its own by its trigger; the time until it is acknowledged.
pub async fn command(
    client: &reqwest::Client,
    base: &str,
    secret: &str,
    (text, trigger): (&str, &str),
) -> Duration {
    let body = format!(
        "command=%2Ftreasury&text={text}&user_id=U0ANA00001&user_name=ana\
         &channel_id=C0000000001&trigger_id={trigger}"
    );
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = at.as_secs();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{at}:{body}").as_bytes());
    let signature = format!("v0={}", hex(&mac.finalize().into_bytes()));
    let sent = Instant::now();
    let answer = client
        .post(format!("{base}/slack/commands"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-slack-request-timestamp", at)
        .header("x-slack-signature", signature)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    sent.elapsed()
}

/// Sends so many commands over one connection; the times until their acknowledgement.
pub async fn commands(
    base: String,
    secret: String,
    sender: usize,
    commands: usize,
) -> Vec<Duration> {
    // A client each: a connection each.
    let client = reqwest::Client::new();
    let mut times = Vec::new();
    for n in 0..commands {
        let trigger = format!("{sender}.{n}");
        times.push(command(&client, &base, &secret, ("version", &trigger)).await);
    }
    times
}

/// A line of a process's own status, MiB: `VmRSS:`, `VmHWM:` at its peak.
pub fn memory(process: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|one| one.starts_with(line)).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() / 1_024
}

/// The processor time that a process has used, of all its threads.
pub fn processor(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    // proc(5): utime and stime are the 14th and 15th, of 10 ms on Linux.
    let ticks = fields.split_whitespace().skip(11).take(2);
    Duration::from_millis(ticks.map(|one| one.parse::<u64>().unwrap() * 10).sum())
}
