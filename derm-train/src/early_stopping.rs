use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::EarlyStoppingRecipe;

/// How long a training has gone without an improvement. Part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EarlyStopping {
    /// The best value so far.
    best: Option<f64>,
    /// Epochs since then.
    epochs_without: usize,
}

impl EarlyStopping {
    /// Takes in an epoch's metrics. One without the watched value (an AUROC of one class) is no improvement.
    pub(crate) fn update(&mut self, recipe: &EarlyStoppingRecipe, metrics: &BTreeMap<String, f64>) {
        let value = metrics.get(&recipe.metric.name()).copied().filter(|value| value.is_finite());
        let improves =
            |value: &f64| self.best.is_none_or(|best| recipe.metric.gain(*value, best) > recipe.min_delta);
        match value.filter(improves) {
            Some(value) => *self = Self { best: Some(value), epochs_without: 0 },
            None => self.epochs_without += 1,
        }
    }

    /// Whether the training ends here.
    pub(crate) fn is_over(&self, recipe: Option<&EarlyStoppingRecipe>) -> bool {
        recipe.is_some_and(|recipe| self.epochs_without >= recipe.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ValidationMetric;

    /// The epochs, from 1, after which it stops.
    fn stops(recipe: EarlyStoppingRecipe, values: &[Option<f64>]) -> Option<usize> {
        let mut stopping = EarlyStopping::default();
        values
            .iter()
            .position(|value| {
                let metrics = value.iter().map(|&value| (recipe.metric.name(), value)).collect();
                stopping.update(&recipe, &metrics);
                stopping.is_over(Some(&recipe))
            })
            .map(|index| index + 1)
    }

    #[test]
    fn it_ends_after_so_many_epochs_without_an_improvement() {
        let lower = EarlyStoppingRecipe { patience: 2, ..EarlyStoppingRecipe::default() };
        let some = |values: &[f64]| values.iter().map(|&value| Some(value)).collect::<Vec<_>>();
        assert_eq!(stops(lower, &some(&[1.0, 0.9, 0.95, 0.8, 0.8, 0.81])), Some(6));
        assert_eq!(stops(lower, &some(&[1.0, 0.9, 0.8, 0.7])), None);
        // The same numbers where higher is better.
        let higher = EarlyStoppingRecipe { metric: ValidationMetric::MacroF1, ..lower };
        assert_eq!(stops(higher, &some(&[1.0, 0.9, 0.95, 0.8])), Some(3));
        // An improvement of exactly min_delta is none; small ones add up against the best.
        let coarse = EarlyStoppingRecipe { min_delta: 0.25, ..lower };
        assert_eq!(stops(coarse, &some(&[1.0, 0.75, 0.5])), None);
        assert_eq!(stops(coarse, &some(&[1.0, 0.75, 0.75])), Some(3));
        // What has no value, or none that is finite, is no improvement.
        assert_eq!(stops(lower, &[None, Some(f64::NAN)]), Some(2));
        assert_eq!(stops(lower, &[None, Some(3.0), None, Some(2.0)]), None);
    }
}
