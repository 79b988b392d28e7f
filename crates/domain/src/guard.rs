//! What the policy watches over.

/// A kind of change that the policy can want confirmed, or confirmed by a second person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarded {
    /// `restart`.
    Restart,
    /// `scale`.
    Scale,
    /// `deploy` and `rollback`.
    Deploy,
    /// `isolate` and `release`.
    Isolate,
    /// Ending sessions of databases and clients of caches.
    Db,
}

impl Guarded {
    /// All of them, with the words that the configuration has for them.
    pub const ALL: [(&'static str, Self); 5] = [
        ("restart", Self::Restart),
        ("scale", Self::Scale),
        ("deploy", Self::Deploy),
        ("isolate", Self::Isolate),
        ("db", Self::Db),
    ];

    /// All of them.
    pub fn all() -> std::collections::BTreeSet<Self> {
        Self::ALL.into_iter().map(|(_, one)| one).collect()
    }
}
