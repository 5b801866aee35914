//! What must hold for all inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use derm_core::Probabilities;
use derm_metrics::{
    Binning, CalibrationNorm, ClassAverage, ClassSet, ConfusionMatrix, KappaWeights, Metric, NLL_CLIP,
    PrfAverage, PrfMetric, ReliabilityTable, Resamples, auroc_ovr, averaged_auroc_ovr, bootstrap,
    classwise_ece, clopper_pearson, clopper_pearson_upper, paired_bootstrap, wilson,
};
use ndarray::Array2;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rand_core::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;

/// Sums of a few dozen terms in another order.
const ROUNDING: f64 = 1e-12;

/// Probabilities with ties and zeros: rows of whole sixteenths, and targets. Every class may be absent.
fn predictions() -> impl Strategy<Value = (Probabilities, Vec<usize>)> {
    (2_usize..6, 1_usize..40).prop_flat_map(|(classes, rows)| {
        let row = prop::collection::vec(0_usize..classes, 16);
        (prop::collection::vec(row, rows), prop::collection::vec(0..classes, rows)).prop_map(
            move |(draws, targets)| {
                let mut values = Array2::zeros((draws.len(), classes));
                for (row, draws) in draws.iter().enumerate() {
                    for &class in draws {
                        values[[row, class]] += 1.0 / 16.0;
                    }
                }
                (Probabilities::new(values).unwrap(), targets)
            },
        )
    })
}

/// Every metric, with every convention that changes it; classes are those that any of the predictions has.
fn all_metrics() -> Vec<Metric> {
    let mut metrics = Metric::STANDARD.to_vec();
    metrics.extend([
        Metric::TopKAccuracy { k: 2 },
        Metric::BalancedAccuracy { classes: ClassSet::All },
        Metric::MacroF1 { classes: ClassSet::All },
        Metric::Matthews,
        Metric::AurocOvo,
        Metric::PartialAuroc { class: 1, min_tpr: 0.8 },
        Metric::PartialAuroc { class: 0, min_tpr: 0.0 },
        Metric::Ece { n_bins: 4 },
    ]);
    for of in [PrfMetric::Precision, PrfMetric::Recall, PrfMetric::F1] {
        let averages = [
            PrfAverage::Macro(ClassSet::Present),
            PrfAverage::Macro(ClassSet::All),
            PrfAverage::Weighted,
            PrfAverage::Micro,
        ];
        metrics.extend(averages.map(|average| Metric::Prf { of, average }));
    }
    for weights in [KappaWeights::None, KappaWeights::Linear, KappaWeights::Quadratic] {
        metrics.push(Metric::Kappa { weights });
    }
    for average in [ClassAverage::Macro, ClassAverage::Weighted] {
        metrics.extend([Metric::Auroc { average }, Metric::AveragePrecision { average }]);
    }
    for class in [0, 1] {
        metrics.extend([
            Metric::Sensitivity { class },
            Metric::Specificity { class },
            Metric::PredictedShare { class },
            Metric::ClassAuroc { class },
            Metric::ClassAveragePrecision { class },
        ]);
    }
    metrics
}

fn tag(metric: &Metric) -> String {
    serde_json::to_value(metric).unwrap()["metric"].as_str().unwrap().to_owned()
}

#[test]
fn the_list_of_metrics_is_complete() {
    let unknown = serde_json::from_str::<Metric>(r#"{"metric": "?"}"#).unwrap_err().to_string();
    let known: BTreeSet<&str> = unknown.split('`').skip(3).step_by(2).collect();
    let listed: BTreeSet<String> = all_metrics().iter().map(tag).collect();
    assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

#[test]
fn every_name_is_its_own_and_every_metric_survives_a_file() {
    let metrics = all_metrics();
    let names: BTreeSet<String> = metrics.iter().map(ToString::to_string).collect();
    let kinds: BTreeSet<String> =
        metrics.iter().map(|metric| serde_json::to_string(metric).unwrap()).collect();
    // `macro_f1` can be asked for by two ways, which are one number.
    assert_eq!(names.len() + 2, kinds.len());
    for metric in metrics {
        let text = serde_json::to_string(&metric).unwrap();
        assert_eq!(serde_json::from_str::<Metric>(&text).unwrap(), metric);
    }
}

#[test]
fn the_form_of_a_metric_in_a_file_stays() {
    for (metric, name, text) in [
        (Metric::Accuracy, "accuracy", r#"{"metric":"accuracy"}"#),
        (Metric::TopKAccuracy { k: 3 }, "top_3_accuracy", r#"{"metric":"top_k_accuracy","k":3}"#),
        (
            Metric::BalancedAccuracy { classes: ClassSet::Present },
            "balanced_accuracy",
            r#"{"metric":"balanced_accuracy","classes":"present"}"#,
        ),
        (
            Metric::MacroF1 { classes: ClassSet::All },
            "macro_f1 (all classes)",
            r#"{"metric":"macro_f1","classes":"all"}"#,
        ),
        (
            Metric::Prf { of: PrfMetric::Recall, average: PrfAverage::Macro(ClassSet::Present) },
            "macro_recall",
            r#"{"metric":"prf","of":"recall","average":{"macro":"present"}}"#,
        ),
        (
            Metric::Prf { of: PrfMetric::F1, average: PrfAverage::Weighted },
            "weighted_f1",
            r#"{"metric":"prf","of":"f1","average":"weighted"}"#,
        ),
        (Metric::Sensitivity { class: 4 }, "sensitivity_of_4", r#"{"metric":"sensitivity","class":4}"#),
        (Metric::Specificity { class: 4 }, "specificity_of_4", r#"{"metric":"specificity","class":4}"#),
        (
            Metric::PredictedShare { class: 4 },
            "predicted_share_of_4",
            r#"{"metric":"predicted_share","class":4}"#,
        ),
        (Metric::Matthews, "matthews", r#"{"metric":"matthews"}"#),
        (
            Metric::Kappa { weights: KappaWeights::Quadratic },
            "quadratic_kappa",
            r#"{"metric":"kappa","weights":"quadratic"}"#,
        ),
        (
            Metric::Auroc { average: ClassAverage::Macro },
            "macro_auroc",
            r#"{"metric":"auroc","average":"macro"}"#,
        ),
        (Metric::AurocOvo, "auroc_ovo", r#"{"metric":"auroc_ovo"}"#),
        (Metric::ClassAuroc { class: 4 }, "auroc_of_4", r#"{"metric":"class_auroc","class":4}"#),
        (
            Metric::PartialAuroc { class: 4, min_tpr: 0.8 },
            "partial_auroc_of_4_above_0.8",
            r#"{"metric":"partial_auroc","class":4,"min_tpr":0.8}"#,
        ),
        (
            Metric::AveragePrecision { average: ClassAverage::Weighted },
            "weighted_average_precision",
            r#"{"metric":"average_precision","average":"weighted"}"#,
        ),
        (
            Metric::ClassAveragePrecision { class: 4 },
            "average_precision_of_4",
            r#"{"metric":"class_average_precision","class":4}"#,
        ),
        (Metric::Nll { clip: NLL_CLIP }, "nll", r#"{"metric":"nll","clip":1e-12}"#),
        (Metric::Brier, "brier", r#"{"metric":"brier"}"#),
        (Metric::Ece { n_bins: 10 }, "ece (10 bins)", r#"{"metric":"ece","n_bins":10}"#),
    ] {
        assert_eq!(metric.to_string(), name);
        assert_eq!(serde_json::to_string(&metric).unwrap(), text);
        assert_eq!(serde_json::from_str::<Metric>(text).unwrap(), metric);
    }
}

/// The same question after class `c` has become class `classes[c]`; `None` where it asks for the order of classes.
fn relabelled(metric: Metric, classes: &[usize]) -> Option<Metric> {
    Some(match metric {
        Metric::Kappa { weights: KappaWeights::Linear | KappaWeights::Quadratic } => return None,
        Metric::Sensitivity { class } => Metric::Sensitivity { class: classes[class] },
        Metric::Specificity { class } => Metric::Specificity { class: classes[class] },
        Metric::PredictedShare { class } => Metric::PredictedShare { class: classes[class] },
        Metric::ClassAuroc { class } => Metric::ClassAuroc { class: classes[class] },
        Metric::PartialAuroc { class, min_tpr } => Metric::PartialAuroc { class: classes[class], min_tpr },
        Metric::ClassAveragePrecision { class } => Metric::ClassAveragePrecision { class: classes[class] },
        other => other,
    })
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => (a - b).abs() <= ROUNDING * a.abs().max(1.0),
        _ => false,
    }
}

fn select(probabilities: &Probabilities, targets: &[usize], rows: &[usize]) -> (Probabilities, Vec<usize>) {
    (probabilities.select(rows).unwrap(), rows.iter().map(|&row| targets[row]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_metric_depends_on_the_order_of_rows((p, y) in predictions(), seed in any::<u64>()) {
        let mut rows: Vec<usize> = (0..y.len()).collect();
        rows.sort_by_key(|&row| (row as u64).wrapping_add(1).wrapping_mul(seed | 1));
        let (shuffled, targets) = select(&p, &y, &rows);
        for metric in all_metrics() {
            let (a, b) = (metric.value(&p, &y).unwrap(), metric.value(&shuffled, &targets).unwrap());
            prop_assert!(same(a, b), "{metric}: {a:?} and {b:?}");
        }
    }

    #[test]
    fn a_replicate_is_the_metric_of_the_rows_it_draws((p, y) in predictions(), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..60)) {
        let draw: Vec<usize> = picks.iter().map(|pick| pick.index(y.len())).collect();
        let (drawn, targets) = select(&p, &y, &draw);
        let resamples = Resamples::given(y.len(), vec![draw]).unwrap();
        for estimate in bootstrap(&p, &y, &all_metrics(), &resamples, 0.1).unwrap() {
            let direct = estimate.metric.value(&drawn, &targets).unwrap();
            prop_assert!(same(estimate.replicates[0], direct), "{}: {:?} and {direct:?}", estimate.metric, estimate.replicates);
            prop_assert!(same(estimate.estimate, estimate.metric.value(&p, &y).unwrap()));
        }
    }

    #[test]
    fn a_metric_without_a_value_says_why_and_no_other((p, y) in predictions(), class in 0_usize..6) {
        let one_class = vec![class.min(p.num_classes() - 1); y.len()];
        for metric in all_metrics() {
            for targets in [&y, &one_class] {
                if metric.value(&p, targets).unwrap().is_none() {
                    prop_assert!(metric.undefined_where().is_some(), "{}", metric);
                }
            }
        }
    }

    #[test]
    fn rows_that_all_stand_twice_change_nothing((p, y) in predictions()) {
        let twice: Vec<usize> = (0..y.len()).flat_map(|row| [row, row]).collect();
        let (doubled, targets) = select(&p, &y, &twice);
        for metric in all_metrics() {
            let (a, b) = (metric.value(&p, &y).unwrap(), metric.value(&doubled, &targets).unwrap());
            prop_assert!(same(a, b), "{metric}: {a:?} and {b:?}");
        }
    }

    #[test]
    fn the_names_of_classes_do_not_matter((p, y) in predictions(), turn in 1_usize..5, swap in any::<bool>()) {
        // Without ties within a row, which go to the lower class.
        let mut values = p.view().to_owned();
        for (row, mut line) in values.rows_mut().into_iter().enumerate() {
            for (class, value) in line.iter_mut().enumerate() {
                *value += 1e-3 * (1.0 + (class as f64 * 1.7 + row as f64).sin().abs());
            }
            let sum = line.sum();
            line /= sum;
        }
        let num_classes = values.ncols();
        let mut classes: Vec<usize> = (0..num_classes).map(|class| (class + turn) % num_classes).collect();
        if swap {
            classes.swap(0, 1);
        }
        let mut moved = values.clone();
        for (class, &to) in classes.iter().enumerate() {
            moved.column_mut(to).assign(&values.column(class));
        }
        let (before, after) = (Probabilities::new(values).unwrap(), Probabilities::new(moved).unwrap());
        let targets: Vec<usize> = y.iter().map(|&target| classes[target]).collect();
        for metric in all_metrics() {
            if let Some(same_question) = relabelled(metric, &classes) {
                let (a, b) = (metric.value(&before, &y).unwrap(), same_question.value(&after, &targets).unwrap());
                prop_assert!(same(a, b), "{metric}: {a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn the_counts_of_parts_add_up((p, y) in predictions(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(y.len());
        prop_assume!(cut > 0);
        let whole = ConfusionMatrix::new(&p, &y).unwrap();
        let rows: Vec<usize> = (0..y.len()).collect();
        let parts = [&rows[..cut], &rows[cut..]].map(|rows| {
            let (p, y) = select(&p, &y, rows);
            ConfusionMatrix::new(&p, &y).unwrap().counts().to_owned()
        });
        prop_assert_eq!(whole.counts(), &parts[0] + &parts[1]);
    }

    #[test]
    fn auroc_is_the_share_of_ordered_pairs((p, y) in predictions()) {
        for (class, area) in auroc_ovr(&p, &y).unwrap().into_iter().enumerate() {
            let (mut ordered, mut pairs) = (0.0, 0.0);
            for a in 0..y.len() {
                for b in 0..y.len() {
                    if y[a] == class && y[b] != class {
                        let (a, b) = (p.view()[[a, class]], p.view()[[b, class]]);
                        pairs += 1.0;
                        ordered += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
                    }
                }
            }
            prop_assert_eq!(area, (pairs > 0.0).then(|| ordered / pairs));
        }
    }

    #[test]
    fn every_value_is_in_its_range((p, y) in predictions()) {
        for metric in all_metrics() {
            let range = match metric {
                Metric::Nll { .. } => 0.0..=-NLL_CLIP.ln(),
                Metric::Brier => 0.0..=2.0,
                Metric::Matthews | Metric::Kappa { .. } => -1.0..=1.0,
                _ => 0.0..=1.0,
            };
            if let Some(value) = metric.value(&p, &y).unwrap() {
                prop_assert!((range.start() - ROUNDING..=range.end() + ROUNDING).contains(&value), "{metric} {value}");
            }
        }
        let table = ReliabilityTable::top_label(&p, &y, Binning::Uniform { n_bins: 7 }).unwrap();
        let [l1, l2, max] = [CalibrationNorm::L1, CalibrationNorm::L2, CalibrationNorm::Max].map(|norm| table.error(norm));
        prop_assert!(l1 <= l2 + ROUNDING && l2 <= max + ROUNDING);
        prop_assert_eq!(table.total(), y.len() as u64);
    }

    #[test]
    fn a_right_and_certain_model_is_perfect(y in prop::collection::vec(0_usize..4, 1..30)) {
        let values = Array2::from_shape_fn((y.len(), 4), |(row, class)| f64::from(u8::from(y[row] == class)));
        let p = Probabilities::new(values).unwrap();
        for metric in Metric::STANDARD {
            if let Some(value) = metric.value(&p, &y).unwrap() {
                prop_assert_eq!(value, if metric.higher_is_better() { 1.0 } else { 0.0 }, "{}", metric);
            }
        }
        prop_assert_eq!(classwise_ece(&p, &y, 10).unwrap().mean, 0.0);
    }

    #[test]
    fn a_model_does_not_differ_from_itself((p, y) in predictions()) {
        let resamples = Resamples::rows(y.len(), 20, 3).unwrap();
        for pair in paired_bootstrap(&p, &p, &y, &Metric::STANDARD, &resamples, 0.05).unwrap() {
            if let (Some(interval), Some(p_value)) = (pair.interval, pair.p_value) {
                prop_assert_eq!((interval.low, interval.high, p_value), (0.0, 0.0, 1.0));
            }
        }
    }

    #[test]
    fn an_interval_holds_its_proportion((trials, successes) in (1_usize..2000).prop_flat_map(|n| (Just(n), 0..=n)), alpha in 0.001..0.5_f64) {
        let share = successes as f64 / trials as f64;
        let (score, exact) = (wilson(successes, trials, alpha).unwrap(), clopper_pearson(successes, trials, alpha).unwrap());
        prop_assert!(score.contains(share) && exact.contains(share), "{score:?} {exact:?}");
        // The failures' interval is the mirror image.
        let mirrored = clopper_pearson(trials - successes, trials, alpha).unwrap();
        prop_assert!((exact.low - (1.0 - mirrored.high)).abs() < ROUNDING);
        prop_assert!((exact.high - (1.0 - mirrored.low)).abs() < ROUNDING);
    }
}

/// `P(X ≤ k)` of a binomial variable, by summing its terms from the first.
fn binomial_cdf(k: usize, n: usize, p: f64) -> f64 {
    let mut log_term = n as f64 * (-p).ln_1p();
    let mut sum = log_term.exp();
    for i in 0..k {
        log_term += ((n - i) as f64 / (i + 1) as f64).ln() + p.ln() - (-p).ln_1p();
        sum += log_term.exp();
    }
    sum
}

/// 400 rows whose confidence is honest: their binned calibration error is small, and that of resamples is not.
#[test]
fn the_shifted_interval_of_a_calibration_error_holds_the_estimate() {
    let mut draws = ChaCha8Rng::seed_from_u64(5);
    let mut uniform = || (draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    for _ in 0..400 {
        let p = 0.5 + 0.5 * uniform();
        rows.extend([p, 1.0 - p]);
        targets.push(usize::from(uniform() >= p));
    }
    let p = Probabilities::new(Array2::from_shape_vec((400, 2), rows).unwrap()).unwrap();
    let groups: Vec<String> = (0..400).map(|row| row.to_string()).collect();
    let resamples = Resamples::groups(&groups, 500, 3).unwrap();
    let ece = &bootstrap(&p, &targets, &[Metric::Ece { n_bins: 15 }], &resamples, 0.05).unwrap()[0];
    let (plain, shifted) = (ece.interval.unwrap(), ece.shifted_interval().unwrap());
    let estimate = ece.estimate.unwrap();
    assert!(ece.mean.unwrap() > estimate, "resamples are noisier than the data");
    assert!(shifted.contains(estimate) && shifted.high < plain.high && shifted.low >= 0.0, "{shifted:?}");
}

#[test]
fn the_upper_bound_is_where_the_binomial_test_turns() {
    for (k, n, alpha) in [
        (0, 5, 0.1),
        (3, 75, 0.1),
        (14, 150, 0.05),
        (120, 1500, 0.01),
        (700, 20_000, 0.05),
        (4_000, 100_000, 0.1),
    ] {
        let bound = clopper_pearson_upper(k, n, alpha).unwrap();
        // The terms are summed in logarithms, which costs digits as n grows.
        assert!((binomial_cdf(k, n, bound) - alpha).abs() < 1e-8, "{k} of {n}");
    }
}

#[test]
fn clopper_pearson_covers_whatever_the_proportion() {
    let (n, alpha) = (40, 0.1);
    let intervals: Vec<_> = (0..=n).map(|k| clopper_pearson(k, n, alpha).unwrap()).collect();
    for step in 1..100 {
        let p = f64::from(step) / 100.0;
        let probability = |k: usize| {
            let below = if k == 0 { 0.0 } else { binomial_cdf(k - 1, n, p) };
            binomial_cdf(k, n, p) - below
        };
        let coverage: f64 = (0..=n).filter(|&k| intervals[k].contains(p)).map(probability).sum();
        assert!(coverage >= 1.0 - alpha - ROUNDING, "{coverage} at {p}");
    }
}

fn many_rows() -> (Probabilities, Vec<usize>, Vec<String>) {
    let rows = 300;
    let values = Array2::from_shape_fn((rows, 3), |(row, class)| 1.0 + ((row * 7 + class * 5) % 11) as f64);
    let sums = values.sum_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1));
    let groups = (0..rows).map(|row| format!("lesion_{:03}", row / 4)).collect();
    (Probabilities::new(values / sums).unwrap(), (0..rows).map(|row| row % 5 % 3).collect(), groups)
}

#[test]
fn threads_do_not_change_an_interval() {
    let (p, y, groups) = many_rows();
    let resamples = Resamples::groups(&groups, 64, 11).unwrap();
    let run = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bootstrap(&p, &y, &Metric::STANDARD, &resamples, 0.05).unwrap())
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn the_draw_is_the_same_on_every_machine() {
    // Fixed by the seed, the stream and the arithmetic of the crate; a change of any of them changes every
    // interval.
    let resamples = Resamples::rows(8, 2, 42).unwrap();
    let drawn: Vec<Vec<u32>> = (0..2).map(|replicate| resamples.multiplicities(replicate)).collect();
    assert_eq!(drawn, DRAWN);
}

#[test]
fn a_group_is_drawn_whole_and_as_often_as_there_are_groups() {
    let groups = ["b", "a", "b", "c", "b", "a"];
    let resamples = Resamples::groups(&groups, 50, 5).unwrap();
    let mut seen_twice = false;
    for replicate in 0..50 {
        let counts = resamples.multiplicities(replicate);
        assert!(counts[0] == counts[2] && counts[2] == counts[4] && counts[1] == counts[5]);
        assert_eq!(counts[0] + counts[1] + counts[3], 3);
        seen_twice |= counts[0] == 2;
    }
    assert!(seen_twice);
}

#[test]
fn photographs_of_one_lesion_do_not_narrow_the_interval() {
    // Every lesion photographed four times with the same outcome: the width must be that of the lesions.
    let (p, y, _) = many_rows();
    let once: Vec<usize> = (0..75).collect();
    let four_times: Vec<usize> = once.iter().flat_map(|&row| [row; 4]).collect();
    let groups: Vec<String> = four_times.iter().map(|row| format!("lesion_{row:03}")).collect();
    let width = |p: &Probabilities, y: &[usize], resamples: &Resamples| {
        let interval = bootstrap(p, y, &[Metric::Accuracy], resamples, 0.05).unwrap()[0].interval.unwrap();
        interval.high - interval.low
    };
    let (single, targets) = select(&p, &y, &once);
    let by_row = width(&single, &targets, &Resamples::rows(75, 2000, 1).unwrap());
    let (repeated, targets) = select(&p, &y, &four_times);
    let by_group = width(&repeated, &targets, &Resamples::groups(&groups, 2000, 2).unwrap());
    let naive = width(&repeated, &targets, &Resamples::rows(300, 2000, 3).unwrap());
    // Two percentiles of 2,000 replicates are good to about a twentieth of the width.
    assert!((by_group / by_row - 1.0).abs() < 0.15, "{by_group} {by_row}");
    assert!(naive < 0.6 * by_group, "{naive} {by_group}");
}

#[test]
fn a_macro_auroc_leaves_out_what_is_undefined() {
    let p = Probabilities::new(ndarray::array![[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.5, 0.4, 0.1]]).unwrap();
    let areas = auroc_ovr(&p, &[0, 1, 0]).unwrap();
    assert_eq!(areas, [Some(1.0), Some(1.0), None]);
    assert_eq!(averaged_auroc_ovr(&p, &[0, 1, 0], ClassAverage::Macro).unwrap(), Some(1.0));
    assert_eq!(averaged_auroc_ovr(&p, &[0, 0, 0], ClassAverage::Macro).unwrap(), None);
}

const DRAWN: [[u32; 8]; 2] = [[0, 1, 2, 1, 0, 2, 1, 1], [2, 2, 0, 1, 0, 1, 2, 0]];
