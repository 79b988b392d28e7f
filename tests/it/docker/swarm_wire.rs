//! What newer engines tell of an image, as it was recorded, to the driver of Swarm.

use std::sync::{Arc, Mutex};

use axum::http::{StatusCode, Uri};
use axum::{Json, Router};
use serde_json::{Value, json};
use treasury_bot::platform::Platform;
use treasury_bot::platform::docker::{EngineConfig, Swarm};

use super::swarm::service;
use crate::support::served;

/// A manager that has the image `kit:6`, and what the image's registry answers.
async fn manager(image: Value, registry: Option<&'static str>) -> (Swarm, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let node = |id: &str| {
        json!({"ID": id, "Description": {"Hostname": id}, "Status": {"State": "ready"},
            "Spec": {"Availability": "active"}})
    };
    let service = json!({"ID": "s1", "Version": {"Index": 7}, "Spec": {"Name": "back",
        "Mode": {"Replicated": {"Replicas": 2}},
        "TaskTemplate": {"ContainerSpec": {"Image": "kit:5"}}}});
    let answer = move |uri: Uri| async move {
        let path = uri.path();
        let not = |text: &str| (StatusCode::NOT_FOUND, Json(json!({"message": text})));
        if path.starts_with("/distribution/") {
            seen.lock().unwrap().push(path.to_owned());
            return match registry {
                Some(digest) => {
                    let descriptor = json!({"digest": digest, "size": 1, "mediaType": "x"});
                    (
                        StatusCode::OK,
                        Json(json!({"Descriptor": descriptor, "Platforms": []})),
                    )
                }
                None => not("pull access denied, or the repository does not exist"),
            };
        }
        match path {
            "/images/kit:6/json" => (StatusCode::OK, Json(image)),
            "/nodes" => (StatusCode::OK, Json(json!([node("a"), node("b")]))),
            "/tasks" => (StatusCode::OK, Json(json!([]))),
            "/services/back" => (StatusCode::OK, Json(service)),
            _ => not("page not found"),
        }
    };
    let host = format!("tcp://{}", served(Router::new().fallback(answer)).await);
    let driver = Swarm::with(EngineConfig::at(Some(&host))).unwrap();
    (driver, asked)
}

#[tokio::test]
async fn a_digest_is_pinned_only_where_a_registry_gave_it() {
    const OWN: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const OTHER: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
    let image = |digests: Value| json!({"Id": OWN, "RepoTags": ["kit:6"], "RepoDigests": digests});
    // Docker Engine 29.7.2, of an image that was imported: the digest is its own.
    let imported = image(json!([format!("kit@{OWN}")]));
    // 20.10.24, of one that was imported, and of one that was pulled.
    let (old, pulled) = (image(json!([])), image(json!([format!("kit@{OTHER}")])));
    let exact = |digest: &str| format!("kit:6@{digest}");
    for (image, registry, id, questions) in [
        (&imported, None, "kit:6".to_owned(), 1),
        (&imported, Some(OWN), exact(OWN), 1),
        (&old, None, "kit:6".to_owned(), 1),
        (&pulled, None, exact(OTHER), 0),
    ] {
        let (driver, asked) = manager(image.clone(), registry).await;
        let version = driver.deployable(&service("back"), "kit:6").await.unwrap();
        assert_eq!(version.id, id, "{image}");
        assert_eq!(asked.lock().unwrap().len(), questions, "{image}");
    }
}
