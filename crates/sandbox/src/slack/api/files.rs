//! Files: an address to upload to, the upload, and the sharing in a channel.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::chat;
use super::history::readable;
use super::request::{ApiError, Args, Outcome};
use crate::slack::sandbox::Sandbox;
use crate::slack::shapes;
use crate::slack::workspace::{FILES_TOTAL, File, Message, UploadState, Workspace, unix_seconds};

/// Files kept; the oldest go.
const FILES: usize = 1_000;

/// `files.getUploadURLExternal`
pub(super) fn upload_address(world: &mut Workspace, args: &Args) -> Outcome {
    let name = args.required("filename")?;
    let size = args.number("length").filter(|n| *n > 0).ok_or_else(|| {
        ApiError::explained(
            "invalid_arguments",
            vec!["missing required field: length".to_string()],
        )
    })? as usize;
    if size > FILES_TOTAL {
        return Err("storage_limit_reached".into());
    }
    // The oldest files make room; messages that share them keep their names only.
    let held = |world: &Workspace| world.files.iter().map(|f| f.size).sum::<usize>();
    while world.files.len() >= FILES || held(world) + size > FILES_TOTAL {
        world.files.remove(0);
    }
    let id = world.next_id('F');
    let file = File {
        id: id.clone(),
        title: name.clone(),
        alt_txt: args.text("alt_txt").unwrap_or_default(),
        name,
        user: world.bot.user_id.clone(),
        created: unix_seconds(),
        size,
        content: Vec::new(),
        channels: Vec::new(),
        state: UploadState::Promised,
    };
    world.files.push(file);
    let address = format!("{}/upload/v1/{id}", world.base_url);
    Ok(json!({"upload_url": address, "file_id": id}))
}

/// `POST /upload/v1/{file}`: the raw bytes, or one part of a multipart form.
pub(super) async fn upload(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let content = match kind.split_once("boundary=") {
        Some((form, boundary)) if form.starts_with("multipart/form-data") => {
            match only_part(&body, boundary.trim_matches('"')) {
                Some(part) => part.to_vec(),
                None => return (StatusCode::BAD_REQUEST, "no file in the form".to_string()),
            }
        }
        _ => body.to_vec(),
    };
    sandbox.change(|world| {
        let file = world
            .files
            .iter_mut()
            .find(|f| f.id == id && f.state == UploadState::Promised);
        let Some(file) = file else {
            return (StatusCode::NOT_FOUND, "no such upload".to_string());
        };
        if file.size != content.len() {
            let why = format!("promised {} bytes, got {}", file.size, content.len());
            return (StatusCode::BAD_REQUEST, why);
        }
        file.content = content;
        file.state = UploadState::Uploaded;
        (StatusCode::OK, format!("OK - {}", file.size))
    })
}

fn only_part<'a>(body: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let find = |in_: &[u8], what: &[u8]| in_.windows(what.len()).position(|w| w == what);
    let start = find(body, b"\r\n\r\n")? + 4;
    let rest = &body[start..];
    let end = find(rest, format!("\r\n--{boundary}").as_bytes())?;
    Some(&rest[..end])
}

/// `files.completeUploadExternal`
pub(super) fn complete(world: &mut Workspace, args: &Args) -> Outcome {
    let given = match args.json("files") {
        Ok(Some(Value::Array(files))) if !files.is_empty() => files,
        _ => {
            return Err(ApiError::explained(
                "invalid_arguments",
                vec!["missing required field: files".to_string()],
            ));
        }
    };
    let mut ids = Vec::new();
    for entry in &given {
        let id = entry["id"].as_str().unwrap_or_default();
        let file = world
            .files
            .iter()
            .find(|f| f.id == id)
            .ok_or("file_not_found")?;
        match file.state {
            UploadState::Promised => return Err("file_not_uploaded".into()),
            UploadState::Complete => return Err("file_update_failed".into()),
            UploadState::Uploaded => ids.push((id.to_string(), entry["title"].as_str())),
        }
    }
    // The field is `channel_id` here, and `thread_ts` must be a root of that channel.
    let place = match args
        .text("channel_id")
        .or_else(|| args.list("channels").into_iter().next())
    {
        Some(channel) => {
            let here = json!({"channel": channel, "thread_ts": args.text("thread_ts")});
            let here = Args::from_json(here);
            // No scope lets an app share files where it is not a member.
            readable(world, &here)?;
            let id = chat::writable(world, &here)?;
            if let Some(root) = args.text("thread_ts") {
                chat::public(world, &id, &root).map_err(|_| ApiError::from("invalid_thread_ts"))?;
            }
            Some(id)
        }
        None => None,
    };
    for (id, title) in &ids {
        if let Some(file) = world.files.iter_mut().find(|f| f.id == *id) {
            file.title = title.map_or(file.name.clone(), str::to_string);
            file.state = UploadState::Complete;
            file.channels.extend(place.clone());
        }
    }
    let names: Vec<_> = ids.into_iter().map(|(id, _)| id).collect();
    if let Some(channel) = place {
        world.post(Message {
            channel,
            user: world.bot.user_id.clone(),
            by_bot: true,
            text: args.text("initial_comment").unwrap_or_default(),
            thread_ts: args.text("thread_ts"),
            files: names.clone(),
            ..Message::default()
        });
    }
    let shared = world.files.iter().filter(|f| names.contains(&f.id));
    Ok(json!({"files": shared.map(|f| shapes::file(world, f)).collect::<Vec<_>>()}))
}
