//! When two spellings are one answer.

/// The text by which spellings are compared: without blanks (and byte-order marks) at its ends, in lower case, and a
/// finite number as its shortest decimal, so that `3`, ` 3.0` and `3e0` are one answer, and so are `Female` and
/// `female`.
pub(super) fn plain(text: &str) -> String {
    let trimmed = trim(text);
    match number(trimmed) {
        // −0 is 0.
        Some(number) => (number + 0.0).to_string(),
        None => trimmed.to_lowercase(),
    }
}

/// The text without blanks and byte-order marks at its ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// The finite number that a trimmed text is.
pub(super) fn number(trimmed: &str) -> Option<f64> {
    // Words are not parsed: `inf`, `nan` and `infinity` are no numbers here.
    let first = trimmed.trim_start_matches(['+', '-']).chars().next()?;
    if !(first.is_ascii_digit() || first == '.') {
        return None;
    }
    trimmed.parse().ok().filter(|number: &f64| number.is_finite())
}
