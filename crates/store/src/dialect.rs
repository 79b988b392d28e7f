//! What differs between the two databases.

/// What differs between the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Embedded.
    Sqlite,
    /// A server, for several replicas.
    Postgres,
}

impl Dialect {
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// The database's own time, in microseconds: the same for all processes, whose clocks may differ.
    pub(super) fn clock(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            Self::Postgres => "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT",
        }
    }

    /// Whether one text holds another.
    pub(super) fn holds(self, text: &str, part: &str) -> String {
        let position = match self {
            Self::Sqlite => "instr",
            Self::Postgres => "strpos",
        };
        format!("{position}({text}, {part}) > 0")
    }

    /// Appended to a SELECT within a write: its row is locked until the commit. SQLite has one
    /// writer anyway.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// Appended to the inner SELECT of a claim: replicas don't wait for each other's rows.
    pub(super) fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }
}
