use derm_core::Probabilities;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{ConformalQuantile, ConformalScore, Partition, PredictionSets};
use crate::Error;
use crate::calibrate::check_classes;
use crate::error::check_length;

/// The score that a calibration row has for its own class.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnScore {
    pub(super) row: usize,
    pub(super) class: usize,
    pub(super) score: f64,
}

impl OwnScore {
    pub(super) fn of_rows(
        score: ConformalScore,
        probabilities: &Probabilities,
        targets: &[usize],
        uniforms: &[f64],
    ) -> Result<Vec<Self>, Error> {
        probabilities.check_targets(targets)?;
        let scores = score.scores(probabilities, uniforms)?;
        let own = |(row, &class): (usize, &usize)| Self { row, class, score: scores[[row, class]] };
        Ok(targets.iter().enumerate().map(own).collect())
    }
}

/// A score and the quantile of each part of the rows: a class is in the set of a row where its score is at or
/// below the quantile of its part.
///
/// This is conformal prediction on arrays. [`ConformalPredictor`](crate::ConformalPredictor) does the same on
/// predictions, and sees to roles, groups and seeds.
///
/// ```
/// use derm_calibration::{ConformalRule, ConformalScore, Partition};
/// use derm_core::Probabilities;
/// use ndarray::array;
/// let calibration = Probabilities::new(array![[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])?;
/// let (targets, uniforms) = ([0, 1, 0, 1], [0.0; 4]);
/// let rule =
///     ConformalRule::fit(ConformalScore::Lac, Partition::Marginal, &calibration, &targets, &uniforms, None, 0.4)?;
/// // scores 0.1, 0.2, 0.4, 0.5: the third of four
/// assert_eq!(rule.quantiles()[0].value(), Some(0.4));
/// let sets = rule.sets(&Probabilities::new(array![[0.7, 0.3]])?, &[0.0], None)?;
/// assert_eq!(sets.classes(0), [0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RuleFields", into = "RuleFields")]
pub struct ConformalRule {
    num_classes: usize,
    score: ConformalScore,
    partition: Partition,
    quantiles: Vec<ConformalQuantile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFields {
    num_classes: usize,
    score: ConformalScore,
    partition: Partition,
    quantiles: Vec<ConformalQuantile>,
}

impl ConformalRule {
    /// Finds the quantiles on `probabilities` [N, C] and `targets` `[N]` of calibration rows that are independent
    /// of each other. `uniforms` `[N]` are one number in [0, 1] a row for randomised scores, `groups` `[N]` the
    /// values of the column of a [`Partition::Group`], not read for other partitions.
    ///
    /// # Errors
    /// [`Error::Range`] unless `alpha` is in (0, 1); as [`ConformalScore::scores`]; [`Error::Value`] where targets
    /// or lengths do not fit; as [`Partition::validate`]; [`Error::SubgroupColumn`] where groups are needed and
    /// missing.
    pub fn fit(
        score: ConformalScore,
        partition: Partition,
        probabilities: &Probabilities,
        targets: &[usize],
        uniforms: &[f64],
        groups: Option<&[String]>,
        alpha: f64,
    ) -> Result<Self, Error> {
        let num_classes = probabilities.num_classes();
        partition.validate(num_classes)?;
        partition.check_groups(groups, probabilities.num_samples())?;
        let scores = OwnScore::of_rows(score, probabilities, targets, uniforms)?;
        Self::of_scores(num_classes, score, partition, &scores, groups, alpha)
    }

    /// The rule whose quantiles come from these rows.
    pub(super) fn of_scores(
        num_classes: usize,
        score: ConformalScore,
        partition: Partition,
        scores: &[OwnScore],
        groups: Option<&[String]>,
        alpha: f64,
    ) -> Result<Self, Error> {
        let mut of_part = vec![Vec::new(); partition.num_parts()];
        for own in scores {
            let group = groups.map(|groups| groups[own.row].as_str());
            for part in partition.members(own.class, group) {
                of_part[part].push(own.score);
            }
        }
        let quantiles: Result<Vec<_>, Error> =
            of_part.iter().map(|scores| ConformalQuantile::new(scores, alpha)).collect();
        Ok(Self { num_classes, score, partition, quantiles: quantiles? })
    }

    /// The sets of `probabilities` [N, C]; they may be empty. Arguments as in [`ConformalRule::fit`].
    ///
    /// # Errors
    /// [`Error::Classes`] for another number of classes than that of the fit; as [`ConformalScore::scores`];
    /// [`Error::SubgroupColumn`] where groups are needed and missing, [`Error::Value`] where there are not as many
    /// as rows.
    pub fn sets(
        &self,
        probabilities: &Probabilities,
        uniforms: &[f64],
        groups: Option<&[String]>,
    ) -> Result<PredictionSets, Error> {
        check_classes("probabilities", probabilities.num_classes(), self.num_classes)?;
        self.partition.check_groups(groups, probabilities.num_samples())?;
        let scores = self.score.scores(probabilities, uniforms)?;
        let member = |(row, class): (usize, usize)| {
            let group = groups.map(|groups| groups[row].as_str());
            let part = self.partition.part(class, group);
            // Without calibration rows nothing can be promised, so every class is in the set.
            part.is_none_or(|part| self.quantiles[part].admits(scores[[row, class]]))
        };
        Ok(PredictionSets::new(Array2::from_shape_fn(scores.dim(), member)))
    }

    /// Number of classes of the calibration rows.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The score.
    pub fn score(&self) -> ConformalScore {
        self.score
    }

    /// The parts that have a quantile each.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The quantile of each part.
    pub fn quantiles(&self) -> &[ConformalQuantile] {
        &self.quantiles
    }
}

impl TryFrom<RuleFields> for ConformalRule {
    type Error = Error;

    fn try_from(fields: RuleFields) -> Result<Self, Error> {
        let RuleFields { num_classes, score, partition, quantiles } = fields;
        score.validate()?;
        partition.validate(num_classes)?;
        if quantiles.len() == partition.num_parts() {
            Ok(Self { num_classes, score, partition, quantiles })
        } else {
            Err(Error::Inconsistent { argument: "quantiles", expected: "one for each part" })
        }
    }
}

impl From<ConformalRule> for RuleFields {
    fn from(rule: ConformalRule) -> Self {
        let ConformalRule { num_classes, score, partition, quantiles } = rule;
        Self { num_classes, score, partition, quantiles }
    }
}

impl Partition {
    /// Refuses missing groups, and another number of them than rows, where they decide about the part.
    fn check_groups(&self, groups: Option<&[String]>, rows: usize) -> Result<(), Error> {
        match (self.column(), groups) {
            (None, _) => Ok(()),
            (Some(column), None) => Err(Error::SubgroupColumn { column: column.to_owned() }),
            (Some(_), Some(groups)) => check_length("groups", groups.len(), rows),
        }
    }
}
