//! Creating, replacing, patching and deleting, with optimistic concurrency.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::{Shared, State};
use super::json::{going, list, number, seconds, set, text};
use super::read::{Selectors, form};
use super::resource::Kind;
use super::serve::{Answer, Asked, json as reply};
use super::status::Status;
use super::store::{Key, suffix};
use super::{apply, check, control, defaults, event, fields, patch};

/// Metadata that only the server writes.
const OURS: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "name",
    "namespace",
];

/// How a write is noted in the managed fields.
#[derive(Debug, Clone)]
pub struct Writer {
    pub manager: String,
    /// The subresource, or empty.
    pub sub: String,
    /// The managed fields of the new state are right already.
    pub noted: bool,
    pub dry_run: bool,
}

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
            let done = update(state, ask.kind, &key, body, &writer(asked))?;
            Ok(reply(200, &form(asked, &done)))
        }
        "patch" => patched(state, asked),
        "delete" => delete(state, asked, &body?),
        _ => delete_all(state, asked, &body?),
    })
}

pub fn writer(asked: &Asked<'_>) -> Writer {
    Writer {
        manager: asked.manager(),
        sub: asked.ask.sub.clone(),
        noted: false,
        dry_run: asked.dry_run(),
    }
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

/// Creates an object.
pub fn create(
    state: &mut State,
    kind: &Kind,
    namespace: &str,
    mut object: Value,
    manager: &str,
    dry_run: bool,
) -> Result<Arc<Value>, Status> {
    if kind.namespaced {
        let home = Key::new("namespaces", "", namespace);
        if state.store.get(&home).is_none() {
            return Err(Status::not_found(Kind::kept("namespaces"), namespace));
        }
        set(&mut object, &["metadata", "namespace"], json!(namespace));
    }
    let prefix = text(&object, "/metadata/generateName").to_owned();
    if text(&object, "/metadata/name").is_empty() && !prefix.is_empty() {
        let name = format!("{prefix}{}", suffix(5));
        set(&mut object, &["metadata", "name"], json!(name));
    }
    let name = text(&object, "/metadata/name").to_owned();
    if name.is_empty() {
        let required = "Required value: name or generateName is required".to_owned();
        let problem = ("metadata.name", "FieldValueRequired", required);
        return Err(Status::invalid(kind, "", &[problem]));
    }
    let key = Key::new(kind.plural, namespace, &name);
    for field in ["deletionTimestamp", "resourceVersion"] {
        set(&mut object, &["metadata", field], Value::Null);
    }
    defaults::fill(kind, &mut object);
    check::object(kind, &object, None)?;
    if state.store.get(&key).is_some() {
        return Err(Status::already_exists(kind, &name));
    }
    if kind.status {
        let status = defaults::status(kind, &object);
        set(&mut object, &["status"], status);
    }
    if list(&object, "/metadata/managedFields").is_empty() {
        fields::track(None, &mut object, manager, "");
    }
    if dry_run {
        return Ok(Arc::new(object));
    }
    Ok(state.store.insert(kind, object))
}

/// Replaces an object by its new state.
pub fn update(
    state: &mut State,
    kind: &Kind,
    key: &Key,
    mut new: Value,
    writer: &Writer,
) -> Result<Arc<Value>, Status> {
    let found = state.store.get(key).cloned();
    let old = found.ok_or_else(|| Status::not_found(kind, &key.name))?;
    let version = text(&new, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(&old, "/metadata/resourceVersion") {
        return Err(Status::modified(kind, &key.name));
    }
    let (uid, own) = (text(&new, "/metadata/uid"), text(&old, "/metadata/uid"));
    if !uid.is_empty() && uid != own {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}");
        return Err(Status::conflict(kind, &key.name, &why));
    }
    for field in OURS {
        set(
            &mut new,
            &["metadata", field],
            old["metadata"][field].clone(),
        );
    }
    if !writer.noted {
        let managed = old["metadata"]["managedFields"].clone();
        set(&mut new, &["metadata", "managedFields"], managed);
    }
    if writer.sub == "status" {
        let (status, managed) = (
            new["status"].take(),
            new["metadata"]["managedFields"].take(),
        );
        new = (*old).clone();
        set(&mut new, &["status"], status);
        set(&mut new, &["metadata", "managedFields"], managed);
    } else if kind.status {
        set(&mut new, &["status"], old["status"].clone());
    }
    defaults::fill(kind, &mut new);
    check::object(kind, &new, Some(&old))?;
    if !writer.noted {
        fields::track(Some(&old), &mut new, &writer.manager, &writer.sub);
    }
    if writer.dry_run {
        return Ok(Arc::new(new));
    }
    let last = going(&new) && list(&new, "/metadata/finalizers").is_empty();
    let held = !list(&old, "/metadata/finalizers").is_empty();
    let done = state.store.replace(key, new);
    if last && held && key.plural != "pods" {
        return Ok(state.store.remove(key).unwrap_or(old));
    }
    Ok(done.unwrap_or(old))
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
    let new = patch::apply(
        content_type,
        &super::serve::shown(ask, &old),
        &asked.json()?,
    )?;
    let new = incoming(asked, new)?;
    let done = update(state, ask.kind, &key, new, &writer(asked))?;
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
        "Orphan" => control::orphan(state, &object),
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

/// Marks an object as one that is to go.
pub fn ask_to_go(state: &mut State, key: &Key, grace: i64) {
    state.store.modify(key, |object| {
        let until = Timestamp::now() + jiff::SignedDuration::from_secs(grace);
        let earlier = number(object, "/metadata/deletionGracePeriodSeconds");
        if going(object) && earlier.is_some_and(|earlier| earlier <= grace) {
            return;
        }
        set(
            object,
            &["metadata", "deletionTimestamp"],
            json!(seconds(until)),
        );
        set(
            object,
            &["metadata", "deletionGracePeriodSeconds"],
            json!(grace),
        );
    });
}
