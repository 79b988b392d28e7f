//! What an error says, down to its first cause.

use std::error::Error;

/// An error and all its causes, the outermost first, after colons.
pub fn causes(error: &dyn Error) -> String {
    let further = std::iter::successors(error.source(), |error| (*error).source());
    further.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
