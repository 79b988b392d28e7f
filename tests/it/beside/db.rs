//! The figures of `db *` beside those of psql.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::postgres::{psql, value};
use super::{Beside, counts};

pub fn number(port: u16, sql: &str) -> u64 {
    value(port, sql).parse().unwrap_or_else(|_| panic!("{sql}"))
}

pub fn map(port: u16, sql: &str) -> BTreeMap<String, u64> {
    let rows = psql(port, sql).into_iter();
    rows.map(|row| (row[0].clone(), row[1].parse().unwrap()))
        .collect()
}

/// Sessions of clients without the two readers.
pub const CLIENTS: &str = "FROM pg_stat_activity WHERE backend_type = 'client backend' \
                       AND pid <> pg_backend_pid() AND application_name <> 'treasury-bot'";

pub fn bytes(list: &Value) -> BTreeMap<String, u64> {
    counts(list, "name", "bytes")
}

/// The bot's own session is in its counts, and psql's is not.
pub fn without_own(found: &Value) -> u64 {
    let own = counts(&found["by_application"], "name", "count");
    own.get("treasury-bot").copied().unwrap_or_default()
}

pub fn by_state(found: &Value) -> BTreeMap<String, u64> {
    let mut states = counts(&found["by_state"], "name", "count");
    if let Some(active) = states.get_mut("active") {
        *active -= without_own(found).min(*active);
    }
    states.retain(|_, count| *count > 0);
    states
}

pub const STATES: &str = "SELECT state, count(*)";

pub fn summary(port: u16, found: &Value, bare: bool, beside: &mut Beside) {
    let mut same = |field: &str, sql: &str| {
        let bot = match &found[field] {
            Value::String(text) => text.clone(),
            Value::Bool(is) => is.to_string(),
            other => other.to_string(),
        };
        beside.same(&format!("db.summary {field}"), bot, value(port, sql));
    };
    same(
        "version",
        "SELECT split_part(current_setting('server_version'), ' ', 1)",
    );
    same("primary", "SELECT (NOT pg_is_in_recovery())::text");
    same(
        "connections_max",
        "SELECT current_setting('max_connections')::int - 3",
    );
    same(
        "database_limit",
        "SELECT coalesce(nullif(datconnlimit, -1)::text, 'null') FROM pg_database \
         WHERE datname = 'app'",
    );
    same(
        "blocked",
        "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted",
    );
    same(
        "wraparound_age",
        "SELECT max(age(datfrozenxid)) FROM pg_database",
    );
    same(
        "rights_lack",
        if bare {
            "SELECT 'GRANT pg_monitor TO bare'"
        } else {
            "SELECT 'null'"
        },
    );
    same("replay_paused", "SELECT false::text");
    // The system tables grow with whatever anybody writes.
    let size = number(port, "SELECT pg_database_size('app')") as f64;
    beside.near(
        "db.summary size_bytes",
        found["size_bytes"].as_f64(),
        size,
        262_144.0,
    );
    prepared(port, "db.summary", &found["prepared"], beside);
    if bare {
        let hidden = found["replication_lag_bytes"].as_u64();
        beside.same("db.summary replication_lag_bytes, hidden", hidden, None);
        return;
    }
    sessions(port, found, beside);
    streams(port, found, beside);
    held_back(port, found, beside);
}

/// Who is connected, and vacuums.
fn sessions(port: u16, found: &Value, beside: &mut Beside) {
    let used = found["connections_used"].as_u64().unwrap_or_default() - without_own(found);
    let tool = number(port, &format!("SELECT count(*) {CLIENTS}"));
    beside.same("db.summary connections_used", used, tool);
    let states = map(port, &format!("{STATES} {CLIENTS} GROUP BY 1"));
    beside.same("db.summary by_state", by_state(found), states);
    let used = found["database_used"].as_u64().unwrap_or_default() - without_own(found);
    let tool = number(
        port,
        &format!("SELECT count(*) {CLIENTS} AND datname = 'app'"),
    );
    beside.same("db.summary database_used", used, tool);
    let oldest =
        format!("SELECT pid {CLIENTS} AND xact_start IS NOT NULL ORDER BY xact_start LIMIT 1");
    let oldest = psql(port, &oldest)
        .first()
        .map(|row| row[0].parse().unwrap());
    beside.same(
        "db.summary longest_transaction_pid",
        found["longest_transaction_pid"].as_u64(),
        oldest,
    );
    let vacuums = map(
        port,
        "SELECT phase, count(*) FROM pg_stat_progress_vacuum GROUP BY 1",
    );
    let told = found["vacuums"].as_array().into_iter().flatten();
    let mut phases = BTreeMap::new();
    for one in told {
        *phases
            .entry(one["phase"].as_str().unwrap_or_default().to_owned())
            .or_insert(0) += 1;
    }
    beside.same("db.summary vacuums", phases, vacuums);
}

/// Who streams, and slots.
fn streams(port: u16, found: &Value, beside: &mut Beside) {
    let applying = "FROM pg_stat_replication WHERE state <> 'backup' AND replay_lsn IS NOT NULL";
    let tool = number(port, &format!("SELECT count(*) {applying}"));
    beside.same(
        "db.summary replicas",
        found["replicas"].as_u64(),
        Some(tool),
    );
    let receivers = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NULL";
    beside.same(
        "db.summary receivers",
        found["receivers"].as_u64(),
        Some(number(port, receivers)),
    );
    let lag =
        format!("SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint {applying}");
    match value(port, &lag).parse::<f64>() {
        // A running server writes a little all the time.
        Ok(lag) => beside.near(
            "db.summary replication_lag_bytes",
            found["replication_lag_bytes"].as_f64(),
            lag,
            65_536.0,
        ),
        Err(_) => beside.same(
            "db.summary replication_lag_bytes",
            found["replication_lag_bytes"].as_u64(),
            None,
        ),
    }
    slots(port, "db.summary", &found["slots"], beside);
}

/// Whoever holds vacuum back: the age of the oldest that anybody still has to see.
pub fn held_back(port: u16, found: &Value, beside: &mut Beside) {
    let oldest = "SELECT max(age(x)) FROM (SELECT backend_xmin AS x FROM pg_stat_activity \
                  WHERE pid <> pg_backend_pid() AND application_name <> 'treasury-bot' \
                  UNION ALL SELECT transaction FROM pg_prepared_xacts \
                  UNION ALL SELECT xmin FROM pg_replication_slots \
                  UNION ALL SELECT catalog_xmin FROM pg_replication_slots) AS all_of_them";
    let told = found["held_back"]["transactions"].as_f64();
    match value(port, oldest).parse::<f64>() {
        // psql's own reading is no transaction that counts; the bot's is none either.
        Ok(age) => beside.near("db.summary held_back", told, age, 0.0),
        Err(_) => beside.same("db.summary held_back", told, None),
    }
}

pub fn prepared(port: u16, probe: &str, found: &Value, beside: &mut Beside) {
    let told = found.as_array().into_iter().flatten();
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let told: Vec<[String; 3]> = told
        .map(|one| ["gid", "owner", "database"].map(|field| text(one, field)))
        .collect();
    let rows = psql(
        port,
        "SELECT gid, owner, database FROM pg_prepared_xacts ORDER BY prepared",
    );
    let rows: Vec<[String; 3]> = rows
        .into_iter()
        .map(|row| row.try_into().unwrap())
        .collect();
    beside.same(&format!("{probe} prepared"), told, rows);
}

pub fn slots(port: u16, probe: &str, found: &Value, beside: &mut Beside) {
    let told: Vec<&Value> = found.as_array().into_iter().flatten().collect();
    let rows = psql(
        port,
        "SELECT slot_name, active, coalesce(wal_status, '') = 'lost', \
         CASE WHEN wal_status = 'lost' THEN NULL \
         ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END FROM pg_replication_slots",
    );
    beside.same(&format!("{probe} slots"), told.len(), rows.len());
    for row in rows {
        let Some(one) = told.iter().find(|one| one["name"] == row[0].as_str()) else {
            beside.failed(probe, &format!("slot {} is not told", row[0]));
            continue;
        };
        let what = |field: &str| format!("{probe} slot {} {field}", row[0]);
        beside.same(
            &what("active"),
            one["active"].as_bool(),
            Some(row[1] == "t"),
        );
        beside.same(&what("lost"), !one["lost"].is_null(), row[2] == "t");
        match row[3].parse::<f64>() {
            Ok(kept) => beside.near(
                &what("kept_bytes"),
                one["kept_bytes"].as_f64(),
                kept,
                65_536.0,
            ),
            Err(_) => beside.same(&what("kept_bytes"), one["kept_bytes"].as_u64(), None),
        }
    }
}

pub fn locks(port: u16, found: &Value, beside: &mut Beside) {
    let waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted";
    beside.same(
        "db.locks blocked",
        found["blocked"].as_u64(),
        Some(number(port, waiting)),
    );
    // Those who block and do not wait.
    let roots = "SELECT DISTINCT b FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) AS w, \
                 unnest(pg_blocking_pids(pid)) AS b WHERE b <> 0 \
                 AND b NOT IN (SELECT pid FROM pg_locks WHERE NOT granted) ORDER BY 1";
    let roots: Vec<u64> = psql(port, roots)
        .iter()
        .map(|row| row[0].parse().unwrap())
        .collect();
    let told = found["roots"].as_array().into_iter().flatten();
    let mut told: Vec<u64> = told.filter_map(Value::as_u64).collect();
    told.sort_unstable();
    beside.same("db.locks roots", told, roots);
    let by_prepared = "SELECT count(*) FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) AS w \
                       WHERE 0 = ANY(pg_blocking_pids(pid))";
    let told = !found["prepared"].as_array().is_none_or(Vec::is_empty);
    beside.same("db.locks prepared", told, number(port, by_prepared) > 0);
}

pub fn connections(port: u16, found: &Value, beside: &mut Beside) {
    let used = found["used"].as_u64().unwrap_or_default() - without_own(found);
    let tool = number(port, &format!("SELECT count(*) {CLIENTS}"));
    beside.same("db.connections used", used, tool);
    let states = map(port, &format!("{STATES} {CLIENTS} GROUP BY 1"));
    beside.same("db.connections by_state", by_state(found), states);
    let mut users = counts(&found["by_user"], "name", "count");
    users.remove("treasury_bot@app");
    let tool = map(
        port,
        &format!("SELECT usename || '@' || datname, count(*) {CLIENTS} GROUP BY 1"),
    );
    beside.same("db.connections by_user", users, tool);
    // What each does, and waits for while it does.
    let tool = psql(
        port,
        &format!(
            "SELECT pid, state, CASE WHEN state = 'active' THEN \
             coalesce(wait_event_type || ': ' || wait_event, '') ELSE '' END {CLIENTS}"
        ),
    );
    let tool: BTreeSet<Vec<String>> = tool.into_iter().collect();
    let told = found["oldest"].as_array().into_iter().flatten();
    let told: BTreeSet<Vec<String>> = told
        .filter(|one| one["own"] != true)
        .map(|one| {
            let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
            vec![one["pid"].to_string(), text("state"), text("waits_for")]
        })
        .collect();
    if tool.len() < 20 {
        beside.same("db.connections oldest", told, tool);
    }
}

pub fn slow(port: u16, found: &Value, beside: &mut Beside) {
    let told = found["queries"].as_array().into_iter().flatten();
    let told: BTreeSet<String> = told.map(|one| one["pid"].to_string()).collect();
    let tool = psql(port, &format!("SELECT pid {CLIENTS} AND state = 'active'"));
    beside.same("db.slow pids", told, tool.into_iter().flatten().collect());
}

pub fn replication(port: u16, found: &Value, beside: &mut Beside) {
    slots(port, "db.replication", &found["slots"], beside);
    let rows = psql(
        port,
        "SELECT application_name, state, sync_state, \
         pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint FROM pg_stat_replication",
    );
    let told: Vec<&Value> = found["replicas"].as_array().into_iter().flatten().collect();
    beside.same("db.replication replicas", told.len(), rows.len());
    for row in rows {
        let Some(one) = told.iter().find(|one| one["name"] == row[0].as_str()) else {
            beside.failed("db.replication", &format!("{} is not told", row[0]));
            continue;
        };
        let what = |field: &str| format!("db.replication {} {field}", row[0]);
        beside.same(&what("state"), one["state"].as_str(), Some(row[1].as_str()));
        beside.same(&what("sync"), one["sync"].as_str(), Some(row[2].as_str()));
        match row[3].parse::<f64>() {
            Ok(lag) => beside.near(&what("lag_bytes"), one["lag_bytes"].as_f64(), lag, 65_536.0),
            Err(_) => beside.same(&what("lag_bytes"), one["lag_bytes"].as_u64(), None),
        }
    }
}

pub fn sizes(port: u16, found: &Value, bare: bool, beside: &mut Beside) {
    let databases = map(
        port,
        "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datallowconn",
    );
    let told = bytes(&found["databases"]);
    let names = |all: &BTreeMap<String, u64>| all.keys().cloned().collect::<Vec<_>>();
    beside.same("db.size databases", names(&told), names(&databases));
    for (name, size) in databases {
        let told = told.get(&name).map(|bytes| *bytes as f64);
        // As above: system tables.
        beside.near(&format!("db.size of {name}"), told, size as f64, 262_144.0);
    }
    // A locked one can't be measured by anybody: psql would wait.
    let tables = map(
        port,
        "SELECT schemaname || '.' || relname, pg_total_relation_size(relid) FROM pg_stat_user_tables \
         WHERE relid NOT IN (SELECT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock' \
         AND relation IS NOT NULL)",
    );
    let told = bytes(&found["tables"]);
    for (name, size) in tables {
        beside.same(&format!("db.size of {name}"), told.get(&name), Some(&size));
    }
    let large = number(port, "SELECT pg_total_relation_size('pg_largeobject')");
    if number(port, "SELECT pg_relation_size('pg_largeobject')") >= 64 << 20 {
        let told = told.get("pg_catalog.pg_largeobject");
        beside.same("db.size of large objects", told, Some(&large));
    }
    if !bare {
        let log = number(port, "SELECT sum(size) FROM pg_ls_waldir()") as f64;
        // A segment more or less.
        beside.near(
            "db.size wal_bytes",
            found["wal_bytes"].as_f64(),
            log,
            16_777_216.0,
        );
    }
}
