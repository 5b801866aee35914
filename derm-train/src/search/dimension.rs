use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The values that a search may give to a key.
///
/// ```yaml
/// training.learning_rate: { log_uniform: [1e-5, 1e-2] }
/// training.label_smoothing: { uniform: [0, 0.2] }
/// training.batch_size: { integers: { from: 16, to: 64, step: 16 } }
/// training.loss: { choices: [cross_entropy, { ldam: { scale: 1 } }] }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Dimension {
    /// Any number between two.
    Uniform([f64; 2]),
    /// Any number between two above 0, by its logarithm.
    LogUniform([f64; 2]),
    /// `from`, `from + step` and so on, up to `to`.
    Integers {
        /// The smallest one.
        from: i64,
        /// No one is larger.
        to: i64,
        /// From one to the next. Default 1.
        #[serde(default = "one")]
        step: u64,
    },
    /// One of these, which may be anything that a recipe takes at the key: a name, a name with settings, a list, or
    /// `null` for a key that is not set. They have no order.
    Choices(Vec<Value>),
}

fn one() -> u64 {
    1
}

/// Integers up to this are exact in an f64.
const LARGEST_INTEGER: i64 = 1 << 53;

/// The largest number below 1.
const BELOW_ONE: f64 = 1.0 - f64::EPSILON / 2.0;

impl Dimension {
    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<String> {
        match self {
            Self::Uniform([low, high]) if !(low < high && (high - low).is_finite()) => Some(format!(
                "`uniform` is [{low}, {high}]: expected two finite numbers, the smaller one first"
            )),
            Self::LogUniform([low, high]) if !(*low > 0.0 && low < high && high.is_finite()) => {
                Some(format!(
                    "`log_uniform` is [{low}, {high}]: expected two finite numbers above 0, the smaller one first"
                ))
            }
            Self::Integers { step: 0, .. } => Some("`integers.step` is 0: expected 1 or more".to_owned()),
            Self::Integers { from, to, .. }
                if !(from < to && -LARGEST_INTEGER <= *from && *to <= LARGEST_INTEGER) =>
            {
                Some(format!(
                    "`integers` go from {from} to {to}: expected the smaller one first, none beyond 2^53"
                ))
            }
            Self::Integers { from, to, step } if *step > to.abs_diff(*from) => {
                Some(format!("`integers.step` is {step}: there is one value only from {from} to {to}"))
            }
            Self::Choices(choices) if choices.is_empty() => {
                Some("`choices` is empty: expected one or more".to_owned())
            }
            Self::Choices(choices) => choices
                .iter()
                .enumerate()
                .find(|(place, choice)| choices[..*place].contains(choice))
                .map(|(_, choice)| format!("`choices` has {choice} twice")),
            _ => None,
        }
    }

    /// How many values there are; `None` where they are a continuum.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Uniform(_) | Self::LogUniform(_) => None,
            Self::Integers { from, to, step } => Some(to.abs_diff(*from) / step + 1),
            Self::Choices(choices) => Some(choices.len() as u64),
        }
    }

    /// The value at a place in [0, 1): numbers on their scale, from the smallest to the largest; integers and choices in
    /// cells of one size.
    pub(super) fn value(&self, place: f64) -> Value {
        match self {
            Self::Uniform([low, high]) => Value::from((low + place * (high - low)).clamp(*low, *high)),
            Self::LogUniform([low, high]) => {
                let logarithm = low.ln() + place * (high.ln() - low.ln());
                Value::from(logarithm.exp().clamp(*low, *high))
            }
            Self::Integers { .. } | Self::Choices(_) => {
                let cells = self.size().unwrap_or(1);
                self.nth(((place * cells as f64) as u64).min(cells - 1))
            }
        }
    }

    /// The value of a cell, from 0; of a continuum its smallest one.
    pub(super) fn nth(&self, cell: u64) -> Value {
        match self {
            Self::Uniform([low, _]) | Self::LogUniform([low, _]) => Value::from(*low),
            Self::Integers { from, step, .. } => Value::from(from.saturating_add_unsigned(cell * step)),
            Self::Choices(choices) => choices.get(cell as usize).cloned().unwrap_or_default(),
        }
    }

    /// The place of a value: the inverse of [`Dimension::value`], the middle of a cell. `None` where it is none of them.
    pub(super) fn place(&self, value: &Value) -> Option<f64> {
        let within = |low: f64, high: f64| value.as_f64().filter(|value| (low..=high).contains(value));
        let place = match self {
            Self::Uniform([low, high]) => (within(*low, *high)? - low) / (high - low),
            Self::LogUniform([low, high]) => (within(*low, *high)?.ln() - low.ln()) / (high.ln() - low.ln()),
            Self::Integers { from, step, .. } => {
                let above = u64::try_from(value.as_i64()?.checked_sub(*from)?).ok()?;
                let cell = Some(above / step).filter(|cell| cell * step == above)?;
                self.middle(cell)?
            }
            Self::Choices(choices) => {
                self.middle(choices.iter().position(|choice| choice == value)? as u64)?
            }
        };
        Some(place.clamp(0.0, BELOW_ONE))
    }

    fn middle(&self, cell: u64) -> Option<f64> {
        let cells = self.size().filter(|cells| cell < *cells)?;
        Some((cell as f64 + 0.5) / cells as f64)
    }

    /// The values by which the key is checked before anything is trained: the ends of a range, every choice.
    pub(super) fn corners(&self) -> Vec<Value> {
        match self {
            Self::Uniform([low, high]) | Self::LogUniform([low, high]) => {
                vec![Value::from(*low), Value::from(*high)]
            }
            Self::Integers { .. } => {
                vec![self.nth(0), self.nth(self.size().unwrap_or(1) - 1)]
            }
            Self::Choices(choices) => choices.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_and_places_belong_together() {
        let choices =
            Dimension::Choices(vec![json!("focal"), json!({ "ldam": { "scale": 1 } }), Value::Null]);
        let integers = Dimension::Integers { from: -4, to: 9, step: 4 };
        assert_eq!(integers.size(), Some(4));
        let values: Vec<Value> = [0.0, 0.24, 0.25, 0.5, 0.99, BELOW_ONE].map(|u| integers.value(u)).to_vec();
        assert_eq!(values, [-4, -4, 0, 4, 8, 8].map(Value::from));
        assert_eq!([0.0, 0.34, BELOW_ONE].map(|u| choices.value(u)), [0, 1, 2].map(|n| choices.nth(n)));
        for dimension in [&choices, &integers] {
            for cell in 0..dimension.size().unwrap() {
                let value = dimension.nth(cell);
                let place = dimension.place(&value).unwrap();
                assert!(place > 0.0 && place < 1.0);
                assert_eq!(dimension.value(place), value);
            }
        }
        for wrong in [json!(1), json!(12), json!(-8), json!("a"), json!(0.5)] {
            assert_eq!(integers.place(&wrong), None);
            assert_eq!(choices.place(&wrong), None);
        }

        let uniform = Dimension::Uniform([-1.0, 3.0]);
        let log = Dimension::LogUniform([1e-4, 1.0]);
        assert_eq!([0.0, 0.5, 0.75].map(|u| uniform.value(u).as_f64().unwrap()), [-1.0, 1.0, 2.0]);
        let values = [0.0, 0.25, 0.5, 0.75].map(|u| log.value(u).as_f64().unwrap());
        for (value, expected) in values.into_iter().zip([1e-4, 1e-3, 1e-2, 1e-1]) {
            // A few roundings of ln and exp.
            assert!((value / expected - 1.0).abs() < 1e-13, "{value}");
        }
        for dimension in [uniform, log] {
            for place in [0.0, 0.1, 0.625, BELOW_ONE] {
                let found = dimension.place(&dimension.value(place)).unwrap();
                assert!((found - place).abs() < 1e-14 && found < 1.0, "{place}: {found}");
            }
            assert_eq!(dimension.place(&json!(4.0)), None);
            assert_eq!(dimension.place(&json!("low")), None);
        }
    }

    #[test]
    fn what_holds_no_values_is_named() {
        let integers = |from, to, step| Dimension::Integers { from, to, step };
        for (dimension, word) in [
            (Dimension::Uniform([1.0, 1.0]), "uniform"),
            (Dimension::Uniform([1.0, f64::NAN]), "uniform"),
            (Dimension::Uniform([f64::MIN, f64::MAX]), "finite"),
            (Dimension::LogUniform([0.0, 1.0]), "above 0"),
            (Dimension::LogUniform([1e-3, f64::INFINITY]), "finite"),
            (Dimension::LogUniform([1e-2, 1e-3]), "smaller one first"),
            (integers(3, 3, 1), "smaller one first"),
            (integers(1, 3, 0), "step"),
            (integers(1, 3, 3), "one value only"),
            (integers(0, i64::MAX, 1), "2^53"),
            (Dimension::Choices(vec![]), "empty"),
            (Dimension::Choices(vec![json!(1), json!(2), json!(1)]), "twice"),
        ] {
            assert!(dimension.fault().is_some_and(|fault| fault.contains(word)), "{dimension:?}");
        }
        for dimension in [
            Dimension::Uniform([-1.0, 0.0]),
            Dimension::LogUniform([1e-9, 1.0]),
            integers(0, 1, 1),
            integers(-3, 3, 6),
            Dimension::Choices(vec![json!(1)]),
        ] {
            assert_eq!(dimension.fault(), None);
        }
    }
}
