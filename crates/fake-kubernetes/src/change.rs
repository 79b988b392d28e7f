//! Requests that change objects: POST, PUT, PATCH and DELETE.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use crate::json::{list, number, set, text};
use crate::request::{Answer, Asked, Selectors, form, reply, shown};
use crate::resource::Kind;
use crate::state::{Shared, State};
use crate::status::Status;
use crate::store::Key;
use crate::write::{Writer, ask_to_go, create, update};
use crate::{apply, event, garbage, patch};

pub fn answer(shared: &Arc<Shared>, asked: &Asked<'_>) -> Answer {
    let ask = asked.ask;
    let body = asked.json();
    shared.with(|state| match ask.verb {
        "create" => {
            let manager = asked.manager();
            let body = incoming(asked, body?)?;
            let dry = asked.dry_run();
            let made = create(state, ask.kind, &ask.namespace, body, &manager, dry)?;
            Ok(reply(201, &form(asked, &made)))
        }
        "update" => {
            let body = incoming(asked, body?)?;
            let key = Key::new(ask.kind.plural, &ask.namespace, &ask.name);
            let done = update(state, ask.kind, &key, body, &Writer::of(asked))?;
            Ok(reply(200, &form(asked, &done)))
        }
        "patch" => patched(state, asked),
        "delete" => delete(state, asked, &body?),
        _ => delete_all(state, asked, &body?),
    })
}

/// The object of a body, as it is kept; refuses what does not fit the path.
fn incoming(asked: &Asked<'_>, body: Value) -> Result<Value, Status> {
    let ask = asked.ask;
    let (kind, version) = (text(&body, "/kind"), text(&body, "/apiVersion"));
    let expected = ask.kind.api_version();
    if !version.is_empty() && version != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({expected})"
        )));
    }
    if !kind.is_empty() && kind != ask.kind.kind {
        return Err(Status::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: converting to undefined type",
            ask.kind.version, ask.kind.kind
        )));
    }
    let namespace = text(&body, "/metadata/namespace");
    if !namespace.is_empty() && namespace != ask.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the \
             request",
        ));
    }
    let name = text(&body, "/metadata/name");
    if !ask.name.is_empty() && name != ask.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ask.name
        )));
    }
    let mut body = body;
    set(&mut body, &["kind"], json!(ask.kind.kind));
    set(&mut body, &["apiVersion"], json!(expected));
    if ask.kind.group == "events.k8s.io" {
        body = event::to_core(&body);
    }
    Ok(body)
}

fn patched(state: &mut State, asked: &Asked<'_>) -> Answer {
    let ask = asked.ask;
    let key = Key::new(ask.kind.plural, &ask.namespace, &ask.name);
    let old = state.store.get(&key).cloned();
    let content_type = asked.content_type.split(';').next().unwrap_or("").trim();
    if content_type == "application/apply-patch+yaml" {
        return apply::answer(state, asked, old.as_deref());
    }
    if ask.query.contains_key("force") {
        return Err(Status::plain(
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified \
             for non-apply patch",
        ));
    }
    let old = old.ok_or_else(|| Status::not_found(ask.kind, &ask.name))?;
    let new = patch::apply(content_type, &shown(ask, &old), &asked.json()?)?;
    let new = incoming(asked, new)?;
    let done = update(state, ask.kind, &key, new, &Writer::of(asked))?;
    Ok(reply(200, &form(asked, &done)))
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
    fn of(asked: &Asked<'_>, body: &Value) -> Self {
        let word = |key: &str| match text(body, &format!("/{key}")) {
            "" => asked.ask.word(key).to_owned(),
            word => word.to_owned(),
        };
        let grace = number(body, "/gracePeriodSeconds");
        Self {
            propagation: word("propagationPolicy"),
            grace: grace.or_else(|| asked.ask.word("gracePeriodSeconds").parse().ok()),
            uid: text(body, "/preconditions/uid").to_owned(),
            version: text(body, "/preconditions/resourceVersion").to_owned(),
            dry_run: asked.dry_run() || list(body, "/dryRun").contains(&json!("All")),
        }
    }
}

fn delete(state: &mut State, asked: &Asked<'_>, body: &Value) -> Answer {
    let ask = asked.ask;
    let key = Key::new(ask.kind.plural, &ask.namespace, &ask.name);
    let options = Options::of(asked, body);
    let (object, gone) = remove(state, ask.kind, &key, &options)?;
    if !gone || ask.kind.plural == "pods" {
        return Ok(reply(200, &form(asked, &object)));
    }
    let mut details = json!({
        "name": ask.name, "kind": ask.kind.plural, "uid": object["metadata"]["uid"],
    });
    if !ask.kind.group.is_empty() {
        details["group"] = json!(ask.kind.group);
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    });
    Ok(reply(200, &status))
}

fn delete_all(state: &mut State, asked: &Asked<'_>, body: &Value) -> Answer {
    let ask = asked.ask;
    let selectors = Selectors::of(asked)?;
    let options = Options::of(asked, body);
    let all = state.store.list(ask.kind.plural, &ask.namespace);
    let all = all.filter(|(_, object)| selectors.matches(object));
    let keys: Vec<Key> = all.map(|(key, _)| key.clone()).collect();
    let mut items = Vec::new();
    for key in keys {
        items.push(form(asked, &remove(state, ask.kind, &key, &options)?.0));
    }
    let version = state.store.version().to_string();
    Ok(collection(ask.kind, &version, &items))
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
