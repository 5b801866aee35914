//! Every golden case that this crate covers, against values of scikit-learn, statsmodels and numpy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod golden_cases;

use derm_metrics::{
    Binning, CalibrationNorm, ClassAverage, ClassPrf, ClassRates, ClassSet, Metric, PrfAverage, PrfMetric,
    ReliabilityTable, Resamples, ZeroDivision, accuracy, adaptive_ece, auroc_ovr, averaged_auroc_ovr,
    averaged_prf, balanced_accuracy, bootstrap, brier, classwise_ece, clopper_pearson, ece, nll,
    over_prediction_ratio, paired_bootstrap, per_class_prf, per_class_rates, top_k_accuracy, wilson,
};
use golden_cases::{Case, Got};

/// Ops of the files that no crate covers yet.
const NOT_COVERED: [&str; 27] = [
    "auroc_ovo",
    "average_precision",
    "beta_calibration",
    "cohen_kappa",
    "conformal_aps",
    "conformal_class_conditional",
    "conformal_lac",
    "conformal_quantile",
    "conformal_raps",
    "delong",
    "group_binary",
    "histogram_binning",
    "isotonic",
    "mcc",
    "mcnemar",
    "pauc_above_tpr",
    "platt",
    "pr_curve",
    "roc_curve",
    "scaling_apply:dirichlet",
    "scaling_apply:matrix",
    "scaling_apply:vector",
    "sensitivity_at_specificity",
    "smooth_ece",
    "subgroup_metrics",
    "superclass",
    "youden_threshold",
];

/// Ops that the golden test of derm-calibration runs.
const IN_DERM_CALIBRATION: [&str; 8] = [
    "abstain_tiers",
    "abstain_top3_mass",
    "aurc",
    "coverage_at_risk",
    "risk_at_coverage",
    "risk_coverage",
    "scaling_apply:temperature",
    "temperature_scaling",
];

#[test]
fn metrics() {
    golden_cases::run("metrics.json", &NOT_COVERED, &[], |case| match case.op.as_str() {
        "proportion_ci" => proportion(case),
        "bootstrap_ci" | "paired_bootstrap" => resampled(case),
        _ => of_predictions(case),
    });
}

#[test]
fn binned_calibration_errors() {
    golden_cases::run("calibration.json", &NOT_COVERED, &IN_DERM_CALIBRATION, |case| {
        let known = [
            "ece",
            "reliability_bins",
            "adaptive_ece",
            "classwise_ece",
            "ece_from_confidence",
            "adaptive_ece_from_confidence",
        ];
        known.contains(&case.op.as_str()) && calibration_error(case)
    });
}

fn of_predictions(case: &Case) -> bool {
    let known = [
        "accuracy",
        "top_k_accuracy",
        "balanced_accuracy",
        "per_class_prf",
        "averaged_prf",
        "confusion_matrix",
        "over_prediction_ratio",
        "per_class_rates",
        "auroc_ovr",
        "nll",
        "brier",
    ];
    if !known.contains(&case.op.as_str()) {
        return false;
    }
    let (p, y) = (case.probabilities("probs"), case.input("targets").indices());
    match case.op.as_str() {
        "accuracy" => {
            let value = accuracy(&p, &y).unwrap();
            assert_eq!(Metric::Accuracy.value(&p, &y).unwrap(), Some(value));
            case.check([("value", value.into())]);
        }
        "top_k_accuracy" => {
            let k = case.count("k");
            let value = top_k_accuracy(&p, &y, k).unwrap();
            assert_eq!(Metric::TopKAccuracy { k }.value(&p, &y).unwrap(), Some(value));
            case.check([("value", value.into())]);
        }
        "balanced_accuracy" => {
            let classes = class_set(case);
            let value = balanced_accuracy(&p, &y, classes).unwrap();
            assert_eq!(Metric::BalancedAccuracy { classes }.value(&p, &y).unwrap(), Some(value));
            case.check([("value", value.into())]);
        }
        "per_class_prf" => {
            let classes = per_class_prf(&p, &y, zero_division(case)).unwrap();
            let column = |get: fn(&ClassPrf) -> Option<f64>| -> Got {
                classes.iter().map(get).collect::<Vec<_>>().into()
            };
            case.check([
                ("precision", column(|class| class.precision)),
                ("recall", column(|class| class.recall)),
                ("f1", column(|class| class.f1)),
                ("support", column(|class| Some(class.support as f64))),
            ]);
        }
        "averaged_prf" => averaged(case),
        "confusion_matrix" => {
            let matrix = derm_metrics::ConfusionMatrix::new(&p, &y).unwrap();
            let got: Got = match case.text("normalize") {
                "none" => matrix.counts().mapv(|count| count as f64).into(),
                "true" => matrix.normalized().into(),
                other => case.unknown(other),
            };
            case.check([("matrix", got)]);
        }
        "over_prediction_ratio" => case.check([("ratio", over_prediction_ratio(&p, &y).unwrap().into())]),
        "per_class_rates" => {
            let classes = per_class_rates(&p, &y).unwrap();
            let column = |get: fn(&ClassRates) -> Option<f64>| -> Got {
                classes.iter().map(get).collect::<Vec<_>>().into()
            };
            case.check([
                ("sensitivity", column(|class| class.sensitivity)),
                ("specificity", column(|class| class.specificity)),
                ("ppv", column(|class| class.ppv)),
                ("npv", column(|class| class.npv)),
            ]);
        }
        "auroc_ovr" => match case.text("average") {
            "none" => case.check([("per_class", auroc_ovr(&p, &y).unwrap().into())]),
            "macro" => {
                let value = averaged_auroc_ovr(&p, &y, ClassAverage::Macro).unwrap();
                case.check([("value", value.into())]);
            }
            "weighted" => {
                let value = averaged_auroc_ovr(&p, &y, ClassAverage::Weighted).unwrap();
                case.check([("value", value.into())]);
            }
            other => case.unknown(other),
        },
        "nll" => case.check([("value", nll(&p, &y, case.number("clip")).unwrap().into())]),
        "brier" => case.check([("value", brier(&p, &y).unwrap().into())]),
        _ => return false,
    }
    true
}

fn averaged(case: &Case) {
    let (p, y) = (case.probabilities("probs"), case.input("targets").indices());
    let metric = match case.text("metric") {
        "precision" => PrfMetric::Precision,
        "recall" => PrfMetric::Recall,
        "f1" => PrfMetric::F1,
        other => case.unknown(other),
    };
    let classes = class_set(case);
    let average = match case.text("average") {
        "macro" => PrfAverage::Macro(classes),
        "weighted" => PrfAverage::Weighted,
        "micro" => PrfAverage::Micro,
        other => case.unknown(other),
    };
    let value = averaged_prf(&p, &y, metric, average, zero_division(case)).unwrap();
    if let (PrfMetric::F1, PrfAverage::Macro(classes)) = (metric, average) {
        assert_eq!(Metric::MacroF1 { classes }.value(&p, &y).unwrap(), value);
    }
    case.check([("value", value.into())]);
}

fn class_set(case: &Case) -> ClassSet {
    match case.text("classes") {
        "present" => ClassSet::Present,
        "all" => ClassSet::All,
        other => case.unknown(other),
    }
}

fn zero_division(case: &Case) -> ZeroDivision {
    match case.count("zero_division") {
        0 => ZeroDivision::Zero,
        1 => ZeroDivision::One,
        other => case.unknown(&other.to_string()),
    }
}

fn resampled(case: &Case) -> bool {
    let (p, y) = (case.probabilities("probs"), case.input("targets").indices());
    let index = case.input("resamples");
    let draws = index.indices().chunks(index.shape[1]).map(<[usize]>::to_vec).collect();
    let resamples = Resamples::given(y.len(), draws).unwrap();
    let metric = match case.text("metric") {
        "accuracy" => Metric::Accuracy,
        "macro_f1" => Metric::MacroF1 { classes: ClassSet::All },
        "balanced_accuracy" => Metric::BalancedAccuracy { classes: ClassSet::Present },
        other => case.unknown(other),
    };
    let alpha = 1.0 - case.number("confidence");
    if case.op == "bootstrap_ci" {
        let got = bootstrap(&p, &y, &[metric], &resamples, alpha).unwrap().remove(0);
        let interval = got.interval.unwrap();
        case.check([
            ("estimate", got.estimate.into()),
            ("replicates", got.replicates.into()),
            ("low", interval.low.into()),
            ("high", interval.high.into()),
            ("mean", got.mean.into()),
            ("std", got.std.into()),
        ]);
    } else {
        let other = case.probabilities("probs_b");
        let got = paired_bootstrap(&p, &other, &y, &[metric], &resamples, alpha).unwrap().remove(0);
        let interval = got.interval.unwrap();
        case.check([
            ("estimate", got.estimate.into()),
            ("replicates", got.replicates.into()),
            ("low", interval.low.into()),
            ("high", interval.high.into()),
            ("p_value", got.p_value.into()),
        ]);
    }
    true
}

fn proportion(case: &Case) -> bool {
    let (successes, trials, alpha) = (case.count("successes"), case.count("trials"), case.number("alpha"));
    let interval = match case.text("method") {
        "wilson" => wilson(successes, trials, alpha),
        "clopper_pearson" => clopper_pearson(successes, trials, alpha),
        other => case.unknown(other),
    };
    let interval = interval.unwrap();
    case.check([("low", interval.low.into()), ("high", interval.high.into())]);
    true
}

fn calibration_error(case: &Case) -> bool {
    let n_bins = case.count("n_bins");
    let predictions = || (case.probabilities("probs"), case.input("targets").indices());
    let confidences = || (case.input("confidence").floats(), case.input("correct").flags());
    match case.op.as_str() {
        "ece" => {
            let (p, y) = predictions();
            let norm = match case.text("norm") {
                "l1" => CalibrationNorm::L1,
                "l2" => CalibrationNorm::L2,
                "max" => CalibrationNorm::Max,
                other => case.unknown(other),
            };
            let value = ece(&p, &y, n_bins, norm).unwrap();
            if norm == CalibrationNorm::L1 {
                let metric = Metric::Ece { n_bins }.value(&p, &y).unwrap().unwrap();
                case.check([("value", metric.into())]);
            }
            case.check([("value", value.into())]);
        }
        "reliability_bins" => {
            let (p, y) = predictions();
            let table = ReliabilityTable::top_label(&p, &y, Binning::Uniform { n_bins }).unwrap();
            let [count, mean_confidence, accuracy] = columns(&table);
            case.check([("count", count), ("mean_confidence", mean_confidence), ("accuracy", accuracy)]);
        }
        "adaptive_ece" => {
            let (p, y) = predictions();
            let table = ReliabilityTable::top_label(&p, &y, Binning::EqualMass { n_bins }).unwrap();
            let [count, mean_confidence, accuracy] = columns(&table);
            let value = adaptive_ece(&p, &y, n_bins).unwrap().into();
            case.check([
                ("count", count),
                ("mean_confidence", mean_confidence),
                ("accuracy", accuracy),
                ("value", value),
            ]);
        }
        "classwise_ece" => {
            let (p, y) = predictions();
            let got = classwise_ece(&p, &y, n_bins).unwrap();
            case.check([("value", got.mean.into()), ("per_class", got.per_class.into())]);
        }
        "ece_from_confidence" => {
            let (confidence, correct) = confidences();
            let table = ReliabilityTable::new(&confidence, &correct, Binning::Uniform { n_bins }).unwrap();
            let [count, mean_confidence, accuracy] = columns(&table);
            case.check([
                ("l1", table.error(CalibrationNorm::L1).into()),
                ("l2", table.error(CalibrationNorm::L2).into()),
                ("max", table.error(CalibrationNorm::Max).into()),
                ("count", count),
                ("mean_confidence", mean_confidence),
                ("accuracy", accuracy),
            ]);
        }
        "adaptive_ece_from_confidence" => {
            let (confidence, correct) = confidences();
            let table = ReliabilityTable::new(&confidence, &correct, Binning::EqualMass { n_bins }).unwrap();
            let [count, ..] = columns(&table);
            case.check([("value", table.error(CalibrationNorm::L1).into()), ("count", count)]);
        }
        _ => return false,
    }
    true
}

fn columns(table: &ReliabilityTable) -> [Got; 3] {
    let bins = table.bins();
    [
        bins.iter().map(|bin| bin.count).collect::<Vec<_>>().into(),
        bins.iter().map(|bin| bin.mean_confidence).collect::<Vec<_>>().into(),
        bins.iter().map(|bin| bin.accuracy).collect::<Vec<_>>().into(),
    ]
}
