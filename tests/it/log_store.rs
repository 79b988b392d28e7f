//! `logs --stored`: lines that no container has any more, from a log store. Loki cannot be had here:
//! it is played at the wire, with answers in the shape of its documentation.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use serde_json::json;
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use crate::support::process::Setup;
use crate::support::served;
use crate::support::stage::{HOME, PATIENCE, words_of};

type Asked = Arc<Mutex<Vec<Vec<(String, String)>>>>;

/// A Loki that has one line of everything; what it was asked.
async fn loki() -> (String, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let answer = move |Query(pairs): Query<Vec<(String, String)>>| async move {
        seen.lock().unwrap().push(pairs);
        let now = jiff::Timestamp::now().as_nanosecond().to_string();
        axum::Json(
            json!({"status": "success", "data": {"resultType": "streams", "result": [{
                "stream": {"compose_service": "treasury-api", "container": "api-before", "stream": "stderr"},
                "values": [[now, "connection refused: postgres:5432"]],
            }]}}),
        )
    };
    let router = Router::new().route("/loki/api/v1/query_range", get(answer));
    (format!("http://{}", served(router).await), asked)
}

const SERVICE: &str = "[docker]\nhost = \"tcp://127.0.0.1:1\"\n\n[[service]]\nname = \"api\"\ncontainer = \"api\"\n\n";

async fn said(sandbox: &Sandbox, typed: &str, part: &str) -> String {
    let ana = sandbox.person("ana");
    ana.types(HOME, &format!("/treasury {typed}"))
        .await
        .unwrap();
    let said = sandbox.wait_for(PATIENCE, |workspace| {
        let all = workspace.channels.values().flat_map(|one| &one.messages);
        all.map(words_of).find(|words| words.contains(part))
    });
    let said = said.await;
    said.unwrap_or_else(|error| panic!("{typed} said no “{part}”: {error}"))
}

#[tokio::test]
async fn lines_of_containers_that_are_gone_come_from_the_log_store_to_people_and_runbooks() {
    let (url, asked) = loki().await;
    let store = format!(
        "[logs]\nkind = \"loki\"\nurl = \"{url}\"\nfield = \"compose_service\"\nnames = {{ api = \"treasury-api\" }}\n\n\
         [runbooks]\nfolder = \"runbooks\"\n"
    );
    let setup = Setup::new(false, &format!("{SERVICE}{store}"));
    let runbooks = setup.folder.path().join("runbooks");
    std::fs::create_dir(&runbooks).unwrap();
    let runbook = "name: before\ntitle: What it said before\nsummary: Reads the log store.\nsteps:\n  \
                   - id: lines\n    title: Its last words\n    uses: service.logs\n    \
                   with: {service: api, stored: true, since: 2h}\n  \
                   - title: Tell\n    notify: \"before: ${{ steps.lines.lines[0].text }}\"\n";
    std::fs::write(runbooks.join("before.yml"), runbook).unwrap();
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let serve = setup.serve(&sandbox).await;

    let words = said(
        &sandbox,
        "logs api --stored --since 3h --grep refused",
        "Last log line of api",
    )
    .await;
    for part in [
        "with “refused” of the last 3h",
        "! connection refused: postgres:5432",
        "from Loki, where compose_service is treasury-api",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let pairs = asked.lock().unwrap()[0].clone();
    let value = |name: &str| pairs.iter().find(|pair| pair.0 == name).unwrap().1.clone();
    assert_eq!(
        value("query"),
        r#"{compose_service="treasury-api"} |~ "(?i)refused""#
    );
    let span = value("end").parse::<i128>().unwrap() - value("start").parse::<i128>().unwrap();
    assert_eq!(span, 3 * 3_600 * 1_000_000_000);

    said(
        &sandbox,
        "runbook run before",
        "before: connection refused: postgres:5432",
    )
    .await;
    said(
        &sandbox,
        "logs api --stored --previous",
        "lines of all runs",
    )
    .await;
    assert!(serve.end().await.success());
    sandbox.stop();
}

#[tokio::test]
async fn without_a_log_store_it_is_said_what_to_add() {
    let setup = Setup::new(false, SERVICE);
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let serve = setup.serve(&sandbox).await;
    let words = said(&sandbox, "logs api --stored", "No log store is configured").await;
    assert!(
        words.contains("add [logs]") || words.contains("Add [logs]"),
        "{words}"
    );
    assert!(serve.end().await.success());
    sandbox.stop();
}
