//! Log lines.

use std::collections::BTreeSet;

use treasury_bot::domain::service::{LogLine, LogQuery, Logs};

use crate::contract::{World, status};
use crate::support::engine::eventually;

/// All lines.
pub fn query() -> LogQuery {
    LogQuery {
        lines: 500,
        since: None,
        grep: None,
        previous: false,
        container: None,
    }
}

async fn read<W: World>(world: &W, query: &LogQuery) -> Logs {
    world.driver().logs(&world.service(), query).await.unwrap()
}

/// All lines, once both replicas have written some.
async fn both<W: World>(world: &W) -> Vec<LogLine> {
    let both = async || {
        let lines = read(world, &query()).await.lines;
        let from: BTreeSet<&str> = lines.iter().map(|line| line.replica.as_str()).collect();
        (from.len() == 2).then_some(lines)
    };
    eventually("both have said something", both).await
}

pub async fn lines_of_all_replicas_are_merged_in_time_order<W: World>() {
    let world = W::new().await;
    let lines = both(&world).await;
    assert!(
        lines.windows(2).all(|pair| pair[0].at <= pair[1].at),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| line.at.is_some()));
    let names: BTreeSet<String> = status(&world)
        .await
        .replicas
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert!(
        lines.iter().all(|line| names.contains(&line.replica)),
        "{lines:?}"
    );
}

pub async fn the_newest_lines_are_kept_and_more_is_told<W: World>() {
    let world = W::new().await;
    let all = both(&world).await;
    let one = LogQuery {
        lines: 1,
        ..query()
    };
    let newest = read(&world, &one).await;
    assert!(newest.truncated, "there are older ones");
    assert_eq!(newest.lines.len(), 1);
    let last = all.iter().map(|line| line.at).max().unwrap();
    assert!(newest.lines[0].at >= last, "{newest:?} {last:?}");
}

pub async fn lines_since_a_time_are_those_after_it<W: World>() {
    let world = W::new().await;
    let all = both(&world).await;
    let last = all.last().unwrap().at;
    let since = LogQuery {
        since: last,
        ..query()
    };
    let some = read(&world, &since).await;
    assert!(
        !some.lines.is_empty() && some.lines.iter().all(|line| line.at >= last),
        "{some:?}"
    );
    let future = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(100);
    let since = LogQuery {
        since: Some(future),
        ..query()
    };
    assert_eq!(read(&world, &since).await.lines, []);
}

pub async fn lines_are_found_by_text_in_any_case<W: World>() {
    let world = W::new().await;
    let all = both(&world).await;
    let word = all.iter().flat_map(|line| line.text.split_whitespace());
    let word = word.max_by_key(|word| word.len()).unwrap();
    let grep = Some(word.to_uppercase());
    let found = read(&world, &LogQuery { grep, ..query() }).await;
    let has = |line: &LogLine| line.text.to_lowercase().contains(&word.to_lowercase());
    assert!(
        !found.lines.is_empty() && found.lines.iter().all(has),
        "{word}: {found:?}"
    );
    let grep = Some("no process ever wrote this".to_owned());
    assert_eq!(
        read(&world, &LogQuery { grep, ..query() }).await,
        Logs::default()
    );
}

pub async fn lines_put_in_are_found_by_text_and_never_by_pattern<W: World>() {
    let world = W::new().await;
    let names: Vec<String> = status(&world)
        .await
        .replicas
        .into_iter()
        .map(|one| one.name)
        .collect();
    world.say(&names[0], &["payment 17 failed", "a.b*c"]).await;
    world.say(&names[1], &["payment 18 failed"]).await;
    let find = async |text: &str| {
        let grep = Some(text.to_owned());
        let found = read(&world, &LogQuery { grep, ..query() }).await.lines;
        found.into_iter().map(|line| line.text).collect::<Vec<_>>()
    };
    let both = async || (find("PAYMENT").await.len() == 2).then_some(());
    eventually("both lines", both).await;
    assert_eq!(find("a.b*").await, ["a.b*c"]);
    assert_eq!(find("p.*failed").await, [""; 0]);
    assert_eq!(find("'; rm -rf /").await, [""; 0]);
}

pub async fn long_lines_are_cut_and_control_characters_left_out<W: World>() {
    let world = W::new().await;
    let name = status(&world).await.replicas[0].name.clone();
    let long = format!("begin {} end", "ä".repeat(3_000));
    world
        .say(&name, &[&long, "red \u{1b}[31malert\u{7}\u{0}\tdone"])
        .await;
    let done = async || {
        let lines = read(&world, &query()).await.lines;
        let done = lines.iter().any(|line| line.text.contains("done"));
        done.then_some(lines)
    };
    let lines = eventually("the lines", done).await;
    let cut = lines
        .iter()
        .find(|line| line.text.starts_with("begin"))
        .unwrap();
    assert!(
        cut.text.len() <= LogLine::MAX_BYTES && cut.text.ends_with('…'),
        "{}",
        cut.text.len()
    );
    assert!(cut.text.len() > LogLine::MAX_BYTES - 10);
    let red = lines
        .iter()
        .find(|line| line.text.contains("done"))
        .unwrap();
    assert!(red.text.contains("alert"), "{red:?}");
    assert!(red.text.chars().all(|c| !c.is_control()), "{red:?}");
}

pub async fn the_run_before_is_read_apart<W: World>() {
    let world = W::new().await;
    both(&world).await;
    world.end_one().await;
    let previous = LogQuery {
        previous: true,
        ..query()
    };
    let before = async || {
        let lines = read(&world, &previous).await.lines;
        (!lines.is_empty()).then_some(lines)
    };
    let before = eventually("the run before", before).await;
    let ended: BTreeSet<&str> = before.iter().map(|line| line.replica.as_str()).collect();
    let ended = *ended.first().unwrap();
    let status = status(&world).await;
    let one = status
        .replicas
        .iter()
        .find(|one| one.name == ended)
        .unwrap();
    // Up to a second: some platforms have whole ones.
    let began = one.started_at.unwrap() + jiff::SignedDuration::from_secs(1);
    assert!(
        before.iter().all(|line| line.at < Some(began)),
        "{before:?} {began}"
    );
}
