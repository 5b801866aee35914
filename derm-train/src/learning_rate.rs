use serde::{Deserialize, Serialize};

/// The learning rate as a function of the step: linear warm-up from zero, then half a cosine down.
///
/// With w warm-up steps, S steps in all, peak rate η and final share f:
///
/// ```text
/// step < w:  η · (step + 1) / w
/// else:      η · (f + (1 − f) · (1 + cos(π · (step − w) / (S − w))) / 2)
/// ```
///
/// It is a pure function of the step, so that a resumed run needs no scheduler state, and it stays at its final
/// value past the last step.
///
/// # Source
/// Loshchilov and Hutter 2017 (cosine, without restarts), Goyal et al. 2017 (linear warm-up).
///
/// ```
/// use derm_train::WarmupCosine;
/// let rate = WarmupCosine { peak: 1e-3, final_share: 0.0, warmup_steps: 10, total_steps: 110 };
/// assert_eq!(rate.at(9), 1e-3);
/// assert!((rate.at(60) - 0.5e-3).abs() < 1e-12);
/// assert!(rate.at(109) < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WarmupCosine {
    /// Rate at the end of the warm-up; positive.
    pub peak: f64,
    /// Share of the peak that is left at the end, in [0, 1].
    pub final_share: f64,
    /// Steps of warm-up.
    pub warmup_steps: usize,
    /// Optimizer steps in all.
    pub total_steps: usize,
}

impl WarmupCosine {
    /// The rate of the step, counted from 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let progress = ((step - self.warmup_steps) as f64 / decay_steps as f64).min(1.0);
        let cosine = f64::midpoint(1.0, (std::f64::consts::PI * progress).cos());
        self.peak * (self.final_share + (1.0 - self.final_share) * cosine)
    }
}
