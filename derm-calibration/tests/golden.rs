//! Every golden case that this crate covers, against values of numpy, scipy and torch.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    dead_code
)]

mod golden_cases;

use derm_calibration::{
    Calibrator, RiskCoverage, SuggestScore, TemperatureConfig, TemperatureScaling, Tier, TierTable,
    TierThresholds,
};
use derm_core::{
    LabelMap, Logits, PredictionColumns, PredictionMetadata, Predictions, ScoreKind, Scores, Validation, View,
};
use golden_cases::Case;
use ndarray::Array2;

/// Ops of the file that no crate covers yet.
const NOT_COVERED: [&str; 13] = [
    "beta_calibration",
    "conformal_aps",
    "conformal_class_conditional",
    "conformal_lac",
    "conformal_quantile",
    "conformal_raps",
    "histogram_binning",
    "isotonic",
    "platt",
    "scaling_apply:dirichlet",
    "scaling_apply:matrix",
    "scaling_apply:vector",
    "smooth_ece",
];

/// Ops that the golden test of derm-metrics runs.
const IN_DERM_METRICS: [&str; 6] = [
    "adaptive_ece",
    "adaptive_ece_from_confidence",
    "classwise_ece",
    "ece",
    "ece_from_confidence",
    "reliability_bins",
];

#[test]
fn calibration() {
    golden_cases::run("calibration.json", &NOT_COVERED, &IN_DERM_METRICS, |case| {
        match case.op.as_str() {
            "temperature_scaling" => temperature_scaling(case),
            "scaling_apply" => return scaling_apply(case),
            "risk_coverage" => case.check([("risk", curve(case).risk().to_vec().into())]),
            "aurc" => {
                let aurc = curve(case).aurc();
                case.check([
                    ("aurc", aurc.aurc.into()),
                    ("optimal_aurc", aurc.optimal_aurc.into()),
                    ("e_aurc", aurc.e_aurc.into()),
                    ("e_aurc_continuous", aurc.e_aurc_continuous.into()),
                    ("augrc", aurc.augrc.into()),
                ]);
            }
            "coverage_at_risk" => {
                let value = curve(case).coverage_at_risk(case.number("max_risk")).unwrap();
                case.check([("value", value.into())]);
            }
            "risk_at_coverage" => {
                let value = curve(case).risk_at_coverage(case.number("coverage")).unwrap();
                case.check([("value", value.into())]);
            }
            "abstain_tiers" => tiers(case, SuggestScore::Confidence, "t_low"),
            "abstain_top3_mass" => tiers(case, SuggestScore::Top3Mass, "t_mass"),
            _ => return false,
        }
        true
    });
}

fn curve(case: &Case) -> RiskCoverage {
    RiskCoverage::new(&case.input("confidence").floats(), &case.input("correct").flags()).unwrap()
}

/// Validation rows with these logits, each its own lesion. The file's logits are exact in single precision.
fn validation(logits: &Array2<f64>, targets: Vec<usize>) -> Predictions<Validation> {
    let ids: Vec<String> = (0..targets.len()).map(|row| row.to_string()).collect();
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: labels(logits.ncols()),
        split_hash: "golden".into(),
    };
    let columns = PredictionColumns {
        groups: ids.clone(),
        cases: ids.clone(),
        ids,
        targets,
        ..PredictionColumns::default()
    };
    let scores = Scores { kind: ScoreKind::Logits, values: logits.mapv(|z| z as f32) };
    Predictions::new(metadata, columns, scores).unwrap()
}

fn labels(classes: usize) -> LabelMap {
    LabelMap::new((0..classes).map(|class| format!("class {class}"))).unwrap()
}

fn temperature_scaling(case: &Case) {
    let rows = validation(&case.input("logits").matrix(), case.input("targets").indices());
    let config = TemperatureConfig {
        min_temperature: case.number("min_temperature"),
        max_temperature: case.number("max_temperature"),
        n_bins: case.count("n_bins"),
    };
    let scaling = TemperatureScaling::fit(&rows, &config).unwrap();
    let is_bound = [config.min_temperature, config.max_temperature].contains(&scaling.temperature);
    assert_eq!(is_bound, scaling.at_bound.is_some(), "{}", case.name);
    case.check([
        ("temperature", scaling.temperature.into()),
        ("nll_before", scaling.nll_before.into()),
        ("nll_after", scaling.nll_after.into()),
        ("ece_before", scaling.ece_before.into()),
        ("ece_after", scaling.ece_after.into()),
    ]);
}

fn scaling_apply(case: &Case) -> bool {
    if case.text("method") != "temperature" {
        return false;
    }
    let (logits, targets) = (case.input("logits").matrix(), case.input("targets").indices());
    let mut scaling =
        TemperatureScaling::fit(&validation(&logits, targets.clone()), &TemperatureConfig::default())
            .unwrap();
    scaling.temperature = case.input("temperature").floats()[0];
    let got = Calibrator::Temperature(scaling).apply(&Logits::new(logits).unwrap()).unwrap();
    let nll = derm_metrics::nll(&got, &targets, 0.0).unwrap();
    case.check([("probs", got.view().to_owned().into()), ("nll", nll.into())]);
    true
}

fn tiers(case: &Case, score: SuggestScore, suggest: &str) {
    let thresholds =
        TierThresholds::new(Some(case.number("t_high")), score, Some(case.number(suggest))).unwrap();
    let (probabilities, targets) = (case.probabilities("probs"), case.input("targets").indices());
    let tiers = thresholds.assign(&probabilities);
    let labels = labels(probabilities.num_classes());
    let table = TierTable::new(&thresholds, &probabilities, &targets, &labels, 0.05).unwrap();
    let column = |get: fn(&derm_calibration::TierOutcome) -> Option<f64>| {
        table.tiers.iter().map(get).collect::<Vec<_>>()
    };
    let index = |tier: Tier| tier.index() as u64;
    case.check([
        ("tier", tiers.into_iter().map(index).collect::<Vec<_>>().into()),
        ("count", column(|tier| Some(tier.count as f64)).into()),
        ("accuracy", column(|tier| tier.accuracy).into()),
        ("top3_accuracy", column(|tier| tier.top3_accuracy).into()),
    ]);
}
