use derm_metrics::Interval;

/// What stands where a number is undefined.
pub(crate) const UNDEFINED: &str = "undefined";

/// A fraction or score with three digits; what rounds to nothing has no sign.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let text = format!("{value:.3}");
    if text == "-0.000" { text[1..].to_owned() } else { text }
}

pub(crate) fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| UNDEFINED.to_owned(), number)
}

/// `95 % `, the nominal coverage of an interval; nothing where there is none.
pub(crate) fn percent(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |interval| {
        let digits = format!("{:.2}", 100.0 * (1.0 - interval.alpha));
        format!("{} % ", digits.trim_end_matches('0').trim_end_matches('.'))
    })
}

/// `low to high`.
pub(crate) fn interval(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || "–".to_owned(),
        |interval| format!("{} to {}", number(interval.low), number(interval.high)),
    )
}

/// `value (low to high)`.
pub(crate) fn with_interval(value: Option<f64>, interval: Option<Interval>) -> String {
    match (value, interval) {
        (Some(value), Some(of)) => format!("{} ({} to {})", number(value), number(of.low), number(of.high)),
        (value, _) => optional(value),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn what_rounds_to_nothing_has_no_sign() {
        let texts = [-0.0004, -0.0, 0.0004, -0.0006].map(number);
        assert_eq!(texts, ["0.000", "0.000", "0.000", "-0.001"]);
    }
}
