use std::collections::BTreeMap;
use std::fmt;

use derm_core::{Predictions, Probabilities, Role, SplitRole};
use serde::{Deserialize, Serialize};

use crate::{Error, NLL_CLIP};

/// How close two numbers must be to count as the same: reported numbers were rounded, to four digits for one.
const SAME: f64 = 5e-5;

/// How close the Brier score must be to twice the error rate: its own rounding and twice that of the accuracy.
const SAME_AS_TWICE: f64 = 3.0 * SAME;

/// A sign that numbers are not what they are taken for. It is a warning, not an error: each has an innocent
/// explanation that is rarer than the mistake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "suspicion", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Suspicion {
    /// Every probability is 0 or 1.
    OneHotProbabilities {
        /// Number of rows.
        rows: usize,
    },
    /// The Brier score is 2 (1 − accuracy): what one-hot probabilities give.
    BrierOfOneHot {
        /// The Brier score.
        brier: f64,
        /// The accuracy.
        accuracy: f64,
    },
    /// The calibration error is 1 − accuracy: what confidences of 1 give.
    EceOfOneHot {
        /// The calibration error.
        ece: f64,
        /// The accuracy.
        accuracy: f64,
    },
    /// The negative log-likelihood only fits as a sum over rows.
    NllIsASum {
        /// The number that was reported as a mean.
        reported: f64,
        /// Number of rows.
        rows: usize,
    },
    /// A corruption left the probabilities of every row as they were.
    CorruptionChangedNothing {
        /// Its name.
        corruption: String,
        /// Number of rows.
        rows: usize,
    },
    /// A lesion or patient has rows in two splits; of more, the first two that were given.
    GroupInTwoSplits {
        /// The lesion or patient.
        group: String,
        /// One split.
        first: SplitRole,
        /// The other split.
        second: SplitRole,
    },
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneHotProbabilities { rows } => write!(
                f,
                "all {rows} rows have probabilities of 0 and 1 only: were classes saved in the place of probabilities?"
            ),
            Self::BrierOfOneHot { brier, accuracy } => write!(
                f,
                "the Brier score {brier} is 2 (1 − accuracy {accuracy}): were the probabilities one-hot?"
            ),
            Self::EceOfOneHot { ece, accuracy } => write!(
                f,
                "the calibration error {ece} is 1 − accuracy {accuracy}: were the probabilities one-hot?"
            ),
            Self::NllIsASum { reported, rows } => write!(
                f,
                "the negative log-likelihood {reported} is too large for a mean over {rows} rows, and {} would not be: is \
                 it a sum?",
                reported / *rows as f64
            ),
            Self::CorruptionChangedNothing { corruption, rows } => {
                write!(f, "`{corruption}` changed no probability of {rows} rows: was it applied?")
            }
            Self::GroupInTwoSplits { group, first, second } => {
                write!(f, "`{group}` has rows in {first} and in {second}: the numbers are too good")
            }
        }
    }
}

/// Numbers as a table, a log or a paper reports them. What is not known is `None`.
///
/// ```
/// use derm_metrics::{ReportedNumbers, Suspicion};
/// let numbers = ReportedNumbers { accuracy: Some(0.81), ece: Some(0.19), ..ReportedNumbers::default() };
/// assert_eq!(numbers.check()?, [Suspicion::EceOfOneHot { ece: 0.19, accuracy: 0.81 }]);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportedNumbers {
    /// Number of rows.
    pub rows: Option<usize>,
    /// Accuracy, in [0, 1].
    pub accuracy: Option<f64>,
    /// Brier score summed over classes, in [0, 2].
    pub brier: Option<f64>,
    /// Expected calibration error, in [0, 1].
    pub ece: Option<f64>,
    /// Mean negative log-likelihood in nats.
    pub nll: Option<f64>,
}

impl ReportedNumbers {
    /// What is suspicious about them, to four digits. An accuracy of 1 is not held against the others: there the
    /// numbers of one-hot probabilities are those of a perfect model.
    ///
    /// The negative log-likelihood is suspected to be a sum where, as a mean, it would be worse than a probability
    /// of [`NLL_CLIP`] for every target, and divided by the number of rows it would not.
    ///
    /// # Errors
    /// [`Error::Range`] for a number outside its range.
    pub fn check(&self) -> Result<Vec<Suspicion>, Error> {
        let ranges = [
            ("accuracy", self.accuracy, 1.0, "a number from 0 to 1"),
            ("brier", self.brier, 2.0, "a number from 0 to 2"),
            ("ece", self.ece, 1.0, "a number from 0 to 1"),
            ("nll", self.nll, f64::MAX, "a finite number, 0 or more"),
        ];
        for (argument, value, largest, expected) in ranges {
            if let Some(value) = value
                && !(0.0..=largest).contains(&value)
            {
                return Err(Error::Range { argument, value, expected });
            }
        }
        let mut found = Vec::new();
        if let Some(accuracy) = self.accuracy.filter(|accuracy| *accuracy < 1.0) {
            if let Some(brier) = self.brier
                && (brier - 2.0 * (1.0 - accuracy)).abs() <= SAME_AS_TWICE
            {
                found.push(Suspicion::BrierOfOneHot { brier, accuracy });
            }
            if let Some(ece) = self.ece
                && (ece - (1.0 - accuracy)).abs() <= SAME
            {
                found.push(Suspicion::EceOfOneHot { ece, accuracy });
            }
        }
        let worst = -NLL_CLIP.ln();
        if let (Some(reported), Some(rows)) = (self.nll, self.rows)
            && rows > 1
            && reported > worst
            && reported / rows as f64 <= worst
        {
            found.push(Suspicion::NllIsASum { reported, rows });
        }
        Ok(found)
    }
}

/// Whether every probability is 0 or 1.
pub fn check_probabilities(probabilities: &Probabilities) -> Option<Suspicion> {
    let rows = probabilities.num_samples();
    // One class alone always has probability 1.
    let one_hot =
        probabilities.num_classes() > 1 && probabilities.view().iter().all(|&p| p == 0.0 || p == 1.0);
    one_hot.then_some(Suspicion::OneHotProbabilities { rows })
}

/// Whether a corruption of the images left the probabilities of every row exactly as they were.
///
/// # Errors
/// [`Error::Value`] where the shapes differ.
pub fn check_corruption(
    corruption: &str,
    clean: &Probabilities,
    corrupted: &Probabilities,
) -> Result<Option<Suspicion>, Error> {
    let (got, expected) = (corrupted.num_samples(), clean.num_samples());
    if got != expected {
        return Err(derm_core::ValueError::Length { argument: "corrupted", got, expected }.into());
    }
    let (got, expected) = (corrupted.num_classes(), clean.num_classes());
    if got != expected {
        return Err(Error::Classes { got, expected });
    }
    let unchanged = || Suspicion::CorruptionChangedNothing {
        corruption: corruption.to_owned(),
        rows: clean.num_samples(),
    };
    Ok((clean == corrupted).then(unchanged))
}

/// The lesions or patients that have rows in more than one split, in the order of their names. A split may be given in
/// several pieces.
///
/// ```
/// use derm_core::SplitRole;
/// use derm_metrics::check_splits;
/// let (train, test) = (["lesion_1".to_owned(), "lesion_2".to_owned()], ["lesion_2".to_owned()]);
/// let found = check_splits([(SplitRole::Train, &train[..]), (SplitRole::Test, &test[..])]);
/// assert_eq!(
///     found[0].to_string(),
///     "`lesion_2` has rows in train and in test: the numbers are too good"
/// );
/// ```
pub fn check_splits<'a>(splits: impl IntoIterator<Item = (SplitRole, &'a [String])>) -> Vec<Suspicion> {
    let mut roles: BTreeMap<&str, Vec<SplitRole>> = BTreeMap::new();
    for (role, groups) in splits {
        for group in groups {
            let seen = roles.entry(group).or_default();
            if !seen.contains(&role) {
                seen.push(role);
            }
        }
    }
    let in_two = |(group, roles): (&str, Vec<SplitRole>)| match roles[..] {
        [first, second, ..] => Some(Suspicion::GroupInTwoSplits { group: group.to_owned(), first, second }),
        _ => None,
    };
    roles.into_iter().filter_map(in_two).collect()
}

/// [`check_splits`] for two tables of predictions.
pub fn check_disjoint<A: Role, B: Role>(a: &Predictions<A>, b: &Predictions<B>) -> Vec<Suspicion> {
    check_splits([(A::ROLE, a.groups()), (B::ROLE, b.groups())])
}
