//! Images: what the engine has, and what a container runs.

use bollard::models::{ContainerInspectResponse, ImageInspect};

use super::engine::{ASK, Engine};
use treasury_ports::platform::PlatformError;

/// The most characters of a reference (a name of 255, a tag of 128, a digest).
const LONGEST: usize = 460;

/// An image of this reference or id, if the engine has it.
///
/// The reference goes into the address of the request, so one that could lead elsewhere is refused.
pub(super) async fn inspect(
    engine: &Engine,
    reference: &str,
) -> Result<Option<ImageInspect>, PlatformError> {
    if !is_reference(reference) {
        let shown: String = reference.chars().take(80).collect();
        return Err(PlatformError::Unsupported(format!(
            "`{shown}` is not an image: write NAME:TAG, such as `treasury/api:1.4.2`"
        )));
    }
    let call = engine.client()?.inspect_image(reference);
    engine.call_if_there("the image", ASK, call).await
}

/// The image of a container: as it was named, if the name still means the same image, else its id.
pub(super) async fn of(
    engine: &Engine,
    facts: &ContainerInspectResponse,
) -> Result<String, PlatformError> {
    let id = facts.image.clone().unwrap_or_default();
    let config = facts.config.as_ref();
    match config.and_then(|config| config.image.clone()) {
        Some(named) => exact(engine, &named, &id).await,
        None => Ok(id),
    }
}

/// The name if it means the image of this id, else the id.
pub(super) async fn exact(engine: &Engine, name: &str, id: &str) -> Result<String, PlatformError> {
    if !is_reference(name) {
        return Ok(id.to_owned());
    }
    let now = inspect(engine, name).await?;
    let same = now.is_some_and(|now| now.id.as_deref() == Some(id));
    Ok(if same { name } else { id }.to_owned())
}

/// An image's id, which no tag can move.
pub(super) fn is_id(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A reference that the engine can look for.
pub(super) fn is_reference(text: &str) -> bool {
    text.len() <= LONGEST
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
