//! No statement's cost grows with what is stored: SQLite's own plan of each is looked at. A scan, a
//! sort, a count needs a reason here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use treasury_store::{Store, Use};

use self::texts::{Sources, Statement};

mod texts;

/// A part of a statement and what it costs, and why that does not grow with what is stored.
const REASONS: &[(&str, &str, &str)] = &[
    // What is few.
    (
        "",
        "SCAN instance",
        "processes that run, or did within the hour",
    ),
    (
        "",
        "SCAN o USING INDEX outbox_foremost",
        "the first of each lane, and edits",
    ),
    ("ORDER BY worst", "TEMP B-TREE", "the same"),
    (
        "DELETE FROM run_lock",
        "SCAN run_lock",
        "services that runs hold",
    ),
    (
        "",
        "SCAN action USING INDEX action_service",
        "one a service",
    ),
    ("", "SCAN run USING INDEX run_unfinished", "runs under way"),
    (
        "SELECT id FROM run WHERE",
        "SCAN run USING COVERING INDEX run_unfinished",
        "the same",
    ),
    (
        "FROM attachment_cut",
        "TEMP B-TREE",
        "what one service is cut off from",
    ),
    ("FROM person", "TEMP B-TREE", "namesakes"),
    (
        "FROM oncall_override",
        "TEMP B-TREE",
        "overrides that stand",
    ),
    ("FROM task", "SCAN task", "those of the configuration"),
    (
        "FROM backup ORDER BY",
        "SCAN backup USING INDEX backup_newest",
        "NOT YET: all that ever were, a row for each",
    ),
    (
        "FROM backup ORDER BY",
        "TEMP B-TREE FOR LAST TERM",
        "those of one second",
    ),
    (
        "FROM checklist ORDER BY",
        "SCAN checklist USING INDEX checklist_shown",
        "the newest",
    ),
    ("FROM _sqlx_migrations", "SCAN", "the steps of the schema"),
    ("FROM sqlite_master", "SCAN", "the schema"),
    ("FROM pragma_", "SCAN", "one row"),
    (
        "FROM heartbeat",
        "SCAN heartbeat",
        "those of the configuration",
    ),
    (
        "SELECT low FROM span",
        "SCAN span",
        "as often as a chain can be halved",
    ),
    (
        "FROM evidence GROUP BY",
        "SCAN e",
        "a hundred, that the index has in this order",
    ),
    (
        "FROM evidence GROUP BY",
        "COUNT",
        "what was kept for each of them",
    ),
    (
        "FROM sample WHERE at >=",
        "SCAN sample",
        "three days, by the minute and by ten",
    ),
    ("FROM sample WHERE at >=", "TEMP B-TREE", "the same"),
    ("DELETE FROM sample", "SCAN sample", "the same"),
    // In the order of the index, up to a limit.
    (
        "FROM timer ORDER BY",
        "SCAN timer USING COVERING INDEX timer_turn",
        "the first",
    ),
    ("FROM run ORDER BY id DESC LIMIT", "SCAN run", "the newest"),
    (
        "FROM incident ORDER BY id DESC LIMIT",
        "SCAN incident",
        "the newest",
    ),
    (
        "NOT IN ('open', 'mitigated') ORDER BY id DESC LIMIT",
        "SCAN incident",
        "the newest but open ones",
    ),
    (
        "",
        "SCAN incident USING INDEX incident_open",
        "the newest open ones",
    ),
    (
        "",
        "SCAN incident USING INDEX incident_hurts",
        "the worst open ones",
    ),
    (
        "SET state = 'working'",
        "SCAN inbox USING INDEX inbox_waiting",
        "those worked on, and the oldest",
    ),
    (
        "LIMIT 1",
        "SCAN inbox USING INDEX inbox_waiting",
        "the same",
    ),
    // Of alerts only what fires, or is meant.
    (
        "SELECT DISTINCT a.conversation FROM incident",
        "TEMP B-TREE",
        "conversations of open incidents",
    ),
    (
        "FROM alert_count WHERE",
        "",
        "kinds of alert of one conversation, or that fire, counted as they change",
    ),
    (
        "FROM alert_count",
        "",
        "the same of all conversations that are kept: `alerts` tells how many there are",
    ),
    (
        "FROM alert WHERE firing = 1",
        "SCAN alert USING INDEX alert_newest",
        "those that fire, or the newest of them",
    ),
    ("FROM alert WHERE firing = 1", "TEMP B-TREE", "the same"),
    (
        "FROM alert WHERE firing = 0",
        "SCAN alert USING INDEX alert_changed",
        "the newest",
    ),
    (
        "FROM alert WHERE (fingerprint",
        "TEMP B-TREE",
        "those that are meant",
    ),
    // What waits or is open, counted or sorted.
    (
        "COUNT(*) FROM incident WHERE status IN",
        "COUNT",
        "open incidents, in an index alone",
    ),
    (
        "FROM inbox WHERE state <> 'done'",
        "COUNT",
        "for metrics: requests that wait",
    ),
    (
        "FROM inbox WHERE state <> 'done'",
        "SCAN inbox USING INDEX inbox_waiting",
        "the same",
    ),
    (
        "FROM outbox WHERE state = 'waiting'",
        "",
        "for metrics: messages that wait",
    ),
    (
        "FROM timer WHERE due_at <= $1",
        "COUNT",
        "for metrics: timers that are due",
    ),
    ("FROM notification WHERE state IN", "", "what was not sent"),
    (
        "UPDATE notification SET owner",
        "TEMP B-TREE",
        "what is to be sent now",
    ),
];

#[tokio::test]
async fn no_statement_scans_sorts_or_counts_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("a.db").display());
    Store::open(&url, Use::Serve).await.unwrap().close().await;
    let mut database = AnyConnection::connect(&url).await.unwrap();

    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let statements = Sources::read(&source).statements();
    let mut used = vec![false; REASONS.len()];
    let mut wrong = Vec::new();
    for Statement { text, place } in &statements {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")));
        let plan = plan.fetch_all(&mut database).await;
        let plan: Vec<AnyRow> = plan.unwrap_or_else(|error| panic!("{place}: {text}\n{error}"));
        for cost in costs(&text, &plan) {
            let reason = REASONS
                .iter()
                .position(|(part, step, _)| text.contains(part) && cost.contains(step));
            match reason {
                Some(number) => used[number] = true,
                None => wrong.push(format!("{place}\n  {text}\n  {cost}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let idle = REASONS.iter().zip(used).filter(|(_, used)| !used);
    let idle: Vec<_> = idle.map(|(reason, _)| reason).collect();
    assert!(idle.is_empty(), "reasons that nothing needs: {idle:?}");
    assert!(
        statements.len() > 150,
        "only {} were found",
        statements.len()
    );
}

/// The steps that look at every row of a table or an index, or sort; and counting.
fn costs(text: &str, plan: &[AnyRow]) -> Vec<String> {
    let steps = plan.iter().map(|row| row.get::<String, _>("detail"));
    let steps = steps.filter(|step| {
        let scans = step.starts_with("SCAN ") && step != "SCAN CONSTANT ROW";
        scans || step.contains("TEMP B-TREE") || step.contains("AUTOMATIC")
    });
    let counts = text.contains("COUNT(") || text.contains("SUM(");
    steps.chain(counts.then(|| "COUNT".to_owned())).collect()
}
