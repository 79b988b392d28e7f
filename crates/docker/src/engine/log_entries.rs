//! From the engine's log entries to lines that may be shown.

use jiff::Timestamp;

use treasury_ports::log_search::{MAX_LINE_BYTES, split_time};

/// A line as it was written.
#[derive(Debug, PartialEq, Eq)]
pub struct RawLine {
    pub at: Option<Timestamp>,
    pub stderr: bool,
    pub text: String,
}

/// Puts lines together that the engine cut into entries of 16 KiB.
#[derive(Debug, Default)]
pub struct Entries {
    begun: [Option<(Option<Timestamp>, Vec<u8>)>; 2],
}

impl Entries {
    /// Takes an entry, `time SPACE bytes`; gives the line that it ends.
    pub fn take(&mut self, stderr: bool, entry: &[u8]) -> Option<RawLine> {
        let (at, bytes) = split_time(entry);
        let begun = &mut self.begun[usize::from(stderr)];
        let (_, line) = begun.get_or_insert_with(|| (at, Vec::new()));
        let room = MAX_LINE_BYTES.saturating_sub(line.len());
        line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if entry.ends_with(b"\n") {
            begun.take().map(|begun| raw(stderr, begun))
        } else {
            None
        }
    }

    /// The lines that were begun and not ended.
    pub fn rest(self) -> Vec<RawLine> {
        let [out, err] = self.begun;
        [(false, out), (true, err)]
            .into_iter()
            .filter_map(|(stderr, begun)| begun.map(|begun| raw(stderr, begun)))
            .collect()
    }
}

fn raw(stderr: bool, (at, bytes): (Option<Timestamp>, Vec<u8>)) -> RawLine {
    let text = String::from_utf8_lossy(&bytes).into_owned();
    RawLine { at, stderr, text }
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
            other.map(|raw| (raw.stderr, raw.text)),
            Some((true, "err\n".into()))
        );
        let raw = entries
            .take(false, format!("{time}end\n").as_bytes())
            .unwrap();
        assert_eq!(raw.at, time.trim().parse().ok());
        assert!(
            raw.text.ends_with("ääend\n"),
            "the second time stamp is gone"
        );
        let cut = fit(clean(&raw.text));
        assert!(cut.len() <= LogLine::MAX_BYTES && cut.ends_with("ä…"));
        assert!(entries.rest().is_empty());
    }
}
