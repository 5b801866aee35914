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

/// A number in four digits that count, small and large ones with a power of ten: a learning rate, say.
///
/// ```
/// use derm_report::four_digits;
/// assert_eq!([1e-5, 0.012346, 0.5, 123456.0].map(four_digits), ["1e-5", "0.01235", "0.5", "1.235e5"]);
/// ```
pub fn four_digits(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    if !(1e-3..1e5).contains(&size) {
        let text = format!("{value:.3e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_to_nothing_has_no_sign() {
        let texts = [-0.0004, -0.0, 0.0004, -0.0006].map(number);
        assert_eq!(texts, ["0.000", "0.000", "0.000", "-0.001"]);
    }

    #[test]
    fn numbers_keep_the_digits_that_count() {
        let expected = [
            (0.012346, "0.01235"),
            (1e-5, "1e-5"),
            (2.5e-7, "2.5e-7"),
            (100.0, "100"),
            (123456.0, "1.235e5"),
            (0.5, "0.5"),
            (-3.25, "-3.25"),
            (0.0, "0"),
            (99999.0, "99999"),
        ];
        for (value, text) in expected {
            assert_eq!(four_digits(value), text);
        }
    }
}
