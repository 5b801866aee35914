use serde::{Deserialize, Serialize};

/// How one number a class makes one number; the mean runs over the classes whose number is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassAverage {
    /// The plain mean.
    Macro,
    /// The mean weighted by the number of samples of each class.
    Weighted,
}

impl ClassAverage {
    /// The mean of `values` `[C]`; `None` where no class has one.
    pub(crate) fn mean(self, values: &[Option<f64>], support: &[u64]) -> Option<f64> {
        let (mut sum, mut total) = (0.0, 0.0);
        for (value, &support) in values.iter().zip(support) {
            let weight = match self {
                Self::Macro => 1.0,
                Self::Weighted => support as f64,
            };
            if let Some(value) = value {
                sum += weight * value;
                total += weight;
            }
        }
        (total > 0.0).then(|| sum / total)
    }

    /// The name's beginning in files: `macro` or `weighted`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Macro => "macro",
            Self::Weighted => "weighted",
        }
    }
}

/// Number of samples of each class.
pub(crate) fn support(num_classes: usize, targets: &[usize]) -> Vec<u64> {
    let mut support = vec![0; num_classes];
    for &target in targets {
        support[target] += 1;
    }
    support
}
