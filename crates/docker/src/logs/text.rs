//! From the engine's log entries to lines that may be shown.

use jiff::Timestamp;

pub(crate) use treasury_ports::text::clean;
pub(super) use treasury_ports::text::fit;

/// A longer line is cut here before it is looked at; the rest of it is dropped.
const LONGEST: usize = 64 * 1024;

/// A line as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) at: Option<Timestamp>,
    pub(super) stderr: bool,
    pub(super) text: String,
}

/// Puts lines together that the engine cut into entries of 16 KiB.
#[derive(Debug, Default)]
pub(super) struct Entries {
    begun: [Option<(Option<Timestamp>, Vec<u8>)>; 2],
}

impl Entries {
    /// Takes an entry, `time SPACE bytes`; gives the line that it ends.
    pub(super) fn take(&mut self, stderr: bool, entry: &[u8]) -> Option<Raw> {
        let (at, bytes) = split_time(entry);
        let begun = &mut self.begun[usize::from(stderr)];
        let (_, line) = begun.get_or_insert_with(|| (at, Vec::new()));
        let room = LONGEST.saturating_sub(line.len());
        line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if entry.ends_with(b"\n") {
            begun.take().map(|begun| raw(stderr, begun))
        } else {
            None
        }
    }

    /// The lines that were begun and not ended.
    pub(super) fn rest(self) -> Vec<Raw> {
        let [out, err] = self.begun;
        [(false, out), (true, err)]
            .into_iter()
            .filter_map(|(stderr, begun)| begun.map(|begun| raw(stderr, begun)))
            .collect()
    }
}

fn raw(stderr: bool, (at, bytes): (Option<Timestamp>, Vec<u8>)) -> Raw {
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Raw { at, stderr, text }
}

/// Takes off the engine's time stamp.
fn split_time(entry: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let split = || {
        let space = entry.iter().take(40).position(|byte| *byte == b' ')?;
        let time: Timestamp = std::str::from_utf8(&entry[..space]).ok()?.parse().ok()?;
        Some((Some(time), &entry[space + 1..]))
    };
    split().unwrap_or((None, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use treasury_domain::service::LogLine;

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
