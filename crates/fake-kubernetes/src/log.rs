//! `pods/log`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::json::{list, text};
use crate::path::Operation;
use crate::request::{Answer, Call, stream};
use crate::state::{Shared, State};
use crate::status::Status;
use crate::store::Key;

/// The container whose log is asked for.
fn container(pod: &Value, call: &str) -> Result<String, Status> {
    let name = text(pod, "/metadata/name");
    let all = list(pod, "/spec/containers")
        .iter()
        .map(|one| text(one, "/name"));
    let all: Vec<&str> = all.collect();
    match (call, all.as_slice()) {
        ("", [one]) => Ok((*one).to_owned()),
        ("", all) => Err(Status::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.join(" ")
        ))),
        (call, all) if all.contains(&call) => Ok(call.to_owned()),
        (call, _) => Err(Status::bad_request(format!(
            "container {call} is not valid for pod {name}"
        ))),
    }
}

/// The lines of a container's run; refuses where there is no such run.
fn lines(
    state: &State,
    pod: &Value,
    container: &str,
    previous: bool,
) -> Result<Vec<(Timestamp, String)>, Status> {
    let (name, uid) = (text(pod, "/metadata/name"), text(pod, "/metadata/uid"));
    let runs = state.kubelet.runs(uid, container);
    let waiting = list(pod, "/status/containerStatuses")
        .iter()
        .find(|one| one["name"] == container)
        .and_then(|one| one.pointer("/state/waiting/reason").and_then(Value::as_str));
    if previous {
        // While it waits, the run that ended last is the previous one.
        let ended = if waiting.is_some() {
            runs.len()
        } else {
            runs.len().saturating_sub(1)
        };
        return runs[..ended].last().cloned().ok_or_else(|| {
            Status::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{name}\" not found"
            ))
        });
    }
    runs.last().cloned().ok_or_else(|| {
        let why = match waiting {
            Some("ErrImagePull" | "ImagePullBackOff") => {
                "trying and failing to pull image".to_owned()
            }
            Some(reason) => reason.to_owned(),
            None => "ContainerCreating".to_owned(),
        };
        Status::bad_request(format!(
            "container \"{container}\" in pod \"{name}\" is waiting to start: {why}"
        ))
    })
}

/// From when on lines are wanted.
fn since(operation: &Operation) -> Result<Option<Timestamp>, Status> {
    let bad = |field: &str, value: &str| {
        Status::plain(
            422,
            "Invalid",
            format!(
                "PodLogOptions \"{}\" is invalid: {field}: Invalid value: {value}",
                operation.name
            ),
        )
    };
    let (time, seconds) = (operation.word("sinceTime"), operation.word("sinceSeconds"));
    if !time.is_empty() && !seconds.is_empty() {
        let message = format!(
            "PodLogOptions \"{}\" is invalid: sinceSeconds: Forbidden: at most one of \
             `sinceTime` or `sinceSeconds` may be specified",
            operation.name
        );
        return Err(Status::plain(422, "Invalid", message));
    }
    if !time.is_empty() {
        let time: Timestamp = time.parse().map_err(|_| bad("sinceTime", time))?;
        // A metav1.Time has whole seconds.
        return Ok(Timestamp::from_second(time.as_second()).ok());
    }
    if seconds.is_empty() {
        return Ok(None);
    }
    let number: i64 = seconds.parse().map_err(|_| bad("sinceSeconds", seconds))?;
    if number < 1 {
        return Err(bad("sinceSeconds", seconds));
    }
    Ok(Some(Timestamp::now() - SignedDuration::from_secs(number)))
}

fn shown(operation: &Operation, at: Timestamp, line: &str) -> String {
    if operation.flag("timestamps") {
        format!("{} {line}\n", at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ"))
    } else {
        format!("{line}\n")
    }
}

pub fn answer(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    let since = since(operation)?;
    let key = Key::new("pods", &operation.namespace, &operation.name);
    let state = shared.lock();
    let pod = state.store.get(&key).cloned();
    let pod = pod.ok_or_else(|| Status::not_found(operation.kind, &operation.name))?;
    let container = container(&pod, operation.word("container"))?;
    let mut found = lines(&state, &pod, &container, operation.flag("previous"))?;
    drop(state);
    let all = found.len();
    found.retain(|(at, _)| since.is_none_or(|since| *at >= since));
    if let Ok(tail) = operation.word("tailLines").parse::<usize>() {
        found.drain(..found.len().saturating_sub(tail));
    }
    let body: String = found
        .iter()
        .map(|(at, line)| shown(operation, *at, line))
        .collect();
    if operation.flag("follow") && !operation.flag("previous") {
        let uid = text(&pod, "/metadata/uid").to_owned();
        return Ok(follow(
            shared,
            operation.clone(),
            body,
            (uid, container, all),
        ));
    }
    let mut body = body.into_bytes();
    if let Ok(limit) = operation.word("limitBytes").parse::<usize>() {
        body.truncate(limit);
    }
    let response = Response::builder().header(header::CONTENT_TYPE, "text/plain");
    Ok(response.body(Body::from(body)).unwrap())
}

/// Goes on with what the container writes until it ends.
fn follow(
    shared: &Arc<Shared>,
    operation: Operation,
    first: String,
    (uid, container, mut seen): (String, String, usize),
) -> Response<Body> {
    let (sender, told) = tokio::sync::mpsc::channel(16);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let run = shared.lock().kubelet.runs(&uid, &container).len();
        let mut next = Some(first);
        while let Some(text) = next {
            if !text.is_empty() && sender.send(text).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            let state = shared.lock();
            let runs = state.kubelet.runs(&uid, &container);
            next = (runs.len() == run).then(|| {
                let fresh = runs
                    .last()
                    .map_or(&[][..], |lines| &lines[seen.min(lines.len())..]);
                seen += fresh.len();
                fresh
                    .iter()
                    .map(|(at, line)| shown(&operation, *at, line))
                    .collect()
            });
        }
    });
    stream(told, "text/plain")
}
