//! What a text says as the answer to a question.

use std::collections::BTreeMap;

use super::feature::BOOLEAN_VALUES;
use super::spelling::{number, plain, trim};
use super::{Feature, FeatureKind, OutsidePolicy, UnknownPolicy};
use crate::Error;

/// What joins the values of an answer to a multiple choice.
pub const SEPARATOR: char = '|';

/// The answer that no value of a multiple choice applies.
pub const NONE: &str = "none";

/// Position of "unknown" among the answers to a yes-or-no question.
const UNKNOWN: usize = 2;

/// An answer that was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// A number, within its range.
    Number(f64),
    /// A value, by its position.
    Value(usize),
    /// Values of a multiple choice, by rising position.
    Values(Vec<usize>),
}

impl Feature {
    /// What a text that is no missing marker says; `None` where it says that the answer is missing.
    ///
    /// `known` is what [`Feature::validate`] gave.
    pub(super) fn given(&self, known: &BTreeMap<String, usize>, text: &str) -> Result<Option<Given>, Error> {
        match &self.kind {
            FeatureKind::Numeric { min, max, outside, .. } => {
                let number = number(trim(text)).ok_or_else(|| self.refused(text))?;
                match outside {
                    OutsidePolicy::Clip => Ok(Some(Given::Number(number.clamp(*min, *max)))),
                    OutsidePolicy::Refuse if (*min..=*max).contains(&number) => {
                        Ok(Some(Given::Number(number)))
                    }
                    OutsidePolicy::Refuse => Err(self.refused(text)),
                }
            }
            FeatureKind::MultipleChoice { values, exclusive, .. } => {
                if plain(text) == NONE {
                    return Ok(Some(Given::Values(Vec::new())));
                }
                let mut positions = Vec::new();
                for part in text.split(SEPARATOR) {
                    positions.push(*known.get(&plain(part)).ok_or_else(|| self.refused(text))?);
                }
                positions.sort_unstable();
                positions.dedup();
                let alone = |&position: &usize| exclusive.contains(&values[position]);
                if positions.len() > 1 && positions.iter().any(alone) {
                    return Err(self.refused(text));
                }
                Ok(Some(Given::Values(positions)))
            }
            _ => {
                let position = *known.get(&plain(text)).ok_or_else(|| self.refused(text))?;
                Ok(if self.counts_as_missing(position) { None } else { Some(Given::Value(position)) })
            }
        }
    }

    /// Whether a text that is no missing marker says that the answer is missing. Never an error: a text that is no
    /// answer at all is not a missing one.
    pub(super) fn says_missing(&self, known: &BTreeMap<String, usize>, text: &str) -> bool {
        matches!(self.kind, FeatureKind::Boolean { unknown: UnknownPolicy::Missing, .. })
            && known.get(&plain(text)).is_some_and(|&position| self.counts_as_missing(position))
    }

    fn counts_as_missing(&self, position: usize) -> bool {
        let missing = matches!(self.kind, FeatureKind::Boolean { unknown: UnknownPolicy::Missing, .. });
        missing && position == UNKNOWN
    }

    /// The canonical spelling of an answer.
    pub(super) fn spell(&self, given: &Given) -> String {
        let spellings = self.spellings();
        let spell = |position: &usize| spellings.get(*position).copied().unwrap_or_default();
        match given {
            // −0 is 0.
            Given::Number(number) => (number + 0.0).to_string(),
            Given::Value(position) => spell(position).to_owned(),
            Given::Values(positions) if positions.is_empty() => NONE.to_owned(),
            Given::Values(positions) => {
                let mut joined = String::new();
                for (index, position) in positions.iter().enumerate() {
                    if index > 0 {
                        joined.push(SEPARATOR);
                    }
                    joined.push_str(spell(position));
                }
                joined
            }
        }
    }

    fn refused(&self, answer: &str) -> Error {
        Error::Answer { feature: self.name.clone(), value: answer.to_owned(), expected: self.expected() }
    }
}

// The three canonical answers end with the unknown one.
const _: () = assert!(BOOLEAN_VALUES.len() == UNKNOWN + 1);
