use derm_core::{Calibration, Predictions, Probabilities, Role, SplitRole};
use serde::{Deserialize, Serialize};

use super::rule::OwnScore;
use super::{
    Conditioning, ConformalRule, ConformalScore, EmptySets, Partition, PredictionSets, clusters, row_uniforms,
};
use crate::calibrate::{check_split, check_view};
use crate::error::{check_length, check_open_unit};
use crate::{Calibrate, Calibrator, Error, FittedOn};

/// Configuration of a [`ConformalPredictor`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `alpha` | 0.1 | miscoverage: sets miss the true class at most this often | (0, 1) |
/// | `score` | LAC | how strange a class is for a row | |
/// | `conditioning` | marginal | what the coverage is promised for | |
/// | `empty_sets` | keep | what becomes of an empty set | |
/// | `seed` | 0 | seed of the randomised scores and of the clustering | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConformalConfig {
    /// Miscoverage α.
    pub alpha: f64,
    /// How strange a class is for a row.
    pub score: ConformalScore,
    /// What the coverage is promised for.
    pub conditioning: Conditioning,
    /// What becomes of an empty set.
    pub empty_sets: EmptySets,
    /// Seed of the randomised scores and of the clustering.
    pub seed: u64,
}

impl Default for ConformalConfig {
    fn default() -> Self {
        Self {
            alpha: 0.1,
            score: ConformalScore::Lac,
            conditioning: Conditioning::Marginal,
            empty_sets: EmptySets::Keep,
            seed: 0,
        }
    }
}

impl ConformalConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::Count`] naming the argument and its range.
    pub fn validate(&self) -> Result<(), Error> {
        check_open_unit("alpha", self.alpha)?;
        self.score.validate()?;
        if let Conditioning::Cluster(config) = self.conditioning {
            if let Some(share) = config.share {
                check_open_unit("conditioning.cluster.share", share)?;
            }
            if config.num_clusters == Some(0) {
                return Err(Error::Count {
                    argument: "conditioning.cluster.num_clusters",
                    value: 0,
                    minimum: 1,
                });
            }
        }
        Ok(())
    }
}

/// Split conformal prediction: sets of classes that hold the true one at least 1 − α of the time, whatever the
/// network, for rows exchangeable with the calibration rows.
///
/// It is fitted on calibration rows, one a lesion or patient, that neither the network nor the calibrator has
/// seen; it keeps the calibrator, because the quantile holds for its probabilities only.
///
/// The promise is over calibration sets and new rows together. With one calibration set the coverage is a draw
/// from a beta distribution around it
/// ([`ConformalQuantile::expected_covered`](crate::ConformalQuantile::expected_covered)); it says nothing about a
/// single row, and nothing about a population that differs from the calibration rows.
///
/// ```
/// use derm_calibration::{Calibrator, ConformalConfig, ConformalPredictor};
/// use derm_core::*;
/// # fn predictions<R: Role>(seed: usize) -> Result<Predictions<R>, Box<dyn std::error::Error>> {
/// #     let names = || (0..200).map(|i| format!("lesion_{seed}_{i}")).collect::<Vec<_>>();
/// #     let metadata = PredictionMetadata {
/// #         task: "diagnosis".into(),
/// #         view: View::Identity,
/// #         labels: LabelMap::new(["mel", "nv", "bcc", "bkl"])?,
/// #         split_hash: "0f3a".into(),
/// #     };
/// #     let targets: Vec<usize> = (0..200).map(|i| (i * i + seed) % 4).collect();
/// #     let values = ndarray::Array2::from_shape_fn((200, 4), |(i, c)| {
/// #         let strength = (i % 17) as f32 / 3.0;
/// #         if c == (targets[i] + usize::from(i % 17 < 3)) % 4 { strength } else { 0.0 }
/// #     });
/// #     let columns = PredictionColumns {
/// #         ids: names(), groups: names(), cases: names(), targets, ..PredictionColumns::default()
/// #     };
/// #     Ok(Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values })?)
/// # }
/// # let (calibration, test) = (predictions::<Calibration>(2)?, predictions::<Test>(3)?);
/// let config = ConformalConfig { alpha: 0.1, ..ConformalConfig::default() };
/// let predictor = ConformalPredictor::conformalize(Calibrator::Identity, &calibration, &config)?;
/// let sets = predictor.predict_sets(&test)?;
/// let covered = (0..test.len()).filter(|&row| sets.classes(row).contains(&test.targets()[row])).count();
/// assert!(covered >= 170);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Vovk et al. 2005 and Papadopoulos et al. 2002 (split conformal); Angelopoulos and Bates 2023.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PredictorFields", into = "PredictorFields")]
pub struct ConformalPredictor {
    config: ConformalConfig,
    calibrator: Calibrator,
    rule: ConformalRule,
    fitted_on: FittedOn,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictorFields {
    config: ConformalConfig,
    calibrator: Calibrator,
    rule: ConformalRule,
    fitted_on: FittedOn,
}

impl ConformalPredictor {
    /// Finds the quantiles on `calibration`, one row a group ([`Predictions::one_row_per_group`]).
    ///
    /// # Errors
    /// As [`ConformalConfig::validate`] and [`Calibrator::calibrate`]; [`Error::Split`] where the calibrator was
    /// fitted on another split of the data, so that its rows may be among these; [`Error::SubgroupColumn`] where the
    /// predictions lack the column of a group-conditional predictor.
    pub fn conformalize(
        calibrator: Calibrator,
        calibration: &Predictions<Calibration>,
        config: &ConformalConfig,
    ) -> Result<Self, Error> {
        config.validate()?;
        check_split(calibrator.fitted_on(), "calibration predictions", calibration)?;
        let rows = calibration.one_row_per_group();
        let probabilities = calibrator.calibrate(&rows)?;
        let uniforms = row_uniforms(config.seed, "set", rows.ids());
        let num_classes = rows.num_classes();
        let mut scores = OwnScore::of_rows(config.score, &probabilities, rows.targets(), &uniforms)?;
        let partition = match &config.conditioning {
            Conditioning::Marginal => Partition::Marginal,
            Conditioning::Class => Partition::Class { num_classes },
            Conditioning::Group { column } => Partition::of_groups(column, subgroup(&rows, column)?),
            Conditioning::Cluster(clustering) => {
                let aside = row_uniforms(config.seed, "cluster", rows.ids());
                clusters::set_aside(&mut scores, &aside, num_classes, clustering, config)
            }
        };
        let groups = partition.column().map(|column| subgroup(&rows, column)).transpose()?;
        let rule =
            ConformalRule::of_scores(num_classes, config.score, partition, &scores, groups, config.alpha)?;
        Ok(Self { config: config.clone(), calibrator, rule, fitted_on: FittedOn::new(&rows) })
    }

    /// The sets of a table of predictions of any role.
    ///
    /// # Errors
    /// [`Error::View`] for another view than that of the calibration rows, [`Error::Classes`] for another number
    /// of classes; as [`Calibrator::calibrate`]; [`Error::SubgroupColumn`] where the predictions lack the column of
    /// a group-conditional predictor.
    pub fn predict_sets<R: Role>(&self, predictions: &Predictions<R>) -> Result<PredictionSets, Error> {
        // A calibrator that was not fitted knows no view; the quantiles hold for one all the same.
        check_view(Some(&self.fitted_on), predictions)?;
        let probabilities = self.calibrator.calibrate(predictions)?;
        let column = self.rule.partition().column();
        let groups = column.map(|column| subgroup(predictions, column)).transpose()?;
        self.sets_of(&probabilities, predictions.ids(), groups)
    }

    /// The sets of calibrated `probabilities` [N, C] of the rows `ids` `[N]`: for serving, where there is no table.
    /// `groups` `[N]` are their values of the column of a group-conditional predictor, and are not read by others.
    ///
    /// # Errors
    /// [`Error::Value`] where lengths differ, [`Error::Classes`] for another number of classes than that of the
    /// fit, [`Error::SubgroupColumn`] where `groups` are needed and missing.
    pub fn sets_of(
        &self,
        probabilities: &Probabilities,
        ids: &[String],
        groups: Option<&[String]>,
    ) -> Result<PredictionSets, Error> {
        check_length("ids", ids.len(), probabilities.num_samples())?;
        let uniforms = row_uniforms(self.config.seed, "set", ids);
        let sets = self.rule.sets(probabilities, &uniforms, groups)?;
        Ok(sets.filled(self.config.empty_sets, probabilities))
    }

    /// The configuration that it was fitted with.
    pub fn config(&self) -> &ConformalConfig {
        &self.config
    }

    /// The calibrator whose probabilities the quantiles hold for.
    pub fn calibrator(&self) -> &Calibrator {
        &self.calibrator
    }

    /// The score and its quantiles.
    pub fn rule(&self) -> &ConformalRule {
        &self.rule
    }

    /// The calibration rows.
    pub fn fitted_on(&self) -> &FittedOn {
        &self.fitted_on
    }
}

impl TryFrom<PredictorFields> for ConformalPredictor {
    type Error = Error;

    fn try_from(fields: PredictorFields) -> Result<Self, Error> {
        let PredictorFields { config, calibrator, rule, fitted_on } = fields;
        config.validate()?;
        let fits = |fits: bool, argument, expected| {
            if fits { Ok(()) } else { Err(Error::Inconsistent { argument, expected }) }
        };
        fits(rule.score() == config.score, "rule.score", "that of the configuration")?;
        let is_one = rule.partition().belongs_to(&config.conditioning);
        fits(is_one, "rule.partition", "one of the configuration's conditioning")?;
        let are_at_alpha = rule.quantiles().iter().all(|quantile| quantile.is_at(config.alpha));
        fits(are_at_alpha, "rule.quantiles", "those of the configuration's alpha")?;
        fits(fitted_on.role == SplitRole::Calibration, "fitted_on.role", "calibration")?;
        Ok(Self { config, calibrator, rule, fitted_on })
    }
}

impl From<ConformalPredictor> for PredictorFields {
    fn from(predictor: ConformalPredictor) -> Self {
        let ConformalPredictor { config, calibrator, rule, fitted_on } = predictor;
        Self { config, calibrator, rule, fitted_on }
    }
}

fn subgroup<'a, R: Role>(predictions: &'a Predictions<R>, column: &str) -> Result<&'a [String], Error> {
    let values = predictions.subgroups().get(column).map(Vec::as_slice);
    values.ok_or_else(|| Error::SubgroupColumn { column: column.to_owned() })
}
