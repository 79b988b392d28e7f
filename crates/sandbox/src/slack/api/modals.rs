//! `views.*`, and what a person does to a modal: filling in, submitting.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::request::{ApiError, Args, Outcome};
use crate::slack::cannot_act::CannotAct;
use crate::slack::controls::{self, Control};
use crate::slack::delivery::Receipt;
use crate::slack::workspace::{View, Workspace};
use crate::slack::{blocks, shapes};

/// Modals on top of one another.
const STACK: usize = 3;
const VIEW: usize = 250 * 1024;

/// The `view` argument, checked and with ids given to all blocks.
fn given(world: &mut Workspace, args: &Args) -> Result<Value, ApiError> {
    let view = args
        .json("view")
        .map_err(|()| ApiError::from("invalid_arguments"))?;
    let view = view.filter(Value::is_object).ok_or_else(|| {
        ApiError::explained(
            "invalid_arguments",
            vec!["missing required field: view".to_string()],
        )
    })?;
    accepted(world, view)
}

fn accepted(world: &mut Workspace, mut view: Value) -> Result<Value, ApiError> {
    if view.to_string().len() > VIEW {
        return Err("view_too_large".into());
    }
    let wrong = blocks::check_view(&view);
    if !wrong.is_empty() {
        return Err(ApiError::explained("invalid_arguments", wrong));
    }
    if let Some(list) = view["blocks"].as_array_mut() {
        blocks::give_ids(list, &mut || world.next_number());
    }
    Ok(view)
}

fn is_modal(view: &Value) -> Result<(), ApiError> {
    if view["type"] == "modal" {
        Ok(())
    } else {
        Err("invalid_arguments".into())
    }
}

fn all_controls(view: &Value) -> Vec<Control> {
    controls::controls(
        view["blocks"].as_array().map_or(&[][..], Vec::as_slice),
        None,
    )
}

fn new_view(world: &mut Workspace, user: &str, body: Value, below: Option<&View>) -> View {
    let id = world.next_id('V');
    View {
        root_id: below.map_or(id.clone(), |v| v.root_id.clone()),
        previous_id: below.map(|v| v.id.clone()),
        id,
        user: user.to_string(),
        hash: world.next_ts(),
        values: controls::initial_state(&all_controls(&body)),
        body,
        errors: Map::new(),
    }
}

/// No two views of the workspace share an `external_id`.
fn check_external_id(world: &Workspace, body: &Value, own: Option<&str>) -> Result<(), ApiError> {
    let Some(id) = body["external_id"].as_str().filter(|id| !id.is_empty()) else {
        return Ok(());
    };
    let taken = world
        .views
        .values()
        .flatten()
        .any(|v| Some(v.id.as_str()) != own && v.body["external_id"] == id);
    if taken {
        Err("duplicate_external_id".into())
    } else {
        Ok(())
    }
}

/// `views.open`
pub(super) fn open(world: &mut Workspace, args: &Args) -> Outcome {
    let trigger = args.required("trigger_id")?;
    let body = given(world, args)?;
    is_modal(&body)?;
    check_external_id(world, &body, None)?;
    let user = world.redeem_trigger(&trigger, Instant::now())?;
    let view = new_view(world, &user, body, None);
    let shown = shapes::view(world, &view);
    world.views.insert(user, vec![view]);
    Ok(json!({"view": shown}))
}

/// `views.push`
pub(super) fn push(world: &mut Workspace, args: &Args) -> Outcome {
    let trigger = args.required("trigger_id")?;
    let body = given(world, args)?;
    is_modal(&body)?;
    check_external_id(world, &body, None)?;
    let user = world.redeem_trigger(&trigger, Instant::now())?;
    let view = put_on_top(world, &user, body)?;
    Ok(json!({"view": shapes::view(world, &view)}))
}

fn put_on_top(world: &mut Workspace, user: &str, body: Value) -> Result<View, ApiError> {
    let stack = world.views.get(user).map_or(&[][..], Vec::as_slice);
    let below = stack.last().cloned().ok_or("not_found")?;
    if stack.len() == STACK {
        return Err("push_limit_reached".into());
    }
    let view = new_view(world, user, body, Some(&below));
    world
        .views
        .entry(user.to_string())
        .or_default()
        .push(view.clone());
    Ok(view)
}

/// `views.update`
pub(super) fn update(world: &mut Workspace, args: &Args) -> Outcome {
    let body = given(world, args)?;
    let found = match (args.text("view_id"), args.text("external_id")) {
        (Some(id), _) => world.view(&id).map(|v| v.id.clone()),
        (None, Some(external)) => {
            let mut all = world.views.values().flatten();
            all.find(|v| v.body["external_id"] == external.as_str())
                .map(|v| v.id.clone())
        }
        (None, None) => args.required("view_id").map(Some)?,
    };
    let id = found.ok_or("not_found")?;
    check_external_id(world, &body, Some(&id))?;
    let hash = world.view(&id).map(|v| v.hash.clone()).unwrap_or_default();
    if args.text("hash").is_some_and(|given| given != hash) {
        return Err("hash_conflict".into());
    }
    let view = replace(world, &id, body).ok_or("not_found")?;
    Ok(json!({"view": shapes::view(world, &view)}))
}

/// Puts new content into a view. What was filled in stays where block and action are the same.
fn replace(world: &mut Workspace, id: &str, body: Value) -> Option<View> {
    let hash = world.next_ts();
    let mut values = controls::initial_state(&all_controls(&body));
    let view = world.view_mut(id)?;
    for (block, actions) in &mut values {
        for (action, state) in actions.as_object_mut().into_iter().flatten() {
            let kept = view.values.get(block).and_then(|b| b.get(action));
            if let Some(kept) = kept.filter(|kept| kept["type"] == state["type"]) {
                *state = kept.clone();
            }
        }
    }
    view.values = values;
    view.hash = hash;
    view.body = body;
    view.errors.clear();
    Some(view.clone())
}

/// `views.publish`
pub(super) fn publish(world: &mut Workspace, args: &Args) -> Outcome {
    let user = args.required("user_id")?;
    if !world.people.iter().any(|p| p.id == user) {
        return Err("user_not_found".into());
    }
    let body = given(world, args)?;
    if body["type"] != "home" {
        return Err("invalid_arguments".into());
    }
    let old = world.homes.get(&user).cloned();
    let given_hash = args.text("hash");
    if old
        .as_ref()
        .is_some_and(|v| given_hash.is_some_and(|given| given != v.hash))
    {
        return Err("hash_conflict".into());
    }
    let mut view = new_view(world, &user, body, None);
    if let Some(old) = old {
        view.id.clone_from(&old.id);
        view.root_id = old.id;
    }
    let shown = shapes::view(world, &view);
    world.homes.insert(user, view);
    Ok(json!({"view": shown}))
}

/// Fills in a modal. Fails as the client would: a required field empty, a text too long.
pub(crate) fn fill_in(
    world: &mut Workspace,
    user: &str,
    view_id: &str,
    values: &Value,
) -> Result<(), CannotAct> {
    let view = world.view(view_id).filter(|v| v.user == user);
    let view = view.ok_or_else(|| CannotAct::NoView(view_id.to_string()))?;
    let body = view.body.clone();
    let mut state = view.values.clone();
    if body["submit"].is_null()
        && body["blocks"]
            .as_array()
            .is_some_and(|b| b.iter().any(|b| b["type"] == "input"))
    {
        return Err(CannotAct::NoSubmit);
    }
    let inputs: Vec<_> = all_controls(&body);
    let label_of = |control: &Control| {
        let mut all = body["blocks"].as_array().into_iter().flatten();
        let block = all.find(|b| b["block_id"] == control.block_id.as_str());
        block
            .and_then(|b| b["label"]["text"].as_str())
            .unwrap_or(&control.block_id)
            .to_string()
    };
    for (wanted, value) in values.as_object().into_iter().flatten() {
        let control = inputs
            .iter()
            .find(|c| c.block_id == *wanted || c.action_id() == wanted || label_of(c) == *wanted);
        let control = control.ok_or_else(|| CannotAct::NoControl {
            wanted: wanted.clone(),
            have: inputs.iter().map(&label_of).collect(),
        })?;
        let chosen = controls::choose(world, &control.element, value)?;
        state.entry(&control.block_id).or_insert_with(|| json!({}))[control.action_id()] =
            Value::Object(chosen);
    }
    for block in body["blocks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|b| b["type"] == "input")
    {
        let element = &block["element"];
        let (block_id, action_id) = (text(&block["block_id"]), text(&element["action_id"]));
        let filled = &state.get(block_id).map_or(&Value::Null, |b| &b[action_id]);
        let empty = filled
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != "type")
            .all(|(_, value)| {
                value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
            });
        if empty && block["optional"] != true {
            return Err(CannotAct::Incomplete(
                text(&block["label"]["text"]).to_string(),
            ));
        }
        let length = filled["value"]
            .as_str()
            .map_or(0, |t| t.chars().count() as u64);
        let too_short = element["min_length"]
            .as_u64()
            .is_some_and(|least| length < least);
        if !empty
            && (too_short
                || element["max_length"]
                    .as_u64()
                    .is_some_and(|most| length > most))
        {
            return Err(CannotAct::Length(text(&block["label"]["text"]).to_string()));
        }
    }
    if let Some(view) = world.view_mut(view_id) {
        view.values = state;
        view.errors.clear();
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Carries out the answer to a submission; gives what the client would complain of.
pub(crate) fn submitted(
    world: &mut Workspace,
    user: &str,
    view_id: &str,
    receipt: &Receipt,
) -> Option<String> {
    if !receipt.acked {
        return receipt.error.clone();
    }
    let nothing = Value::Null;
    let answer = receipt.body.as_ref().unwrap_or(&nothing);
    let outcome = match answer["response_action"].as_str() {
        Some("clear") => {
            world.views.remove(user);
            Ok(())
        }
        Some("update") => accepted(world, answer["view"].clone()).map(|body| {
            replace(world, view_id, body);
        }),
        Some("push") => accepted(world, answer["view"].clone())
            .and_then(|body| put_on_top(world, user, body))
            .map(|_| ()),
        Some("errors") => show_errors(world, view_id, &answer["errors"]),
        Some(_) => Err("invalid_response_action".into()),
        None => {
            if let Some(stack) = world.views.get_mut(user) {
                stack.retain(|v| v.id != view_id);
            }
            Ok(())
        }
    };
    outcome.err().map(|error: ApiError| error.code)
}

/// Errors stand under input blocks; Slack refuses them anywhere else.
fn show_errors(world: &mut Workspace, view_id: &str, errors: &Value) -> Result<(), ApiError> {
    let errors = errors
        .as_object()
        .filter(|e| !e.is_empty())
        .ok_or("invalid_errors")?;
    let view = world.view_mut(view_id).ok_or("not_found")?;
    let blocks = view.body["blocks"].as_array().into_iter().flatten();
    let inputs: Vec<_> = blocks
        .filter(|b| b["type"] == "input")
        .map(|b| text(&b["block_id"]))
        .collect();
    if !errors
        .iter()
        .all(|(id, why)| inputs.contains(&id.as_str()) && why.is_string())
    {
        return Err("invalid_errors".into());
    }
    view.errors.clone_from(errors);
    Ok(())
}
