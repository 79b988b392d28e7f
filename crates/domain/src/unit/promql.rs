//! The unit that a PromQL expression tells of itself: by the one metric in it, the functions around
//! it, and the base units at the end of the metric's name
//! (<https://prometheus.io/docs/practices/naming/>). Whatever calculates with several figures is of no
//! known unit.

use super::Unit;

/// Functions and aggregations whose result is in the unit of what they are given.
const KEEP: &str = "sum avg min max topk bottomk quantile stddev limitk limit_ratio avg_over_time \
                    min_over_time max_over_time sum_over_time last_over_time first_over_time \
                    quantile_over_time stddev_over_time mad_over_time abs ceil floor round clamp \
                    clamp_min clamp_max sort sort_desc sort_by_label label_replace label_join delta \
                    idelta predict_linear";
/// Their results are numbers of things.
const COUNT: &str = "count count_values count_over_time group absent absent_over_time \
                     present_over_time changes resets sgn stdvar stdvar_over_time";
/// Words of the language that are no names.
const WORDS: &str = "by without on ignoring group_left group_right offset bool start end inf nan \
                     smoothed anchored";

fn is_one_of(words: &str, name: &str) -> bool {
    words.split(' ').any(|word| word == name)
}

/// An expression with one metric in it and known functions around that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The metric's name, such as `http_request_duration_seconds_bucket`.
    pub metric: String,
    /// Outermost first.
    around: Vec<String>,
}

/// What a query is made of, as far as it matters here.
#[derive(Debug, PartialEq)]
enum Piece {
    /// A function or an aggregation: an opening parenthesis follows.
    Call(String),
    Metric(String),
    /// Anything that calculates or compares.
    Operator,
}

impl Measured {
    /// Reads an expression; `None` where its unit can't be told from one metric.
    pub fn read(query: &str) -> Option<Self> {
        let (mut metric, mut around) = (None, Vec::new());
        for piece in pieces(query) {
            match piece {
                // A call after the metric is in another argument.
                Piece::Call(name) if metric.is_none() => around.push(name),
                Piece::Metric(name) if metric.is_none() => metric = Some(name),
                Piece::Operator | Piece::Call(_) | Piece::Metric(_) => return None,
            }
        }
        Some(Self {
            metric: metric?,
            around,
        })
    }

    /// The metric without the ending that says which of its series this is.
    pub fn family(&self) -> &str {
        let name = self.metric.as_str();
        ["_total", "_bucket", "_count", "_sum", "_created"]
            .into_iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name)
    }

    /// What one of the metric's observations is measured in, by its name.
    pub fn base(&self) -> Option<Unit> {
        // Of a recording rule, `level:metric:operations`, the last part may say it.
        let name = self.family().rsplit(':').next()?;
        [
            ("seconds", Unit::Seconds),
            ("milliseconds", Unit::Milliseconds),
            ("ms", Unit::Milliseconds),
            ("bytes", Unit::Bytes),
            ("ratio", Unit::Ratio),
            ("percent", Unit::Percent),
            ("per_second", Unit::PerSecond),
        ]
        .into_iter()
        .find(|(word, _)| {
            let rest = name.strip_suffix(word);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(['_', '.']))
        })
        .map(|(_, unit)| unit)
    }

    /// The unit of the whole expression, where an observation of the metric is measured in this.
    pub fn unit(&self, base: Option<Unit>) -> Option<Unit> {
        let is = |end| self.metric.ends_with(end);
        let is_counted = is("_count") || is("_bucket");
        let mut unit = if is_counted { Some(Unit::Number) } else { base };
        let mut is_rate = false;
        for call in self.around.iter().rev() {
            unit = match call.as_str() {
                "rate" | "irate" | "deriv" => {
                    is_rate = true;
                    match unit {
                        Some(Unit::Bytes) => Some(Unit::BytesPerSecond),
                        Some(Unit::Number) => Some(Unit::PerSecond),
                        None if is("_total") => Some(Unit::PerSecond),
                        // Seconds a second are a plain number, a histogram's a histogram.
                        _ => None,
                    }
                }
                "increase" if unit.is_none() && is("_total") => Some(Unit::Number),
                "histogram_sum" if is_rate => {
                    (base == Some(Unit::Bytes)).then_some(Unit::BytesPerSecond)
                }
                "histogram_quantile"
                | "histogram_quantiles"
                | "histogram_avg"
                | "histogram_stddev"
                | "histogram_sum" => base,
                "histogram_count" if is_rate => Some(Unit::PerSecond),
                "histogram_count" => Some(Unit::Number),
                "histogram_fraction" => Some(Unit::Ratio),
                "increase" => unit,
                name if is_one_of(KEEP, name) => unit,
                name if is_one_of(COUNT, name) => Some(Unit::Number),
                _ => return None,
            };
        }
        unit
    }
}

fn pieces(query: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        rest = match c {
            '#' => rest.split_once('\n').map_or("", |(_, after)| after),
            '"' | '\'' | '`' => quoted(rest).1,
            '[' => rest.split_once(']').map_or("", |(_, after)| after),
            '{' => {
                let (name, after) = matchers(&rest[1..]);
                found.extend(name.map(|name| Piece::Metric(name.to_owned())));
                after
            }
            c if c.is_ascii_digit() || c == '.' => {
                rest.trim_start_matches(|c: char| is_name(c) || c == '.')
            }
            c if is_name(c) => {
                let after = rest.trim_start_matches(is_name);
                let name = &rest[..rest.len() - after.len()];
                let opens = after.trim_start().starts_with('(');
                let lower = name.to_ascii_lowercase();
                if is_one_of(WORDS, &lower) {
                    if opens {
                        after.split_once(')').map_or("", |(_, after)| after)
                    } else {
                        after
                    }
                } else {
                    // `sum by (job) (…)`: the labels come before the parenthesis.
                    let grouped = ["by", "without"]
                        .iter()
                        .any(|word| after.trim_start().to_ascii_lowercase().starts_with(word));
                    found.push(
                        if ["and", "or", "unless", "atan2"].contains(&lower.as_str()) {
                            Piece::Operator
                        } else if opens || grouped && !name.contains(':') && known(&lower) {
                            Piece::Call(lower)
                        } else {
                            Piece::Metric(name.to_owned())
                        },
                    );
                    after
                }
            }
            '+' | '-' | '*' | '/' | '%' | '^' | '=' | '!' | '<' | '>' => {
                found.push(Piece::Operator);
                &rest[1..]
            }
            c => &rest[c.len_utf8()..],
        };
    }
    found
}

fn known(name: &str) -> bool {
    is_one_of(KEEP, name) || is_one_of(COUNT, name)
}

/// The text in these quotes, and what follows them.
fn quoted(text: &str) -> (&str, &str) {
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else {
        return ("", "");
    };
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return (&text[1..at], &text[at + 1..]);
        }
        if c == '\\' && quote != '`' {
            chars.next();
        }
    }
    ("", "")
}

/// The metric's name among matchers, if it stands there (`{"http.requests", code="500"}`), and what
/// follows them.
fn matchers(text: &str) -> (Option<&str>, &str) {
    let (mut rest, mut name) = (text, None);
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '}' => return (name, &rest[1..]),
            '"' | '\'' | '`' => {
                let (inside, after) = quoted(rest);
                let next = after.trim_start();
                let before = text[..text.len() - rest.len()].trim_end();
                // No value of a label, nor the name of one.
                if !before.ends_with(['=', '~']) && next.starts_with([',', '}']) {
                    name = Some(inside);
                }
                after
            }
            c => &rest[c.len_utf8()..],
        };
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(query: &str) -> Option<Unit> {
        let measured = Measured::read(query)?;
        measured.unit(measured.base())
    }

    #[test]
    fn the_metric_in_a_query_says_the_unit_and_a_nickname_never_does() {
        for (query, told) in [
            ("vector(2.5)", None),
            (
                "process_resident_memory_bytes{job=\"a-b\"}",
                Some(Unit::Bytes),
            ),
            ("rate(net_bytes_total[5m])", Some(Unit::BytesPerSecond)),
            (
                "sum by (job) (rate(http_requests_total{code=~'5..'}[5m]))",
                Some(Unit::PerSecond),
            ),
            ("http_requests_total", None),
            (
                "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
                Some(Unit::Seconds),
            ),
            (
                "histogram_quantile(0.9, sum(rate(http_request_duration_seconds[5m])))",
                Some(Unit::Seconds),
            ),
            (
                "max(rate(x_seconds_count[5m])) by (pod)",
                Some(Unit::PerSecond),
            ),
            ("rate(process_cpu_seconds_total[1m])", None),
            ("increase(jobs_total[1h] offset 5m)", Some(Unit::Number)),
            (
                "max_over_time(queue_age_seconds[5m:1m])",
                Some(Unit::Seconds),
            ),
            (
                "rpc_duration_seconds{quantile=\"0.9\"}",
                Some(Unit::Seconds),
            ),
            ("cache_hit_ratio", Some(Unit::Ratio)),
            (
                "treasury:error_percent{service=\"api\"}",
                Some(Unit::Percent),
            ),
            ("treasury:p95_ms", Some(Unit::Milliseconds)),
            ("count(up_bytes)", Some(Unit::Number)),
            (
                "{\"http.server.request.duration.seconds\", code=\"a\"}",
                Some(Unit::Seconds),
            ),
            ("avg({__name__=\"x_bytes\"})", None),
            // Several figures, or one that is calculated with.
            (
                "100 * sum(rate(a_total[5m])) / sum(rate(b_total[5m]))",
                None,
            ),
            ("x_seconds * 1000", None),
            ("x_bytes > 5", None),
            ("x_bytes or y_bytes", None),
            ("up", None),
            ("errors", None),
            ("strange_function(x_bytes)", None),
            ("", None),
        ] {
            assert_eq!(unit(query), told, "{query}");
        }
    }

    #[test]
    fn the_unit_may_come_from_elsewhere() {
        let of = |query: &str| {
            let measured = Measured::read(query).unwrap();
            (
                measured.family().to_owned(),
                measured.unit(Some(Unit::Seconds)),
            )
        };
        assert_eq!(of("avg(age)"), ("age".into(), Some(Unit::Seconds)));
        assert_eq!(
            of("histogram_quantile(0.5, rate(took_bucket[1m]))"),
            ("took".into(), Some(Unit::Seconds))
        );
        assert_eq!(
            of("rate(took_count[1m])"),
            ("took".into(), Some(Unit::PerSecond))
        );
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "(sum|by|rate|x_bytes|[{}()\"'`\\\\\\[\\]=~, é*:.0-9#\n]){0,40}") {
            unit(&query);
        }
    }
}
