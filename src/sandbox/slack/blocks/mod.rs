//! The rules of Block Kit, in Slack's words: what is wrong and where, as a JSON pointer.

pub(super) fn check_message(_: &[serde_json::Value]) -> Vec<String> {
    Vec::new()
}
pub(super) fn check_attachment(_: &[serde_json::Value], _: usize) -> Vec<String> {
    Vec::new()
}
pub(super) fn check_view(_: &serde_json::Value) -> Vec<String> {
    Vec::new()
}
pub(super) fn give_ids(_: &mut [serde_json::Value], _: &mut dyn FnMut() -> u64) {}
