//! Intervals, tests and comparisons: against other programs, by brute force, and by what they promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use derm_core::Probabilities;
use derm_metrics::{
    ClassAverage, ClassSet, Error, Interval, Metric, NoBcaInterval, Resamples, RunPairing, SeedSummary,
    SubgroupConfig, SubgroupTable, TwoLevelBootstrap, bca, bootstrap, delong, holm, mcnemar,
    paired_bootstrap, recipe_estimate, recipe_retention,
};
use ndarray::{Array2, array};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rand_core::Rng;
use rand_chacha::ChaCha8Rng;

/// Sums of a few dozen terms in another order.
const ROUNDING: f64 = 1e-12;
/// Two implementations of the incomplete beta and the normal quantile.
const SPECIAL_FUNCTIONS: f64 = 1e-9;

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Two-class rows of which a share is right.
fn rows(rng: &mut ChaCha8Rng, count: usize, right: f64) -> (Probabilities, Vec<usize>) {
    let targets: Vec<usize> = (0..count).map(|row| row % 2).collect();
    (noisy(rng, &targets, right), targets)
}

fn noisy(rng: &mut ChaCha8Rng, targets: &[usize], right: f64) -> Probabilities {
    let mut values = Array2::zeros((targets.len(), 2));
    for (row, &target) in targets.iter().enumerate() {
        let class = if uniform(rng) < right { target } else { 1 - target };
        let p = 0.5 + 0.5 * uniform(rng);
        values[[row, class]] = p;
        values[[row, 1 - class]] = 1.0 - p;
    }
    Probabilities::new(values).unwrap()
}

#[test]
fn scipy_gives_the_same_bca_interval() {
    // scipy 1.17.1, `_bca_interval` on the replicates of the golden set `boot`.
    let file: serde_json::Value = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    let data = &file["datasets"]["boot"];
    let numbers = |name: &str| -> Vec<f64> {
        data[name]["data"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let targets: Vec<usize> = numbers("targets").iter().map(|&x| x as usize).collect();
    let n = targets.len();
    let p = Probabilities::new(Array2::from_shape_vec((n, 4), numbers("probs")).unwrap()).unwrap();
    let draws: Vec<usize> = numbers("resamples").iter().map(|&x| x as usize).collect();
    let resamples = Resamples::given(n, draws.chunks(n).map(<[usize]>::to_vec).collect()).unwrap();
    let metrics = [
        Metric::Accuracy,
        Metric::BalancedAccuracy { classes: ClassSet::Present },
        Metric::MacroF1 { classes: ClassSet::All },
    ];
    let expected = [
        (0.715, 0.8207816663707016),
        (0.5564299788852789, 0.6893586893141876),
        (0.5718107529207338, 0.7243781856032958),
    ];
    for (got, (low, high)) in bca(&p, &targets, &metrics, &resamples, 0.05).unwrap().into_iter().zip(expected)
    {
        let interval = got.interval.unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < SPECIAL_FUNCTIONS;
        assert!(close(interval.low, low) && close(interval.high, high), "{} {interval:?}", got.metric);
    }
}

#[test]
fn a_bca_interval_covers_a_skewed_share() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let (truth, mut covered, mut defined) = (0.85, 0, 0);
    for seed in 0..300 {
        let (p, y) = rows(&mut rng, 60, truth);
        let resamples = Resamples::rows(60, 400, seed).unwrap();
        if let Ok(interval) = bca(&p, &y, &[Metric::Accuracy], &resamples, 0.1).unwrap()[0].interval {
            defined += 1;
            covered += usize::from(interval.contains(truth));
        }
    }
    assert_eq!(defined, 300);
    // 270 expected; three standard deviations of Binomial(300, 0.9) are 16, and the interval is approximate.
    assert!((250..=295).contains(&covered), "{covered}");
}

#[test]
fn a_bca_interval_counts_lesions() {
    // Every lesion photographed three times with one outcome.
    let (p, y) = rows(&mut ChaCha8Rng::seed_from_u64(3), 50, 0.8);
    let thrice: Vec<usize> = (0..50).flat_map(|row| [row; 3]).collect();
    let repeated = p.select(&thrice).unwrap();
    let targets: Vec<usize> = thrice.iter().map(|&row| y[row]).collect();
    let names: Vec<String> = thrice.iter().map(|row| format!("{row:02}")).collect();
    let once: Vec<String> = (0..50).map(|row| format!("{row:02}")).collect();
    let single = bca(&p, &y, &[Metric::Accuracy], &Resamples::groups(&once, 300, 5).unwrap(), 0.05).unwrap();
    let groups = Resamples::groups(&names, 300, 5).unwrap();
    let grouped = bca(&repeated, &targets, &[Metric::Accuracy], &groups, 0.05).unwrap();
    // The same draws of the same lesions.
    let (a, b) = (single[0].interval.unwrap(), grouped[0].interval.unwrap());
    assert!((a.low - b.low).abs() < ROUNDING && (a.high - b.high).abs() < ROUNDING, "{a:?} {b:?}");
}

#[test]
fn why_there_is_no_bca_interval() {
    let p = Probabilities::new(array![[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]).unwrap();
    let resamples = Resamples::rows(4, 200, 1).unwrap();
    let of = |y: &[usize], metric: Metric, resamples: &Resamples| {
        bca(&p, y, &[metric], resamples, 0.05).unwrap()[0].interval
    };
    let auroc = Metric::ClassAuroc { class: 0 };
    assert_eq!(of(&[0, 0, 0, 0], auroc, &resamples), Err(NoBcaInterval::EstimateUndefined));
    assert_eq!(of(&[0, 0, 1, 1], Metric::Accuracy, &resamples), Err(NoBcaInterval::NoVariation));
    assert_eq!(of(&[0, 1, 1, 1], auroc, &resamples), Err(NoBcaInterval::JackknifeUndefined));
    let undefined = Resamples::given(4, vec![vec![0, 1], vec![0, 0], vec![0, 2]]).unwrap();
    assert_eq!(of(&[0, 0, 1, 1], auroc, &undefined), Err(NoBcaInterval::ReplicatesUndefined));
    let one_sided = Resamples::given(4, vec![vec![0, 1, 2, 2], vec![0; 4]]).unwrap();
    assert_eq!(of(&[0, 0, 1, 0], Metric::Accuracy, &one_sided), Err(NoBcaInterval::OneSided));
}

#[test]
fn a_stratified_draw_keeps_the_class_counts() {
    let targets = [0, 1, 0, 2, 0, 1, 0, 0];
    let resamples = Resamples::stratified(&targets, 40, 9).unwrap();
    let lesions = ["a", "c", "a", "e", "b", "d", "b", "f"];
    let grouped = Resamples::stratified_groups(&targets, &lesions, 40, 9).unwrap();
    for replicate in 0..40 {
        let counts = resamples.multiplicities(replicate);
        let of_class = |class: usize| -> u32 {
            counts.iter().zip(&targets).filter(|row| *row.1 == class).map(|row| *row.0).sum()
        };
        assert_eq!([0, 1, 2].map(of_class), [5, 2, 1]);
        let counts = grouped.multiplicities(replicate);
        assert_eq!(counts[0] + counts[4] + counts[7], 3, "three lesions of class 0");
        assert!(counts[0] == counts[2] && counts[4] == counts[6]);
        assert_eq!((counts[1] + counts[5], counts[3]), (2, 1));
    }
    // With fixed class counts a rare class is in every replicate, so its recall has every replicate.
    let p = Probabilities::new(Array2::from_elem((8, 4), 0.25)).unwrap();
    let recall = Metric::Sensitivity { class: 2 };
    assert!(
        bootstrap(&p, &targets, &[recall], &resamples, 0.05).unwrap()[0]
            .replicates
            .iter()
            .all(Option::is_some)
    );
}

#[test]
fn students_interval_is_scipys() {
    for (values, alpha, low, high) in [
        (vec![0.81, 0.83, 0.82], 0.05, 0.7951586228824967, 0.8448413771175032),
        (vec![0.81, 0.83, 0.82], 0.01, 0.7626988910628503, 0.8773011089371496),
        (vec![0.7, 0.75, 0.72, 0.74, 0.71, 0.73, 0.76], 0.05, 0.7100210483970858, 0.749978951602914),
        (vec![0.7, 0.75, 0.72, 0.74, 0.71, 0.73, 0.76], 0.01, 0.6997289769655264, 0.7602710230344734),
    ] {
        let interval = SeedSummary::new(&values, alpha).unwrap().interval.unwrap();
        assert!(
            (interval.low - low).abs() < SPECIAL_FUNCTIONS
                && (interval.high - high).abs() < SPECIAL_FUNCTIONS
        );
    }
    let one = SeedSummary::new(&[0.5], 0.05).unwrap();
    assert_eq!((one.mean, one.std, one.interval), (0.5, None, None));
}

/// Runs of one recipe: each is right as often as its own draw of the seed says.
fn runs(rng: &mut ChaCha8Rng, targets: &[usize], right: f64) -> Vec<Probabilities> {
    spread_runs(rng, targets, right, 6, 0.04)
}

/// As many runs, whose shares of right rows are uniform over a range as wide as `spread`.
fn spread_runs(
    rng: &mut ChaCha8Rng,
    targets: &[usize],
    right: f64,
    count: usize,
    spread: f64,
) -> Vec<Probabilities> {
    (0..count)
        .map(|_| {
            let of_seed = right + spread * (uniform(rng) - 0.5);
            noisy(rng, targets, of_seed)
        })
        .collect()
}

#[test]
fn three_runs_do_not_decide_where_seeds_make_the_difference() {
    let mut rng = ChaCha8Rng::seed_from_u64(31);
    let targets: Vec<usize> = (0..200).map(|row| row % 2).collect();
    for pairing in [RunPairing::BySeed, RunPairing::Independent] {
        let (mut rejected, mut by_percentiles) = (0, 0);
        for trial in 0..100 {
            let resamples = Resamples::rows(200, 99, trial).unwrap();
            let bootstrap = TwoLevelBootstrap { resamples: &resamples, pairing, seed: trial, alpha: 0.05 };
            let mut of_recipe = || spread_runs(&mut rng, &targets, 0.6, 3, 0.7);
            let (first, second) = (of_recipe(), of_recipe());
            let same = &bootstrap.compare(&first, &second, &targets, &[Metric::Accuracy]).unwrap()[0];
            rejected += usize::from(same.p_value.unwrap() <= 0.05);
            by_percentiles += usize::from(same.percentile_p_value.unwrap() <= 0.05);
            assert_eq!(same.p_value.unwrap() > 0.05, same.interval.unwrap().contains(0.0));
        }
        // 5 expected; 13 has probability 0.0015 in Binomial(100, 0.05).
        assert!(rejected <= 12, "{rejected} of 100 {pairing:?}");
        assert!(by_percentiles > rejected, "{by_percentiles}: the percentiles need no other decision beside");
    }
}

#[test]
fn on_given_lesions_the_decision_is_scipys_t_test() {
    // Every replicate is the data, so that the runs alone make the estimate uncertain.
    let resamples = Resamples::given(10, vec![(0..10).collect(); 5]).unwrap();
    let of_hits = |hits: &[usize]| -> Vec<Probabilities> {
        let run = |&hits: &usize| {
            let values = Array2::from_shape_fn(
                (10, 2),
                |(row, class)| {
                    if (row < hits) == (class == 0) { 0.9 } else { 0.1 }
                },
            );
            Probabilities::new(values).unwrap()
        };
        hits.iter().map(run).collect()
    };
    // scipy 1.17.1: `ttest_rel`, and `ttest_ind(equal_var=False)` with its degrees of freedom.
    for (pairing, second, p_value, low, high, freedom) in [
        (
            RunPairing::BySeed,
            &[7, 7, 8, 5][..],
            0.013846832988859026,
            0.05813068844814612,
            0.24186931155185393,
            3.0,
        ),
        (
            RunPairing::Independent,
            &[7, 5, 8],
            0.20790195314153212,
            -0.15160297832381825,
            0.4682696449904849,
            3.1688018085908065,
        ),
    ] {
        let bootstrap = TwoLevelBootstrap { resamples: &resamples, pairing, seed: 1, alpha: 0.05 };
        let (first, second) = (of_hits(&[9, 8, 9, 7]), of_hits(second));
        let got = &bootstrap.compare(&first, &second, &[0; 10], &[Metric::Accuracy]).unwrap()[0];
        let interval = got.interval.unwrap();
        let pairs = [
            (got.p_value.unwrap(), p_value),
            (interval.low, low),
            (interval.high, high),
            (got.freedom.unwrap(), freedom),
            (got.lesion_error.unwrap(), 0.0),
        ];
        for (got, expected) in pairs {
            assert!((got - expected).abs() < SPECIAL_FUNCTIONS, "{got} {expected} {pairing:?}");
        }
    }
}

#[test]
fn equal_recipes_are_seldom_told_apart_and_unequal_ones_are() {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let targets: Vec<usize> = (0..120).map(|row| row % 2).collect();
    for pairing in [RunPairing::BySeed, RunPairing::Independent] {
        let mut rejected = 0;
        for trial in 0..60 {
            let resamples = Resamples::rows(120, 199, trial).unwrap();
            let bootstrap = TwoLevelBootstrap { resamples: &resamples, pairing, seed: trial, alpha: 0.05 };
            let (first, second) = (runs(&mut rng, &targets, 0.8), runs(&mut rng, &targets, 0.8));
            let same = &bootstrap.compare(&first, &second, &targets, &[Metric::Accuracy]).unwrap()[0];
            rejected += usize::from(same.p_value.unwrap() <= 0.05);
        }
        // 3 expected at the level, somewhat more with six runs; above 12 the test would be of no use.
        assert!(rejected <= 12, "{rejected} of 60 {pairing:?}");
        let resamples = Resamples::rows(120, 199, 99).unwrap();
        let bootstrap = TwoLevelBootstrap { resamples: &resamples, pairing, seed: 99, alpha: 0.05 };
        let (first, second) = (runs(&mut rng, &targets, 0.9), runs(&mut rng, &targets, 0.7));
        let apart = &bootstrap.compare(&first, &second, &targets, &[Metric::Accuracy]).unwrap()[0];
        assert!(apart.p_value.unwrap() < 0.01);
        assert_eq!(apart.percentile_p_value, Some(2.0 / 200.0), "the smallest that 199 replicates allow");
        assert!(apart.interval.unwrap().contains(apart.estimate.unwrap()));
        assert!(apart.percentile_interval.unwrap().contains(apart.estimate.unwrap()));
        let mean = |values: &[Option<f64>]| values.iter().map(|value| value.unwrap()).sum::<f64>() / 6.0;
        assert!((apart.estimate.unwrap() - (mean(&apart.first) - mean(&apart.second))).abs() < ROUNDING);
        // The other way round every number turns its sign.
        let back = &bootstrap.compare(&second, &first, &targets, &[Metric::Accuracy]).unwrap()[0];
        if pairing == RunPairing::BySeed {
            let (back, apart) = (back.percentile_interval.unwrap(), apart.percentile_interval.unwrap());
            assert!((back.low + apart.high).abs() < ROUNDING);
        }
        assert!((back.interval.unwrap().low + apart.interval.unwrap().high).abs() < ROUNDING);
        assert!((back.p_value.unwrap() - apart.p_value.unwrap()).abs() < ROUNDING);
        assert_eq!(back.percentile_p_value, apart.percentile_p_value);
    }
}

#[test]
fn one_recipe_against_itself_differs_by_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let targets: Vec<usize> = (0..40).map(|row| row % 2).collect();
    let same = runs(&mut rng, &targets, 0.7);
    let resamples = Resamples::rows(40, 50, 1).unwrap();
    let bootstrap =
        TwoLevelBootstrap { resamples: &resamples, pairing: RunPairing::BySeed, seed: 1, alpha: 0.05 };
    for difference in bootstrap.compare(&same, &same, &targets, &Metric::STANDARD).unwrap() {
        assert_eq!(
            (difference.estimate, difference.percentile_p_value, difference.p_value),
            (Some(0.0), Some(1.0), None),
            "{}",
            difference.metric
        );
    }
    // A run whose metric is undefined leaves the estimate undefined.
    let area = Metric::Auroc { average: ClassAverage::Macro };
    let undefined = &bootstrap.compare(&same, &same, &[0; 40], &[area]).unwrap()[0];
    assert_eq!((undefined.estimate, undefined.interval, undefined.p_value), (None, None, None));
    assert_eq!((undefined.percentile_interval, undefined.percentile_p_value), (None, None));
}

#[test]
fn infinite_values_decide_nothing() {
    // A target of probability 0 and no clip: infinite for both models, and ∞ − ∞ is no number.
    let first = Probabilities::new(array![[1.0, 0.0], [0.6, 0.4], [0.3, 0.7]]).unwrap();
    let second = Probabilities::new(array![[1.0, 0.0], [0.7, 0.3], [0.2, 0.8]]).unwrap();
    let (targets, metric) = ([1, 0, 1], [Metric::Nll { clip: 0.0 }]);
    let resamples = Resamples::given(3, vec![vec![0, 1, 2]; 50]).unwrap();
    let got = &paired_bootstrap(&first, &second, &targets, &metric, &resamples, 0.05).unwrap()[0];
    assert_eq!((got.estimate, got.interval, got.p_value), (None, None, None));
    let got = &bootstrap(&first, &targets, &metric, &resamples, 0.05).unwrap()[0];
    assert_eq!((got.estimate, got.interval, got.std), (Some(f64::INFINITY), None, None));
    assert_eq!(got.shifted_interval(), None);
    let runs = [first, second];
    let two = TwoLevelBootstrap { resamples: &resamples, pairing: RunPairing::BySeed, seed: 1, alpha: 0.05 };
    let got = &two.compare(&runs, &runs, &targets, &metric).unwrap()[0];
    assert_eq!((got.estimate, got.p_value, got.percentile_p_value), (None, None, None));
    // Only one subgroup is infinite: so is the gap, and no interval around it is made up.
    let p = Probabilities::new(array![[1.0, 0.0], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]).unwrap();
    let config = SubgroupConfig { metrics: metric.to_vec(), min_groups: 1, ..SubgroupConfig::default() };
    let table =
        SubgroupTable::new(&["I", "I", "II", "II"], &["a", "b", "c", "d"], &p, &[1, 0, 1, 0], &config)
            .unwrap();
    assert_eq!((table.gaps[0].gap, table.gaps[0].interval), (Some(f64::INFINITY), None));
}

#[test]
fn one_lesion_has_no_bootstrap_interval() {
    let p = Probabilities::new(array![[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]).unwrap();
    let one = Resamples::groups(&["a"; 3], 50, 1).unwrap();
    let got = &bootstrap(&p, &[0, 1, 1], &Metric::STANDARD, &one, 0.05).unwrap()[0];
    assert_eq!((got.estimate, got.interval), (Some(2.0 / 3.0), None));
    let pair = &paired_bootstrap(&p, &p, &[0, 1, 1], &[Metric::Accuracy], &one, 0.05).unwrap()[0];
    assert_eq!((pair.estimate, pair.interval, pair.p_value), (Some(0.0), None, None));
    let of_bca = &bca(&p, &[0, 1, 1], &[Metric::Accuracy], &one, 0.05).unwrap()[0];
    assert_eq!(of_bca.interval, Err(NoBcaInterval::NoVariation));
    // A subgroup of one lesion: its number, and nothing about how certain it is.
    let config = SubgroupConfig {
        metrics: vec![Metric::Accuracy],
        min_groups: 1,
        replicates: 50,
        ..SubgroupConfig::default()
    };
    let table = SubgroupTable::new(&["I", "I", "II"], &["a", "b", "c"], &p, &[0, 0, 0], &config).unwrap();
    let interval = |row: usize| table.rows[row].metrics.as_ref().unwrap()[0].interval;
    assert!(interval(0).is_some() && interval(1).is_none());
    assert_eq!((table.gaps[0].gap, table.gaps[0].interval), (Some(0.5), None));
}

#[test]
fn the_only_unit_of_a_stratum_does_not_spoil_a_bca_interval() {
    // Without the one row of class 2 its recall is undefined; but every replicate has it.
    let targets = [0, 0, 0, 1, 1, 1, 1, 2];
    let p = noisy(&mut ChaCha8Rng::seed_from_u64(8), &[0, 0, 1, 1, 0, 1, 1, 0], 0.9);
    let wide = Array2::from_shape_fn((8, 3), |(row, class)| if class < 2 { p.row(row)[class] } else { 0.0 });
    let p = Probabilities::new(wide).unwrap();
    let resamples = Resamples::stratified(&targets, 300, 4).unwrap();
    let metrics = [Metric::Sensitivity { class: 2 }, Metric::BalancedAccuracy { classes: ClassSet::Present }];
    let got = bca(&p, &targets, &metrics, &resamples, 0.1).unwrap();
    assert_eq!(got[0].interval, Err(NoBcaInterval::NoVariation), "not that it is undefined without the row");
    let (interval, estimate) = (got[1].interval.unwrap(), got[1].estimate.unwrap());
    assert!(interval.low < estimate && estimate < interval.high, "{interval:?} {estimate}");
}

#[test]
fn delong_without_variance_decides_nothing() {
    let labels = [true, true, true, false, false, false];
    let right = [0.9, 0.8, 0.7, 0.3, 0.2, 0.1];
    let wrong = right.map(|score| 1.0 - score);
    let test = delong(&right, &wrong, &labels, 0.05).unwrap().unwrap();
    assert_eq!((test.auroc, test.difference, test.z, test.p_value), ([1.0, 0.0], 1.0, None, None));
    assert_eq!((test.intervals[0].low, test.intervals[0].high), (1.0, 1.0));
    // All tied against all apart.
    let labels = [true, true, true, true, false, false, false, false, false, false];
    let first = [0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
    let test = delong(&first, &[0.5; 10], &labels, 0.05).unwrap().unwrap();
    assert_eq!((test.difference, test.z), (0.5, None));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn holm_rejects_step_by_step(mut p_values in prop::collection::vec(0.0..0.2_f64, 1..12), alpha in 0.01..0.3_f64) {
        p_values[0] = 0.0;
        let got = holm(&p_values, alpha).unwrap();
        // Step down: as long as the smallest remaining one is at most alpha over the number of remaining ones.
        let mut order: Vec<usize> = (0..p_values.len()).collect();
        order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
        let mut stopped = false;
        for (rank, &at) in order.iter().enumerate() {
            stopped |= (p_values.len() - rank) as f64 * p_values[at] > alpha;
            prop_assert_eq!(got.rejected[at], !stopped);
            prop_assert!(got.adjusted[at] >= p_values[at] && got.adjusted[at] <= 1.0);
        }
        prop_assert!(order.windows(2).all(|pair| got.adjusted[pair[0]] <= got.adjusted[pair[1]]));
    }

    #[test]
    fn mcnemar_is_the_binomial_test((b, c, both) in (0_usize..40, 0_usize..40, 0_usize..9)) {
        let first: Vec<bool> = [vec![true; b], vec![false; c], vec![true; both]].concat();
        let second: Vec<bool> = [vec![false; b], vec![true; c], vec![true; both]].concat();
        prop_assume!(!first.is_empty());
        let test = mcnemar(&first, &second).unwrap();
        let n = b + c;
        let mut choose = vec![1.0_f64; n + 1];
        for k in 1..=n {
            choose[k] = choose[k - 1] * (n + 1 - k) as f64 / k as f64;
        }
        let probability = |k: usize| choose[k] / 2.0_f64.powi(n as i32);
        let below: f64 = (0..=b.min(c)).map(probability).sum();
        let exact = if b == c { 1.0 } else { 2.0 * below };
        let mid = if b == c { 1.0 } else { 2.0 * below - probability(b.min(c)) };
        prop_assert!((test.p_exact - exact).abs() < SPECIAL_FUNCTIONS, "{} {exact}", test.p_exact);
        prop_assert!((test.p_mid - mid).abs() < SPECIAL_FUNCTIONS, "{} {mid}", test.p_mid);
        let back = mcnemar(&second, &first).unwrap();
        prop_assert_eq!((back.only_first, back.p_exact, back.p_mid), (test.only_second, test.p_exact, test.p_mid));
        prop_assert_eq!(test.chi2_corrected.is_none(), n == 0);
    }
}

#[test]
fn the_mean_of_runs_counts_runs_and_lesions() {
    let mut rng = ChaCha8Rng::seed_from_u64(41);
    let targets: Vec<usize> = (0..80).map(|row| row % 2).collect();
    let models = runs(&mut rng, &targets, 0.8);
    let resamples = Resamples::rows(80, 300, 2).unwrap();
    for (index, metric) in [Metric::Accuracy, Metric::Brier].into_iter().enumerate() {
        let of_runs: Vec<f64> =
            models.iter().map(|run| metric.value(run, &targets).unwrap().unwrap()).collect();
        let got = &recipe_estimate(&models, &targets, &[metric], &resamples, 0.05).unwrap()[0];
        let seeds = SeedSummary::new(&of_runs, 0.05).unwrap();
        let near = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < ROUNDING, "{metric}: {a:?} {b}");
        near(got.estimate, seeds.mean);
        near(got.std, seeds.std.unwrap());
        near(got.run_error, seeds.std.unwrap() / (models.len() as f64).sqrt());
        // The lesions' error is the spread of the mean over runs, by a bootstrap written out.
        let replicates: Vec<f64> = (0..300)
            .map(|replicate| {
                let times = resamples.multiplicities(replicate);
                let drawn: Vec<usize> =
                    (0..80).flat_map(|row| std::iter::repeat_n(row, times[row] as usize)).collect();
                let of_drawn: Vec<usize> = drawn.iter().map(|&row| targets[row]).collect();
                let values = models
                    .iter()
                    .map(|run| metric.value(&run.select(&drawn).unwrap(), &of_drawn).unwrap().unwrap());
                values.sum::<f64>() / models.len() as f64
            })
            .collect();
        near(got.lesion_error, SeedSummary::new(&replicates, 0.05).unwrap().std.unwrap());
        // It is wider than what either source says alone.
        let width = |interval: Interval| interval.high - interval.low;
        let by_lesions = 2.0 * 1.96 * got.lesion_error.unwrap();
        assert!(width(got.interval.unwrap()) > by_lesions, "{index}");
        // One run: the lesions' error is that of the plain bootstrap, and nothing is said of other seeds.
        let one = &recipe_estimate(&models[..1], &targets, &[metric], &resamples, 0.05).unwrap()[0];
        let plain = &bootstrap(&models[0], &targets, &[metric], &resamples, 0.05).unwrap()[0];
        near(one.lesion_error, plain.std.unwrap());
        assert_eq!((one.estimate, one.std, one.run_error), (plain.estimate, None, None));
        assert!(one.interval.is_some());
    }
}

#[test]
fn retention_is_a_share_of_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(43);
    let targets: Vec<usize> = (0..80).map(|row| row % 2).collect();
    let (students, teacher) = (runs(&mut rng, &targets, 0.7), noisy(&mut rng, &targets, 0.9));
    let resamples = Resamples::rows(80, 300, 2).unwrap();
    let metric = [Metric::Accuracy];
    let of_students = &recipe_estimate(&students, &targets, &metric, &resamples, 0.05).unwrap()[0];
    let of_teacher = Metric::Accuracy.value(&teacher, &targets).unwrap().unwrap();
    let kept = &recipe_retention(&students, &teacher, &targets, &metric, &resamples, 0.05).unwrap()[0];
    let share = of_students.estimate.unwrap() / of_teacher;
    assert!((kept.estimate.unwrap() - share).abs() < ROUNDING);
    assert!((kept.run_error.unwrap() - of_students.run_error.unwrap() / of_teacher).abs() < ROUNDING);
    assert!(kept.interval.unwrap().contains(share));
    // A model keeps all of itself, whichever lesions are drawn: nothing is uncertain.
    let itself =
        &recipe_retention(std::slice::from_ref(&teacher), &teacher, &targets, &metric, &resamples, 0.05)
            .unwrap()[0];
    assert_eq!((itself.estimate, itself.interval), (Some(1.0), None));
    // Nothing can be kept of nothing.
    let wrong =
        Probabilities::new(Array2::from_shape_fn(
            (80, 2),
            |(row, class)| {
                if class == targets[row] { 0.1 } else { 0.9 }
            },
        ))
        .unwrap();
    let none = &recipe_retention(&students, &wrong, &targets, &metric, &resamples, 0.05).unwrap()[0];
    assert_eq!((none.estimate, none.interval, none.lesion_error), (None, None, None));
    let error = recipe_estimate(&[], &targets, &metric, &resamples, 0.05).unwrap_err();
    assert!(matches!(error, Error::Count { argument: "runs", value: 0, .. }), "{error}");
}
