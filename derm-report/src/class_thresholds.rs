use derm_calibration::{AbstainPolicy, ClassPolicy, TierFit};

use crate::dot_rows::{DotAxis, DotRow, dot_rows};
use crate::number::{number, optional};
use crate::{Align, Figure, Table};

/// The thresholds of each predicted class of a policy that has them
/// ([`ThresholdScope::PredictedClass`](derm_calibration::ThresholdScope::PredictedClass)); `None` for one pair of
/// thresholds for all.
pub fn class_thresholds(policy: &AbstainPolicy) -> Option<Figure> {
    let classes: &[ClassPolicy] = policy.by_class.as_deref().filter(|classes| !classes.is_empty())?;
    let mut data = Table::new([
        ("Predicted class", Align::Left),
        ("Calibration groups", Align::Right),
        ("Tier", Align::Left),
        ("From", Align::Right),
        ("Promised risk", Align::Right),
        ("Observed risk", Align::Right),
        ("Certifiable risk", Align::Right),
    ]);
    let mut rows = Vec::new();
    for class in classes {
        let tiers: [(&str, &TierFit); 2] = [("answer", &class.answer), ("suggest three", &class.suggest)];
        for (name, fit) in tiers {
            data.row([
                class.label.clone(),
                class.samples.to_string(),
                name.to_owned(),
                fit.threshold.map_or_else(|| "empty".to_owned(), number),
                number(fit.target_risk),
                optional(fit.observed_risk),
                match fit.threshold {
                    Some(_) => "–".to_owned(),
                    None => optional(fit.smallest_certifiable_risk),
                },
            ]);
        }
        rows.push(DotRow {
            label: class.label.clone(),
            count: class.samples.to_string(),
            values: tiers.map(|(_, fit)| (fit.threshold, None)).to_vec(),
        });
    }
    let axis =
        DotAxis { name: "smallest score of the tier", counts: "groups", range: (0.0, 1.0), mark: None };
    let names = ["answer: confidence", "suggest three: mass of the three"];
    let (svg, legend) = dot_rows(&names, &rows, axis, "Thresholds of both tiers by predicted class");
    Some(Figure {
        title: "Thresholds of each predicted class".to_owned(),
        svg,
        legend,
        caption: format!(
            "A case is decided by the thresholds of the class that it is predicted as. A missing dot is an empty tier: no \
             threshold was certified. Each class's promises fail with probability at most {} over the calibration groups, \
             all of them together with at most {}. Counts are the calibration groups (lesions or patients) predicted as \
             the class.",
            number(policy.config.delta / classes.len() as f64),
            number(policy.config.delta),
        ),
        data,
    })
}
