//! Every golden case that this crate covers, against values of scikit-learn, statsmodels and numpy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod golden_label_noise;

use derm_core::Probabilities;
use derm_golden::{Case, GoldenFile, Got};
use derm_metrics::{
    BinaryCounts, Binning, CalibrationNorm, ClassAverage, ClassGroups, ClassPrf, ClassRates, ClassSet,
    GroupDecision, KappaWeights, Metric, PrCurve, PrfAverage, PrfMetric, ReliabilityTable, Resamples,
    RocCurve, SubgroupConfig, SubgroupTable, ZeroDivision, accuracy, adaptive_ece, auroc, auroc_ovo,
    auroc_ovr, average_precision, average_precision_ovr, averaged_auroc_ovr, averaged_average_precision,
    averaged_prf, balanced_accuracy, bootstrap, brier, classwise_ece, clopper_pearson, cohen_kappa, delong,
    delong_interval, ece, matthews, mcnemar, nll, over_prediction_ratio, paired_bootstrap, per_class_prf,
    per_class_rates, top_k_accuracy, wilson,
};

/// Ops of `calibration.json` that derm-calibration runs.
const IN_DERM_CALIBRATION: [&str; 18] = [
    "abstain_tiers",
    "abstain_top3_mass",
    "aurc",
    "beta_calibration",
    "conformal_aps",
    "conformal_class_conditional",
    "conformal_lac",
    "conformal_quantile",
    "conformal_raps",
    "coverage_at_risk",
    "histogram_binning",
    "isotonic",
    "platt",
    "risk_at_coverage",
    "risk_coverage",
    "scaling_apply",
    "smooth_ece",
    "temperature_scaling",
];

#[test]
fn metrics() {
    let file = GoldenFile::open(env!("CARGO_MANIFEST_DIR"), "metrics.json");
    file.run(&[], |case| {
        match case.op.as_str() {
            "proportion_ci" => proportion(case),
            "bootstrap_ci" | "paired_bootstrap" => resampled(case),
            "mcnemar" => tested_by_mcnemar(case),
            "delong" => tested_by_delong(case),
            _ => return of_predictions(case) || of_one_class(case) || of_groups(case),
        }
        true
    });
}

#[test]
fn binned_calibration_errors() {
    let file = GoldenFile::open(env!("CARGO_MANIFEST_DIR"), "calibration.json");
    file.run(&IN_DERM_CALIBRATION, calibration_error);
}

#[test]
fn label_noise() {
    GoldenFile::open(env!("CARGO_MANIFEST_DIR"), "label_noise.json").run(&[], golden_label_noise::check);
}

fn predictions(case: &Case) -> (Probabilities, Vec<usize>) {
    (probabilities(case, "probs"), case.input("targets").indices())
}

fn probabilities(case: &Case, name: &str) -> Probabilities {
    Probabilities::new(case.input(name).matrix()).unwrap()
}

/// The function's value, which the metric of the bootstrap must repeat.
fn same(metric: Metric, (p, y): &(Probabilities, Vec<usize>), value: Option<f64>) -> Option<f64> {
    let prepared = metric.value(p, y).unwrap();
    let close = match (prepared, value) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-14,
        (a, b) => a == b,
    };
    assert!(close, "{metric}: {prepared:?} and {value:?}");
    value
}

fn of_predictions(case: &Case) -> bool {
    let data = if case.has_input("probs") { predictions(case) } else { return false };
    let (p, y) = (&data.0, &data.1[..]);
    let value =
        |metric: Metric, value: Option<f64>| case.check([("value", same(metric, &data, value).into())]);
    match case.op.as_str() {
        "accuracy" => {
            value(Metric::Accuracy, Some(accuracy(p, y).unwrap()));
        }
        "top_k_accuracy" => {
            let k = case.count("k");
            value(Metric::TopKAccuracy { k }, Some(top_k_accuracy(p, y, k).unwrap()));
        }
        "balanced_accuracy" => {
            let classes = class_set(case);
            value(Metric::BalancedAccuracy { classes }, Some(balanced_accuracy(p, y, classes).unwrap()));
        }
        "per_class_prf" => {
            let classes = per_class_prf(p, y, zero_division(case)).unwrap();
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
            let matrix = derm_metrics::ConfusionMatrix::new(p, y).unwrap();
            let got: Got = match case.text("normalize") {
                "none" => matrix.counts().mapv(|count| count as f64).into(),
                "true" => matrix.normalized().into(),
                other => case.unknown(other),
            };
            case.check([("matrix", got)]);
        }
        "over_prediction_ratio" => case.check([("ratio", over_prediction_ratio(p, y).unwrap().into())]),
        "per_class_rates" => {
            let classes = per_class_rates(p, y).unwrap();
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
        "cohen_kappa" => {
            let weights = match case.text("weights") {
                "none" => KappaWeights::None,
                "linear" => KappaWeights::Linear,
                "quadratic" => KappaWeights::Quadratic,
                other => case.unknown(other),
            };
            value(Metric::Kappa { weights }, cohen_kappa(p, y, weights).unwrap());
        }
        "mcc" => value(Metric::Matthews, matthews(p, y).unwrap()),
        "auroc_ovr" | "average_precision" => ranked(case, &data),
        "auroc_ovo" => {
            assert_eq!(case.text("average"), "macro", "{}", case.name);
            value(Metric::AurocOvo, auroc_ovo(p, y).unwrap());
        }
        "nll" => {
            let clip = case.number("clip");
            value(Metric::Nll { clip }, Some(nll(p, y, clip).unwrap()));
        }
        "brier" => value(Metric::Brier, Some(brier(p, y).unwrap())),
        _ => return false,
    }
    true
}

fn ranked(case: &Case, data: &(Probabilities, Vec<usize>)) {
    let (p, y) = data;
    let is_area = case.op == "auroc_ovr";
    let average = match case.text("average") {
        "none" => {
            let values = if is_area { auroc_ovr(p, y) } else { average_precision_ovr(p, y) }.unwrap();
            for (class, &value) in values.iter().enumerate() {
                let metric = if is_area {
                    Metric::ClassAuroc { class }
                } else {
                    Metric::ClassAveragePrecision { class }
                };
                same(metric, data, value);
            }
            return case.check([("per_class", values.into())]);
        }
        "macro" => ClassAverage::Macro,
        "weighted" => ClassAverage::Weighted,
        other => case.unknown(other),
    };
    let value = if is_area {
        same(Metric::Auroc { average }, data, averaged_auroc_ovr(p, y, average).unwrap())
    } else {
        same(Metric::AveragePrecision { average }, data, averaged_average_precision(p, y, average).unwrap())
    };
    case.check([("value", value.into())]);
}

/// One class against the rest.
fn of_one_class(case: &Case) -> bool {
    if !case.has_param("positive_class") || case.op == "subgroup_metrics" {
        return false;
    }
    let data = predictions(case);
    let (p, y) = (&data.0, &data.1[..]);
    let class = case.count("positive_class");
    let curve = RocCurve::of_class(p, y, class).unwrap().unwrap();
    match case.op.as_str() {
        "pauc_above_tpr" => {
            let min_tpr = case.number("min_tpr");
            let value = Some(curve.partial_area(min_tpr).unwrap());
            case.check([("value", same(Metric::PartialAuroc { class, min_tpr }, &data, value).into())]);
        }
        "youden_threshold" => {
            let at = curve.youden();
            case.check([
                ("threshold", at.threshold.into()),
                ("j", at.youden().into()),
                ("sensitivity", at.sensitivity.into()),
                ("specificity", at.specificity.into()),
            ]);
        }
        "sensitivity_at_specificity" => {
            let at = curve.sensitivity_at_specificity(case.number("min_specificity")).unwrap();
            case.check([
                ("threshold", at.threshold.into()),
                ("sensitivity", at.sensitivity.into()),
                ("specificity", at.specificity.into()),
            ]);
        }
        "roc_curve" => {
            let points = curve.points().iter();
            case.check([
                ("fpr", points.clone().map(|point| point.fpr).collect::<Vec<_>>().into()),
                ("tpr", points.clone().map(|point| point.tpr).collect::<Vec<_>>().into()),
                ("threshold", points.map(|point| point.threshold).collect::<Vec<_>>().into()),
            ]);
        }
        "pr_curve" => {
            let curve = PrCurve::of_class(p, y, class).unwrap().unwrap();
            let points = curve.points().iter();
            // scikit-learn closes the curve with a point that no threshold reaches.
            let closed = |values: Vec<f64>, end: f64| -> Got { [values, vec![end]].concat().into() };
            case.check([
                ("precision", closed(points.clone().map(|point| point.precision).collect(), 1.0)),
                ("recall", closed(points.clone().map(|point| point.recall).collect(), 0.0)),
                ("threshold", points.map(|point| point.threshold).collect::<Vec<_>>().into()),
            ]);
        }
        _ => return false,
    }
    true
}

/// Groups of classes, and groups of rows.
fn of_groups(case: &Case) -> bool {
    match case.op.as_str() {
        "group_binary" => group_binary(case),
        "superclass" => superclass(case),
        "subgroup_metrics" => subgroup_metrics(case),
        _ => return false,
    }
    true
}

fn group_binary(case: &Case) {
    let (p, y) = predictions(case);
    let positive: Vec<usize> = case.numbers("positive_classes").iter().map(|&class| class as usize).collect();
    let threshold = case.number("threshold");
    let map = (0..p.num_classes()).map(|class| usize::from(positive.contains(&class))).collect();
    let groups = ClassGroups::new(["rest", "positive"], map).unwrap();
    let (summed, targets) = (groups.summed(&p).unwrap(), groups.targets(&y).unwrap());
    let scores = summed.view().column(1).to_vec();
    let labels: Vec<bool> = targets.iter().map(|&target| target == 1).collect();
    let area = auroc(&scores, &labels).unwrap();
    let data = (summed, targets);
    same(Metric::ClassAuroc { class: 1 }, &data, area);
    let precision = average_precision(&scores, &labels).unwrap();
    same(Metric::ClassAveragePrecision { class: 1 }, &data, precision);
    let curve = RocCurve::new(&scores, &labels).unwrap().unwrap();
    let by_score = BinaryCounts::at_threshold(&scores, &labels, threshold).unwrap();
    let of_top = groups.confusion(&p, &y, GroupDecision::OfTopClass).unwrap();
    let at = |name: &str| format!("{name}_score_{threshold}");
    case.check([
        ("auroc".to_owned(), area.into()),
        ("average_precision".to_owned(), precision.into()),
        ("pauc_above_tpr_0.8".to_owned(), curve.partial_area(0.8).unwrap().into()),
        (at("sensitivity"), by_score.rates().sensitivity.into()),
        (at("specificity"), by_score.rates().specificity.into()),
        (at("accuracy"), by_score.accuracy().into()),
        ("sensitivity_argmax".to_owned(), of_top.per_class_rates()[1].sensitivity.into()),
        ("specificity_argmax".to_owned(), of_top.per_class_rates()[1].specificity.into()),
        ("accuracy_argmax".to_owned(), of_top.accuracy().into()),
    ]);
}

fn superclass(case: &Case) {
    let (p, y) = predictions(case);
    let map = case.input("class_to_group").indices();
    let names = (0..=*map.iter().max().unwrap()).map(|group| group.to_string());
    let groups = ClassGroups::new(names, map).unwrap();
    let got =
        [("argmax", GroupDecision::OfTopClass), ("summed", GroupDecision::LargestSum)].map(|(name, how)| {
            let matrix = groups.confusion(&p, &y, how).unwrap();
            [
                (format!("accuracy_{name}"), matrix.accuracy().into()),
                (format!("balanced_accuracy_{name}"), matrix.balanced_accuracy(ClassSet::Present).into()),
                (format!("confusion_{name}"), Got::from(matrix.counts().mapv(|count| count as f64))),
            ]
        });
    case.check(got.into_iter().flatten());
}

fn subgroup_metrics(case: &Case) {
    let (p, y) = predictions(case);
    let groups = case.input("groups").indices();
    // Two digits, so that the order of the names is that of the numbers.
    let names: Vec<String> = groups.iter().map(|group| format!("{group:02}")).collect();
    let all: Vec<String> = (0..case.count("groups")).map(|group| format!("{group:02}")).collect();
    let rows: Vec<String> = (0..y.len()).map(|row| row.to_string()).collect();
    let mut metrics = vec![("accuracy", Metric::Accuracy)];
    if case.has_param("positive_class") {
        let class = case.count("positive_class");
        metrics.push(("tpr", Metric::Sensitivity { class }));
        metrics.push(("fpr", Metric::Specificity { class }));
        metrics.push(("selection_rate", Metric::PredictedShare { class }));
    } else {
        metrics.push(("balanced_accuracy", Metric::BalancedAccuracy { classes: ClassSet::Present }));
    }
    let config = SubgroupConfig {
        metrics: metrics.iter().map(|metric| metric.1).collect(),
        min_groups: 1,
        replicates: 5,
        ..SubgroupConfig::default()
    };
    let table = SubgroupTable::new(&names, &rows, &p, &y, &config).unwrap();
    let row = |name: &String| table.rows.iter().find(|row| row.value == *name);
    let mut got: Vec<(String, Got)> = Vec::new();
    got.push((
        "count".to_owned(),
        all.iter().map(|name| row(name).map_or(0, |row| row.samples)).collect::<Vec<_>>().into(),
    ));
    for ((name, metric), gap) in metrics.into_iter().zip(&table.gaps) {
        // The file has the false-positive rate, which is 1 − specificity.
        let shown = |value: Option<f64>| if name == "fpr" { value.map(|value| 1.0 - value) } else { value };
        let by_group =
            all.iter().map(|group| shown(row(group).and_then(|row| row.metric(&metric.to_string()))));
        got.push((format!("{name}.by_group"), by_group.collect::<Vec<_>>().into()));
        got.push((format!("{name}.overall"), shown(gap.overall).into()));
        got.push((format!("{name}.max_min_gap"), gap.gap.into()));
        if name != "selection_rate" {
            let worst = gap.worst.as_ref().and_then(|worst| all.iter().position(|name| name == worst));
            got.push((format!("{name}.worst_group"), worst.map(|at| at as f64).into()));
            got.push((format!("{name}.worst_value"), shown(gap.worst_value).into()));
        }
    }
    case.check(got);
}

fn tested_by_mcnemar(case: &Case) {
    let test = mcnemar(&case.input("correct_a").flags(), &case.input("correct_b").flags()).unwrap();
    assert!(test.p_mid <= test.p_exact, "{}", case.name);
    case.check([
        ("b", (test.only_first as f64).into()),
        ("c", (test.only_second as f64).into()),
        ("p_exact", test.p_exact.into()),
        ("chi2_corrected", test.chi2_corrected.into()),
        ("p_chi2_corrected", test.p_chi2_corrected.into()),
    ]);
}

fn tested_by_delong(case: &Case) {
    let (first, second) = (case.input("scores_a").floats(), case.input("scores_b").floats());
    let labels = case.input("targets").flags();
    let alpha = 1.0 - case.number("confidence");
    let test = delong(&first, &second, &labels, alpha).unwrap().unwrap();
    assert_eq!(delong_interval(&first, &labels, alpha).unwrap(), Some(test.intervals[0]));
    case.check([
        ("auc", test.auroc.to_vec().into()),
        ("covariance", test.covariance.concat().into()),
        ("ci_low", test.intervals.map(|interval| interval.low).to_vec().into()),
        ("ci_high", test.intervals.map(|interval| interval.high).to_vec().into()),
        ("z", test.z.into()),
        ("p_value", test.p_value.into()),
    ]);
}

fn averaged(case: &Case) {
    let data = predictions(case);
    let (p, y) = (&data.0, &data.1[..]);
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
    let zero_division = zero_division(case);
    let value = averaged_prf(p, y, metric, average, zero_division).unwrap();
    if zero_division == ZeroDivision::Zero {
        same(Metric::Prf { of: metric, average }, &data, value);
        if let (PrfMetric::F1, PrfAverage::Macro(classes)) = (metric, average) {
            same(Metric::MacroF1 { classes }, &data, value);
        }
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

fn resampled(case: &Case) {
    let (p, y) = predictions(case);
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
        let other = probabilities(case, "probs_b");
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
}

fn proportion(case: &Case) {
    let (successes, trials, alpha) = (case.count("successes"), case.count("trials"), case.number("alpha"));
    let interval = match case.text("method") {
        "wilson" => wilson(successes, trials, alpha),
        "clopper_pearson" => clopper_pearson(successes, trials, alpha),
        other => case.unknown(other),
    };
    let interval = interval.unwrap();
    case.check([("low", interval.low.into()), ("high", interval.high.into())]);
}

fn calibration_error(case: &Case) -> bool {
    let predictions = || predictions(case);
    let confidences = || (case.input("confidence").floats(), case.input("correct").flags());
    if IN_DERM_CALIBRATION.contains(&case.op.as_str()) {
        return false;
    }
    let n_bins = case.count("n_bins");
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
