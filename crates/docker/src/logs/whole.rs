//! The newest part of a log as one text.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::text::{Entries, Raw, clean};
use super::{ACT, Engine, READ};
use treasury_ports::platform::PlatformError;

/// The newest lines of a container with their times, at most `most` bytes; `None` if it is gone.
pub(crate) async fn whole(
    engine: &Engine,
    id: &str,
    most: usize,
) -> Result<Option<String>, PlatformError> {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .tail(&READ.to_string())
        .build();
    let mut stream = engine.client()?.logs(id, Some(options));
    let call = async {
        let mut newest = Newest::new(most);
        let mut entries = Entries::default();
        while let Some(output) = stream.next().await {
            let output = output?;
            let stderr = matches!(output, LogOutput::StdErr { .. });
            let bytes = output.into_bytes();
            if let Some(raw) = entries.take(stderr, &bytes) {
                newest.add(&raw);
            }
        }
        for raw in entries.rest() {
            newest.add(&raw);
        }
        Ok(newest.text())
    };
    engine.call_if_there("the log", ACT, call).await
}

/// Lines of which the oldest go when there is no room.
struct Newest {
    lines: VecDeque<String>,
    bytes: usize,
    most: usize,
}

impl Newest {
    fn new(most: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            most,
        }
    }

    fn add(&mut self, raw: &Raw) {
        let at = raw.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let stream = if raw.stderr { "stderr" } else { "stdout" };
        let line = format!("{at} {stream} {}\n", clean(&raw.text));
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > self.most
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    fn text(self) -> String {
        Vec::from(self.lines).concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_lines_are_kept() {
        let mut newest = Newest::new(60);
        for (stderr, text) in [(false, "one"), (true, "two\u{1b}[0m"), (false, "three")] {
            newest.add(&Raw {
                at: "2026-11-23T10:00:00Z".parse().ok(),
                stderr,
                text: text.into(),
            });
        }
        let line = "2026-11-23T10:00:00Z stdout three\n";
        assert_eq!(
            newest.text(),
            line,
            "two lines would be {} bytes",
            2 * line.len()
        );
    }
}
