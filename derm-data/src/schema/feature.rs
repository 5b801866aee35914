use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// One question of a questionnaire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The key of its answer.
    pub name: String,
    /// The question as a person reads it.
    pub question: String,
    /// Whether an answer must be given. A required feature has no column for a missing answer.
    #[serde(default)]
    pub required: bool,
    /// What is asked for.
    #[serde(rename = "answer")]
    pub kind: FeatureKind,
}

/// What a question asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FeatureKind {
    /// A number; encoded as one column, `(x − mean) / std`.
    Numeric {
        /// The unit, such as `years`.
        unit: String,
        /// Smallest answer that is allowed.
        min: f64,
        /// Largest answer that is allowed.
        max: f64,
        /// Centre of the scaling, by [`FeatureSchema::fit_scaling`](crate::FeatureSchema::fit_scaling).
        mean: f64,
        /// Width of the scaling; positive.
        std: f64,
    },
    /// One of several values; encoded as one column a value, 1 where it is the answer.
    Choice {
        /// The values in the order of their columns.
        values: Vec<String>,
        /// Other ways to write a value: synonym to value.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        synonyms: BTreeMap<String, String>,
    },
    /// Yes or no; encoded as one column, 1 for yes and −1 for no. `yes`, `true`, `1`, `no`, `false` and `0` are
    /// understood.
    Boolean,
}

impl Feature {
    /// An optional number within a range. The scaling maps the range to [−1, 1] until it is fitted.
    pub fn numeric(name: &str, question: &str, unit: &str, min: f64, max: f64) -> Self {
        let (mean, std) = (f64::midpoint(min, max), (max - min) / 2.0);
        Self::optional(name, question, FeatureKind::Numeric { unit: unit.to_owned(), min, max, mean, std })
    }

    /// An optional choice.
    pub fn choice(name: &str, question: &str, values: &[&str], synonyms: &[(&str, &str)]) -> Self {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        let synonyms = synonyms.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect();
        Self::optional(name, question, FeatureKind::Choice { values, synonyms })
    }

    /// An optional yes-or-no question.
    pub fn boolean(name: &str, question: &str) -> Self {
        Self::optional(name, question, FeatureKind::Boolean)
    }

    fn optional(name: &str, question: &str, kind: FeatureKind) -> Self {
        Self { name: name.to_owned(), question: question.to_owned(), required: false, kind }
    }

    /// The same feature, with an answer required.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// What an answer may be, in words.
    pub fn expected(&self) -> String {
        match &self.kind {
            FeatureKind::Numeric { unit, min, max, .. } => format!("a number from {min} to {max} ({unit})"),
            FeatureKind::Choice { values, .. } => format!("one of {values:?}"),
            FeatureKind::Boolean => "yes or no".to_owned(),
        }
    }

    /// Checks that the feature makes sense by itself.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let wrong = |reason: String| Err(Error::Feature { feature: self.name.clone(), reason });
        if self.name.is_empty() || self.name.trim() != self.name {
            return wrong("expected a name without blanks at its ends".to_owned());
        }
        match &self.kind {
            FeatureKind::Numeric { min, max, mean, std, .. } => {
                if !(min.is_finite() && max.is_finite() && min < max) {
                    return wrong(format!("range {min} to {max}: expected finite numbers in rising order"));
                }
                if !mean.is_finite() {
                    return wrong(format!("mean {mean}: expected a finite number"));
                }
                if !(std.is_finite() && *std > 0.0) {
                    return wrong(format!("std {std}: expected a positive finite number"));
                }
            }
            FeatureKind::Choice { values, synonyms } => {
                if values.is_empty() {
                    return wrong("expected at least one value".to_owned());
                }
                let mut known: Vec<String> = Vec::new();
                for text in values.iter().chain(synonyms.keys()) {
                    let plain = text.trim().to_lowercase();
                    if plain.is_empty() {
                        return wrong("a value or synonym is blank".to_owned());
                    }
                    if known.contains(&plain) {
                        return wrong(format!("{text:?} stands twice among its values and synonyms"));
                    }
                    known.push(plain);
                }
                for (synonym, value) in synonyms {
                    if !values.contains(value) {
                        return wrong(format!("synonym {synonym:?} stands for {value:?}, which is no value"));
                    }
                }
            }
            FeatureKind::Boolean => {}
        }
        Ok(())
    }
}
