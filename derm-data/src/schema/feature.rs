use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::answer::{NONE, SEPARATOR};
use super::site::{self, Site};
use super::spelling::{number, plain, trim};
use crate::Error;

/// One question of a questionnaire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The key of its answer.
    pub name: String,
    /// The question as a person reads it.
    pub question: String,
    /// The block that it belongs to, where it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// What becomes of a missing answer.
    #[serde(default)]
    pub missing: MissingPolicy,
    /// What is asked for.
    #[serde(rename = "answer")]
    pub kind: FeatureKind,
}

/// What becomes of a missing answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingPolicy {
    /// The feature has one more column, the last of its columns, which is 1 where the answer is missing and 0 where it
    /// is there; the other columns are then 0.
    #[default]
    Indicator,
    /// The feature has no such column: its columns are 0 where the answer is missing. A missing answer is then the same
    /// row as the mean of a number, the lowest value of an ordinal feature and "none" of a multiple choice;
    /// [`FeatureSchema::decode`](crate::FeatureSchema::decode) takes such a row for a missing answer.
    Zeros,
    /// An answer must be given.
    Required,
}

/// What becomes of a number outside its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutsidePolicy {
    /// It is an error.
    #[default]
    Refuse,
    /// It is moved to the nearest end of the range.
    Clip,
}

/// What "I do not know" means as the answer to a yes-or-no question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPolicy {
    /// That the answer is missing.
    #[default]
    Missing,
    /// An answer, with a column of its own: the question was asked.
    Column,
}

/// Other ways to write a value: synonym to value.
type Synonyms = BTreeMap<String, String>;

/// Synonyms from a file, in which each stands once: of two, one would be lost.
fn distinct<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Synonyms, D::Error> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Synonyms;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("synonyms with the values that they stand for")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Synonyms, A::Error> {
            let mut synonyms = Synonyms::new();
            while let Some((synonym, value)) = map.next_entry::<String, String>()? {
                if synonyms.contains_key(&synonym) {
                    return Err(A::Error::custom(format_args!("synonym {synonym:?} stands twice")));
                }
                synonyms.insert(synonym, value);
            }
            Ok(synonyms)
        }
    }

    deserializer.deserialize_map(Pairs)
}

/// What a question asks for, and how the answer becomes columns. A column for a missing answer comes after those named
/// here ([`MissingPolicy::Indicator`]).
///
/// Values and synonyms are compared without blanks at their ends and in any case; what reads as a number is compared as
/// a number, so that the answer `3.0` is the value `3`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FeatureKind {
    /// A number; one column, `(x − mean) / std`.
    Numeric {
        /// The unit, such as `years`; empty for a number without one.
        unit: String,
        /// Smallest answer that is allowed.
        min: f64,
        /// Largest answer that is allowed.
        max: f64,
        /// What becomes of a number outside the range.
        #[serde(default)]
        outside: OutsidePolicy,
        /// Centre of the scaling, by [`FeatureSchema::fit_scaling`](crate::FeatureSchema::fit_scaling).
        mean: f64,
        /// Width of the scaling; positive.
        std: f64,
    },
    /// One of K values in an order; K − 1 columns, one for each value but the lowest, 1 where the answer reaches it (a
    /// thermometer code).
    Ordinal {
        /// The values, lowest first.
        values: Vec<String>,
        /// Other ways to write a value.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "distinct")]
        synonyms: Synonyms,
    },
    /// One of several values; one column a value, 1 where it is the answer.
    Choice {
        /// The values in the order of their columns.
        values: Vec<String>,
        /// Other ways to write a value.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "distinct")]
        synonyms: Synonyms,
    },
    /// Any number of values; one column a value, 1 where it is among the answer's. The answer's text joins its values by
    /// [`SEPARATOR`](super::SEPARATOR) (`fever|chills`) and is [`NONE`](super::NONE) where none applies, which is an
    /// answer and not a missing one.
    MultipleChoice {
        /// The values in the order of their columns.
        values: Vec<String>,
        /// Values that stand alone, such as `no_relevant_symptoms`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        exclusive: Vec<String>,
        /// Other ways to write a value.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "distinct")]
        synonyms: Synonyms,
    },
    /// Yes or no; one column, 1 for yes and −1 for no, and a second one for "I do not know" where that is an answer.
    /// `yes`, `true`, `1`, `no`, `false`, `0` and `unknown` are understood.
    Boolean {
        /// What `unknown` means.
        #[serde(default)]
        unknown: UnknownPolicy,
        /// Other ways to write `yes`, `no` and `unknown`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "distinct")]
        synonyms: Synonyms,
    },
    /// A place on the body; one column a site, 1 for the site of the answer and for every site that it belongs to.
    BodySite {
        /// The sites in the order of their columns.
        sites: Vec<Site>,
        /// Other ways to write a site.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "distinct")]
        synonyms: Synonyms,
    },
}

/// What yes-or-no questions understand without synonyms, with the values they stand for.
const BOOLEAN_WORDS: [(&str, usize); 7] =
    [("yes", 0), ("true", 0), ("1", 0), ("no", 1), ("false", 1), ("0", 1), ("unknown", 2)];

/// The canonical answers to a yes-or-no question.
pub(super) const BOOLEAN_VALUES: [&str; 3] = ["yes", "no", "unknown"];

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

fn pairs(synonyms: &[(&str, &str)]) -> Synonyms {
    synonyms.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect()
}

impl Feature {
    /// A question, with a column for a missing answer and in no block.
    pub fn new(name: &str, question: &str, kind: FeatureKind) -> Self {
        let missing = MissingPolicy::default();
        Self { name: name.to_owned(), question: question.to_owned(), block: None, missing, kind }
    }

    /// A number within a range. The scaling maps the range to [−1, 1] until it is fitted.
    pub fn numeric(name: &str, question: &str, unit: &str, min: f64, max: f64) -> Self {
        let (mean, std) = (f64::midpoint(min, max), (max - min) / 2.0);
        let outside = OutsidePolicy::default();
        Self::new(
            name,
            question,
            FeatureKind::Numeric { unit: unit.to_owned(), min, max, outside, mean, std },
        )
    }

    /// One of several values in an order, lowest first.
    pub fn ordinal(name: &str, question: &str, values: &[&str], synonyms: &[(&str, &str)]) -> Self {
        Self::new(name, question, FeatureKind::Ordinal { values: texts(values), synonyms: pairs(synonyms) })
    }

    /// One of several values.
    pub fn choice(name: &str, question: &str, values: &[&str], synonyms: &[(&str, &str)]) -> Self {
        Self::new(name, question, FeatureKind::Choice { values: texts(values), synonyms: pairs(synonyms) })
    }

    /// Any number of values, of which the exclusive ones stand alone.
    pub fn multiple_choice(name: &str, question: &str, values: &[&str], exclusive: &[&str]) -> Self {
        let (values, exclusive) = (texts(values), texts(exclusive));
        let kind = FeatureKind::MultipleChoice { values, exclusive, synonyms: Synonyms::new() };
        Self::new(name, question, kind)
    }

    /// A yes-or-no question.
    pub fn boolean(name: &str, question: &str, unknown: UnknownPolicy) -> Self {
        Self::new(name, question, FeatureKind::Boolean { unknown, synonyms: Synonyms::new() })
    }

    /// A place on the body.
    pub fn body_site(name: &str, question: &str, sites: Vec<Site>, synonyms: &[(&str, &str)]) -> Self {
        Self::new(name, question, FeatureKind::BodySite { sites, synonyms: pairs(synonyms) })
    }

    /// The same feature with another policy for missing answers.
    #[must_use]
    pub fn with_missing(self, missing: MissingPolicy) -> Self {
        Self { missing, ..self }
    }

    /// The same feature in a block.
    #[must_use]
    pub fn in_block(self, block: &str) -> Self {
        Self { block: Some(block.to_owned()), ..self }
    }

    /// What an answer may be, in words.
    pub fn expected(&self) -> String {
        match &self.kind {
            FeatureKind::Numeric { unit, min, max, outside, .. } => {
                let range = match outside {
                    OutsidePolicy::Refuse => format!(" from {min} to {max}"),
                    OutsidePolicy::Clip => String::new(),
                };
                let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
                format!("a number{range}{unit}")
            }
            FeatureKind::Ordinal { values, .. } | FeatureKind::Choice { values, .. } => {
                format!("one of {values:?}")
            }
            FeatureKind::MultipleChoice { values, exclusive, .. } => {
                let alone = match exclusive.as_slice() {
                    [] => String::new(),
                    _ => format!("; alone: {exclusive:?}"),
                };
                format!("{NONE:?} or any of {values:?}, joined by {SEPARATOR:?}{alone}")
            }
            FeatureKind::Boolean { unknown: UnknownPolicy::Missing, .. } => "yes or no".to_owned(),
            FeatureKind::Boolean { unknown: UnknownPolicy::Column, .. } => "yes, no or unknown".to_owned(),
            FeatureKind::BodySite { sites, .. } => {
                format!("one of {:?}", sites.iter().map(|site| &site.name).collect::<Vec<_>>())
            }
        }
    }

    /// The canonical spellings of the answers, by position; none for a number.
    pub(super) fn spellings(&self) -> Vec<&str> {
        match &self.kind {
            FeatureKind::Numeric { .. } => Vec::new(),
            FeatureKind::Ordinal { values, .. }
            | FeatureKind::Choice { values, .. }
            | FeatureKind::MultipleChoice { values, .. } => values.iter().map(String::as_str).collect(),
            FeatureKind::Boolean { .. } => BOOLEAN_VALUES.to_vec(),
            FeatureKind::BodySite { sites, .. } => sites.iter().map(|site| site.name.as_str()).collect(),
        }
    }

    fn synonyms(&self) -> Option<&Synonyms> {
        match &self.kind {
            FeatureKind::Numeric { .. } => None,
            FeatureKind::Ordinal { synonyms, .. }
            | FeatureKind::Choice { synonyms, .. }
            | FeatureKind::MultipleChoice { synonyms, .. }
            | FeatureKind::Boolean { synonyms, .. }
            | FeatureKind::BodySite { synonyms, .. } => Some(synonyms),
        }
    }

    fn wrong(&self, reason: String) -> Error {
        Error::Feature { feature: self.name.clone(), reason }
    }

    /// Checks that the feature makes sense by itself; gives every spelling that it understands, in its plain form, with
    /// the position of its value.
    pub(super) fn validate(&self) -> Result<BTreeMap<String, usize>, Error> {
        if self.name.is_empty() || trim(&self.name) != self.name {
            return Err(self.wrong("expected a name without blanks at its ends".to_owned()));
        }
        self.validate_kind()?;
        let values = self.spellings();
        let mut known = BTreeMap::new();
        if matches!(self.kind, FeatureKind::Boolean { .. }) {
            known.extend(BOOLEAN_WORDS.map(|(word, position)| (word.to_owned(), position)));
        } else {
            for (position, value) in values.iter().enumerate() {
                self.learn(&mut known, value, position)?;
            }
        }
        for (synonym, value) in self.synonyms().into_iter().flatten() {
            let position = values.iter().position(|known| known == value).ok_or_else(|| {
                self.wrong(format!("synonym {synonym:?} stands for {value:?}, which is no value"))
            })?;
            self.learn(&mut known, synonym, position)?;
        }
        Ok(known)
    }

    fn learn(&self, known: &mut BTreeMap<String, usize>, text: &str, position: usize) -> Result<(), Error> {
        let several = matches!(self.kind, FeatureKind::MultipleChoice { .. });
        let plain = plain(text);
        if plain.is_empty() {
            return Err(self.wrong("a value or synonym is blank".to_owned()));
        }
        if several && plain.contains(SEPARATOR) {
            return Err(self.wrong(format!("{text:?} contains {SEPARATOR:?}, which separates values")));
        }
        if several && plain == NONE {
            return Err(self.wrong(format!("{text:?} is the answer that no value applies")));
        }
        if known.insert(plain, position).is_some() {
            return Err(self.wrong(format!("{text:?} stands twice among its values and synonyms")));
        }
        Ok(())
    }

    fn validate_kind(&self) -> Result<(), Error> {
        match &self.kind {
            FeatureKind::Numeric { min, max, mean, std, .. } => {
                if !(min.is_finite() && max.is_finite() && min < max) {
                    let reason = format!("range {min} to {max}: expected finite numbers in rising order");
                    return Err(self.wrong(reason));
                }
                if !mean.is_finite() {
                    return Err(self.wrong(format!("mean {mean}: expected a finite number")));
                }
                if !(std.is_finite() && *std > 0.0) {
                    return Err(self.wrong(format!("std {std}: expected a positive finite number")));
                }
                if ![min, max].into_iter().all(|end| (((end - mean) / std) as f32).is_finite()) {
                    let reason = format!("mean {mean} and std {std} scale {min} to {max} beyond f32");
                    return Err(self.wrong(reason));
                }
            }
            FeatureKind::Ordinal { values, .. } if values.len() < 2 => {
                return Err(self.wrong("expected at least two values".to_owned()));
            }
            FeatureKind::Choice { values, .. } | FeatureKind::MultipleChoice { values, .. }
                if values.is_empty() =>
            {
                return Err(self.wrong("expected at least one value".to_owned()));
            }
            FeatureKind::MultipleChoice { values, exclusive, .. } => {
                for (index, value) in exclusive.iter().enumerate() {
                    if !values.contains(value) || exclusive[..index].contains(value) {
                        let reason = format!("exclusive {value:?}: expected each to be one of its values");
                        return Err(self.wrong(reason));
                    }
                }
            }
            FeatureKind::BodySite { sites, .. } => {
                if sites.is_empty() {
                    return Err(self.wrong("expected at least one site".to_owned()));
                }
                site::validate(sites).map_err(|reason| self.wrong(reason))?;
            }
            FeatureKind::Ordinal { .. } | FeatureKind::Choice { .. } | FeatureKind::Boolean { .. } => {}
        }
        Ok(())
    }

    /// Whether a plain text that means a missing answer would also be an answer.
    pub(super) fn answers_to(&self, known: &BTreeMap<String, usize>, marker: &str) -> bool {
        match &self.kind {
            FeatureKind::Numeric { min, max, .. } => {
                number(marker).is_some_and(|number| (*min..=*max).contains(&number))
            }
            FeatureKind::MultipleChoice { .. } => marker == NONE || known.contains_key(marker),
            FeatureKind::Boolean { unknown: UnknownPolicy::Missing, .. } => {
                known.get(marker).is_some_and(|&position| position < 2)
            }
            _ => known.contains_key(marker),
        }
    }
}
