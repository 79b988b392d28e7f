//! The incident pages: the way in by a one-time link, what they show, and what they keep to.

use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use treasury_bot::report;
use treasury_bot::sandbox::slack::{Human, Message, Sandbox, SandboxConfig};

use crate::support::browser::Browser;
use crate::support::postgres::Postgres;
use crate::support::process::Setup;
use crate::support::stage::{HOME, PATIENCE, Scenery, Stage};

/// Somebody's browser, as far as these pages need one.
struct Reader {
    client: Client,
    base: String,
    /// Of the session.
    cookie: Option<String>,
    /// Of the door: who looks at a link's page gets it.
    door: Option<String>,
}

impl Reader {
    fn new(base: impl Into<String>) -> Self {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            client,
            base: base.into(),
            cookie: None,
            door: None,
        }
    }

    fn of(stage: &Stage) -> Self {
        Self::new(format!("http://{}", stage.app.address))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .timeout(PATIENCE);
        let cookies: Vec<&str> = [&self.door, &self.cookie]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect();
        if cookies.is_empty() {
            request
        } else {
            request.header(COOKIE, cookies.join("; "))
        }
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// Status and text of a page.
    async fn read(&self, path: &str) -> (u16, String) {
        let answer = self.get(path).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Looks at a link's page.
    async fn look(&mut self, link: &str) {
        let answer = self.get(link).await;
        assert_eq!(answer.status(), 200);
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with("treasury-bot-door="), "{cookie}");
        self.door = cookie.split(';').next().map(str::to_owned);
    }

    /// Presses the button of a link's page; the status and where it leads.
    async fn press(&mut self, link: &str) -> (u16, String) {
        let answer = self.request(Method::POST, link).send().await.unwrap();
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        let to = answer.headers().get(LOCATION);
        let to = to.map_or("", |to| to.to_str().unwrap()).to_owned();
        (answer.status().as_u16(), to)
    }
}

/// The path of the link that somebody is told; nobody else sees it.
async fn link(stage: &Stage, who: &str, words: &str) -> String {
    let person = stage.person(who);
    let before = links(&person).len();
    stage.types(who, HOME, words).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let links = links(&person);
        if links.len() > before {
            return links.last().unwrap().clone();
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{who} got no link:\n{}",
            stage.sandbox.dump(10)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn links(person: &Human) -> Vec<String> {
    let mut links = Vec::new();
    for message in person.sees(HOME) {
        let text = message.shown();
        for (at, _) in text.match_indices("/incidents/link/") {
            let path: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "/-".contains(*c))
                .collect();
            links.push(path);
        }
    }
    links
}

/// Somebody who is signed in.
async fn signed_in(stage: &Stage, who: &str) -> Reader {
    let mut reader = Reader::of(stage);
    let link = link(stage, who, "page").await;
    assert_eq!(reader.press(&link).await, (303, "/incidents".to_owned()));
    reader
}

#[tokio::test]
async fn without_a_session_every_page_says_how_to_get_one_and_nothing_else() {
    let stage = Stage::new().await;
    stage.ana("incident declare The ledger is late").await;
    stage.room(1).await;
    let reader = Reader::of(&stage);
    for (path, word) in [
        ("/incidents", "/treasury page"),
        ("/incidents?show=all", "/treasury page"),
        ("/incidents/INC-1", "/treasury page INC-1"),
        ("/incidents/1/export.json", "/treasury page INC-1"),
        // Nor is told what there is.
        ("/incidents/INC-99", "/treasury page INC-99"),
        ("/incidents/x", "/treasury page"),
    ] {
        let (status, page) = reader.read(path).await;
        assert_eq!(status, 401, "{path}");
        assert!(page.contains(word), "{path}: {page}");
        assert!(page.contains("treasury-bot exec"), "{path}: {page}");
        assert!(!page.contains("ledger"), "{path}: {page}");
    }
    // A made-up cookie and a made-up link are nothing.
    let mut liar = Reader::of(&stage);
    liar.cookie = Some(format!("treasury-bot={}", "0".repeat(64)));
    assert_eq!(liar.read("/incidents").await.0, 401);
    let link = format!("/incidents/link/{}", "0".repeat(64));
    assert_eq!(liar.read(&link).await.0, 404);
    assert_eq!(liar.press(&link).await.0, 404);
    stage.finish().await;
}

#[tokio::test]
async fn a_link_works_once_and_looking_at_it_does_not_use_it_up() {
    let stage = Stage::new().await;
    stage.ana("incident declare The ledger is late").await;
    stage.room(1).await;
    let link = link(&stage, "chloe", "page 1").await;
    // Only chloe was told.
    assert!(links(&stage.person("ana")).is_empty());

    // A chat's preview, a mail's scanner, a browser that is ahead of its person.
    let mut reader = Reader::of(&stage);
    for method in [Method::HEAD, Method::GET, Method::GET] {
        let looked = reader
            .request(method, &link)
            .header("sec-purpose", "prefetch")
            .header("user-agent", "Slackbot-LinkExpanding 1.0")
            .send()
            .await
            .unwrap();
        assert_eq!(looked.status(), 200);
        let given = looked.headers()[SET_COOKIE].to_str().unwrap();
        assert!(!given.starts_with("treasury-bot="), "{given}");
        let page = looked.text().await.unwrap();
        assert!(
            !page.contains("ledger") && !page.contains("chloe"),
            "{page}"
        );
    }
    // Another site's form is refused and does not use it up either.
    let forged = reader.request(Method::POST, &link);
    let forged = forged.header("sec-fetch-site", "cross-site").send().await;
    assert_eq!(forged.unwrap().status(), 403);

    assert_eq!(reader.press(&link).await, (303, "/incidents/INC-1".into()));
    let (status, page) = reader.read("/incidents/INC-1").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("The ledger is late") && page.contains("chloe"));
    // Back by the same link: on to the pages.
    assert_eq!(reader.get(&link).await.headers()[LOCATION], "/incidents");

    let mut second = Reader::of(&stage);
    let (status, page) = second.read(&link).await;
    assert_eq!(status, 410);
    assert!(page.contains("used already"), "{page}");
    assert_eq!(second.press(&link).await.0, 410);
    assert!(second.cookie.is_none());

    // The store has no token any more, neither in what was said nor elsewhere.
    let token = link.rsplit('/').next().unwrap();
    assert!(!dump(&stage).await.contains(token));
    let session = reader.cookie.as_deref().unwrap().split_once('=').unwrap().1;
    assert!(!dump(&stage).await.contains(session));
    let audit = stage.audit().await;
    let entry = audit.iter().find(|e| e.text.contains("signed in")).unwrap();
    assert_eq!(entry.actor.name, "chloe");
    stage.finish().await;
}

/// All that the database's file holds as text.
async fn dump(stage: &Stage) -> String {
    let mut all = String::new();
    let pool = stage.pool().await;
    let tables: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    for (table,) in tables {
        let columns: Vec<(String,)> = sqlx::query_as("SELECT name FROM pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&pool)
            .await
            .unwrap();
        for (column,) in columns {
            let text = format!(
                "SELECT CAST({column} AS TEXT) FROM {table} \
                 WHERE {column} IS NOT NULL AND typeof({column}) <> 'blob'"
            );
            let rows: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(text))
                .fetch_all(&pool)
                .await
                .unwrap();
            all.extend(rows.into_iter().map(|(text,)| text + "\n"));
        }
    }
    assert!(
        all.contains("signed in") || all.contains("page"),
        "nothing was read"
    );
    all
}

#[tokio::test]
async fn two_at_the_same_moment_get_one_session() {
    let stage = Stage::new().await;
    let link = link(&stage, "ana", "page").await;
    let presses = (0..8).map(|_| {
        let (mut reader, link) = (Reader::of(&stage), link.clone());
        async move { reader.press(&link).await.0 }
    });
    let mut statuses = futures_util::future::join_all(presses).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410, 410, 410, 410, 410, 410, 410]);
    stage.finish().await;
}

#[tokio::test]
async fn impatient_taps_in_one_browser_all_lead_in() {
    let stage = Stage::new().await;
    let link = link(&stage, "ana", "page").await;
    let mut reader = Reader::of(&stage);
    reader.look(&link).await;
    let mut other = Reader::of(&stage);
    other.look(&link).await;
    // The answer to the first tap is lost: the second counts.
    assert_eq!(reader.press(&link).await.0, 303);
    reader.cookie = None;
    assert_eq!(reader.press(&link).await.0, 303);
    assert_eq!(reader.read("/incidents").await.0, 200);
    // For this browser only, and not for long.
    assert_eq!(other.press(&link).await.0, 410);
    reader.cookie = None;
    let pool = stage.pool().await;
    sqlx::query("UPDATE page_link SET used_at = used_at - 60000000")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(reader.press(&link).await.0, 410);
    stage.finish().await;
}

#[tokio::test]
async fn a_link_that_is_too_old_is_refused_and_forgotten() {
    let stage = Stage::new().await;
    let link = link(&stage, "ana", "page").await;
    let pool = stage.pool().await;
    // Ten minutes later.
    let aged = sqlx::query("UPDATE page_link SET expires_at = expires_at - 600000000")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(aged.rows_affected(), 1);
    let mut reader = Reader::of(&stage);
    let (status, page) = reader.read(&link).await;
    assert_eq!(status, 410);
    assert!(
        page.contains("too old") && page.contains("/treasury page"),
        "{page}"
    );
    assert_eq!(reader.press(&link).await.0, 410);
    let token = link.rsplit('/').next().unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while dump(&stage).await.contains(token) {
        assert!(tokio::time::Instant::now() < deadline, "still in the store");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What ana was told is not said again.
    assert_eq!(links(&stage.person("ana")).len(), 1);
    assert_eq!(stage.count("too old"), 0);
    stage.finish().await;
}

#[tokio::test]
async fn a_session_ends_by_its_time_by_its_button_and_with_the_role() {
    let stage = Stage::set(Scenery {
        viewers: vec!["S0VIEWERS1".into()],
        ..Scenery::default()
    })
    .await;
    let store = &stage.app.store;
    let members = |people: &[&str]| people.iter().map(|p| (*p).to_owned()).collect();
    let chloe = stage.sandbox.people();
    let chloe = chloe.iter().find(|p| p.name == "chloe").unwrap().id.clone();
    store
        .group_put("S0VIEWERS1", members(&[&chloe]))
        .await
        .unwrap();
    let reader = signed_in(&stage, "chloe").await;
    assert_eq!(reader.read("/incidents").await.0, 200);
    let open_link = link(&stage, "chloe", "page").await;

    // Not a viewer any more: at the next page, with the session as good as it was.
    store.group_put("S0VIEWERS1", Vec::new()).await.unwrap();
    let (status, page) = reader.read("/incidents").await;
    assert_eq!(status, 403);
    assert!(
        page.contains("You may not read this") && page.contains(&chloe),
        "{page}"
    );
    assert_eq!(reader.read("/incidents/1/export.md").await.0, 403);
    // A link that was given before does not help either.
    assert_eq!(Reader::of(&stage).press(&open_link).await.0, 403);
    // Nobody who may not read gets a new one.
    stage.types("chloe", HOME, "page").await;
    stage.quiet().await;
    assert_eq!(links(&stage.person("chloe")).len(), 2);
    store
        .group_put("S0VIEWERS1", members(&[&chloe]))
        .await
        .unwrap();
    assert_eq!(reader.read("/incidents").await.0, 200);

    // The button: only with what the page itself carries.
    let page = reader.read("/incidents").await.1;
    let (_, rest) = page.split_once("name=\"check\" value=\"").unwrap();
    let check = &rest[..64];
    let leave = |check: &str, site: &'static str| {
        reader
            .request(Method::POST, "/incidents/sign-out")
            .header("sec-fetch-site", site)
            .form(&[("check", check.to_owned())])
            .send()
    };
    assert_eq!(leave("0", "same-origin").await.unwrap().status(), 403);
    assert_eq!(leave(check, "cross-site").await.unwrap().status(), 403);
    let huge = "x".repeat(100_000);
    assert_eq!(leave(&huge, "same-origin").await.unwrap().status(), 403);
    assert_eq!(reader.read("/incidents").await.0, 200);
    let out = leave(check, "same-origin").await.unwrap();
    assert_eq!(out.status(), 200);
    assert!(
        out.headers()[SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(reader.read("/incidents").await.0, 401);

    // Twelve hours later.
    let reader = signed_in(&stage, "ana").await;
    assert_eq!(reader.read("/incidents").await.0, 200);
    let pool = stage.pool().await;
    sqlx::query("UPDATE page_session SET expires_at = expires_at - 43200000000")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(reader.read("/incidents").await.0, 401);

    // A day later what is over is removed.
    sqlx::query("UPDATE page_session SET expires_at = expires_at - 86400000000")
        .execute(&pool)
        .await
        .unwrap();
    link(&stage, "ana", "page").await;
    let (left,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM page_session")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
    stage.finish().await;
}

#[tokio::test]
async fn browsers_are_told_to_keep_to_it() {
    let stage = Stage::new().await;
    let link = link(&stage, "ana", "page").await;
    let mut reader = Reader::of(&stage);
    let entered = reader.request(Method::POST, &link).send().await.unwrap();
    let cookie = entered.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Lax", "Max-Age=43200", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "http here: {cookie}");
    reader.cookie = cookie.split(';').next().map(str::to_owned);
    for path in ["/incidents", "/incidents/9", "/incidents/link/x"] {
        let answer = reader.get(path).await;
        let headers = answer.headers().clone();
        let is = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(is("cache-control"), "no-store", "{path}");
        assert_eq!(is("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(is("referrer-policy"), "no-referrer", "{path}");
        let policy = is("content-security-policy");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains("script"),
            "{policy}"
        );
        let page = answer.text().await.unwrap();
        for never in ["<script", " onclick", " style=", "http://", "https://"] {
            assert!(!page.contains(never), "{path} has {never}");
        }
    }
    stage.finish().await;

    // By https the cookie goes no other way.
    let stage = Stage::set(Scenery {
        public_url: Some("https://treasury-bot.example.com".into()),
        ..Scenery::default()
    })
    .await;
    let told = link_url(&stage, "ana").await;
    let base = "https://treasury-bot.example.com/incidents/link/";
    assert!(told.starts_with(base), "{told}");
    let path = told
        .strip_prefix("https://treasury-bot.example.com")
        .unwrap();
    let entered = Reader::of(&stage)
        .request(Method::POST, path)
        .send()
        .await
        .unwrap();
    let cookie = entered.headers()[SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-") && cookie.contains("; Secure"),
        "{cookie}"
    );
    stage.finish().await;
}

/// The whole link that somebody is told.
async fn link_url(stage: &Stage, who: &str) -> String {
    let path = link(stage, who, "page").await;
    let person = stage.person(who);
    let said = person.sees(HOME);
    let text = said.iter().map(Message::shown).find(|t| t.contains(&path));
    let text = text.unwrap();
    let end = text.find(&path).unwrap() + path.len();
    let start = text[..end].rfind('<').unwrap() + 1;
    text[start..end].to_owned()
}

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
    browser.find(".refresh", "Not fetched anew").await;
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
