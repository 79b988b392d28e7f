//! What several series are now, each by its name.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::timeline::cut;
use crate::domain::{Unit, duration};
use crate::probe::prometheus::{self, Labels, Range};

/// So many are told one by one.
const FEW: usize = 3;

/// A series with numbers.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// Oldest first.
    pub(super) points: Vec<(Timestamp, f64)>,
    /// Its newest number.
    last: f64,
    now: Now,
}

/// What a series is at the end of the time that was asked for.
#[derive(Debug, PartialEq)]
enum Now {
    Number,
    /// NaN or infinite.
    Odd(f64),
    /// It had a last value so long ago.
    Gone(Duration),
}

impl Line {
    /// It has a number now.
    pub(super) fn is_now(&self) -> bool {
        self.now == Now::Number
    }
}

/// The series that have numbers, those that have one now first, the highest first.
pub(super) fn lines(series: &[Range], nickname: &str, to: Timestamp, step: Duration) -> Vec<Line> {
    let names = names(series.iter().map(|one| &one.labels).collect(), nickname);
    let lines = series.iter().zip(names).filter_map(|(one, name)| {
        let (at, last) = *one.points.last()?;
        let odd = one.odd.last().filter(|odd| odd.0 > at);
        let newest = odd.map_or(at, |odd| odd.0);
        let age = duration::between(newest, to);
        // One step and what rounding makes of it.
        let now = if age > step + Duration::from_secs(1) {
            Now::Gone(duration::between(at, to))
        } else {
            odd.map_or(Now::Number, |odd| Now::Odd(odd.1))
        };
        let points = one.points.clone();
        Some(Line {
            name,
            points,
            last,
            now,
        })
    });
    let mut lines: Vec<Line> = lines.collect();
    lines.sort_by(|a, b| {
        let height = b.last.total_cmp(&a.last);
        Reverse(a.is_now()).cmp(&Reverse(b.is_now())).then(height)
    });
    lines
}

/// Keeps so many: the highest now, and the lowest now.
pub(super) fn choose(lines: &mut Vec<Line>, most: usize) {
    let now = lines.iter().filter(|one| one.is_now()).count();
    if now > most {
        lines.swap(most - 1, now - 1);
    }
    lines.truncate(most);
}

/// The labels in which the series differ; of one that differs in none, the nickname.
fn names(all: Vec<&Labels>, nickname: &str) -> Vec<String> {
    let keys: BTreeSet<&String> = all.iter().flat_map(|labels| labels.keys()).collect();
    let differ = |key: &&String| all.iter().any(|one| one.get(*key) != all[0].get(*key));
    let keys: Vec<&String> = keys.into_iter().filter(differ).collect();
    let name = |labels: &&Labels| {
        let values = keys.iter().filter_map(|key| labels.get(*key));
        let values: Vec<&str> = values.map(String::as_str).collect();
        if values.is_empty() {
            nickname.to_owned()
        } else {
            cut(&values.join(" "), 60)
        }
    };
    all.iter().map(name).collect()
}

/// `now 2.06 ms`, `now 0 (db-1) to 1 (api-3)`, `api-3: last 4, 50s ago; nothing since`.
/// `alone`: there is no other series from which to tell it apart.
pub(super) fn words(lines: &[Line], unit: Unit, alone: bool) -> String {
    let now: Vec<&Line> = lines.iter().filter(|one| one.is_now()).collect();
    let value = |one: &Line| unit.text(one.last);
    let mut all = Vec::new();
    match &now[..] {
        [] => {}
        [only] if alone => all.push(format!("now {}", value(only))),
        few if few.len() <= FEW => {
            let few: Vec<String> = few
                .iter()
                .map(|one| format!("{} {}", one.name, value(one)))
                .collect();
            all.push(format!("now {}", few.join(", ")));
        }
        [highest, .., lowest] => all.push(if value(highest) == value(lowest) {
            format!("now {} each of {}", value(highest), now.len())
        } else {
            format!(
                "now {} ({}) to {} ({})",
                value(lowest),
                lowest.name,
                value(highest),
                highest.name
            )
        }),
        [_] => {}
    }
    let missing: Vec<&Line> = lines.iter().filter(|one| !one.is_now()).collect();
    for one in missing.iter().take(FEW) {
        let name = if alone {
            String::new()
        } else {
            format!("{}: ", one.name)
        };
        all.push(match one.now {
            Now::Odd(odd) => {
                let odd = prometheus::odd(odd);
                format!("{name}now {odd}, last number {}", value(one))
            }
            Now::Gone(age) => format!(
                "{name}last {}, {} ago; nothing since",
                value(one),
                duration::text(age)
            ),
            Now::Number => continue,
        });
    }
    if missing.len() > FEW {
        all.push(format!("{} more have no number now", missing.len() - FEW));
    }
    all.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A series of a replica whose newest value was so many seconds ago.
    fn range(replica: &str, value: f64, ago: i64) -> Range {
        let labels = [("job", "api"), ("replica", replica)];
        Range {
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            points: vec![(at(-600), value + 1.0), (at(-ago), value)],
            odd: Vec::new(),
        }
    }

    fn told(series: &[Range], unit: Unit) -> String {
        words(
            &lines(series, "mix", at(0), Duration::from_secs(15)),
            unit,
            series.len() == 1,
        )
    }

    #[test]
    fn one_series_is_told_with_its_digits_and_one_that_vanished_has_no_now() {
        assert_eq!(
            told(&[range("a", 0.002_06, 0)], Unit::Seconds),
            "now 2.06 ms"
        );
        assert_eq!(
            told(&[range("a", 4.0, 50)], Unit::Number),
            "last 4, 50s ago; nothing since"
        );
        let mut odd = range("a", 4.0, 50);
        odd.odd = vec![(at(0), f64::NAN)];
        assert_eq!(told(&[odd], Unit::Number), "now NaN, last number 4");
    }

    #[test]
    fn of_several_each_is_named_and_of_many_the_lowest_and_the_highest() {
        let two = [range("a", 7.5, 0), range("b", 2.5, 14)];
        assert_eq!(told(&two, Unit::Percent), "now a 7.5 %, b 2.5 %");
        let mut nine: Vec<Range> = (0..9).map(|n| range(&format!("api-{n}"), 1.0, 0)).collect();
        assert_eq!(told(&nine, Unit::Number), "now 1 each of 9");
        nine[3] = range("db-1", 0.0, 0);
        nine[4] = range("old", 3.0, 300);
        assert_eq!(
            told(&nine, Unit::Number),
            "now 0 (db-1) to 1 (api-0) · old: last 3, 5m ago; nothing since"
        );
        let mut drawn = lines(&nine, "up", at(0), Duration::from_secs(15));
        choose(&mut drawn, 5);
        let drawn: Vec<&str> = drawn.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(drawn, ["api-0", "api-1", "api-2", "api-5", "db-1"]);
    }
}
