//! Who blocks whom.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sqlx_core::error::Error;
use sqlx_postgres::PgConnection;

use super::activity::sessions;
use super::overview::{VACUUMS, prepared};
use super::rows::{ms_since, rows};
use crate::database::{Blocked, Locks, MAX_ROWS, Prepared, Session};

/// Sessions that wait beyond this many are counted, not followed.
const MOST: usize = 500;

/// A session that waits.
#[derive(Debug, Deserialize)]
struct Waiting {
    pid: i32,
    /// Who holds what it wants, or stands before it in the queue; 0 is a prepared transaction.
    by: Vec<i32>,
    /// The names of those.
    prepared: Vec<String>,
    lock: String,
    waits_ms: Option<u64>,
}

pub(super) async fn locks(server: &mut PgConnection) -> Result<Locks, Error> {
    // `waitstart` is there since version 14; through JSON it is null before.
    let query = format!(
        "SELECT pid, pg_blocking_pids(pid) AS by, prepared, {waits_ms} AS waits_ms,
         mode || ' on ' || CASE WHEN relation IS NULL AND locktype = 'transactionid'
         THEN 'a transaction''s end' WHEN relation IS NULL THEN locktype
         WHEN locktype = 'relation' THEN relation
         ELSE 'a ' || locktype || ' of ' || relation END AS lock
         FROM (SELECT l.pid, l.mode, l.locktype,
         (SELECT coalesce(jsonb_agg(DISTINCT p.gid), '[]') FROM pg_locks h
         JOIN pg_locks own ON own.virtualtransaction = h.virtualtransaction AND own.pid IS NULL
         AND own.locktype = 'transactionid' JOIN pg_prepared_xacts p
         ON p.transaction = own.transactionid WHERE h.pid IS NULL
         AND h.granted AND h.locktype = l.locktype AND (h.database, h.relation, h.page, h.tuple,
         h.transactionid, h.classid, h.objid, h.objsubid) IS NOT DISTINCT FROM (l.database,
         l.relation, l.page, l.tuple, l.transactionid, l.classid, l.objid, l.objsubid)) AS prepared,
         coalesce((to_jsonb(l) ->> 'waitstart')::timestamptz, a.state_change) AS since,
         CASE WHEN l.database IN (0, (SELECT oid FROM pg_database
         WHERE datname = current_database())) THEN l.relation::regclass::text
         ELSE l.relation::text END AS relation
         FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE NOT l.granted LIMIT {MOST}) AS waiting",
        waits_ms = ms_since("since"),
    );
    let mut waiting: Vec<Waiting> = rows(&mut *server, &query).await?;
    let vacuums = if waiting.is_empty() {
        Vec::new()
    } else {
        rows(&mut *server, VACUUMS).await?
    };
    let prepared = if waiting.iter().any(|one| one.by.contains(&0)) {
        rows(&mut *server, &prepared()).await?
    } else {
        Vec::new()
    };
    for one in &mut waiting {
        one.tell_apart(&prepared);
    }
    let waiting: BTreeMap<i32, Waiting> = waiting
        .into_iter()
        .filter(|one| !one.by.is_empty())
        .map(|one| (one.pid, one))
        .collect();
    let known: BTreeSet<i32> = waiting
        .iter()
        .flat_map(|(pid, one)| one.by.iter().chain([pid]))
        .copied()
        .collect();
    let known: Vec<i32> = known.into_iter().collect();
    let sessions = sessions(server, &known).await?;
    let sessions = sessions.into_iter().map(|one| (one.pid, one)).collect();
    Ok(Locks {
        vacuums,
        ..tree(&waiting, &sessions, &prepared)
    })
}

impl Waiting {
    /// Each prepared transaction gets a number below 0, by its place in the list.
    fn tell_apart(&mut self, prepared: &[Prepared]) {
        let place = |name: &String| prepared.iter().position(|one| one.gid == *name);
        let numbers = self
            .prepared
            .iter()
            .filter_map(place)
            .map(|at| -1 - at as i32);
        let numbers: Vec<i32> = numbers.collect();
        if !numbers.is_empty() {
            self.by.retain(|by| *by != 0);
            self.by.extend(numbers);
        }
    }
}

/// The tree, depth first. A session that waits for several stands under the first of them.
fn tree(
    waiting: &BTreeMap<i32, Waiting>,
    sessions: &BTreeMap<i32, Session>,
    prepared: &[Prepared],
) -> Locks {
    let mut below: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, one) in waiting {
        if let Some(first) = one.by.iter().find(|by| *by != pid) {
            below.entry(*first).or_default().push(*pid);
        }
    }
    for list in below.values_mut() {
        list.sort_by_key(|pid| (Reverse(waiting[pid].waits_ms), *pid));
    }
    let blocks = |pid: &&i32| !waiting.contains_key(pid);
    let mut roots: Vec<i32> = below.keys().filter(blocks).copied().collect();
    // Those who hold up most come first.
    roots.sort_by_key(|root| (Reverse(size(*root, &below)), *root));
    let mut seen = BTreeSet::new();
    let mut flat = Vec::new();
    for root in &roots {
        walk(*root, None, 0, &below, &mut seen, &mut flat);
    }
    // A circle has no root until the server breaks the deadlock: begin anywhere.
    for pid in waiting.keys() {
        if !seen.contains(pid) {
            roots.push(*pid);
            walk(*pid, None, 0, &below, &mut seen, &mut flat);
        }
    }
    let left_out = flat.len().saturating_sub(MAX_ROWS) as u64;
    flat.truncate(MAX_ROWS);
    let entry = |(pid, parent, depth): (i32, Option<i32>, u32)| {
        let wait = waiting.get(&pid).filter(|_| parent.is_some());
        Blocked {
            depth,
            blocked_by: parent.map(|by| by.max(0)),
            waits_ms: wait.map(|one| one.waits_ms.unwrap_or(0)),
            lock: wait.map(|one| one.lock.clone()).unwrap_or_default(),
            session: sessions
                .get(&pid)
                .cloned()
                .unwrap_or_else(|| gone(pid, prepared)),
        }
    };
    let ends = roots.iter().filter(|root| **root < 0);
    let ends = ends.filter_map(|root| prepared.get((-1 - root) as usize).cloned());
    Locks {
        blocked: waiting.len() as u64,
        prepared: ends.collect(),
        vacuums: Vec::new(),
        roots: roots.into_iter().filter(|root| *root > 0).collect(),
        tree: flat.into_iter().map(entry).collect(),
        left_out,
    }
}

/// How many stand below.
fn size(root: i32, below: &BTreeMap<i32, Vec<i32>>) -> usize {
    let (mut seen, mut flat) = (BTreeSet::new(), Vec::new());
    walk(root, None, 0, below, &mut seen, &mut flat);
    flat.len()
}

fn walk(
    pid: i32,
    parent: Option<i32>,
    depth: u32,
    below: &BTreeMap<i32, Vec<i32>>,
    seen: &mut BTreeSet<i32>,
    flat: &mut Vec<(i32, Option<i32>, u32)>,
) {
    if !seen.insert(pid) {
        return;
    }
    flat.push((pid, parent, depth));
    for child in below.get(&pid).into_iter().flatten() {
        walk(*child, Some(pid), depth + 1, below, seen, flat);
    }
}

/// A holder that is no session: a prepared transaction, or one that has just ended.
fn gone(pid: i32, prepared: &[Prepared]) -> Session {
    let what = match pid {
        1.. => "has just ended".to_owned(),
        0 => "a prepared transaction".to_owned(),
        _ => prepared
            .get((-1 - pid) as usize)
            .map_or_else(String::new, |one| {
                format!("prepared transaction {}", one.gid)
            }),
    };
    Session {
        pid: pid.max(0),
        application: what,
        ..Session::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(pairs: &[(i32, &[i32])]) -> Locks {
        let waiting = pairs.iter().map(|(pid, by)| {
            let one = Waiting {
                pid: *pid,
                by: by.to_vec(),
                prepared: Vec::new(),
                lock: "ShareLock on a transaction's end".into(),
                waits_ms: Some(1_000 - *pid as u64),
            };
            (*pid, one)
        });
        tree(&waiting.collect(), &BTreeMap::new(), &[])
    }

    fn shape(locks: &Locks) -> Vec<(i32, u32)> {
        locks
            .tree
            .iter()
            .map(|one| (one.session.pid, one.depth))
            .collect()
    }

    #[test]
    fn a_chain_has_one_root_and_grows_deeper() {
        let locks = waits(&[(2, &[1]), (3, &[2]), (4, &[3]), (5, &[4]), (6, &[5])]);
        assert_eq!(locks.roots, [1]);
        assert_eq!(locks.blocked, 5);
        assert_eq!(
            shape(&locks),
            [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5)]
        );
        assert_eq!(locks.tree[1].blocked_by, Some(1));
        assert_eq!(
            (locks.tree[0].waits_ms, locks.tree[1].waits_ms),
            (None, Some(998))
        );
    }

    #[test]
    fn who_holds_up_most_comes_first_and_nobody_stands_twice() {
        let locks = waits(&[(2, &[1]), (11, &[10]), (12, &[10, 11]), (13, &[12, 10])]);
        assert_eq!(locks.roots, [10, 1]);
        assert_eq!(
            shape(&locks),
            [(10, 0), (11, 1), (12, 1), (13, 2), (1, 0), (2, 1)]
        );
    }

    #[test]
    fn a_circle_ends_and_a_long_list_is_cut() {
        let locks = waits(&[(1, &[2]), (2, &[1])]);
        assert_eq!(shape(&locks), [(1, 0), (2, 1)]);
        let many: Vec<(i32, &[i32])> = (2..60).map(|pid| (pid, &[1][..])).collect();
        let locks = waits(&many);
        assert_eq!(
            (locks.tree.len(), locks.left_out),
            (MAX_ROWS, 59 - MAX_ROWS as u64)
        );
    }
}
