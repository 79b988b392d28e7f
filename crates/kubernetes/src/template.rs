//! What pods are made from: whether two are the same, and in what they differ.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use treasury_domain::timeline::{cut, hex};

/// The key of `kubectl rollout restart`.
pub(crate) const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The intent that the last restart carried out.
pub(crate) const RESTART_ID: &str = "treasury-bot/restart-id";

/// The run and step that it belonged to.
pub(crate) const STEP: &str = "treasury-bot/step";

/// What a rollout changes that makes no other version.
const MARKS: [&str; 4] = [
    RESTARTED_AT,
    "kube.kubernetes.io/restartedAt",
    RESTART_ID,
    STEP,
];

/// The label that a Deployment's controller puts on its ReplicaSets.
const HASH: &str = "pod-template-hash";

/// The most differences that are told.
const MOST: usize = 12;

/// A template without what restarts and controllers write into it.
pub(crate) fn bare(template: &Value) -> Value {
    let mut bare = raw(&without_nulls(template));
    if let Some(annotations) = map(&mut bare, "annotations") {
        annotations.retain(|key, _| !MARKS.contains(&key.as_str()));
    }
    if let Some(meta) = bare.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
        if meta.is_empty()
            && let Some(all) = bare.as_object_mut()
        {
            all.remove("metadata");
        }
    }
    bare
}

/// A template as a controller keeps it, without what only the controller puts there.
pub(crate) fn raw(template: &Value) -> Value {
    let mut raw = template.clone();
    if let Some(labels) = map(&mut raw, "labels") {
        labels.remove(HASH);
    }
    // ControllerRevisions carry a word to whoever applies them.
    if let Some(all) = raw.as_object_mut() {
        all.remove("$patch");
    }
    raw
}

fn map<'a>(template: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    template.get_mut("metadata")?.get_mut(key)?.as_object_mut()
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(all) => all
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(all) => all.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// The identity of a bare template: the same for the same pods, whatever number a controller gives.
pub(crate) fn id(bare: &Value) -> String {
    let mut sorted = bare.clone();
    sorted.sort_all_objects();
    let digest = hex(&Sha256::digest(sorted.to_string()));
    format!("template:{}", &digest[..24])
}

/// Where the container that the service is stands among the template's: the one called like the
/// service or its workload, else the first.
pub(crate) fn main_container(template: &Value, names: &[&str]) -> Option<usize> {
    let all = containers(template);
    let named = |name: &&str| all.iter().position(|one| one["name"] == *name);
    names
        .iter()
        .find_map(named)
        .or((!all.is_empty()).then_some(0))
}

fn containers(template: &Value) -> &[Value] {
    let all = template.pointer("/spec/containers");
    all.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The image of the container that the service is.
pub(crate) fn image<'a>(template: &'a Value, names: &[&str]) -> &'a str {
    let main = main_container(template, names);
    let image = main.and_then(|at| containers(template)[at]["image"].as_str());
    image.unwrap_or_default()
}

/// Puts another image into the container that the service is; `false` where there is none.
pub(crate) fn set_image(template: &mut Value, names: &[&str], image: &str) -> bool {
    let Some(at) = main_container(template, names) else {
        return false;
    };
    template["spec"]["containers"][at]["image"] = image.into();
    true
}

/// In what `then` differs from `now`, besides the image of the container that the service is: names
/// alone, because values may be secrets.
pub(crate) fn changes(now: &Value, then: &Value, names: &[&str]) -> Vec<String> {
    let (old, new) = (containers(now), containers(then));
    let main = main_container(now, names).map(|at| &old[at]["name"]);
    let mut all = Vec::new();
    for one in new {
        let name = one["name"].as_str().unwrap_or_default();
        let Some(before) = called(old, &one["name"]) else {
            all.push(format!("container +{name}"));
            continue;
        };
        let of = match old.len().max(new.len()) {
            1 => String::new(),
            _ => format!(" of {name}"),
        };
        if before["image"] != one["image"] && Some(&one["name"]) != main {
            let image = one["image"].as_str().unwrap_or_default();
            all.push(format!("image{of} {}", cut(image, 120)));
        }
        of_container(before, one, &of, &mut all);
    }
    for one in old.iter().filter(|one| called(new, &one["name"]).is_none()) {
        let name = one["name"].as_str().unwrap_or_default();
        all.push(format!("container -{name}"));
    }
    let spec = differing(&now["spec"], &then["spec"]).into_iter();
    all.extend(spec.filter(|key| key != "containers"));
    for (part, word) in [("labels", "label"), ("annotations", "annotation")] {
        let keys = differing(&now["metadata"][part], &then["metadata"][part]);
        all.extend(keys.iter().map(|key| format!("{word} {key}")));
    }
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all
}

fn called<'a>(containers: &'a [Value], name: &Value) -> Option<&'a Value> {
    containers.iter().find(|one| one["name"] == *name)
}

fn of_container(old: &Value, new: &Value, of: &str, all: &mut Vec<String>) {
    for key in differing(old, new) {
        match key.as_str() {
            "image" => {}
            "env" => {
                let (old, new) = (by_name(&old["env"]), by_name(&new["env"]));
                for name in differing(&old, &new) {
                    let sign = match (old.get(&name), new.get(&name)) {
                        (None, _) => "+",
                        (_, None) => "-",
                        _ => "",
                    };
                    all.push(format!("env{of} {sign}{name}"));
                }
            }
            _ => all.push(format!("{key}{of}")),
        }
    }
}

/// Names to what they stand for.
fn by_name(list: &Value) -> Value {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|one| Some((one.get("name")?.as_str()?.to_owned(), one.clone())))
        .collect::<Map<_, _>>()
        .into()
}

/// The members that are not equal, in order.
fn differing(old: &Value, new: &Value) -> Vec<String> {
    let maps = [old, new].into_iter().filter_map(Value::as_object);
    let keys: BTreeSet<&String> = maps.flat_map(Map::keys).collect();
    let differ = keys.into_iter().filter(|key| old.get(key) != new.get(key));
    differ.cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> Value {
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
            {"name": "proxy", "image": "envoy:1"},
            {"name": "web", "image": "web:1", "env": [
                {"name": "LOG", "value": "info"}, {"name": "KEY", "value": "hunter2"}]}]}})
    }

    #[test]
    fn a_restart_makes_no_other_version_and_any_other_change_does() {
        let now = bare(&template());
        let mut restarted = template();
        restarted["metadata"]["annotations"] = json!({RESTARTED_AT: "x", RESTART_ID: "y"});
        restarted["metadata"]["labels"][HASH] = "7d9f".into();
        restarted["metadata"]["creationTimestamp"] = Value::Null;
        assert_eq!(bare(&restarted), now);
        assert_eq!(id(&bare(&restarted)), id(&now));
        let mut other = template();
        assert!(set_image(&mut other, &["frontend", "web"], "web:2"));
        assert_eq!(image(&other, &["web"]), "web:2");
        assert_ne!(id(&bare(&other)), id(&now));
        assert_eq!(other["spec"]["containers"][0]["image"], "envoy:1");
    }

    #[test]
    fn what_differs_is_told_by_name_without_values() {
        let mut then = template();
        set_image(&mut then, &["web"], "web:0");
        then["spec"]["containers"][0]["image"] = "envoy:2".into();
        then["spec"]["containers"][1]["env"] = json!([
            {"name": "LOG", "value": "debug"}, {"name": "NEW", "value": "geheim"}]);
        then["spec"]["containers"][1]["resources"] = json!({"limits": {"memory": "1Gi"}});
        then["spec"]["serviceAccountName"] = "web".into();
        then["metadata"]["labels"]["tier"] = "front".into();
        let changes = changes(&template(), &then, &["web"]);
        assert_eq!(
            changes,
            [
                "image of proxy envoy:2",
                "env of web -KEY",
                "env of web LOG",
                "env of web +NEW",
                "resources of web",
                "serviceAccountName",
                "label tier",
            ]
        );
        let text = changes.join(" ");
        assert!(
            !text.contains("hunter2") && !text.contains("geheim"),
            "{text}"
        );
    }
}
