//! What every section's `validate` says.

use crate::Error;

pub(super) fn within(value: f64, low: f64, high: f64) -> bool {
    (low..=high).contains(&value)
}

pub(super) fn open_unit(value: f64) -> bool {
    value > 0.0 && value < 1.0
}

pub(super) fn section<E: Into<Error>>(section: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::Section { section, source: Box::new(source.into()) }
}

pub(crate) fn check<T: std::fmt::Display>(
    key: &'static str,
    value: &T,
    expected: &'static str,
    allowed: impl Fn(&T) -> bool,
) -> Result<(), Error> {
    if allowed(value) { Ok(()) } else { Err(Error::Value { key, value: value.to_string(), expected }) }
}
