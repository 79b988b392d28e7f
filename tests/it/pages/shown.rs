//! What the incident pages show: from the store alone, to eyes and to machines.

use reqwest::Client;
use serde_json::{Value, json};
use treasury_bot::report;
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use super::{Reader, link, signed_in};
use crate::support::browser::Browser;
use crate::support::postgres::Postgres;
use crate::support::process::Setup;
use crate::support::stage::{HOME, PATIENCE, Scenery, Stage};

/// Posts alerts of `frontend` as Alertmanager does; the status of the answer.
async fn alert(base: &str, token: &str, fires: &[(&str, &str)]) -> u16 {
    let alerts: Vec<Value> = fires
        .iter()
        .map(|(name, summary)| {
            json!({
                "status": "firing",
                "labels": {"alertname": name, "service": "frontend", "severity": "critical"},
                "annotations": {"summary": summary},
                "startsAt": jiff::Timestamp::now().to_string(),
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.example/graph",
            })
        })
        .collect();
    let body = json!({
        "version": "4",
        "groupKey": "{}",
        "status": "firing",
        "receiver": "bot",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": alerts,
    });
    let answer = Client::new()
        .post(format!("{base}/alerts/alertmanager"))
        .bearer_auth(token)
        .json(&body)
        .send()
        .await
        .unwrap();
    answer.status().as_u16()
}

/// Words that would like to be markup.
const HOSTILE: &str = "<script>alert(1)</script> \"><img src=x onerror=alert(2)> {{7*7}} ' & </textarea> \u{202e}evil";

#[tokio::test]
async fn the_pages_tell_how_it_stands_and_no_words_become_markup() {
    let stage = Stage::new().await;
    let title = "<script>alert(1)</script> \"quoted\" & <b>bold</b>";
    stage
        .ana(&format!(
            "incident declare '{title}' --severity SEV1 --service frontend"
        ))
        .await;
    let room = stage.room(1).await;
    stage
        .types("ana", &room, "incident assign commander @ben")
        .await;
    stage.types("ana", &room, &format!("note {HOSTILE}")).await;
    stage.said(&room, "Note by").await;
    stage
        .ana("incident declare Another one --severity SEV3")
        .await;
    stage.room(2).await;
    stage.types("ana", HOME, "resolve --incident 2 gone").await;
    stage
        .ana("incident declare A third one --severity SEV2")
        .await;
    stage.room(3).await;
    stage
        .types("ana", &room, "incident link 3 --incident 1")
        .await;
    stage.said(&room, "are linked").await;
    stage.quiet().await;

    let reader = signed_in(&stage, "chloe").await;
    let (status, list) = reader.read("/incidents").await;
    assert_eq!(status, 200);
    let at = |words: &str| {
        list.find(words)
            .unwrap_or_else(|| panic!("no {words} in {list}"))
    };
    assert!(list.contains("2 incidents are open"));
    assert!(at("INC-1") < at("INC-3"), "the worst is first");
    assert!(!list.contains("INC-2"), "what is over is not listed");
    assert!(at("SEV1") < at("frontend") && list.contains("ben"));
    assert!(list.contains("http-equiv=\"refresh\""));
    let (_, calm) = reader.read("/incidents?refresh=off").await;
    assert!(!calm.contains("http-equiv=\"refresh\""));
    let (_, all) = reader.read("/incidents?show=all").await;
    assert!(
        all.find("INC-3").unwrap() < all.find("INC-2").unwrap(),
        "open ones are first"
    );

    let (_, page) = reader.read("/incidents/INC-1").await;
    for text in [&list, &page] {
        for never in ["<script", "<img", "<b>", "</textarea>"] {
            assert!(!text.contains(never), "{never} in {text}");
        }
    }
    let entries = stage.timeline(1).await;
    for words in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&lt;img src=x onerror=alert(2)&gt; {{7*7}}",
        "href=\"/incidents/INC-3\"",
        "ben is commander",
        &format!("Verified: {} entries, head", entries.len()),
        &entries.last().unwrap().hash[..12],
        "export.json",
        "treasury-bot exec",
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    assert!(page.contains("http-equiv=\"refresh\""));
    // What is over stands still.
    let (_, over) = reader.read("/incidents/2").await;
    assert!(!over.contains("http-equiv=\"refresh\"") && over.contains("Resolved"));
    assert_eq!(reader.read("/incidents/77").await.0, 404);
    assert_eq!(reader.read("/incidents/1/export.pdf").await.0, 404);
    assert_eq!(reader.read("/incidents/1/import.md").await.0, 404);
    assert_eq!(reader.read("/incidents?page=abc&show=%ff").await.0, 200);

    // Somebody with their hands in the database is found out.
    let pool = stage.pool().await;
    sqlx::query("DROP TRIGGER entry_is_not_changed")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("UPDATE entry SET text = 'all was well' WHERE stream = 'INC-1' AND kind = 'note'")
        .execute(&pool)
        .await
        .unwrap();
    let (_, page) = reader.read("/incidents/1").await;
    assert!(page.contains("Not as it was recorded: entry"), "{page}");
    stage.finish().await;
}

#[tokio::test]
async fn exports_are_those_of_the_chat_and_verify() {
    let stage = Stage::new().await;
    stage
        .ana("incident declare It's \"late\" <i> --service api")
        .await;
    let room = stage.room(1).await;
    stage.types("ana", &room, &format!("note {HOSTILE}")).await;
    stage.said(&room, "Note by").await;
    let reader = signed_in(&stage, "chloe").await;
    for format in ["md", "json", "csv", "html"] {
        let file = exported(&stage, &room, format).await;
        let answer = reader.get(&format!("/incidents/1/export.{format}")).await;
        assert_eq!(answer.status(), 200, "{format}");
        let said = answer.headers()["content-disposition"].to_str().unwrap();
        assert!(said.starts_with("attachment; filename=\"INC-1-"), "{said}");
        let page = answer.text().await.unwrap();
        if matches!(format, "json" | "html") {
            assert_eq!(report::verify_export(file.as_bytes()).unwrap().entries, 2);
            assert_eq!(report::verify_export(page.as_bytes()).unwrap().entries, 2);
        }
        // All but the moment of the export is the same, to the byte.
        assert_eq!(undated(&file, format), undated(&page, format), "{format}");
    }
    let said = stage.audit().await;
    let by_page = said
        .iter()
        .filter(|e| e.data["door"] == "page" && e.text.contains("exported"));
    assert_eq!(by_page.count(), 4);
    stage.finish().await;
}

/// The newest file of this ending in a channel, once it is asked for.
async fn exported(stage: &Stage, room: &str, format: &str) -> String {
    stage
        .types("ana", room, &format!("export --format {format}"))
        .await;
    stage
        .sandbox
        .wait_for(PATIENCE, |workspace| {
            let ending = format!(".{format}");
            let mut files = workspace.files.iter();
            let file = files.find(|f| f.is_complete() && f.name.ends_with(&ending))?;
            Some(String::from_utf8(file.content.clone()).unwrap())
        })
        .await
        .unwrap()
}

/// Without what tells when it was made.
fn undated(text: &str, format: &str) -> String {
    let lines: Vec<String> = match format {
        "html" => {
            let (head, data) = text.split_once("data:application/json;base64,").unwrap();
            let (data, tail) = data.split_once('"').unwrap();
            let data = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data);
            let data = String::from_utf8(data.unwrap()).unwrap();
            let tail = tail.split("<p>Exported").next().unwrap();
            vec![head.to_owned(), undated(&data, "json"), tail.to_owned()]
        }
        _ => text.lines().map(str::to_owned).collect(),
    };
    let mut lines = lines;
    lines.retain(|l| !l.starts_with("Exported ") && !l.contains("\"exported_at\""));
    lines.join("\n")
}

#[tokio::test]
async fn slack_is_away_and_the_pages_still_tell() {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = Setup::new(false, "[alerts]\ntoken_file = \"alerts_token\"\n");
    std::fs::write(setup.folder.path().join("alerts_token"), "secret").unwrap();
    let exec = |words: &str| {
        let output = setup.command(&sandbox, "exec").arg(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // Before anything is served: there is a link, and the warning that nothing answers it.
    let told = exec("page");
    assert!(told.contains("No `treasury-bot serve` runs"), "{told}");

    let serve = setup.serve(&sandbox).await;
    sandbox.clone().stop();
    let base = format!("http://127.0.0.1:{}", setup.port);
    let fires = [("LedgerLate", "the ledger is late")];
    assert_eq!(alert(&base, "secret", &fires).await, 200);

    let told = exec("page 1");
    let at = told
        .find(&base)
        .unwrap_or_else(|| panic!("no link in {told}"));
    let link = told[at..].split('>').next().unwrap();
    assert!(!told.contains("No `treasury-bot serve`"), "{told}");
    let mut reader = Reader::new(&base);
    let path = link.strip_prefix(&base).unwrap();
    assert_eq!(reader.press(path).await, (303, "/incidents/INC-1".into()));
    let (status, page) = reader.read("/incidents/INC-1").await;
    assert_eq!(status, 200);
    for words in [
        "LedgerLate",
        "the ledger is late",
        "1 alert fires",
        "SEV2",
        "tester",
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    assert!(serve.end().await.success());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn two_bots_on_postgresql_serve_one_set_of_pages() {
    let server = Postgres::start().await;
    let scenery = Scenery {
        store_url: Some(server.url()),
        ..Scenery::default()
    };
    let stage = Stage::set(scenery.clone()).await;
    let other = stage.another_bot(&scenery).await;
    stage.ana("incident declare The ledger is late").await;
    stage.room(1).await;
    let link = link(&stage, "ana", "page 1").await;
    // Given by one, used at both at the same moment: one session, good at both.
    let presses = (0..6).map(|n| {
        let address = if n % 2 == 0 {
            stage.app.address
        } else {
            other.address
        };
        let (mut reader, link) = (Reader::new(format!("http://{address}")), link.clone());
        async move { (reader.press(&link).await.0, reader) }
    });
    let pressed = futures_util::future::join_all(presses).await;
    let mut entered = pressed.into_iter().filter(|(status, _)| *status == 303);
    let (_, mut reader) = entered.next().unwrap();
    assert!(entered.next().is_none());
    for address in [stage.app.address, other.address] {
        reader.base = format!("http://{address}");
        let (status, page) = reader.read("/incidents/1").await;
        assert_eq!(status, 200);
        assert!(page.contains("Verified: 1 entry"), "{page}");
        assert_eq!(reader.read("/incidents?show=all&page=2").await.0, 200);
    }
    other.stop().await;
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn on_a_phone_and_at_a_desk_by_day_and_by_night() {
    let stage = Stage::new().await;
    stage
        .ana("incident declare Frontend answers 502 since the deployment of 1.9.0 --severity SEV1 --service frontend --service api")
        .await;
    let room = stage.room(1).await;
    stage
        .types("ana", &room, "incident assign commander @ben")
        .await;
    stage
        .types("ana", &room, "incident assign responder @ana")
        .await;
    stage.types("ana", &room, "note upstream refuses connections:\n  connect() failed (111: Connection refused)\n  while connecting to upstream 10.0.3.17:8080").await;
    stage
        .types(
            "ana",
            &room,
            "restart frontend --reason 'clears the stale upstream'",
        )
        .await;
    let asked = stage.said(&room, "Restart frontend?").await;
    stage
        .person("ana")
        .clicks(&asked.channel, &asked.ts, "Restart frontend")
        .await
        .unwrap();
    stage.said(&room, "frontend restarted in").await;
    stage
        .types("ana", &room, "runbook rehearse slow-responses service=api")
        .await;
    stage
        .ana("incident declare Nightly export runs late --severity SEV3 --service postgres")
        .await;
    stage.room(2).await;
    stage
        .ana("incident declare Certificate of the sandbox expires --severity SEV4")
        .await;
    stage.room(3).await;
    let fires = [
        (
            "HttpErrorsHigh",
            "12.5 % of answers are 5xx (threshold 10 %)",
        ),
        ("LatencyHigh", "p95 is 4.1 s (threshold 1 s)"),
        ("InstanceDown", "web-2 is down"),
    ];
    let base = format!("http://{}", stage.app.address);
    assert_eq!(alert(&base, "alerts-token", &fires).await, 200);
    stage.quiet().await;

    let link = link(&stage, "ana", "page").await;
    let browser = Browser::open(1280, 900).await;
    let screen = async |name: &str, width: u32, height: u32, scheme: &str| {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < 600});
        browser
            .devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.devtools("Emulation.setEmulatedMedia", media).await;
        // Nothing is wider than the screen: nobody has to scroll sideways.
        let wide = browser
            .run("return document.documentElement.scrollWidth > innerWidth")
            .await;
        assert_eq!(wide, json!(false), "{name} at {width}");
        browser
            .picture(&format!("pages-{name}-{width}-{scheme}"))
            .await;
    };
    let all = async |name: &str| {
        screen(name, 390, 844, "dark").await;
        screen(name, 390, 844, "light").await;
        screen(name, 1280, 900, "dark").await;
        screen(name, 1280, 900, "light").await;
    };
    browser.go(&format!("{base}/incidents")).await;
    browser.find("h1", "Sign in to read this").await;
    all("signed-out").await;
    assert_eq!(browser.errors().await.len(), 1, "401 and nothing else");

    browser.go(&format!("{base}{link}")).await;
    browser.find("button", "Open the incident pages").await;
    all("link").await;
    browser.press("button", "Open the incident pages").await;
    browser.find("h1", "3 incidents are open").await;
    browser.find(".fires", "3 alerts fire").await;
    assert_eq!(browser.address().await, format!("{base}/incidents"));
    all("list").await;
    browser.press("h2 a", "INC-1").await;
    browser.find(".facts", "ben").await;
    browser.find(".chain", "Verified").await;
    browser
        .find(".timeline .text", "upstream refuses connections")
        .await;
    browser.find("section", "3 alerts fire").await;
    all("incident").await;
    browser.run("window.scrollTo(0, 900)").await;
    screen("timeline", 390, 844, "dark").await;
    browser.press("a", "Stop").await;
    browser.find(".refresh", "Does not refresh by itself").await;
    browser.press("button", "Sign out").await;
    browser.find("h1", "You are signed out").await;
    browser.go(&format!("{base}/incidents/1")).await;
    browser.find("h1", "Sign in to read this").await;

    // The export, as a file without the bot.
    let file = exported(&stage, &room, "html").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("INC-1.html");
    std::fs::write(&path, file).unwrap();
    browser.go(&format!("file://{}", path.display())).await;
    browser.find("h1", "INC-1").await;
    all("export").await;
    let mut errors = browser.errors().await;
    errors.retain(|error| !error.contains("401"));
    assert_eq!(errors, Vec::<String>::new());
    stage.finish().await;
}
