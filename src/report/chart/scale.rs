//! Round numbers for an axis.

use crate::domain::Unit;

/// The distance between two grid lines so that about five fit into `span`: a round number.
pub(super) fn step(unit: Unit, span: f64) -> f64 {
    let rough = (span / 5.0).clamp(1e-12, 1e18);
    if matches!(unit, Unit::Bytes | Unit::BytesPerSecond) {
        return 2_f64.powf(rough.log2().ceil());
    }
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        let close = |unit, span, wanted: f64| (step(unit, span) - wanted).abs() < 1e-9 * wanted;
        assert!(close(Unit::Number, 97.0, 20.0));
        assert!(close(Unit::Percent, 4.0, 1.0));
        assert!(close(Unit::Bytes, 512.0, 128.0));
        assert!(close(Unit::Seconds, 0.000_002_1, 0.000_000_5));
        for span in [1e-300, 1e-9, 0.3, 7.0, 1e15, f64::MAX] {
            assert!(step(Unit::Milliseconds, span).is_normal());
        }
    }
}
