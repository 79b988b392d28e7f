//! The first look: `demo` and `demo --tour` as a newcomer starts them, and its page in a browser.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::browser::Browser;

/// Height of a phone's window, in CSS pixels.
const PHONE: u32 = 844;
/// How long the demo may take to notice a fault by itself.
const PATIENCE: Duration = Duration::from_secs(90);

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_treasury-bot"))
}

/// What differs from one run to the next, as `#`: figures, times, hashes, links. Names keep their
/// numbers.
fn steady(text: &str) -> String {
    let word = |word: &str| {
        let is_name = word.starts_with("SEV") || word.trim_end_matches(':') == "INC-1";
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        if is_name {
            return word.to_owned();
        }
        if word.contains("/incidents/link/") {
            return "(LINK)".to_owned();
        }
        if bare.len() >= 8 && bare.chars().all(|c| c.is_ascii_hexdigit()) {
            return word.replace(bare, "#");
        }
        let mut out = String::new();
        for c in word.chars() {
            let c = if c.is_ascii_digit() { '#' } else { c };
            if c != '#' || !out.ends_with('#') {
                out.push(c);
            }
        }
        out
    };
    let line = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<String> = line.split_whitespace().map(word).collect();
        let words = words.join(" ").replace("#.#", "#");
        let words = words
            .replace("#ms", "#s")
            .replace("#m #s", "#s")
            .replace("#m", "#s")
            // The channel may be made a moment before or after somebody is asked.
            .replace(
                "please acknowledge — #inc-#-frontend-highmemory",
                "please acknowledge",
            );
        // Only what took a second says so.
        format!("{}{}", " ".repeat(indent), words.trim_end_matches(" · #s"))
    };
    // The order of the bot's own entries at the beginning is not always the same.
    let is_entry = |line: &&str| line.starts_with("| ") && line.contains(" | 20");
    let mut lines: Vec<String> = text
        .lines()
        .filter(|one| !is_entry(one))
        .map(line)
        .collect();
    // Of two replicas, either may come first.
    lines.dedup();
    lines.join("\n")
}

#[test]
fn the_tour_plays_a_whole_incident_and_exits_with_0() {
    let output = binary().args(["demo", "--tour"]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    for raw in ["<!", "<@", "<#", "&lt;", "&#", "```", "**", "\x1b"] {
        assert!(!out.contains(raw), "{raw} is raw in:\n{out}");
    }
    assert!(!out.contains("services are well"), "it leaks:\n{out}");
    assert_snapshot!("tour", steady(&out));
}

/// `treasury-bot demo`; killed when dropped.
struct Demo {
    child: Child,
    /// What it printed at its start.
    told: String,
}

impl Demo {
    fn start() -> Self {
        let mut child = binary()
            .args(["demo", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut told = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !told.contains("Ctrl-C ends it") {
            assert_ne!(lines.read_line(&mut told).unwrap(), 0, "it ended: {told}");
        }
        Self { child, told }
    }

    fn page(&self) -> &str {
        let (_, rest) = self.told.split_once("open ").unwrap();
        rest.lines().next().unwrap()
    }

    /// The line that sends an alert.
    fn line(&self) -> &str {
        let (from, _) = self.told.match_indices("curl ").next().unwrap();
        let (line, _) = self.told[from..].split_once("\n\n").unwrap();
        line
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A number that a script gives.
async fn number(browser: &Browser, script: &str) -> f64 {
    browser.run(script).await.as_f64().unwrap()
}

/// What an expression gives as soon as it gives something.
async fn once(browser: &Browser, expression: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let value = browser.run(&format!("return {expression}")).await;
        if !value.is_null() && value != "" {
            return value;
        }
        assert!(Instant::now() < deadline, "nothing: {expression}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Goes to the channel of the first incident, as soon as there is one.
async fn to_room_of_inc_1(browser: &Browser) {
    let room = "[...document.querySelectorAll('[data-testid=channel]')] \
                .find((one) => one.dataset.name.startsWith('inc-1-'))?.getAttribute('href')";
    let href = once(browser, room).await;
    browser.run(&format!("location.hash = {href}")).await;
}

/// How many pixels the end of the messages is below what is seen.
async fn below(browser: &Browser) -> f64 {
    let script = "const box = document.getElementById('messages'); \
                  return box.scrollHeight - box.scrollTop - box.clientHeight";
    number(browser, script).await
}

#[tokio::test]
#[ignore = "needs Chromium, curl"]
async fn an_alert_sent_by_the_line_of_the_demo_fits_two_screens_of_a_phone() {
    let demo = Demo::start();
    let browser = Browser::open(500, PHONE).await;
    let screen = serde_json::json!({
        "width": 390, "height": PHONE, "deviceScaleFactor": 1, "mobile": true,
    });
    let emulate = "Emulation.setDeviceMetricsOverride";
    browser.devtools(emulate, screen).await;
    browser.go(demo.page()).await;
    // The same line stands in the page, to be copied.
    let line = once(
        &browser,
        "document.getElementById('alert-line').textContent",
    )
    .await;
    assert_eq!(line, demo.line());
    let leak = demo.line().replace("DiskFull", "MemoryLeak");
    let leak = leak.replace("\"service\":\"redis\"", "\"service\":\"frontend\"");
    assert_eq!(sh(&leak), "1 fired, 0 ended, 0 known already\n");
    browser
        .find("[data-testid=message]", "please acknowledge")
        .await;
    assert!(below(&browser).await < 60.0, "the newest is out of sight");

    to_room_of_inc_1(&browser).await;
    for words in [
        "1 alert fires",
        "A first look",
        "Rehearsal 1 of Memory leak is over",
    ] {
        browser.find("[data-testid=message]", words).await;
    }
    let height = "return document.getElementById('messages').scrollHeight";
    let screens = number(&browser, height).await / f64::from(PHONE);
    assert!(screens <= 2.0, "{screens:.1} screens");
    browser.picture("phone-room").await;
    browser.press("[data-testid=more]", "Show more").await;
    let longer = number(&browser, height).await / f64::from(PHONE);
    assert!(longer > screens, "what was folded is shown: {longer:.1}");
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn the_chat_follows_the_newest_and_loads_only_what_is_new() {
    let demo = Demo::start();
    let browser = Browser::open(1280, 800).await;
    browser.go(demo.page()).await;
    let says = async |words: &str| {
        let line = format!("/treasury {words}\n");
        browser.type_into("[data-testid=composer]", &line).await;
    };
    // A picture comes later than its message, and pushes the end away.
    says("graph frontend").await;
    browser.find("[data-testid=message] img", "").await;
    says("help").await;
    browser
        .find("[data-testid=message]", "and one of these words")
        .await;
    says("status").await;
    let status = "4 of 4 services are well";
    browser.find("[data-testid=message]", status).await;
    assert!(below(&browser).await < 60.0, "the answer is out of sight");

    // Who reads upwards is left there, and told that there is more; own words go to the end.
    browser
        .run("document.getElementById('messages').scrollTop = 0")
        .await;
    browser.press("#newest:not([hidden])", "Newest").await;
    assert!(below(&browser).await < 60.0);
    browser
        .run("document.getElementById('messages').scrollTop = 0")
        .await;
    browser.find("#newest:not([hidden])", "Newest").await;
    says("version").await;
    browser.find("[data-testid=message]", "treasury-bot ").await;
    assert!(below(&browser).await < 60.0, "own words go to the end");

    // What was loaded for the last answer is that answer, not all of the room.
    let sizes = "return performance.getEntriesByType('resource') \
                 .filter((one) => one.name.includes('/sandbox/state')) \
                 .map((one) => one.decodedBodySize)";
    let sizes = browser.run(sizes).await;
    let sizes: Vec<f64> = sizes
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    let last = sizes.last().copied().unwrap_or(f64::MAX);
    assert!(last < 8_000.0, "bytes of each load: {sizes:?}");

    // Every command is suggested, with how it goes on.
    browser
        .type_into("[data-testid=composer]", "/treasury inc")
        .await;
    browser
        .find(
            "[data-testid=suggestion]",
            "incident declare [OPTIONS] [TITLE]...",
        )
        .await;
    let raw = "return document.getElementById('panel').innerText.includes('`')";
    assert_eq!(browser.run(raw).await, false, "back-ticks in the panel");
    browser.picture("suggestions").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

/// `docs/renew-demo-picture` keeps what is pictured here.
#[tokio::test]
#[ignore = "needs Chromium, curl"]
async fn the_picture_of_the_readme() {
    let demo = Demo::start();
    let browser = Browser::open(1280, 900).await;
    let screen = serde_json::json!({
        "width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false,
    });
    browser
        .devtools("Emulation.setDeviceMetricsOverride", screen)
        .await;
    browser.go(demo.page()).await;
    // The bot sees it by itself.
    browser.press("[data-fault=api-errors]", "").await;
    to_room_of_inc_1(&browser).await;
    browser
        .press("[data-testid=button][data-label=Acknowledge]", "")
        .await;
    browser.find("[data-testid=message]", "A first look").await;
    browser
        .type_into("[data-testid=composer]", "/treasury restart api\n")
        .await;
    browser
        .press("[data-label='Restart api']", "Restart api")
        .await;
    let told = "api restarted in";
    browser.find("[data-testid=message]", told).await;
    browser.picture("demo").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}
