//! The chat page (on its way).
pub fn router(_: crate::sandbox::slack::Sandbox) -> axum::Router {
    axum::Router::new()
}
