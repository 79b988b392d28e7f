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

/// Puts lines together that the engine cut into entries of 16 KiB. They have one time: an entry of
/// another time begins another line, as after last words without a line end.
#[derive(Debug, Default)]
pub struct Entries {
    begun: [Option<RawLine>; 2],
}

impl Entries {
    /// Takes an entry, `time SPACE bytes`; gives the lines that it ends.
    pub fn take(&mut self, stderr: bool, entry: &[u8]) -> impl Iterator<Item = RawLine> + use<> {
        let (at, mut part) = split_time(entry);
        let begun = &mut self.begun[usize::from(stderr)];
        let before = begun.take_if(|line| line.at != at);
        let bytes = Vec::new();
        let line = begun.get_or_insert(RawLine { at, stderr, bytes });
        // On a terminal nothing before this is seen, and there may be a great deal of it.
        if let Some(start) = last_return(part) {
            line.bytes.clear();
            part = &part[start..];
        }
        let room = MAX_LINE_BYTES.saturating_sub(line.bytes.len());
        line.bytes.extend_from_slice(&part[..part.len().min(room)]);
        let ended = begun.take_if(|_| entry.ends_with(b"\n"));
        before.into_iter().chain(ended)
    }

    /// The lines that were begun and not ended.
    pub fn rest(self) -> impl Iterator<Item = RawLine> {
        self.begun.into_iter().flatten()
    }
}

/// Where the text begins that follows the last carriage return, if there is such a text.
fn last_return(part: &[u8]) -> Option<usize> {
    let text = part.trim_ascii_end();
    let at = text.iter().rposition(|byte| *byte == b'\r')?;
    Some(at + 1)
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
        assert_eq!(entries.take(false, long.as_bytes()).next(), None);
        let other = entries.take(true, format!("{time}err\n").as_bytes()).next();
        assert_eq!(
            other.map(|raw| (raw.stderr, raw.text().into_owned())),
            Some((true, "err\n".into()))
        );
        let raw = entries
            .take(false, format!("{time}end\n").as_bytes())
            .next()
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

    #[test]
    fn last_words_without_a_line_end_stay_a_line_when_the_next_run_begins() {
        let mut entries = Entries::default();
        let last = entries.take(false, b"2026-11-23T10:00:09.5Z giving up");
        assert_eq!(last.count(), 0);
        let both = entries.take(false, b"2026-11-23T10:00:35.1Z boot\n");
        let both: Vec<_> = both
            .map(|raw| (raw.at.unwrap().to_string(), raw.text().into_owned()))
            .collect();
        let expected = [
            ("2026-11-23T10:00:09.5Z".to_owned(), "giving up".to_owned()),
            ("2026-11-23T10:00:35.1Z".to_owned(), "boot\n".to_owned()),
        ];
        assert_eq!(both, expected);
    }

    #[test]
    fn however_long_a_progress_bar_is_its_end_is_kept() {
        let mut entries = Entries::default();
        let state = format!("2026-11-23T10:00:00Z \rpulling {}", "x".repeat(16_000));
        for _ in 0..9 {
            assert_eq!(entries.take(false, state.as_bytes()).count(), 0);
        }
        let last = entries.take(false, b"2026-11-23T10:00:00Z \rpull FAILED: disk quota\r\n");
        let texts: Vec<_> = last.map(|raw| clean(&raw.text())).collect();
        assert_eq!(texts, ["pull FAILED: disk quota"]);
    }
}
