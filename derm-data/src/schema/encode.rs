//! Answers to numbers.

use super::{Feature, FeatureKind};
use crate::Error;

impl Feature {
    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        let values = match &self.kind {
            FeatureKind::Choice { values, .. } => values.len(),
            FeatureKind::Numeric { .. } | FeatureKind::Boolean => 1,
        };
        values + usize::from(!self.required)
    }

    /// Names of the columns: `age`, `sex=female`, and `age:missing` for the missing answer.
    pub(super) fn column_names(&self) -> Vec<String> {
        let name = &self.name;
        let mut names = match &self.kind {
            FeatureKind::Choice { values, .. } => {
                values.iter().map(|value| format!("{name}={value}")).collect()
            }
            FeatureKind::Numeric { .. } | FeatureKind::Boolean => vec![name.clone()],
        };
        if !self.required {
            names.push(format!("{name}:missing"));
        }
        names
    }

    /// Appends the columns of an answer (or of none).
    pub(super) fn encode(&self, answer: Option<&str>, row: &mut Vec<f32>) -> Result<(), Error> {
        let start = row.len();
        row.resize(start + self.width(), 0.0);
        let columns = &mut row[start..];
        let Some(answer) = answer else {
            if self.required {
                return Err(Error::MissingAnswer { feature: self.name.clone(), expected: self.expected() });
            }
            if let Some(missing) = columns.last_mut() {
                *missing = 1.0;
            }
            return Ok(());
        };
        match &self.kind {
            FeatureKind::Numeric { mean, std, .. } => {
                columns[0] = ((self.number(answer)? - mean) / std) as f32;
            }
            FeatureKind::Choice { .. } => columns[self.position(answer)?] = 1.0,
            FeatureKind::Boolean => columns[0] = if self.truth(answer)? { 1.0 } else { -1.0 },
        }
        Ok(())
    }

    /// The number that an answer to a numeric feature gives.
    pub(super) fn number(&self, answer: &str) -> Result<f64, Error> {
        let FeatureKind::Numeric { min, max, .. } = &self.kind else { return Err(self.refused(answer)) };
        let number: f64 = answer.trim().parse().map_err(|_| self.refused(answer))?;
        if (*min..=*max).contains(&number) { Ok(number) } else { Err(self.refused(answer)) }
    }

    fn position(&self, answer: &str) -> Result<usize, Error> {
        let FeatureKind::Choice { values, synonyms } = &self.kind else { return Err(self.refused(answer)) };
        let plain = answer.trim().to_lowercase();
        let same = |text: &str| text.trim().to_lowercase() == plain;
        let meant =
            synonyms.iter().find(|(synonym, _)| same(synonym)).map_or(plain.as_str(), |(_, value)| value);
        let meant = meant.trim().to_lowercase();
        let found = values.iter().position(|value| value.trim().to_lowercase() == meant);
        found.ok_or_else(|| self.refused(answer))
    }

    fn truth(&self, answer: &str) -> Result<bool, Error> {
        match answer.trim().to_lowercase().as_str() {
            "yes" | "true" | "1" => Ok(true),
            "no" | "false" | "0" => Ok(false),
            _ => Err(self.refused(answer)),
        }
    }

    fn refused(&self, answer: &str) -> Error {
        Error::Answer { feature: self.name.clone(), value: answer.to_owned(), expected: self.expected() }
    }
}
