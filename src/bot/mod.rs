//! Use cases: the only place that decides.

/// Whether a request was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It is recorded and will be answered.
    New,
    /// The same request came before; it has been or will be answered once.
    Duplicate,
}
