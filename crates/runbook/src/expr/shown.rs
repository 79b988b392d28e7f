//! Conditions as people read them: by their values.

use serde_json::Value;
use treasury_domain::{duration, timeline::cut};

use super::eval::{Values, eval, text_of};
use super::{Expr, Kind, Op};

/// Longest text of a value.
const MOST: usize = 60;

/// A condition by its values: `memory 91 % ≥ 90 %: yes`. What was not looked at is left out. Units are
/// those that the names say: `_percent`, `_bytes`, `_ms`, `_seconds`.
pub fn shown(expr: &Expr, values: &Values) -> String {
    let truth = eval(expr, values).ok().and_then(|value| value.as_bool());
    let yes = truth.map_or("not known", |truth| if truth { "yes" } else { "no" });
    match &expr.kind {
        Kind::Binary(op @ (Op::And | Op::Or), left, right) => {
            let first = shown(left, values);
            let decided = eval(left, values).ok() == Some(Value::Bool(*op == Op::Or));
            match shown(right, values) {
                second if decided || second == first => first,
                second => format!("{first}; {second}"),
            }
        }
        // Its value tells as much.
        Kind::Not(inner) => shown(inner, values),
        Kind::Call(word, given) if matches!(word.as_str(), "succeeded" | "failed" | "skipped") => {
            let id = given.first().map(|id| operand(id, values, None));
            let id = id.unwrap_or_default();
            let state = values.states.get(&id).copied().unwrap_or("not done");
            format!("{}: {state}", id.replace('_', " "))
        }
        Kind::Binary(op, left, right) => {
            let unit = unit(left).or_else(|| unit(right));
            let (mut one, mut other) = (operand(left, values, unit), operand(right, values, unit));
            let apart = eval(left, values).ok() != eval(right, values).ok();
            if one == other && apart {
                // Rounded, they would look equal.
                one = exact(left, values);
                other = exact(right, values);
            }
            let name = name(left).map_or(String::new(), |name| name + " ");
            if is_unknown(left, values) {
                return format!("{name}not known");
            }
            if matches!(right.kind, Kind::Null) {
                return format!("{name}{one}");
            }
            format!("{name}{one} {} {other}: {yes}", sign(*op))
        }
        Kind::Bool(_) => text_of(&Value::Bool(truth.unwrap_or_default())),
        _ => {
            format!("{}: {yes}", name(expr).unwrap_or_else(|| "it holds".into()))
        }
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::LessEqual => "≤",
        Op::GreaterEqual => "≥",
        Op::Equal => "=",
        Op::Unequal => "≠",
        Op::Multiply => "×",
        other => other.sign(),
    }
}

/// The value that is compared; of a sum of what has a unit, its parts.
fn operand(expr: &Expr, values: &Values, unit: Option<Unit>) -> String {
    if is_unknown(expr, values) {
        return "not known".into();
    }
    if let (Kind::Binary(op, left, right), Some(_)) = (&expr.kind, unit) {
        let part = |part: &Expr| operand(part, values, self::unit(part));
        return format!("{} {} {}", part(left), sign(*op), part(right));
    }
    let Ok(value) = eval(expr, values) else {
        return "not known".into();
    };
    match (unit, value.as_f64()) {
        (Some(Unit::Percent), Some(_)) => format!("{} %", text_of(&value)),
        (Some(Unit::Bytes), Some(bytes)) if bytes >= 0.0 => duration::bytes_text(bytes as u64),
        (Some(Unit::Ms), Some(ms)) if ms >= 0.0 => time(ms),
        (Some(Unit::Seconds), Some(seconds)) if seconds >= 0.0 => time(seconds * 1_000.0),
        _ => cut(&text_of(&value), MOST),
    }
}

fn exact(expr: &Expr, values: &Values) -> String {
    eval(expr, values).map_or_else(
        |_| "not known".into(),
        |value| cut(&value.to_string(), MOST),
    )
}

fn time(ms: f64) -> String {
    if ms < 1_000.0 {
        return format!("{} ms", ms.round());
    }
    duration::text(std::time::Duration::from_millis(ms as u64))
}

/// `default(…)` of what is not there stands for it, and is no figure.
fn is_unknown(expr: &Expr, values: &Values) -> bool {
    match &expr.kind {
        Kind::Call(word, given) if word == "default" => given
            .first()
            .is_some_and(|one| !matches!(eval(one, values), Ok(value) if !value.is_null())),
        Kind::Call(_, given) => given.first().is_some_and(|one| is_unknown(one, values)),
        Kind::Field(..) | Kind::Index(..) => {
            matches!(eval(expr, values), Ok(Value::Null) | Err(_))
        }
        _ => false,
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Percent,
    Bytes,
    Ms,
    Seconds,
}

const UNITS: [(&str, Unit); 4] = [
    ("_percent", Unit::Percent),
    ("_bytes", Unit::Bytes),
    ("_ms", Unit::Ms),
    ("_seconds", Unit::Seconds),
];

/// The last field that an expression speaks of.
fn last(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        Kind::Name(name) => Some(name),
        Kind::Field(_, field, _) => Some(field),
        Kind::Each(of) | Kind::Where(of, _) | Kind::Index(of, _) | Kind::Minus(of) => last(of),
        Kind::Call(_, given) => given.first().and_then(last),
        _ => None,
    }
}

fn unit(expr: &Expr) -> Option<Unit> {
    if let Kind::Binary(_, left, right) = &expr.kind {
        return unit(left).or_else(|| unit(right));
    }
    let name = last(expr)?;
    let mut units = UNITS.iter();
    units
        .find(|(end, _)| name.ends_with(end))
        .map(|(_, unit)| *unit)
}

/// What people call it: without its unit.
fn name(expr: &Expr) -> Option<String> {
    if let Kind::Binary(_, left, _) = &expr.kind {
        return unit(expr).and_then(|_| name(left));
    }
    let name = last(expr)?;
    let stem = UNITS.iter().find_map(|(end, _)| name.strip_suffix(end));
    Some(stem.unwrap_or(name).replace('_', " "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expr::parse;

    #[test]
    fn a_condition_is_shown_by_its_values() {
        let Value::Object(names) = json!({
            "params": {"limit": 90, "settle": 30_000, "database": null},
            "result": {"well": true, "steady_ms": 31_000},
            "steps": {
                "stats": {"memory_percent": 91.25, "memory_bytes": 3_221_225_472_u64, "cpu_percent": null},
                "locks": {"blocked": 0, "tree": []},
                "connections": {"used": 18, "max": 20},
                "ask": {"answer": "Leave it"},
                "close": {"memory_percent": 89.999},
                "trend": null,
            },
        }) else {
            panic!("a record");
        };
        let values = Values {
            names,
            states: [("fine".to_owned(), "skipped")].into(),
            ..Values::default()
        };
        for (condition, expected) in [
            (
                "steps.stats.memory_percent >= params.limit",
                "memory 91.25 % ≥ 90 %: yes",
            ),
            ("steps.close.memory_percent >= 90", "memory 89.999 ≥ 90: no"),
            (
                "steps.stats.memory_bytes < 2GiB",
                "memory 3.0 GiB < 2.0 GiB: no",
            ),
            (
                "result.well and result.steady_ms >= params.settle",
                "well: yes; steady 31s ≥ 30s: yes",
            ),
            (
                "steps.stats.memory_bytes * 10 < steps.stats.memory_bytes * 9",
                "memory 3.0 GiB × 10 < 3.0 GiB × 9: no",
            ),
            // The right side was not looked at.
            (
                "steps.locks.blocked > 0 and steps.locks.tree[0].session.pid > 0",
                "blocked 0 > 0: no",
            ),
            (
                "not result.well or len(steps.locks.tree) > 0",
                "well: yes; tree 0 > 0: no",
            ),
            (
                "steps.connections.used * 100 / steps.connections.max >= 90",
                "90 ≥ 90: yes",
            ),
            (
                "steps.ask.answer == 'Run it'",
                "answer Leave it = Run it: no",
            ),
            // What stands for a figure that lacks is no figure.
            ("default(steps.stats.cpu_percent, 0) > 70", "cpu not known"),
            (
                "default(steps.trend.seconds_to_limit, -1) >= 0",
                "seconds to limit not known",
            ),
            ("params.database != null", "database not known"),
            (
                "skipped('fine') and succeeded('trend')",
                "fine: skipped; trend: not done",
            ),
        ] {
            let expr = parse(condition).unwrap();
            assert_eq!(shown(&expr, &values), expected, "{condition}");
        }
    }
}
