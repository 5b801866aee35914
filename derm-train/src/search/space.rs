use std::collections::BTreeMap;

use derm_report::four_digits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Dimension;
use crate::Error;

/// The values of a trial: one for each key of the space.
pub type Parameters = BTreeMap<String, Value>;

/// The keys that a search decides, each with the values that it may take.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SearchSpace {
    /// Keys as `training.learning_rate`.
    pub dimensions: BTreeMap<String, Dimension>,
}

impl SearchSpace {
    /// Checks every dimension.
    ///
    /// # Errors
    /// [`Error::SearchSpace`] for a space without keys, a key with empty parts, two keys of which one lies within the
    /// other, a range that holds no values, choices that are none or not distinct.
    pub fn validate(&self) -> Result<(), Error> {
        if self.dimensions.is_empty() {
            return Err(fault("", "expected one key or more"));
        }
        for (key, dimension) in &self.dimensions {
            if key.split('.').any(str::is_empty) {
                return Err(fault(key, "a part of the key is empty"));
            }
            let mut others = self.dimensions.keys();
            if let Some(within) = others.find(|other| lies_within(other, key) && *other != key) {
                return Err(fault(
                    key,
                    &format!("`{within}` lies within it: only one of them can be searched"),
                ));
            }
            if let Some(reason) = dimension.fault() {
                return Err(fault(key, &reason));
            }
        }
        Ok(())
    }

    /// How many points it has; `None` for a continuum, or more than fit.
    pub(super) fn size(&self) -> Option<u64> {
        self.dimensions.values().try_fold(1_u64, |size, dimension| size.checked_mul(dimension.size()?))
    }

    /// The point at these places, drawn one after the other in the order of the keys.
    pub(super) fn point(&self, mut place: impl FnMut(&str, &Dimension) -> f64) -> Parameters {
        let value =
            |(key, dimension): (&String, &Dimension)| (key.clone(), dimension.value(place(key, dimension)));
        self.dimensions.iter().map(value).collect()
    }

    /// The `index`-th point of a space of finitely many.
    pub(super) fn nth(&self, mut index: u64) -> Parameters {
        let value = |(key, dimension): (&String, &Dimension)| {
            let size = dimension.size().unwrap_or(1);
            let cell = index % size;
            index /= size;
            (key.clone(), dimension.nth(cell))
        };
        self.dimensions.iter().map(value).collect()
    }

    /// Whether these are values of its keys, all of them.
    pub(super) fn holds(&self, parameters: &Parameters) -> bool {
        let known = |(key, dimension): (&String, &Dimension)| {
            parameters.get(key).is_some_and(|value| dimension.place(value).is_some())
        };
        parameters.len() == self.dimensions.len() && self.dimensions.iter().all(known)
    }
}

/// Whether a key is another one, or a part of it.
pub(super) fn lies_within(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub(super) fn fault(key: &str, reason: &str) -> Error {
    let key = if key.is_empty() { "space".to_owned() } else { format!("space.{key}") };
    Error::SearchSpace { key, reason: reason.to_owned() }
}

/// As people read a value: text without quotes, numbers with four digits that count.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().map_or_else(String::new, four_digits),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}

/// `training.learning_rate=0.0012, training.loss=focal`.
pub(super) fn in_words(parameters: &Parameters) -> String {
    let words: Vec<String> =
        parameters.iter().map(|(key, value)| format!("{key}={}", shown(value))).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn space(keys: &[(&str, Dimension)]) -> SearchSpace {
        let dimensions = keys.iter().map(|(key, dimension)| ((*key).to_owned(), dimension.clone())).collect();
        SearchSpace { dimensions }
    }

    #[test]
    fn points_of_a_finite_space_are_counted_once_each() {
        let two = Dimension::Choices(vec![json!("a"), json!("b")]);
        let three = Dimension::Integers { from: 1, to: 3, step: 1 };
        let finite = space(&[("x", two.clone()), ("y", three.clone())]);
        assert_eq!(finite.size(), Some(6));
        let points: Vec<Parameters> = (0..6).map(|index| finite.nth(index)).collect();
        for (place, point) in points.iter().enumerate() {
            assert!(finite.holds(point) && !points[..place].contains(point));
        }
        assert_eq!(space(&[("x", two), ("y", Dimension::Uniform([0.0, 1.0]))]).size(), None);
        let many = Dimension::Integers { from: 0, to: 1 << 40, step: 1 };
        assert_eq!(space(&[("x", many.clone()), ("y", many)]).size(), None);
        let mut strange = points[0].clone();
        strange.insert("y".to_owned(), json!(4));
        assert!(!finite.holds(&strange));
    }

    #[test]
    fn keys_do_not_lie_within_one_another() {
        let any = Dimension::Uniform([0.0, 1.0]);
        for (keys, word) in [
            (&[][..], "one key or more"),
            (&[("training..ema", any.clone())][..], "empty"),
            (&[("training.ema", any.clone()), ("training.ema.decay", any.clone())], "lies within"),
            (&[("training.ema", Dimension::Choices(vec![]))], "`choices` is empty"),
        ] {
            let error = space(keys).validate().map_err(|error| error.to_string());
            assert!(error.clone().is_err_and(|text| text.contains(word)), "{word}: {error:?}");
        }
        let beside = space(&[("training.epoch", any.clone()), ("training.epochs", any)]);
        assert!(beside.validate().is_ok());
    }

    #[test]
    fn values_read_as_people_write_them() {
        for (value, text) in [
            (json!(0.0012346), "0.001235"),
            (json!("focal"), "focal"),
            (json!(100), "100"),
            (Value::Null, "nothing"),
            (json!({ "focal": { "gamma": 2 } }), r#"{"focal":{"gamma":2}}"#),
        ] {
            assert_eq!(shown(&value), text);
        }
    }
}
