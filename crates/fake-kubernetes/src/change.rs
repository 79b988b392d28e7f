//! Requests that change objects: POST, PUT, PATCH and DELETE.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use crate::json::{list, number, set, text};
use crate::request::{Answer, Call, Selectors, form, reply, shown};
use crate::resource::Kind;
use crate::state::{Shared, State};
use crate::status::Status;
use crate::store::Key;
use crate::write::{Writer, ask_to_go, create, update};
use crate::{apply, event, garbage, patch};

pub fn answer(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    let body = call.json();
    shared.with(|state| match operation.verb {
        "create" => {
            let manager = call.manager();
            let body = incoming(call, body?)?;
            let dry = call.dry_run();
            let made = create(
                state,
                operation.kind,
                &operation.namespace,
                body,
                &manager,
                dry,
            )?;
            Ok(reply(201, &form(call, &made)))
        }
        "update" => {
            let body = incoming(call, body?)?;
            let key = Key::new(operation.kind.plural, &operation.namespace, &operation.name);
            let done = update(state, operation.kind, &key, body, &Writer::of(call))?;
            Ok(reply(200, &form(call, &done)))
        }
        "patch" => patched(state, call),
        "delete" => delete(state, call, &body?),
        _ => delete_all(state, call, &body?),
    })
}

/// The object of a body, as it is kept; refuses what does not fit the path.
fn incoming(call: &Call<'_>, body: Value) -> Result<Value, Status> {
    let operation = call.operation;
    let (kind, version) = (text(&body, "/kind"), text(&body, "/apiVersion"));
    let expected = operation.kind.api_version();
    if !version.is_empty() && version != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({expected})"
        )));
    }
    if !kind.is_empty() && kind != operation.kind.kind {
        return Err(Status::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: converting to undefined type",
            operation.kind.version, operation.kind.kind
        )));
    }
    let namespace = text(&body, "/metadata/namespace");
    if !namespace.is_empty() && namespace != operation.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the \
             request",
        ));
    }
    let name = text(&body, "/metadata/name");
    if !operation.name.is_empty() && name != operation.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            operation.name
        )));
    }
    let mut body = body;
    set(&mut body, &["kind"], json!(operation.kind.kind));
    set(&mut body, &["apiVersion"], json!(expected));
    if operation.kind.group == "events.k8s.io" {
        body = event::to_core(&body);
    }
    Ok(body)
}

fn patched(state: &mut State, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    let key = Key::new(operation.kind.plural, &operation.namespace, &operation.name);
    let old = state.store.get(&key).cloned();
    let content_type = call.content_type.split(';').next().unwrap_or("").trim();
    if content_type == "application/apply-patch+yaml" {
        return apply::answer(state, call, old.as_deref());
    }
    if operation.query.contains_key("force") {
        return Err(Status::plain(
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified \
             for non-apply patch",
        ));
    }
    let old = old.ok_or_else(|| Status::not_found(operation.kind, &operation.name))?;
    let new = patch::apply(content_type, &shown(operation, &old), &call.json()?)?;
    let new = incoming(call, new)?;
    let done = update(state, operation.kind, &key, new, &Writer::of(call))?;
    Ok(reply(200, &form(call, &done)))
}

/// The options of a deletion, from its body and its query.
struct Options {
    propagation: String,
    grace: Option<i64>,
    uid: String,
    version: String,
    dry_run: bool,
}

impl Options {
    fn of(call: &Call<'_>, body: &Value) -> Self {
        let word = |key: &str| match text(body, &format!("/{key}")) {
            "" => call.operation.word(key).to_owned(),
            word => word.to_owned(),
        };
        let grace = number(body, "/gracePeriodSeconds");
        Self {
            propagation: word("propagationPolicy"),
            grace: grace.or_else(|| call.operation.word("gracePeriodSeconds").parse().ok()),
            uid: text(body, "/preconditions/uid").to_owned(),
            version: text(body, "/preconditions/resourceVersion").to_owned(),
            dry_run: call.dry_run() || list(body, "/dryRun").contains(&json!("All")),
        }
    }
}

fn delete(state: &mut State, call: &Call<'_>, body: &Value) -> Answer {
    let operation = call.operation;
    let key = Key::new(operation.kind.plural, &operation.namespace, &operation.name);
    let options = Options::of(call, body);
    let (object, gone) = remove(state, operation.kind, &key, &options)?;
    if !gone || operation.kind.plural == "pods" {
        return Ok(reply(200, &form(call, &object)));
    }
    let mut details = json!({
        "name": operation.name, "kind": operation.kind.plural, "uid": object["metadata"]["uid"],
    });
    if !operation.kind.group.is_empty() {
        details["group"] = json!(operation.kind.group);
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    });
    Ok(reply(200, &status))
}

fn delete_all(state: &mut State, call: &Call<'_>, body: &Value) -> Answer {
    let operation = call.operation;
    let selectors = Selectors::of(call)?;
    let options = Options::of(call, body);
    let all = state
        .store
        .list(operation.kind.plural, &operation.namespace);
    let all = all.filter(|(_, object)| selectors.matches(object));
    let keys: Vec<Key> = all.map(|(key, _)| key.clone()).collect();
    let mut items = Vec::new();
    for key in keys {
        items.push(form(
            call,
            &remove(state, operation.kind, &key, &options)?.0,
        ));
    }
    let version = state.store.version().to_string();
    Ok(collection(operation.kind, &version, &items))
}

fn collection(kind: &Kind, version: &str, items: &[Value]) -> Response<Body> {
    let list = json!({
        "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": version}, "items": items,
    });
    reply(200, &list)
}

/// Removes an object, or asks it to go. Returns it, and whether it is gone.
fn remove(
    state: &mut State,
    kind: &Kind,
    key: &Key,
    options: &Options,
) -> Result<(Arc<Value>, bool), Status> {
    let found = state.store.get(key).cloned();
    let object = found.ok_or_else(|| Status::not_found(kind, &key.name))?;
    let own = |field: &str| text(&object, &format!("/metadata/{field}")).to_owned();
    let uid = &options.uid;
    if !uid.is_empty() && *uid != own("uid") {
        return Err(Status::other_uid(kind, &key.name, uid, &own("uid")));
    }
    if !options.version.is_empty() && options.version != own("resourceVersion") {
        let why = format!(
            "the ResourceVersion in the precondition ({}) does not match the ResourceVersion in \
             record ({}). The object might have been modified",
            options.version,
            own("resourceVersion")
        );
        return Err(Status::conflict(kind, &key.name, &why));
    }
    if options.dry_run {
        return Ok((object, true));
    }
    if key.plural == "pods" {
        let given = number(&object, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
        let grace = options.grace.unwrap_or(given);
        // What has no node has nobody who could end it.
        if grace > 0 && !text(&object, "/spec/nodeName").is_empty() {
            ask_to_go(state, key, grace);
            let object = state.store.get(key).cloned().unwrap_or(object);
            return Ok((object, false));
        }
        let gone = state.store.remove(key).unwrap_or(object);
        return Ok((gone, true));
    }
    match options.propagation.as_str() {
        "Foreground" => {
            state.store.modify(key, |object| {
                set(
                    object,
                    &["metadata", "finalizers"],
                    json!(["foregroundDeletion"]),
                );
            });
        }
        "Orphan" => garbage::orphan(state, &object),
        _ => {}
    }
    let held = state
        .store
        .get(key)
        .cloned()
        .unwrap_or_else(|| Arc::clone(&object));
    if list(&held, "/metadata/finalizers").is_empty() {
        let gone = state.store.remove(key).unwrap_or(object);
        return Ok((gone, true));
    }
    ask_to_go(state, key, 0);
    let object = state.store.get(key).cloned().unwrap_or(object);
    Ok((object, false))
}
