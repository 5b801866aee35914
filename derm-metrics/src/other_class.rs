use derm_core::Probabilities;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::confusion_matrix::ratio;
use crate::error::{check_finite_number, check_share};
use crate::ranked_rows::{check_class, check_scores};

/// A score by which a row may be none of the known classes; larger is stranger.
///
/// How well it tells known from other rows is [`auroc`](crate::auroc) with the other rows as positives.
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{OtherScore, auroc};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])?;
/// let scores = OtherScore::Doubt.scores(&probabilities)?;
/// assert_eq!(auroc(&scores, &[false, true, false])?, Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherScore {
    /// `1 − max_c p_c`, for a model without such a class.
    Doubt,
    /// The probability of the class that stands for "other".
    Probability {
        /// The class.
        class: usize,
    },
    /// The entropy `−Σ p ln p` in nats.
    Entropy,
}

impl OtherScore {
    /// The score of each row, shape `[N]`.
    ///
    /// # Errors
    /// [`Error::Count`] for a class that is none.
    pub fn scores(self, probabilities: &Probabilities) -> Result<Vec<f64>, Error> {
        match self {
            Self::Doubt => Ok(probabilities.confidence().into_iter().map(|p| 1.0 - p).collect()),
            Self::Probability { class } => {
                check_class(class, probabilities.num_classes())?;
                Ok(probabilities.view().column(class).to_vec())
            }
            Self::Entropy => {
                let term = |&p: &f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
                let rows = probabilities.view();
                Ok(rows.rows().into_iter().map(|row| row.iter().map(term).sum()).collect())
            }
        }
    }
}

/// What accepting rows as known at a score of at most `threshold` does.
///
/// ```
/// use derm_metrics::Acceptance;
/// let (scores, is_other) = ([0.1, 0.2, 0.3, 0.15, 0.9], [false, false, false, true, true]);
/// let at = Acceptance::at_known_rate(&scores, &is_other, 0.6)?.expect("there are known rows");
/// assert_eq!((at.threshold, at.known_accepted, at.other_accepted), (0.2, 2, 1));
/// assert_eq!(at.false_accept_rate(), Some(0.5));
/// # Ok::<(), derm_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Rows of at most this score are accepted.
    pub threshold: f64,
    /// Number of known rows.
    pub known: u64,
    /// Known rows that are accepted.
    pub known_accepted: u64,
    /// Number of other rows.
    pub other: u64,
    /// Other rows that are accepted: the false accepts.
    pub other_accepted: u64,
}

impl Acceptance {
    /// Counts at a threshold, one that was chosen on another split.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, [`Error::Entry`] or [`Error::Range`] for a score or a
    /// threshold that is not finite.
    pub fn at_threshold(scores: &[f64], is_other: &[bool], threshold: f64) -> Result<Self, Error> {
        check_scores(scores, is_other)?;
        check_finite_number("threshold", threshold)?;
        let count = |of_other: bool, limit: f64| {
            let rows = scores.iter().zip(is_other);
            rows.filter(|&(&score, &other)| other == of_other && score <= limit).count() as u64
        };
        Ok(Self {
            threshold,
            known: count(false, f64::INFINITY),
            known_accepted: count(false, threshold),
            other: count(true, f64::INFINITY),
            other_accepted: count(true, threshold),
        })
    }

    /// The smallest score of a known row at which at least a share `min_rate` of the known rows is accepted; at
    /// 0.95 its [`Acceptance::false_accept_rate`] is the literature's "FPR at 95 % TPR". `None` without known
    /// rows.
    ///
    /// # Errors
    /// As [`Acceptance::at_threshold`], and [`Error::Range`] unless `min_rate` is in [0, 1].
    ///
    /// # Source
    /// Hendrycks and Gimpel 2017, Liang et al. 2018, with the known rows as positives.
    pub fn at_known_rate(scores: &[f64], is_other: &[bool], min_rate: f64) -> Result<Option<Self>, Error> {
        check_scores(scores, is_other)?;
        check_share("min_rate", min_rate)?;
        let rows = scores.iter().zip(is_other);
        let mut known: Vec<f64> = rows.filter(|&(_, &other)| !other).map(|(&score, _)| score).collect();
        known.sort_unstable_by(f64::total_cmp);
        // The rate is a decimal: 0.95 · 20 must be 19 although its product may lie just above.
        let needed = ((min_rate * known.len() as f64 - 1e-9).ceil() as usize).max(1);
        match known.get(needed - 1) {
            Some(&threshold) => Self::at_threshold(scores, is_other, threshold).map(Some),
            None => Ok(None),
        }
    }

    /// Share of known rows that are accepted; `None` without any.
    pub fn known_rate(&self) -> Option<f64> {
        ratio(self.known_accepted, self.known)
    }

    /// Share of other rows that are accepted; `None` without any.
    pub fn false_accept_rate(&self) -> Option<f64> {
        ratio(self.other_accepted, self.other)
    }
}
