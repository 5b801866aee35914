use std::collections::BTreeMap;

use derm_core::{LabelMap, Predictions, Probabilities, Role, Test};
use derm_metrics::{Interval, clopper_pearson, top_k_hits};
use serde::{Deserialize, Serialize};

use crate::error::check_length;
use crate::{Calibrate, Error, Tier, TierThresholds};

/// One tier on a set of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierOutcome {
    /// The tier.
    pub tier: Tier,
    /// Number of rows in it.
    pub count: usize,
    /// Share of all rows.
    pub coverage: f64,
    /// Exact interval of the share.
    pub coverage_interval: Interval,
    /// Rows whose most probable class is the target.
    pub correct: usize,
    /// Rows whose target is among the three most probable classes.
    pub top3_correct: usize,
    /// `correct / count`; `None` for an empty tier.
    pub accuracy: Option<f64>,
    /// `top3_correct / count`; `None` for an empty tier.
    pub top3_accuracy: Option<f64>,
    /// What the tier gets wrong: a wrong first class for [`Tier::Answer`], a target outside the three for
    /// [`Tier::SuggestTop3`]. `None` for an empty tier, and for [`Tier::Refer`], which says nothing.
    pub risk: Option<f64>,
    /// Exact interval of the risk.
    pub risk_interval: Option<Interval>,
}

/// Where the rows of one (true) class go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassTiers {
    /// The class.
    pub label: String,
    /// Number of rows of the class.
    pub count: usize,
    /// Number of them in each tier, in the order of [`Tier::ALL`].
    pub in_tier: [usize; 3],
    /// Share of them in each tier; `None` for a class without rows.
    pub coverage: Option<[f64; 3]>,
    /// Rows in [`Tier::Answer`] that are answered wrongly.
    pub wrong_answers: usize,
    /// Rows in [`Tier::SuggestTop3`] whose class is not among the three.
    pub missing_suggestions: usize,
}

/// Where the rows of one subgroup (a skin type, a sex, a site) go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubgroupTiers {
    /// The column.
    pub column: String,
    /// Its value; empty where it is unknown.
    pub value: String,
    /// Number of rows, at least 1.
    pub count: usize,
    /// Number of them in each tier, in the order of [`Tier::ALL`].
    pub in_tier: [usize; 3],
    /// Share of them in each tier.
    pub coverage: [f64; 3],
    /// Rows in [`Tier::Answer`] that are answered wrongly.
    pub wrong_answers: usize,
    /// Rows in [`Tier::SuggestTop3`] whose class is not among the three.
    pub missing_suggestions: usize,
}

/// How often each tier is used and how often it is wrong. Rows are taken as independent, so they should be
/// one a lesion or patient: [`TierTable::evaluate`] sees to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierTable {
    /// Number of rows.
    pub count: usize,
    /// Miscoverage of the intervals.
    pub alpha: f64,
    /// The tiers in the order of [`Tier::ALL`].
    pub tiers: [TierOutcome; 3],
    /// The classes in the order of the labels.
    pub classes: Vec<ClassTiers>,
    /// The subgroups by column and value; none where the rows have no such column.
    #[serde(default)]
    pub subgroups: Vec<SubgroupTiers>,
}

impl TierTable {
    /// The table of `thresholds` on `probabilities` [N, C] and `targets` `[N]` with Clopper-Pearson
    /// intervals.
    ///
    /// # Errors
    /// [`Error::Metric`] where targets or labels do not fit or `alpha` is not in (0, 1).
    pub fn new(
        thresholds: &TierThresholds,
        probabilities: &Probabilities,
        targets: &[usize],
        labels: &LabelMap,
        alpha: f64,
    ) -> Result<Self, Error> {
        let tiers = thresholds.assign(probabilities);
        Self::from_tiers(&tiers, probabilities, targets, labels, &BTreeMap::new(), alpha)
    }

    /// The table of rows whose `tiers` `[N]` are known, with their `subgroups` by column (each `[N]`).
    ///
    /// # Errors
    /// As [`TierTable::new`]; [`Error::Value`] for a column of another length.
    pub fn from_tiers(
        tiers: &[Tier],
        probabilities: &Probabilities,
        targets: &[usize],
        labels: &LabelMap,
        subgroups: &BTreeMap<String, Vec<String>>,
        alpha: f64,
    ) -> Result<Self, Error> {
        let (got, expected) = (probabilities.num_classes(), labels.num_classes());
        if got != expected {
            return Err(derm_metrics::Error::Classes { got, expected }.into());
        }
        check_length("tiers", tiers.len(), probabilities.num_samples())?;
        let k = got.min(3);
        let in_top3 = top_k_hits(probabilities, targets, k)?;
        let predicted = probabilities.predicted();
        let mut counts = [[0_usize; 3]; 3];
        let mut classes: Vec<ClassTiers> =
            labels.names().iter().map(|label| ClassTiers::empty(label)).collect();
        for (row, &tier) in tiers.iter().enumerate() {
            let correct = predicted[row] == targets[row];
            let of_tier = &mut counts[tier.index()];
            of_tier[0] += 1;
            of_tier[1] += usize::from(correct);
            of_tier[2] += usize::from(in_top3[row]);
            let class = &mut classes[targets[row]];
            class.count += 1;
            class.in_tier[tier.index()] += 1;
            class.wrong_answers += usize::from(tier == Tier::Answer && !correct);
            class.missing_suggestions += usize::from(tier == Tier::SuggestTop3 && !in_top3[row]);
        }
        for class in classes.iter_mut().filter(|class| class.count > 0) {
            class.coverage = Some(class.in_tier.map(|count| count as f64 / class.count as f64));
        }
        let count = targets.len();
        let [answer, suggest, refer] = Tier::ALL.map(|tier| {
            let [in_tier, correct, top3_correct] = counts[tier.index()];
            TierOutcome::new(tier, count, in_tier, correct, top3_correct, alpha)
        });
        let mut of_value: BTreeMap<(&str, &str), SubgroupTiers> = BTreeMap::new();
        for (column, values) in subgroups {
            check_length("subgroup column", values.len(), count)?;
            for (row, value) in values.iter().enumerate() {
                let tier = tiers[row];
                let subgroup =
                    of_value.entry((column, value)).or_insert_with(|| SubgroupTiers::empty(column, value));
                subgroup.count += 1;
                subgroup.in_tier[tier.index()] += 1;
                subgroup.wrong_answers += usize::from(tier == Tier::Answer && predicted[row] != targets[row]);
                subgroup.missing_suggestions += usize::from(tier == Tier::SuggestTop3 && !in_top3[row]);
            }
        }
        let mut subgroups: Vec<SubgroupTiers> = of_value.into_values().collect();
        for subgroup in &mut subgroups {
            subgroup.coverage = subgroup.in_tier.map(|rows| rows as f64 / subgroup.count as f64);
        }
        Ok(Self { count, alpha, tiers: [answer?, suggest?, refer?], classes, subgroups })
    }

    /// The table of a whole set of predictions, subgroup columns included.
    pub(crate) fn of_predictions<R: Role>(
        tiers: &[Tier],
        probabilities: &Probabilities,
        rows: &Predictions<R>,
        alpha: f64,
    ) -> Result<Self, Error> {
        Self::from_tiers(tiers, probabilities, rows.targets(), rows.labels(), rows.subgroups(), alpha)
    }

    /// The tiers on test predictions after calibration, one row a lesion or patient
    /// ([`Predictions::one_row_per_group`]): the unit in which the policy promises its risks.
    ///
    /// # Errors
    /// As [`Calibrate::calibrate`] and [`TierTable::new`].
    pub fn evaluate(
        thresholds: &TierThresholds,
        calibrator: &impl Calibrate,
        test: &Predictions<Test>,
        alpha: f64,
    ) -> Result<Self, Error> {
        let rows = test.one_row_per_group();
        let probabilities = calibrator.calibrate(&rows)?;
        Self::of_predictions(&thresholds.assign(&probabilities), &probabilities, &rows, alpha)
    }

    /// The outcome of one tier.
    pub fn tier(&self, tier: Tier) -> &TierOutcome {
        &self.tiers[tier.index()]
    }
}

impl TierOutcome {
    fn new(
        tier: Tier,
        total: usize,
        count: usize,
        correct: usize,
        top3_correct: usize,
        alpha: f64,
    ) -> Result<Self, Error> {
        let share = |part: usize| (count > 0).then(|| part as f64 / count as f64);
        let errors = match tier {
            Tier::Answer => Some(count - correct),
            Tier::SuggestTop3 => Some(count - top3_correct),
            Tier::Refer => None,
        };
        let errors = errors.filter(|_| count > 0);
        Ok(Self {
            tier,
            count,
            coverage: count as f64 / total as f64,
            coverage_interval: clopper_pearson(count, total, alpha)?,
            correct,
            top3_correct,
            accuracy: share(correct),
            top3_accuracy: share(top3_correct),
            risk: errors.and_then(share),
            risk_interval: errors.map(|errors| clopper_pearson(errors, count, alpha)).transpose()?,
        })
    }
}

impl ClassTiers {
    fn empty(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            count: 0,
            in_tier: [0; 3],
            coverage: None,
            wrong_answers: 0,
            missing_suggestions: 0,
        }
    }
}

impl SubgroupTiers {
    fn empty(column: &str, value: &str) -> Self {
        Self {
            column: column.to_owned(),
            value: value.to_owned(),
            count: 0,
            in_tier: [0; 3],
            coverage: [0.0; 3],
            wrong_answers: 0,
            missing_suggestions: 0,
        }
    }
}
