//! The kinds of sections that the file may have.

/// A kind of section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Its name, also in messages.
    pub(super) name: &'static str,
    /// Its keys, with spaces between them.
    keys: &'static str,
    /// There may be several: `[[name]]`.
    pub(super) is_list: bool,
}

impl Kind {
    /// A section that is there once, or a table within one.
    pub(super) const fn single(name: &'static str, keys: &'static str) -> Self {
        Self {
            name,
            keys,
            is_list: false,
        }
    }

    /// A section that may be there several times.
    pub(super) const fn list(name: &'static str, keys: &'static str) -> Self {
        Self {
            name,
            keys,
            is_list: true,
        }
    }

    /// Its keys, in the order of the documentation.
    pub(super) fn keys(self) -> impl Iterator<Item = &'static str> {
        self.keys.split_ascii_whitespace()
    }

    /// As it is written in the file.
    pub(super) fn header(self) -> String {
        if self.is_list {
            format!("[[{}]]", self.name)
        } else {
            format!("[{}]", self.name)
        }
    }
}
