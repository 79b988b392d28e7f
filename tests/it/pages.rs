//! The incident pages: the way in by a one-time link, and what they keep to.

mod shown;

use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response};
use treasury_bot::sandbox::slack::{Human, Message};

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
