//! Words of the platform, made fit to be shown.

use treasury_domain::timeline::cut;
use treasury_ports::text::clean;

/// The text without what could disturb who reads it, at most so many bytes of it.
pub(crate) fn shown(text: &str, most: usize) -> String {
    cut(&clean(text), most)
}
