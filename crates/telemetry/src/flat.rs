//! One JSON object a line, without depth: the fields of an event beside those of the spans that it
//! happened in. What searches logs finds `incident` in one place.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// The format.
pub(crate) struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        // The inner span's word goes before the outer's, the event's before both.
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(text) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(own)) = serde_json::from_str(&text.fields)
            {
                fields.0.extend(own);
            }
        }
        event.record(&mut fields);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let meta = event.metadata();
        let head = [
            ("timestamp", time),
            ("level", meta.level().to_string()),
            ("target", meta.target().to_owned()),
        ];
        let message = fields.0.remove("message").unwrap_or_else(|| "".into());
        let mut line = Vec::with_capacity(4 + fields.0.len());
        line.extend(head.map(|(name, text)| (name.to_owned(), Value::String(text))));
        line.push(("message".to_owned(), message));
        // What has the name of one of these is left out: it can't be there twice.
        let is_new = |name: &str| !head_names().contains(&name);
        line.extend(fields.0.into_iter().filter(|(name, _)| is_new(name)));
        for (at, (name, value)) in line.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            write!(writer, "{before}{}:{value}", Value::String(name.clone()))?;
        }
        writer.write_str("}\n")
    }
}

const fn head_names() -> [&'static str; 3] {
    ["timestamp", "level", "target"]
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name().trim_start_matches("r#");
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::JsonFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `work` is done, as JSON a line.
    fn written(work: impl FnOnce()) -> Vec<Value> {
        let page = Page::default();
        let own = page.clone();
        let log = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(Flat)
            .with_writer(move || own.clone())
            .finish();
        tracing::subscriber::with_default(log, work);
        let bytes = page.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    #[test]
    fn a_line_says_what_happened_and_in_what() {
        let lines = written(|| {
            let request = tracing::error_span!(
                "request",
                request = "ab12",
                person = "U0ANA00001",
                incident = tracing::field::Empty
            );
            let _in = request.enter();
            let run = tracing::error_span!("run", run = 7, service = "api");
            request.record("incident", tracing::field::display("INC-1"));
            let _in = run.enter();
            tracing::warn!(
                ok = false,
                level = "x",
                person = "U0BEN00001",
                "it \"failed\"\n{}",
                1
            );
        });
        let [line] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        for (name, value) in [
            ("level", Value::from("WARN")),
            ("target", "treasury_telemetry::flat::tests".into()),
            ("message", "it \"failed\"\n1".into()),
            ("request", "ab12".into()),
            ("incident", "INC-1".into()),
            ("run", 7.into()),
            ("service", "api".into()),
            ("person", "U0BEN00001".into()),
            ("ok", false.into()),
        ] {
            assert_eq!(line[name], value, "{name} of {line}");
        }
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
