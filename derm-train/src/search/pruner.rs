use serde::{Deserialize, Serialize};

use super::trial::best;

/// When a trial is given up before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PrunerConfig {
    /// After an epoch at which the trial's best value so far is worse than the median of the values that the complete
    /// trials had at the same epoch.
    ///
    /// # Source
    /// Golovin et al. 2017, Google Vizier, section 3.2.2, in the form of `optuna.pruners.MedianPruner`, with which the
    /// tests compare: not pruned as long as fewer than `startup_trials` trials are complete, nor in the first
    /// `warmup_epochs` epochs, nor where no complete trial has a value at the epoch; equal is not worse; a trial without
    /// any value is pruned. Unlike Optuna's, a trial is not asked after its last epoch, when nothing is left to save.
    Median {
        /// Complete trials before any is pruned. Default 5.
        #[serde(default = "five")]
        startup_trials: usize,
        /// Epochs of each trial in which it is not pruned. Default 0.
        #[serde(default)]
        warmup_epochs: usize,
    },
}

fn five() -> usize {
    5
}

impl PrunerConfig {
    /// Whether a trial with the values `epochs` ends after the last of them; `complete` are those of the complete trials.
    ///
    /// ```
    /// use derm_train::PrunerConfig;
    ///
    /// let pruner = PrunerConfig::Median { startup_trials: 2, warmup_epochs: 0 };
    /// let complete: [&[Option<f64>]; 2] = [&[Some(0.4), Some(0.6)], &[Some(0.5), Some(0.7)]];
    /// // The best so far, 0.55, is less than the median at the second epoch, 0.65.
    /// assert!(pruner.prunes(&[Some(0.55), Some(0.5)], &complete, true));
    /// assert!(!pruner.prunes(&[Some(0.55)], &complete, true));
    /// ```
    pub fn prunes(
        &self,
        epochs: &[Option<f64>],
        complete: &[&[Option<f64>]],
        higher_is_better: bool,
    ) -> bool {
        let Self::Median { startup_trials, warmup_epochs } = *self;
        let Some(epoch) = epochs.len().checked_sub(1).filter(|epoch| *epoch >= warmup_epochs) else {
            return false;
        };
        if complete.is_empty() || complete.len() < startup_trials {
            return false;
        }
        let Some(best) = best(epochs, higher_is_better) else {
            return true;
        };
        let at_epoch = complete.iter().filter_map(|values| values.get(epoch).copied().flatten());
        match median(at_epoch.collect()) {
            Some(median) if higher_is_better => best < median,
            Some(median) => best > median,
            None => false,
        }
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { 0.5 * (values[middle - 1] + upper) } else { upper })
}
