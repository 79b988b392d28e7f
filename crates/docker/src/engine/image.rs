//! Images: what the engine has, and what a container runs.

use bollard::models::{ContainerInspectResponse, ImageInspect};

use super::connection::{Engine, optional};
use super::container::image_name;
use super::error::{Result, unsupported};
use treasury_domain::service::Version;
use treasury_ports::platform::PlatformError;

/// The most characters of a reference (a name of 255, a tag of 128, a digest).
const MAX_REFERENCE: usize = 460;

/// An image of this reference or id, if the engine has it.
///
/// The reference goes into the address of the request, so one that could lead elsewhere is refused.
pub async fn inspect(engine: &Engine, reference: &str) -> Result<Option<ImageInspect>> {
    if !is_reference(reference) {
        let shown: String = reference.chars().take(80).collect();
        return Err(unsupported(format!(
            "`{shown}` is not an image: write NAME:TAG, such as `treasury/api:1.4.2`"
        )));
    }
    let call = engine.client()?.inspect_image(reference);
    engine.query("the image", optional(call)).await
}

/// The engine has it.
pub async fn is_there(engine: &Engine, reference: &str) -> Result<bool> {
    Ok(inspect(engine, reference).await?.is_some())
}

/// Those of these versions that can still run: what has a name can be fetched by whoever runs it,
/// and an image's id means something only while the engine has it.
pub async fn runnable(engine: &Engine, versions: Vec<Version>) -> Result<Vec<Version>> {
    let mut left = Vec::new();
    for version in versions {
        if !is_id(&version.id) || is_there(engine, &version.id).await? {
            left.push(version);
        }
    }
    Ok(left)
}

/// What a container was made of: the name, if it still means the same image, else the image's id.
pub async fn of_container(engine: &Engine, facts: &ContainerInspectResponse) -> Result<String> {
    let id = facts.image.clone().unwrap_or_default();
    match image_name(facts) {
        Some(name) => exact(engine, name, &id).await,
        None => Ok(id),
    }
}

/// The name if it means the image of this id, else the id.
pub async fn exact(engine: &Engine, name: &str, id: &str) -> Result<String> {
    let now = if is_reference(name) {
        inspect(engine, name).await?
    } else {
        None
    };
    let same = now.is_some_and(|now| now.id.as_deref() == Some(id));
    Ok(if same { name } else { id }.to_owned())
}

/// The error for an image that the engine does not have.
pub fn absent(image: &str) -> PlatformError {
    unsupported(format!(
        "the image {image} is not on the host, and the bot pulls none in this version: `docker \
         pull {image}` there (or `docker compose pull`), then ask again"
    ))
}

/// An image's id, which no tag can move.
pub fn is_id(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The text is the id of this image, or the beginning of it.
pub fn means_id(text: &str, id: &str) -> bool {
    is_id(text) || id.trim_start_matches("sha256:").starts_with(text)
}

/// A reference that the engine can look for.
pub fn is_reference(text: &str) -> bool {
    text.len() <= MAX_REFERENCE
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c))
        && text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_can_not_lead_to_another_address() {
        for good in [
            "web",
            "treasury/api:1.4.2",
            "ghcr.io:5000/a/b_c@sha256:ab",
            "sha256:0123",
        ] {
            assert!(is_reference(good), "{good}");
        }
        for bad in [
            "",
            "../containers/x",
            "a/../b",
            "a?b",
            "a b",
            "a%2e",
            "/a",
            "a//b",
            "a#b",
            "-a",
            &"a".repeat(461),
        ] {
            assert!(!is_reference(bad), "{bad}");
        }
        assert!(is_id(&format!("sha256:{}", "0a".repeat(32))));
        assert!(!is_id("sha256:0a") && !is_id(&"0a".repeat(32)));
    }
}
