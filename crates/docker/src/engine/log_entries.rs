//! From the engine's log entries to lines that may be shown.

use std::borrow::Cow;

use jiff::Timestamp;

use treasury_ports::log_search::{MAX_LINE_BYTES, split_time};

/// A line as it was written.
#[derive(Debug, PartialEq, Eq)]
pub struct RawLine {
    pub at: Option<Timestamp>,
    pub stderr: bool,
    pub bytes: Vec<u8>,
}

impl RawLine {
    /// What it says.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// Puts lines together that the engine cut into entries of 16 KiB.
#[derive(Debug, Default)]
pub struct Entries {
    begun: [Option<RawLine>; 2],
}

impl Entries {
    /// Takes an entry, `time SPACE bytes`; gives the line that it ends.
    pub fn take(&mut self, stderr: bool, entry: &[u8]) -> Option<RawLine> {
        let (at, part) = split_time(entry);
        let begun = &mut self.begun[usize::from(stderr)];
        let bytes = Vec::new();
        let line = begun.get_or_insert(RawLine { at, stderr, bytes });
        let room = MAX_LINE_BYTES.saturating_sub(line.bytes.len());
        line.bytes.extend_from_slice(&part[..part.len().min(room)]);
        begun.take_if(|_| entry.ends_with(b"\n"))
    }

    /// The lines that were begun and not ended.
    pub fn rest(self) -> impl Iterator<Item = RawLine> {
        self.begun.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use treasury_domain::service::LogLine;
    use treasury_ports::text::{clean, fit};

    #[test]
    fn a_long_line_is_put_together_and_cut() {
        let mut entries = Entries::default();
        let time = "2026-11-23T10:00:00.000000001Z ";
        let long = format!("{time}{}", "ä".repeat(8_000));
        assert_eq!(entries.take(false, long.as_bytes()), None);
        let other = entries.take(true, format!("{time}err\n").as_bytes());
        assert_eq!(
            other.map(|raw| (raw.stderr, raw.text().into_owned())),
            Some((true, "err\n".into()))
        );
        let raw = entries
            .take(false, format!("{time}end\n").as_bytes())
            .unwrap();
        assert_eq!(raw.at, time.trim().parse().ok());
        assert!(
            raw.text().ends_with("ääend\n"),
            "the second time stamp is gone"
        );
        let cut = fit(clean(&raw.text()));
        assert!(cut.len() <= LogLine::MAX_BYTES && cut.ends_with("ä…"));
        assert!(entries.rest().next().is_none());
    }
}
