//! Answers to columns and back.

use serde::{Deserialize, Serialize};

use super::answer::Given;
use super::site::lineage;
use super::{Feature, FeatureKind, MissingPolicy, UnknownPolicy};

/// The columns of one feature in the encoded answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnGroup {
    /// The feature.
    pub feature: String,
    /// Its first column.
    pub start: usize,
    /// How many columns it has, the one for a missing answer included.
    pub columns: usize,
    /// Whether its last column is 1 where the answer is missing.
    pub has_missing_column: bool,
}

impl Feature {
    /// Whether the last column is the one for a missing answer.
    pub(super) fn has_missing_column(&self) -> bool {
        self.missing == MissingPolicy::Indicator
    }

    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        self.answer_width() + usize::from(self.has_missing_column())
    }

    /// Number of columns without the one for a missing answer.
    fn answer_width(&self) -> usize {
        match &self.kind {
            FeatureKind::Ordinal { values, .. } => values.len().saturating_sub(1),
            FeatureKind::Choice { values, .. } | FeatureKind::MultipleChoice { values, .. } => values.len(),
            FeatureKind::Numeric { .. } | FeatureKind::Boolean { unknown: UnknownPolicy::Missing, .. } => 1,
            FeatureKind::Boolean { unknown: UnknownPolicy::Column, .. } => 2,
            FeatureKind::BodySite { sites, .. } => sites.len(),
        }
    }

    /// Names of the columns: `age`, `sex=female`, `scaling>=1`, `itch:unknown`, and `age:missing` for the missing answer.
    pub(super) fn column_names(&self) -> Vec<String> {
        let name = &self.name;
        let each = |sign: &str, values: &[&str]| -> Vec<String> {
            values.iter().map(|value| format!("{name}{sign}{value}")).collect()
        };
        let values = self.spellings();
        let mut names = match &self.kind {
            FeatureKind::Numeric { .. } | FeatureKind::Boolean { unknown: UnknownPolicy::Missing, .. } => {
                vec![name.clone()]
            }
            FeatureKind::Boolean { unknown: UnknownPolicy::Column, .. } => {
                vec![name.clone(), format!("{name}:unknown")]
            }
            FeatureKind::Ordinal { .. } => each(">=", values.get(1..).unwrap_or_default()),
            FeatureKind::Choice { .. }
            | FeatureKind::MultipleChoice { .. }
            | FeatureKind::BodySite { .. } => each("=", &values),
        };
        if self.has_missing_column() {
            names.push(format!("{name}:missing"));
        }
        names
    }

    /// Writes an answer, or that there is none, into the feature's columns, all of them 0 before.
    pub(super) fn write(&self, given: Option<&Given>, columns: &mut [f32]) {
        let Some(given) = given else {
            if let (true, Some(missing)) = (self.has_missing_column(), columns.last_mut()) {
                *missing = 1.0;
            }
            return;
        };
        match (&self.kind, given) {
            (FeatureKind::Numeric { mean, std, .. }, Given::Number(number)) => {
                columns[0] = scaled(*number, *mean, *std);
            }
            (FeatureKind::Ordinal { .. }, Given::Value(position)) => columns[..*position].fill(1.0),
            (FeatureKind::Choice { .. }, Given::Value(position)) => columns[*position] = 1.0,
            (FeatureKind::Boolean { .. }, Given::Value(0)) => columns[0] = 1.0,
            (FeatureKind::Boolean { .. }, Given::Value(1)) => columns[0] = -1.0,
            (FeatureKind::Boolean { .. }, Given::Value(_)) => columns[1] = 1.0,
            (FeatureKind::BodySite { sites, .. }, Given::Value(position)) => {
                for site in lineage(sites, *position) {
                    columns[site] = 1.0;
                }
            }
            (FeatureKind::MultipleChoice { .. }, Given::Values(positions)) => {
                for &position in positions {
                    columns[position] = 1.0;
                }
            }
            // `given` makes no other pair.
            _ => {}
        }
    }

    /// The answer that columns hold; `Ok(None)` where it is missing, `Err` where no answer gives these columns.
    pub(super) fn read(&self, columns: &[f32]) -> Result<Option<Given>, Unreadable> {
        let zeros = columns.iter().all(|&column| column == 0.0);
        let missing = match self.missing {
            MissingPolicy::Indicator => columns
                .split_last()
                .is_some_and(|(last, rest)| *last == 1.0 && rest.iter().all(|&c| c == 0.0)),
            MissingPolicy::Zeros => zeros,
            MissingPolicy::Required => false,
        };
        if missing {
            return Ok(None);
        }
        let answer = &columns[..self.answer_width()];
        let ones = || answer.iter().enumerate().filter(|(_, column)| **column == 1.0).map(|(index, _)| index);
        let given = match &self.kind {
            FeatureKind::Numeric { mean, std, .. } => self.number_of(answer[0], *mean, *std),
            FeatureKind::Ordinal { .. } => Some(Given::Value(ones().count())),
            FeatureKind::Choice { .. } => ones().next().map(Given::Value),
            FeatureKind::Boolean { .. } => {
                let position = if answer[0] == 1.0 {
                    0
                } else if answer[0] == -1.0 {
                    1
                } else {
                    2
                };
                (position < 2 || answer.len() == 2).then_some(Given::Value(position))
            }
            FeatureKind::MultipleChoice { .. } => Some(Given::Values(ones().collect())),
            FeatureKind::BodySite { sites, .. } => {
                ones().max_by_key(|&site| lineage(sites, site).len()).map(Given::Value)
            }
        };
        // Whatever was read must say the same columns: two ones in a choice, 0.5 or NaN do not.
        let given = given.ok_or(Unreadable)?;
        if let (FeatureKind::MultipleChoice { values, exclusive, .. }, Given::Values(positions)) =
            (&self.kind, &given)
            && positions.len() > 1
            && positions.iter().any(|&position| exclusive.contains(&values[position]))
        {
            return Err(Unreadable);
        }
        let mut again = vec![0.0; columns.len()];
        self.write(Some(&given), &mut again);
        if again == columns { Ok(Some(given)) } else { Err(Unreadable) }
    }

    /// The number with the fewest digits, within the range, that gives the column.
    fn number_of(&self, column: f32, mean: f64, std: f64) -> Option<Given> {
        let FeatureKind::Numeric { min, max, .. } = &self.kind else { return None };
        let near = f64::from(column) * std + mean;
        let rounded = (0..=17).filter_map(|digits| format!("{near:.digits$e}").parse::<f64>().ok());
        // Rounding leaves 0 at some 1e-7 of the mean, whose first digit would give the column too.
        std::iter::once(0.0)
            .chain(rounded)
            .chain([near, *min, *max])
            .find(|number| (*min..=*max).contains(number) && scaled(*number, mean, std) == column)
            .map(Given::Number)
    }
}

fn scaled(number: f64, mean: f64, std: f64) -> f32 {
    ((number - mean) / std) as f32
}

/// No answer gives these columns.
pub(super) struct Unreadable;
