use std::fmt;

use derm_metrics::holm;
use serde::{Deserialize, Serialize};

use super::comparison::{CountedNoise, Difference};
use crate::Error;

/// What a study says of a variant beside the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better, beyond what runs and lesions make of it.
    Better,
    /// Worse, beyond what runs and lesions make of it.
    Worse,
    /// The difference is not beyond the noise; that is no proof that there is none.
    NoFinding,
    /// A single run on one of the sides: nothing is known of how much runs differ.
    Unproven,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoFinding => "no finding",
            Self::Unproven => "unproven",
        })
    }
}

/// The verdicts on differences of the metric that decides, with their p-values corrected by Holm over all variants
/// that can be decided.
pub(super) fn verdicts(
    differences: &[&Difference],
    more_is_better: bool,
    alpha: f64,
) -> Result<Vec<(Verdict, Option<f64>)>, Error> {
    let decidable: Vec<f64> = differences.iter().filter_map(|difference| decisive_p(difference)).collect();
    let corrected = if decidable.is_empty() { Vec::new() } else { holm(&decidable, alpha)?.adjusted };
    let mut corrected = corrected.into_iter();
    let verdict = |difference: &&Difference| {
        if difference.counts == CountedNoise::Lesions {
            return (Verdict::Unproven, None);
        }
        // Two recipes whose runs are the same number for number have no p-value and no difference.
        let adjusted = decisive_p(difference).and_then(|_| corrected.next());
        let up = difference.estimate.unwrap_or(0.0) > 0.0;
        match adjusted {
            Some(p) if p <= alpha && up == more_is_better => (Verdict::Better, adjusted),
            Some(p) if p <= alpha => (Verdict::Worse, adjusted),
            _ => (Verdict::NoFinding, adjusted),
        }
    };
    Ok(differences.iter().map(verdict).collect())
}

fn decisive_p(difference: &Difference) -> Option<f64> {
    difference.p_value.filter(|_| difference.counts == CountedNoise::RunsAndLesions)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn difference(estimate: f64, p_value: Option<f64>, counts: CountedNoise) -> Difference {
        let name = "macro_f1".to_owned();
        Difference {
            name,
            estimate: Some(estimate),
            interval: None,
            p_value,
            counts,
            run_error: None,
            lesion_error: None,
        }
    }

    #[test]
    fn one_word_for_each_case() {
        use Verdict::{Better, NoFinding, Unproven, Worse};
        let both = CountedNoise::RunsAndLesions;
        let differences = [
            difference(0.1, Some(0.001), both),
            difference(-0.1, Some(0.01), both),
            // 0.03 alone would do; as the third of four it counts twice.
            difference(0.1, Some(0.03), both),
            difference(0.1, Some(0.3), both),
            difference(0.5, Some(0.0001), CountedNoise::Lesions),
            difference(0.0, None, both),
        ];
        let differences: Vec<&Difference> = differences.iter().collect();
        let words = |more| -> Vec<Verdict> {
            verdicts(&differences, more, 0.05).unwrap().into_iter().map(|(verdict, _)| verdict).collect()
        };
        assert_eq!(words(true), [Better, Worse, NoFinding, NoFinding, Unproven, NoFinding]);
        // Of a loss, less is better.
        assert_eq!(words(false), [Worse, Better, NoFinding, NoFinding, Unproven, NoFinding]);
        let adjusted: Vec<Option<f64>> =
            verdicts(&differences, true, 0.05).unwrap().into_iter().map(|(_, p)| p).collect();
        assert_eq!(adjusted, [Some(0.004), Some(0.03), Some(0.06), Some(0.3), None, None]);
    }
}
