use std::collections::BTreeMap;

use derm_core::Probabilities;
use derm_metrics::{ClassAverage, ClassSet, KappaWeights, Metric, NLL_CLIP, PrfAverage, PrfMetric};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What is measured on the validation rows after each epoch, under derm-metrics' names; early stopping and the best
/// checkpoints go by any of them, in the direction that is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationMetric {
    /// Mean negative log-likelihood; lower is better.
    #[default]
    Nll,
    /// Brier score, summed over classes; lower is better.
    Brier,
    /// Calibration error over 15 bins; lower is better.
    Ece,
    /// Share of right answers.
    Accuracy,
    /// Mean recall of the classes that have rows.
    BalancedAccuracy,
    /// Mean F1 of the classes that have rows.
    MacroF1,
    /// F1 of the classes, weighted by their rows.
    WeightedF1,
    /// Mean area under the ROC curve of each class against the rest.
    MacroAuroc,
    /// The same weighted by the classes' rows.
    WeightedAuroc,
    /// Mean area under the ROC curve of each pair of classes.
    AurocOvo,
    /// Mean average precision of each class against the rest.
    MacroAveragePrecision,
    /// Matthews' correlation.
    Matthews,
    /// Cohen's κ, each disagreement alike.
    Kappa,
    /// Cohen's κ with quadratic weights, for classes in an order.
    QuadraticKappa,
}

impl ValidationMetric {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Nll,
        Self::Brier,
        Self::Ece,
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::MacroF1,
        Self::WeightedF1,
        Self::MacroAuroc,
        Self::WeightedAuroc,
        Self::AurocOvo,
        Self::MacroAveragePrecision,
        Self::Matthews,
        Self::Kappa,
        Self::QuadraticKappa,
    ];

    /// The metric with its conventions.
    pub fn metric(self) -> Metric {
        match self {
            Self::Nll => Metric::Nll { clip: NLL_CLIP },
            Self::Brier => Metric::Brier,
            Self::Ece => Metric::Ece { n_bins: 15 },
            Self::Accuracy => Metric::Accuracy,
            Self::BalancedAccuracy => Metric::BalancedAccuracy { classes: ClassSet::Present },
            Self::MacroF1 => Metric::MacroF1 { classes: ClassSet::Present },
            Self::WeightedF1 => Metric::Prf { of: PrfMetric::F1, average: PrfAverage::Weighted },
            Self::MacroAuroc => Metric::Auroc { average: ClassAverage::Macro },
            Self::WeightedAuroc => Metric::Auroc { average: ClassAverage::Weighted },
            Self::AurocOvo => Metric::AurocOvo,
            Self::MacroAveragePrecision => Metric::AveragePrecision { average: ClassAverage::Macro },
            Self::Matthews => Metric::Matthews,
            Self::Kappa => Metric::Kappa { weights: KappaWeights::None },
            Self::QuadraticKappa => Metric::Kappa { weights: KappaWeights::Quadratic },
        }
    }

    /// Its name, as derm-metrics writes it and a recipe names it.
    pub fn name(self) -> String {
        self.metric().to_string()
    }

    /// How much better `value` is than `other`; negative where it is worse.
    pub(crate) fn gain(self, value: f64, other: f64) -> f64 {
        if self.metric().higher_is_better() { value - other } else { other - value }
    }

    /// The value of every metric that has one on these rows, by name.
    pub(crate) fn measure(
        probabilities: &Probabilities,
        targets: &[usize],
    ) -> Result<BTreeMap<String, f64>, Error> {
        let mut values = BTreeMap::new();
        for metric in Self::ALL {
            if let Some(value) = metric.metric().value(probabilities, targets)? {
                values.insert(metric.name(), value);
            }
        }
        Ok(values)
    }
}
