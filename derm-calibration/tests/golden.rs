//! Every golden case that this crate covers, against values of numpy, scipy, scikit-learn, netcal and torch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod golden_conformal;

use derm_calibration::{
    AffineMap, BetaConfig, BetaMap, BetaVariant, BinaryMap, Calibrate, Calibrator, DirichletConfig,
    FitCalibrator, HistogramConfig, HistogramMap, IsotonicConfig, MatrixConfig, Odds, OneVsRest, PlattConfig,
    PlattMap, PlattTargets, RiskCoverage, SuggestScore, TemperatureConfig, TemperatureScaling, Tier,
    TierTable, TierThresholds, VectorConfig, smooth_ece,
};
use derm_core::{
    LabelMap, Logits, PredictionColumns, PredictionMetadata, Predictions, Probabilities, ScoreKind, Scores,
    Validation, View,
};
use derm_golden::{Case, GoldenFile};
use derm_metrics::IsotonicRegression;
use ndarray::{Array2, s};

/// Ops that derm-metrics runs.
const ELSEWHERE: [&str; 6] = [
    "adaptive_ece",
    "adaptive_ece_from_confidence",
    "classwise_ece",
    "ece",
    "ece_from_confidence",
    "reliability_bins",
];

#[test]
fn calibration() {
    GoldenFile::open(env!("CARGO_MANIFEST_DIR"), "calibration.json").run(&ELSEWHERE, |case| {
        match case.op.as_str() {
            "temperature_scaling" => temperature_scaling(case),
            "scaling_apply" => scaling_apply(case),
            "platt" => platt(case),
            "beta_calibration" => beta_calibration(case),
            "isotonic" => isotonic(case),
            "histogram_binning" => histogram_binning(case),
            "smooth_ece" => smooth(case),
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
            _ => return golden_conformal::check(case),
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
    let softmax = rows.probabilities();
    let gap = probabilities(case, "probs").view().to_owned() - softmax.view();
    assert!(gap.iter().all(|gap| gap.abs() < 1e-6), "{}: the file's own softmax", case.name);
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

fn scaling_apply(case: &Case) {
    let targets = case.input("targets").indices();
    let got = match case.text("method") {
        "dirichlet" => {
            let probabilities = probabilities(case, "probs");
            // Any fit will do: its parameters are replaced.
            let rows = any_rows(probabilities.num_classes());
            let mut fitted = DirichletConfig::default().fit(&rows).unwrap();
            fitted.map = affine(case);
            let got = fitted.apply_probabilities(&probabilities).unwrap();
            // The same through the bundle's way, which renormalises the rows of single precision.
            let logarithms = Logits::new(probabilities.view().mapv(f64::ln)).unwrap();
            let served = Calibrator::from(fitted).apply(&logarithms).unwrap();
            assert!((&served.view() - &got.view()).iter().all(|gap| gap.abs() < 1e-6));
            got
        }
        method => {
            let logits = Logits::new(case.input("logits").matrix()).unwrap();
            let rows = any_rows(logits.num_classes());
            let calibrator: Calibrator = match method {
                "temperature" => {
                    let mut scaling = TemperatureScaling::fit(&rows, &TemperatureConfig::default()).unwrap();
                    scaling.temperature = case.input("temperature").floats()[0];
                    scaling.into()
                }
                "vector" => {
                    let mut scaling =
                        VectorConfig { scale_penalty: 1.0, bias_penalty: 1.0, ..VectorConfig::default() }
                            .fit(&rows)
                            .unwrap();
                    scaling.scale = case.input("scale").floats();
                    scaling.bias = case.input("bias").floats();
                    scaling.into()
                }
                "matrix" => {
                    let mut scaling = MatrixConfig::default().fit(&rows).unwrap();
                    scaling.map = affine(case);
                    scaling.into()
                }
                unknown => case.unknown(unknown),
            };
            calibrator.apply(&logits).unwrap()
        }
    };
    let nll = derm_metrics::nll(&got, &targets, 0.0).unwrap();
    case.check([("probs", got.view().to_owned().into()), ("nll", nll.into())]);
}

/// Rows that every method can be fitted on: logits without any connection to the targets.
fn any_rows(classes: usize) -> Predictions<Validation> {
    let logits = Array2::from_shape_fn((40 * classes, classes), |(row, class)| {
        ((row * 7919 + class * 104_729) % 997) as f64 / 256.0
    });
    validation(&logits, (0..40 * classes).map(|row| row % classes).collect())
}

fn affine(case: &Case) -> AffineMap {
    let matrix = case.input("matrix").matrix();
    let matrix = matrix.rows().into_iter().map(|row| row.to_vec()).collect();
    AffineMap::new(matrix, case.input("bias").floats()).unwrap()
}

fn platt(case: &Case) {
    let targets = if case.flag("prior_correction") { PlattTargets::Smoothed } else { PlattTargets::Plain };
    let config = PlattConfig { targets, ..PlattConfig::default() };
    let (scores, positive) = (case.input("scores").floats(), case.input("targets").flags());
    let map = PlattMap::fit_scores(&scores, &positive, &config).unwrap();
    let probs: Vec<f64> =
        case.input("eval_scores").floats().into_iter().map(|score| map.probability(score)).collect();
    case.check([("a", map.a.into()), ("b", map.b.into()), ("probs", probs.into())]);
}

fn odds(p: Vec<f64>) -> Vec<Odds> {
    p.into_iter().map(|p| Odds::new(p).unwrap()).collect()
}

fn beta_calibration(case: &Case) {
    let variant = match case.text("variant") {
        "abm" => BetaVariant::Abm,
        "ab" => BetaVariant::Ab,
        "am" => BetaVariant::Am,
        unknown => case.unknown(unknown),
    };
    let config = BetaConfig { variant, ..BetaConfig::default() };
    let map =
        BetaMap::fit(&odds(case.input("probs").floats()), &case.input("targets").flags(), &config).unwrap();
    let probs: Vec<f64> = odds(case.input("eval_probs").floats()).iter().map(|odds| map.map(odds)).collect();
    case.check([("a", map.a.into()), ("b", map.b.into()), ("c", map.c.into()), ("probs", probs.into())]);
}

/// Maps of each class fitted on the rows from `fit_rows_from` on, and the probabilities of those before it.
fn one_vs_rest<M: BinaryMap>(case: &Case, config: &M::Config) -> (OneVsRest<M>, Probabilities)
where
    OneVsRest<M>: Calibrate,
{
    let (probs, targets) = (case.input("probs").matrix(), case.input("targets").indices());
    let logits = case.input("logits").matrix();
    let first = case.count("fit_rows_from");
    let rows = validation(&logits.slice(s![first.., ..]).to_owned(), targets[first..].to_vec());
    // The file's probabilities are those of its logits, rounded to single precision: the maps are fitted
    // on them as they stand, and the fit from logits must come near.
    let mut fitted = OneVsRest::<M>::fit(&rows, config).unwrap();
    let eval = Probabilities::new(probs.slice(s![..first, ..]).to_owned()).unwrap();
    let near = fitted.per_class(&eval).unwrap();
    fitted.classes = (0..probs.ncols())
        .map(|class| {
            let positive: Vec<bool> = targets[first..].iter().map(|&target| target == class).collect();
            M::fit(&odds(probs.slice(s![first.., class]).to_vec()), &positive, config).unwrap()
        })
        .collect();
    let gap = fitted.per_class(&eval).unwrap() - near;
    assert!(gap.iter().all(|gap| gap.abs() < 1e-4), "{}: {gap:?}", case.name);
    (fitted, eval)
}

fn isotonic(case: &Case) {
    let (fitted, eval) = one_vs_rest::<IsotonicRegression>(case, &IsotonicConfig {});
    case.check([
        ("per_class", fitted.per_class(&eval).unwrap().into()),
        ("probs", fitted.apply_probabilities(&eval).unwrap().view().to_owned().into()),
    ]);
}

fn histogram_binning(case: &Case) {
    let config = HistogramConfig { n_bins: case.count("n_bins") };
    let (fitted, eval) = one_vs_rest::<HistogramMap>(case, &config);
    let values: Vec<f64> = fitted.classes.iter().flat_map(|map| map.values().to_vec()).collect();
    case.check([
        ("bin_values", values.into()),
        ("probs", fitted.apply_probabilities(&eval).unwrap().view().to_owned().into()),
    ]);
}

fn smooth(case: &Case) {
    if case.text("kernel") != "reflected_gaussian" {
        case.unknown(case.text("kernel"));
    }
    let (probabilities, targets) = (probabilities(case, "probs"), case.input("targets").indices());
    assert_eq!(case.input("logits").matrix().dim(), probabilities.view().dim());
    let predicted = probabilities.predicted();
    let correct: Vec<bool> = predicted.iter().zip(&targets).map(|(class, target)| class == target).collect();
    let smooth = smooth_ece(&probabilities.confidence(), &correct).unwrap();
    case.check([("value", smooth.value.into()), ("sigma", smooth.sigma.into())]);
}

fn probabilities(case: &Case, name: &str) -> Probabilities {
    Probabilities::new(case.input(name).matrix()).unwrap()
}

fn tiers(case: &Case, score: SuggestScore, suggest: &str) {
    let thresholds =
        TierThresholds::new(Some(case.number("t_high")), score, Some(case.number(suggest))).unwrap();
    let (probabilities, targets) = (probabilities(case, "probs"), case.input("targets").indices());
    assert_eq!(case.input("logits").matrix().dim(), probabilities.view().dim());
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
