//! A service's description as plain JSON: what is read of it, and changed in it.

use serde_json::{Map, Value, json};

use crate::engine::image;
use crate::engine::version_label::IMAGE;

/// Our label for the intent of the newest restart.
pub const INTENT: &str = "treasury-bot.intent";

/// A label of a description.
pub fn label<'s>(spec: &'s Value, name: &str) -> Option<&'s str> {
    spec["Labels"][name].as_str()
}

/// Sets a label of a description, or removes it. Labels of the service, not of its containers: a
/// change of them alone starts no task anew.
pub fn set_label(spec: &mut Value, name: &str, value: Option<&str>) {
    if !spec["Labels"].is_object() {
        spec["Labels"] = Value::Object(Map::new());
    }
    match (value, spec["Labels"].as_object_mut()) {
        (Some(value), _) => spec["Labels"][name] = json!(value),
        (None, Some(labels)) => {
            labels.remove(name);
        }
        (None, None) => {}
    }
}

/// The image in a description.
pub fn image_of(spec: &Value) -> &str {
    let image = &spec["TaskTemplate"]["ContainerSpec"]["Image"];
    image.as_str().unwrap_or_default()
}

/// An image for people: the name alone, or what was requested where it is only an id.
pub fn shown(image: &str, spec: &Value) -> String {
    if image::is_id(image) {
        let requested = label(spec, IMAGE).filter(|_| image_of(spec) == image);
        return requested.unwrap_or(image).to_owned();
    }
    image
        .split_once('@')
        .map_or(image, |(name, _)| name)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_changed_beside_others() {
        let mut spec = json!({"Labels": {"a": "1"}, "Name": "web"});
        set_label(&mut spec, INTENT, Some("7"));
        assert_eq!(label(&spec, INTENT), Some("7"));
        set_label(&mut spec, INTENT, None);
        assert_eq!(spec, json!({"Labels": {"a": "1"}, "Name": "web"}));
        let mut bare = json!({"Labels": null});
        set_label(&mut bare, INTENT, Some("7"));
        assert_eq!(bare, json!({"Labels": {INTENT: "7"}}));
    }

    #[test]
    fn an_image_is_shown_by_its_name() {
        let id = format!("sha256:{}", "0a".repeat(32));
        let spec = json!({"Labels": {IMAGE: "api:2"},
            "TaskTemplate": {"ContainerSpec": {"Image": id}}});
        assert_eq!(shown("api:1@sha256:77", &spec), "api:1");
        assert_eq!(shown(&id, &spec), "api:2");
        let other = id.replace("0a", "0b");
        assert_eq!(
            shown(&other, &spec),
            other,
            "the label tells of the present one only"
        );
    }
}
