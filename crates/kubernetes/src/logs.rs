//! Log lines of pods. The server can't search, so the newest are read until enough match.

use std::io;

use futures_util::FutureExt;
use futures_util::io::{AsyncBufRead, AsyncBufReadExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::api::LogParams;
use tokio::time::Duration;

use crate::{Kind, Pod, Result, Scope, Snapshot, code_of, not_found};
use treasury_domain::service::{Evidence, LogQuery, Logs};
use treasury_ports::log_search::{MAX_LINE_BYTES, Portion, Portions, Wanted, merged, split_time};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::clean;

/// The most lines that are kept of a container for an examination.
const KEPT: i64 = 20_000;

/// Pods that are read at the same time.
const AT_ONCE: usize = 8;

/// The most pods that are read.
const PODS: usize = 100;

/// How long reading one pod may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The lines of all pods, merged by time.
pub(crate) async fn logs(scope: Scope<'_>, seen: &Snapshot, query: &LogQuery) -> Result<Logs> {
    let wanted = Wanted::from(query);
    let mut reads = Vec::new();
    for pod in seen.pods.iter().take(PODS) {
        let asked = query.container.as_deref();
        if let Some(container) = container(pod, asked, &scope.target.names())? {
            let params = params(&container, query.previous, query.since);
            reads.push(search(scope, pod.name(), params, &wanted).boxed());
        }
    }
    let reads = stream::iter(reads).buffered(AT_ONCE);
    let mut logs = merged(reads.try_collect().await?, query.lines);
    logs.truncated |= seen.pods.len() > PODS;
    Ok(logs)
}

fn params(container: &str, previous: bool, since: Option<Timestamp>) -> LogParams {
    // The client rounds to seconds, up or down. Times are compared later.
    let earlier = |since: Timestamp| since.saturating_sub(SignedDuration::from_secs(1)).ok();
    LogParams {
        container: Some(container.to_owned()),
        previous,
        since_time: since.and_then(earlier),
        timestamps: true,
        ..LogParams::default()
    }
}

/// Which container of a pod; `None` where it has none yet.
fn container(pod: &Pod, asked: Option<&str>, names: &[&str]) -> Result<Option<String>> {
    let Some(asked) = asked else {
        return Ok(pod.main_container(names).map(|one| one.name.clone()));
    };
    let all = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let all: Vec<&str> = all.map(|one| one.name.as_str()).collect();
    if all.contains(&asked) {
        return Ok(Some(asked.to_owned()));
    }
    Err(not_found(
        format!("the container {asked} of {}", pod.name()),
        format!("it has: {}", all.join(", ")),
    ))
}

/// The last lines of a pod's last run; nothing where they can't be had.
pub(crate) async fn last(scope: Scope<'_>, pod: &Pod, lines: usize) -> Vec<String> {
    let Some(main) = pod.main_container(&scope.target.names()) else {
        return Vec::new();
    };
    let wanted = Wanted {
        lines,
        ..Wanted::default()
    };
    // Which of the two runs has said something depends on the moment.
    for previous in [false, true] {
        let params = params(&main.name, previous, None);
        let found = search(scope, pod.name(), params, &wanted).await;
        let lines = found.map(|found| found.lines).unwrap_or_default();
        if !lines.is_empty() {
            return lines.into_iter().map(|line| line.text).collect();
        }
    }
    Vec::new()
}

/// The end of a container's log as it is kept for an examination.
pub(crate) async fn whole(scope: Scope<'_>, pod: &str, container: &str) -> Result<String> {
    let params = LogParams {
        tail_lines: Some(KEPT),
        ..params(container, false, None)
    };
    let read = async {
        let mut text = String::new();
        each_line(scope, pod, &params, |line| {
            text.push_str(&clean(&String::from_utf8_lossy(line)));
            text.push('\n');
            if text.len() > 2 * Evidence::MAX_BYTES {
                let surplus = text.len() - Evidence::MAX_BYTES;
                text.drain(..text.ceil_char_boundary(surplus));
            }
        })
        .await?;
        Ok(text)
    };
    let what = format!("the log of {pod}");
    scope.server.call(&what, LIMIT, read).await
}

/// The newest wanted lines of one pod; none if it is gone or has not begun.
async fn search(
    scope: Scope<'_>,
    pod: &str,
    mut params: LogParams,
    wanted: &Wanted,
) -> Result<Logs> {
    let what = format!("the log of {pod}");
    let mut portions = Portions::new(wanted, LIMIT);
    loop {
        params.tail_lines = Some(portions.size() as i64);
        let read = async {
            let mut portion = Portion::new(wanted, pod);
            let mut entries = 0;
            each_line(scope, pod, &params, |line| {
                entries += 1;
                let (at, text) = split_time(line);
                portion.add(at, false, &String::from_utf8_lossy(text));
            })
            .await?;
            Ok(Some((portion, entries)))
        };
        let read = match scope.server.call(&what, portions.time_left(), read).await {
            Err(error) if has_none(&error) => Ok(None),
            read => read,
        };
        if let Some(logs) = portions.answer(read)? {
            return Ok(logs);
        }
    }
}

/// The pod is gone, has not begun, or had no run before: there are no lines, and that is no fault.
fn has_none(error: &PlatformError) -> bool {
    const WORDS: [&str; 5] = [
        "previous terminated container",
        "waiting to start",
        "is not available",
        "ContainerCreating",
        "PodInitializing",
    ];
    match error {
        PlatformError::NotFound { .. } => true,
        PlatformError::Failed { message, .. } => {
            code_of(error) == Some(400) && WORDS.iter().any(|words| message.contains(words))
        }
        _ => false,
    }
}

/// Reads a log line by line.
async fn each_line(
    scope: Scope<'_>,
    pod: &str,
    params: &LogParams,
    mut take: impl FnMut(&[u8]) + Send,
) -> Result<()> {
    let mut stream = std::pin::pin!(scope.all(Kind::POD).log(pod, params).await?);
    loop {
        match next_line(&mut stream).await {
            Ok(Some(line)) => take(&line),
            Ok(None) => return Ok(()),
            Err(error) => return Err(scope.server.error(kube::Error::ReadEvents(error))),
        }
    }
}

/// The next line without its end; what is longer than [`MAX_LINE_BYTES`] is dropped as it comes.
async fn next_line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut begun = false;
    loop {
        let bytes = stream.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(begun.then_some(line));
        }
        begun = true;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = MAX_LINE_BYTES.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        stream.consume_unpin(used);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::io::{BufReader, Cursor};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn lines_are_cut_out_of_any_pieces_and_long_ones_are_not_held() {
        let long = "x".repeat(3 * MAX_LINE_BYTES);
        let text = format!("2026-11-27T10:00:00Z one\n\n{long}\nlast");
        let mut stream = BufReader::with_capacity(7, Cursor::new(text.into_bytes()));
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut stream).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines.len(), 4);
        assert_eq!((lines[1].len(), lines[2].len()), (0, MAX_LINE_BYTES));
        let (at, text) = split_time(&lines[0]);
        assert_eq!((at.is_some(), text), (true, b"one".as_slice()));
        assert_eq!(split_time(&lines[3]), (None, b"last".as_slice()));
    }

    #[test]
    fn a_container_that_is_not_there_is_told_with_those_that_are() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web-1"}, "spec": {
            "containers": [{"name": "web"}, {"name": "proxy"}],
            "initContainers": [{"name": "migrate"}]}}))
        .unwrap();
        let chosen = |asked| container(&pod, asked, &["frontend"]);
        assert_eq!(chosen(None).unwrap().as_deref(), Some("web"));
        assert_eq!(chosen(Some("migrate")).unwrap().as_deref(), Some("migrate"));
        let error = chosen(Some("nginx")).unwrap_err().to_string();
        assert!(error.ends_with("it has: web, proxy, migrate"), "{error}");
    }
}
