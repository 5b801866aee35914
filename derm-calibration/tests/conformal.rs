//! What conformal prediction promises, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use derm_calibration::{
    Calibrator, ClusterConfig, Conditioning, ConformalConfig, ConformalPredictor, ConformalQuantile,
    ConformalRule, ConformalScore, ConformalTable, EmptySets, Error, FitCalibrator, Partition,
    PredictionSets, Randomization, SelectiveScore, TemperatureConfig, row_uniforms,
};
use derm_core::{
    Calibration, LabelMap, PredictionColumns, PredictionMetadata, Predictions, Probabilities, Role,
    ScoreKind, Scores, Test, Validation, View,
};
use ndarray::{Array2, array};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const ALPHA: f64 = 0.1;
const PER_ROW: Randomization = Randomization::PerRow;

/// Draws tables of one population: classes with shares 1/1 .. 1/C, logits that favour the true class by a strength
/// that varies from row to row, and the most frequent class a little, and a skin type on which the strength depends.
struct Population {
    rng: ChaCha8Rng,
    num_classes: usize,
    drawn: usize,
}

impl Population {
    fn new(seed: u64, num_classes: usize) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), num_classes, drawn: 0 }
    }

    fn draw<R: Role>(&mut self, rows: usize) -> Predictions<R> {
        let num_classes = self.num_classes;
        let total: f64 = (1..=num_classes).map(|k| 1.0 / k as f64).sum();
        let mut columns = PredictionColumns::default();
        let mut values = Array2::zeros((rows, num_classes));
        let mut skin = Vec::new();
        for row in 0..rows {
            let mut left = self.rng.random::<f64>() * total;
            let class = (0..num_classes).find(|k| {
                left -= 1.0 / (k + 1) as f64;
                left < 0.0
            });
            let class = class.unwrap_or(0);
            let dark = self.rng.random::<f64>() < 0.3;
            let strength = if dark { 1.0 } else { 3.0 } * self.rng.random::<f32>();
            for k in 0..num_classes {
                let noise = self.rng.random::<f32>() * 2.0;
                // as networks do that were trained on a long tail
                let favoured = if k == 0 { 1.0 } else { 0.0 };
                values[[row, k]] = noise + favoured + if k == class { strength } else { 0.0 };
            }
            let name = format!("lesion_{}", self.drawn);
            self.drawn += 1;
            columns.ids.push(name.clone());
            columns.groups.push(name.clone());
            columns.cases.push(name);
            columns.targets.push(class);
            skin.push(if dark { "VI" } else { "II" }.to_owned());
        }
        columns.subgroups = BTreeMap::from([("skin_type".to_owned(), skin)]);
        let labels = LabelMap::new((0..num_classes).map(|k| format!("class_{k}"))).unwrap();
        let metadata = PredictionMetadata {
            task: "diagnosis".into(),
            view: View::Identity,
            labels,
            split_hash: "0f3a".into(),
        };
        Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
    }
}

fn all_scores() -> [ConformalScore; 9] {
    let off = Randomization::Off;
    [
        ConformalScore::Lac,
        ConformalScore::Aps { randomization: off },
        ConformalScore::Aps { randomization: PER_ROW },
        ConformalScore::Raps { randomization: off, lambda: 0.1, k_reg: 2 },
        ConformalScore::Raps { randomization: PER_ROW, lambda: 0.1, k_reg: 2 },
        ConformalScore::Saps { randomization: off, lambda: 0.2 },
        ConformalScore::Saps { randomization: PER_ROW, lambda: 0.2 },
        ConformalScore::TopK { randomization: off },
        ConformalScore::TopK { randomization: PER_ROW },
    ]
}

/// Whether no two classes or rows share a score, so that coverage follows the beta-binomial law and is not above it.
fn has_no_ties(score: ConformalScore) -> bool {
    // Without u the first rank of SAPS scores p_max, which no other row has; its other ranks and those of top-k
    // are p_max + a multiple of λ, and whole numbers.
    !matches!(score, ConformalScore::TopK { randomization: Randomization::Off })
}

fn fitted(config: &ConformalConfig, calibration: &Predictions<Calibration>) -> ConformalPredictor {
    ConformalPredictor::conformalize(Calibrator::Identity, calibration, config).unwrap()
}

#[test]
fn marginal_coverage_follows_the_exact_law_for_every_score() {
    const DRAWS: usize = 300;
    const ROWS: usize = 100;
    // Each draw leaves a central interval of 1 − 1e-5 with probability 1e-5: over 2700 draws 2.7 % that one does.
    const OUTSIDE: f64 = 1e-5;
    for score in all_scores() {
        let (mut covered, mut law) = (0, None);
        for seed in 0..DRAWS {
            let mut population = Population::new(seed as u64, 5);
            let config = ConformalConfig { score, ..ConformalConfig::default() };
            let predictor = fitted(&config, &population.draw(80));
            let test = population.draw::<Test>(ROWS);
            let table = ConformalTable::evaluate(&predictor, &test, 0.05).unwrap();
            let quantile = predictor.rule().quantiles()[0];
            let (low, high) = quantile.expected_covered(ROWS, OUTSIDE).unwrap();
            let hits = table.overall.covered;
            assert!(hits >= low, "{score:?}, seed {seed}: {hits} of {ROWS}, expected {low} to {high}");
            if has_no_ties(score) {
                assert!(hits <= high, "{score:?}, seed {seed}: {hits} of {ROWS}, expected {low} to {high}");
            }
            covered += hits;
            law = Some(quantile);
        }
        // The mean over the draws has the law's mean k / (n + 1) and a known variance.
        let quantile = law.unwrap();
        let (a, b) = (quantile.k() as f64, (quantile.n() + 1 - quantile.k()) as f64);
        let mean = a / (a + b);
        let m = ROWS as f64;
        let variance = m * a * b * (a + b + m) / ((a + b).powi(2) * (a + b + 1.0)) / (m * m);
        let deviations = (covered as f64 / (DRAWS * ROWS) as f64 - mean) / (variance / DRAWS as f64).sqrt();
        assert!(deviations > -4.0, "{score:?}: {deviations} standard deviations below");
        if has_no_ties(score) {
            assert!(deviations < 4.0, "{score:?}: {deviations} standard deviations above");
        }
    }
}

/// The covered share of each key of `part` over draws, for a predictor with `conditioning`.
fn coverage_by(
    conditioning: &Conditioning,
    score: ConformalScore,
    part: impl Fn(&ConformalTable) -> Vec<(String, usize, usize)>,
) -> BTreeMap<String, (usize, usize)> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for seed in 0..200 {
        let mut population = Population::new(seed, 4);
        let config =
            ConformalConfig { score, conditioning: conditioning.clone(), seed, ..Default::default() };
        let predictor = fitted(&config, &population.draw(150));
        let table = ConformalTable::evaluate(&predictor, &population.draw::<Test>(200), 0.05).unwrap();
        for (key, covered, count) in part(&table) {
            let entry = counts.entry(key).or_default();
            *entry = (entry.0 + covered, entry.1 + count);
        }
    }
    counts
}

fn by_class(table: &ConformalTable) -> Vec<(String, usize, usize)> {
    table.by_class.iter().enumerate().map(|(k, part)| (k.to_string(), part.covered, part.count)).collect()
}

fn by_skin(table: &ConformalTable) -> Vec<(String, usize, usize)> {
    table.by_subgroup["skin_type"].iter().map(|(k, part)| (k.clone(), part.covered, part.count)).collect()
}

/// A margin for the noise of 200 calibration sets around their mean.
const NOISE: f64 = 0.015;

#[test]
fn class_conditional_sets_cover_every_class_where_marginal_ones_do_not() {
    let aps = ConformalScore::Aps { randomization: PER_ROW };
    for score in [ConformalScore::Lac, aps] {
        let share = |(covered, count): &(usize, usize)| *covered as f64 / *count as f64;
        let marginal = coverage_by(&Conditioning::Marginal, score, by_class);
        assert!(share(&marginal["3"]) < 0.87, "{score:?}: {marginal:?}");
        let conditional = coverage_by(&Conditioning::Class, score, by_class);
        for (class, counts) in &conditional {
            let share = share(counts);
            assert!(share >= 1.0 - ALPHA - NOISE, "{score:?}, class {class}: {share}");
        }
    }
}

#[test]
fn group_conditional_sets_cover_both_skin_types_where_marginal_ones_do_not() {
    let score = ConformalScore::Lac;
    let column = "skin_type".to_owned();
    let share = |(covered, count): (usize, usize)| covered as f64 / count as f64;
    let marginal = coverage_by(&Conditioning::Marginal, score, by_skin);
    assert!(share(marginal["VI"]) < 0.87 && share(marginal["II"]) > 0.91, "{marginal:?}");
    for (group, counts) in coverage_by(&Conditioning::Group { column }, score, by_skin) {
        let share = share(counts);
        assert!((0.9 - NOISE..0.93).contains(&share), "{group}: {share}");
    }
}

#[test]
fn clustered_sets_cover_the_rows_and_cluster_classes_that_are_alike() {
    let clustering = ClusterConfig { share: Some(0.5), num_clusters: Some(2) };
    let all = |table: &ConformalTable| vec![(String::new(), table.overall.covered, table.overall.count)];
    let covered = coverage_by(&Conditioning::Cluster(clustering), ConformalScore::Lac, all);
    let (covered, count) = covered[""];
    assert!(covered as f64 / count as f64 >= 1.0 - ALPHA - NOISE, "{covered} of {count}");
}

#[test]
fn clustering_finds_the_classes_whose_scores_are_alike() {
    // Classes 0 to 3 are easy and 4 to 7 hard; class 8 is too rare to be clustered.
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut columns = PredictionColumns::default();
    let mut rows = Vec::new();
    for class in 0..9_usize {
        for _ in 0..if class == 8 { 4 } else { 80 } {
            let name = format!("lesion_{}", columns.ids.len());
            columns.ids.push(name.clone());
            columns.groups.push(name.clone());
            columns.cases.push(name);
            columns.targets.push(class);
            let strength = if class < 4 { 4.0 } else { 1.0 };
            rows.extend((0..9).map(|k| rng.random::<f32>() + if k == class { strength } else { 0.0 }));
        }
    }
    let values = Array2::from_shape_vec((columns.ids.len(), 9), rows).unwrap();
    let metadata = PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: LabelMap::new((0..9).map(|k| format!("class_{k}"))).unwrap(),
        split_hash: "0f3a".into(),
    };
    let scores = Scores { kind: ScoreKind::Logits, values };
    let calibration = Predictions::<Calibration>::new(metadata, columns, scores).unwrap();
    let clustering = ClusterConfig { share: Some(0.5), num_clusters: Some(2) };
    let config = ConformalConfig { conditioning: Conditioning::Cluster(clustering), ..Default::default() };
    let predictor = fitted(&config, &calibration);
    let Partition::Cluster { of_class, num_parts } = predictor.rule().partition().clone() else { panic!() };
    assert_eq!((num_parts, of_class[8]), (3, 0), "{of_class:?}");
    assert!(of_class[..4].iter().all(|&part| part == of_class[0] && part != 0), "{of_class:?}");
    assert!(of_class[4..8].iter().all(|&part| part == of_class[4] && part != 0), "{of_class:?}");
    assert_ne!(of_class[0], of_class[4]);
    // Half of the rows are set aside, and part 0 counts all that are left.
    let quantiles = predictor.rule().quantiles();
    assert!((260..380).contains(&quantiles[0].n()), "{quantiles:?}");
    assert!(quantiles[1].n() + quantiles[2].n() <= quantiles[0].n());
}

#[test]
fn too_few_rows_give_every_class_and_say_so() {
    let mut population = Population::new(1, 3);
    let config = ConformalConfig { alpha: 0.05, conditioning: Conditioning::Class, ..Default::default() };
    let predictor = fitted(&config, &population.draw(30));
    let quantiles = predictor.rule().quantiles();
    assert!(quantiles.iter().any(|quantile| quantile.value().is_none() && quantile.k() == quantile.n() + 1));
    let sets = predictor.predict_sets(&population.draw::<Test>(50)).unwrap();
    for (class, quantile) in quantiles.iter().enumerate().filter(|(_, quantile)| quantile.value().is_none()) {
        assert!(sets.view().column(class).iter().all(|&member| member), "class {class}, {quantile:?}");
        assert_eq!(quantile.expected_covered(10, 0.1).unwrap(), (10, 10));
    }
}

#[test]
fn a_group_that_the_calibration_rows_did_not_have_gets_every_class() {
    let mut population = Population::new(1, 3);
    let conditioning = Conditioning::Group { column: "skin_type".into() };
    let predictor = fitted(&ConformalConfig { conditioning, ..Default::default() }, &population.draw(100));
    let probabilities = Probabilities::new(array![[0.98, 0.01, 0.01], [0.98, 0.01, 0.01]]).unwrap();
    let ids = ["a".to_owned(), "b".to_owned()];
    let groups = ["II".to_owned(), "IV".to_owned()];
    let sets = predictor.sets_of(&probabilities, &ids, Some(&groups)).unwrap();
    assert_eq!((sets.sizes()[0], sets.sizes()[1]), (1, 3));
}

#[test]
fn empty_sets_stay_or_get_the_most_probable_class_as_asked() {
    let mut population = Population::new(3, 4);
    let calibration = population.draw(400);
    let test = population.draw::<Test>(400);
    let config = ConformalConfig { alpha: 0.6, ..Default::default() };
    let kept = fitted(&config, &calibration).predict_sets(&test).unwrap();
    let config = ConformalConfig { empty_sets: EmptySets::MostProbable, ..config };
    let filled = fitted(&config, &calibration).predict_sets(&test).unwrap();
    let empty: Vec<usize> = (0..400).filter(|&row| kept.sizes()[row] == 0).collect();
    assert!(empty.len() > 20, "{}", empty.len());
    let predicted = test.probabilities().predicted();
    for (row, &most_probable) in predicted.iter().enumerate() {
        if empty.contains(&row) {
            assert_eq!(filled.classes(row), [most_probable]);
        } else {
            assert_eq!(filled.classes(row), kept.classes(row));
        }
    }
}

#[test]
fn one_row_a_group_is_calibrated_on_and_a_row_keeps_its_set_in_any_batch() {
    let mut population = Population::new(9, 4);
    let calibration = population.draw::<Calibration>(120);
    let score = ConformalScore::Aps { randomization: PER_ROW };
    let predictor = fitted(&ConformalConfig { score, ..Default::default() }, &calibration);
    assert_eq!((predictor.fitted_on().samples, predictor.rule().quantiles()[0].n()), (120, 120));
    let test = population.draw::<Test>(60);
    let sets = predictor.predict_sets(&test).unwrap();
    let order: Vec<usize> = (0..60).rev().collect();
    let reversed = predictor.predict_sets(&test.select(&order).unwrap()).unwrap();
    for row in 0..60 {
        assert_eq!(sets.classes(row), reversed.classes(59 - row));
    }
    // the file form keeps every bit
    let text = serde_json::to_string(&predictor).unwrap();
    let read: ConformalPredictor = serde_json::from_str(&text).unwrap();
    assert_eq!(read, predictor);
    assert_eq!(read.predict_sets(&test).unwrap(), sets);
}

#[test]
fn repeated_photographs_of_a_lesion_count_once() {
    let mut population = Population::new(4, 3);
    let drawn = population.draw::<Calibration>(90);
    let columns = PredictionColumns {
        ids: drawn.ids().to_vec(),
        groups: (0..90).map(|row| format!("lesion_{}", row / 3)).collect(),
        cases: drawn.cases().to_vec(),
        targets: drawn.targets().to_vec(),
        ..PredictionColumns::default()
    };
    let calibration = Predictions::new(drawn.metadata().clone(), columns, drawn.scores().clone()).unwrap();
    let predictor = fitted(&ConformalConfig::default(), &calibration);
    assert_eq!(predictor.rule().quantiles()[0].n(), 30);
}

#[test]
fn saps_and_top_k_by_hand() {
    let p = Probabilities::new(array![[0.2, 0.5, 0.3]]).unwrap();
    let close = |got: Array2<f64>, want: [f64; 3]| {
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-15), "{got} and {want:?}");
    };
    let saps = ConformalScore::Saps { randomization: PER_ROW, lambda: 0.1 };
    close(saps.scores(&p, &[0.5]).unwrap(), [0.5 + 1.5 * 0.1, 0.25, 0.5 + 0.5 * 0.1]);
    let saps = ConformalScore::Saps { randomization: Randomization::Off, lambda: 0.1 };
    close(saps.scores(&p, &[0.5]).unwrap(), [0.7, 0.5, 0.6]);
    let top_k = ConformalScore::TopK { randomization: PER_ROW };
    close(top_k.scores(&p, &[0.25]).unwrap(), [2.25, 0.25, 1.25]);
    let top_k = ConformalScore::TopK { randomization: Randomization::Off };
    close(top_k.scores(&p, &[0.25]).unwrap(), [3.0, 1.0, 2.0]);
}

#[test]
fn the_law_of_the_coverage_by_hand() {
    // n = 1, k = 1: the coverage is uniform, so each count of 0..=9 new rows has probability 1/10.
    let quantile = ConformalQuantile::new(&[0.5], 0.5).unwrap();
    assert_eq!((quantile.n(), quantile.k()), (1, 1));
    assert_eq!(quantile.expected_covered(9, 0.19).unwrap(), (0, 9));
    assert_eq!(quantile.expected_covered(9, 0.21).unwrap(), (1, 8));
    assert_eq!(quantile.expected_covered(9, 0.61).unwrap(), (3, 6));
}

#[test]
fn the_law_of_the_coverage_of_many_rows() {
    // n = 1, k = 1: each count of 0..=m has probability 1/(m + 1), whatever m.
    let uniform = ConformalQuantile::new(&[0.5], 0.5).unwrap();
    let rows = 199_999;
    assert_eq!(uniform.expected_covered(rows, 0.1).unwrap().0.abs_diff(10_000), 0);
    // Past all bounds the share covered is Beta(k, n + 1 − k).
    let scores: Vec<f64> = (0..1000).map(f64::from).collect();
    let quantile = ConformalQuantile::new(&scores, 0.1).unwrap();
    let (low, high) = quantile.expected_covered(rows, 0.1).unwrap();
    let beta = statrs::distribution::Beta::new(901.0, 100.0).unwrap();
    let limit = |q| statrs::distribution::ContinuousCDF::inverse_cdf(&beta, q);
    // Binomial noise widens the beta law by a part in a few hundred of its width of 0.03.
    for (count, share) in [(low, limit(0.05)), (high, limit(0.95))] {
        assert!((count as f64 / rows as f64 - share).abs() < 2e-4, "{count} of {rows}, {share}");
    }
    assert_eq!(quantile.expected_covered(0, 0.1).unwrap(), (0, 0));
}

#[test]
fn a_calibrator_or_rows_of_another_split_view_or_width_are_refused() {
    let mut population = Population::new(6, 3);
    let calibration = population.draw::<Calibration>(60);
    let other = |view: View, split_hash: &str| PredictionMetadata {
        view,
        split_hash: split_hash.into(),
        ..calibration.metadata().clone()
    };
    let moved = |metadata: PredictionMetadata| {
        let drawn = Population::new(7, 3).draw::<Validation>(60);
        let columns = PredictionColumns {
            ids: drawn.ids().to_vec(),
            groups: drawn.groups().to_vec(),
            cases: drawn.cases().to_vec(),
            targets: drawn.targets().to_vec(),
            ..PredictionColumns::default()
        };
        Predictions::<Validation>::new(metadata, columns, drawn.scores().clone()).unwrap()
    };
    // A calibrator of another split may have seen these very rows.
    let foreign = TemperatureConfig::default().fit(&moved(other(View::Identity, "beef"))).unwrap();
    let error = ConformalPredictor::conformalize(foreign.into(), &calibration, &ConformalConfig::default());
    assert!(matches!(error.unwrap_err(), Error::Split { .. }));
    // The identity knows no view, the quantile does.
    let predictor = fitted(&ConformalConfig::default(), &calibration);
    let error = predictor.predict_sets(&moved(other(View::HorizontalFlip, "0f3a"))).unwrap_err();
    assert!(matches!(error, Error::View { got: View::HorizontalFlip, expected: View::Identity }), "{error}");
    // Nor does it know a number of classes.
    let error = predictor.predict_sets(&Population::new(8, 4).draw::<Test>(5)).unwrap_err();
    assert!(matches!(error, Error::Classes { got: 4, expected: 3, .. }), "{error}");
}

#[test]
fn a_file_that_was_changed_is_refused() {
    let mut population = Population::new(2, 3);
    let calibration = population.draw::<Calibration>(60);
    let value = |conditioning: Conditioning| {
        serde_json::to_value(fitted(&ConformalConfig { conditioning, ..Default::default() }, &calibration))
            .unwrap()
    };
    let refused = |value: &Value, change: &dyn Fn(&mut Value)| {
        let mut changed = value.clone();
        change(&mut changed);
        assert_ne!(&changed, value);
        serde_json::from_value::<ConformalPredictor>(changed).unwrap_err().to_string()
    };
    let marginal = value(Conditioning::Marginal);
    assert!(serde_json::from_value::<ConformalPredictor>(marginal.clone()).is_ok());
    for (message, change) in [
        ("rule.quantiles", &(|v: &mut Value| v["config"]["alpha"] = 0.2.into()) as &dyn Fn(&mut Value)),
        ("alpha", &|v: &mut Value| v["config"]["alpha"] = 1.5.into()),
        ("rule.score", &|v: &mut Value| {
            v["rule"]["score"] = serde_json::json!({ "name": "top_k", "randomization": "off" });
        }),
        ("lambda", &|v: &mut Value| v["rule"]["score"] = serde_json::json!({ "name": "lac", "lambda": 1.0 })),
        ("quantile", &|v: &mut Value| v["rule"]["quantiles"][0]["k"] = 0.into()),
        ("quantile", &|v: &mut Value| v["rule"]["quantiles"][0]["value"] = Value::Null),
        ("quantiles", &|v: &mut Value| v["rule"]["quantiles"] = serde_json::json!([])),
        ("rule.partition", &|v: &mut Value| v["config"]["conditioning"] = "class".into()),
        ("partition", &|v: &mut Value| {
            v["rule"]["partition"] = serde_json::json!({ "class": { "num_classes": 4 } });
        }),
        ("fitted_on.role", &|v: &mut Value| v["fitted_on"]["role"] = "test".into()),
        ("shape", &|v: &mut Value| v["shape"] = 1.into()),
    ] {
        let got = refused(&marginal, change);
        assert!(got.contains(message), "{message}: {got}");
    }
    let clusters = value(Conditioning::Cluster(ClusterConfig { share: Some(0.5), num_clusters: Some(2) }));
    let got =
        refused(&clusters, &|v: &mut Value| v["rule"]["partition"]["cluster"]["of_class"][1] = 9.into());
    assert!(got.contains("of_class"), "{got}");
    let groups = value(Conditioning::Group { column: "skin_type".into() });
    let got = refused(&groups, &|v: &mut Value| {
        v["rule"]["partition"]["group"]["values"] = serde_json::json!(["VI", "II"]);
    });
    assert!(got.contains("values"), "{got}");
    let got =
        refused(&groups, &|v: &mut Value| v["config"]["conditioning"]["group"]["column"] = "sex".into());
    assert!(got.contains("rule.partition"), "{got}");
    assert!(serde_json::from_str::<SelectiveScore>(r#"{"energy": {"temperature": 1, "scale": 2}}"#).is_err());
    assert!(serde_json::from_str::<Conditioning>(r#"{"group": {"column": "sex", "minimum": 2}}"#).is_err());
}

#[test]
fn clusters_take_the_defaults_of_the_paper() {
    // 25 classes of 80 rows and one of 3. With α = 0.1 a class needs 9 rows, so ñ = 9, K = 25, a share of
    // 25/100 and ⌊0.25 · 9 / 2⌋ = 1 cluster; without the rare class ñ = 80 and ⌊0.25 · 80 / 2⌋ = 10.
    for (rare, clusters) in [(true, 1), (false, 10)] {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let num_classes = 25 + usize::from(rare);
        let mut columns = PredictionColumns::default();
        let mut values = Vec::new();
        for class in 0..num_classes {
            for _ in 0..if class == 25 { 3 } else { 80 } {
                columns.ids.push(format!("lesion_{}", columns.ids.len()));
                columns.targets.push(class);
                let strength = class as f32 / 3.0;
                values.extend(
                    (0..num_classes).map(|k| rng.random::<f32>() + if k == class { strength } else { 0.0 }),
                );
            }
        }
        columns.groups.clone_from(&columns.ids);
        columns.cases.clone_from(&columns.ids);
        let values = Array2::from_shape_vec((columns.ids.len(), num_classes), values).unwrap();
        let labels = LabelMap::new((0..num_classes).map(|k| format!("class_{k}"))).unwrap();
        let metadata = PredictionMetadata {
            task: "diagnosis".into(),
            view: View::Identity,
            labels,
            split_hash: "0f3a".into(),
        };
        let calibration =
            Predictions::<Calibration>::new(metadata, columns, Scores { kind: ScoreKind::Logits, values })
                .unwrap();
        let score = ConformalScore::TopK { randomization: PER_ROW };
        let conditioning = Conditioning::Cluster(ClusterConfig::default());
        let predictor = fitted(&ConformalConfig { score, conditioning, ..Default::default() }, &calibration);
        let Partition::Cluster { of_class, num_parts } = predictor.rule().partition() else { panic!() };
        assert_eq!(*num_parts, clusters + 1, "{of_class:?}");
        let left = predictor.rule().quantiles()[0].n() as f64 / calibration.len() as f64;
        assert!((left - 0.75).abs() < 0.04, "{left}");
        if rare {
            assert_eq!(of_class[25], 0);
        }
    }
}

#[test]
fn uniforms_are_uniform_and_differ_between_seeds_and_purposes() {
    let ids: Vec<String> = (0..4000).map(|i| format!("image_{i}")).collect();
    let uniforms = row_uniforms(1, "set", &ids);
    for tenth in 0..10 {
        let low = f64::from(tenth) / 10.0;
        let count = uniforms.iter().filter(|u| (low..low + 0.1).contains(*u)).count();
        // 400 expected, standard deviation 19
        assert!((310..490).contains(&count), "{tenth}: {count}");
    }
    assert_ne!(uniforms, row_uniforms(2, "set", &ids));
    assert_ne!(uniforms, row_uniforms(1, "cluster", &ids));
}

#[test]
fn bad_arguments_are_refused_by_name() {
    let mut population = Population::new(1, 3);
    let calibration = population.draw::<Calibration>(20);
    for alpha in [0.0, 1.0, -0.1, 1.1, f64::NAN] {
        let config = ConformalConfig { alpha, ..Default::default() };
        let error =
            ConformalPredictor::conformalize(Calibrator::Identity, &calibration, &config).unwrap_err();
        assert!(matches!(error, Error::Range { argument: "alpha", .. }), "{error}");
        assert!(ConformalQuantile::new(&[0.1], alpha).is_err());
    }
    for lambda in [-0.1, f64::NAN, f64::INFINITY] {
        for score in [
            ConformalScore::Raps { randomization: PER_ROW, lambda, k_reg: 1 },
            ConformalScore::Saps { randomization: PER_ROW, lambda },
        ] {
            assert!(matches!(score.validate(), Err(Error::Range { argument: "lambda", .. })));
        }
    }
    for (share, num_clusters) in
        [(Some(0.0), None), (Some(1.0), None), (Some(f64::NAN), None), (None, Some(0))]
    {
        let clustering = ClusterConfig { share, num_clusters };
        let config =
            ConformalConfig { conditioning: Conditioning::Cluster(clustering), ..Default::default() };
        assert!(config.validate().is_err());
    }
    let error = ConformalQuantile::new(&[0.1, f64::NAN], 0.1).unwrap_err();
    assert!(matches!(error, Error::Entry { argument: "scores", position: 1, .. }), "{error}");

    let conditioning = Conditioning::Group { column: "sex".into() };
    let config = ConformalConfig { conditioning, ..Default::default() };
    let error = ConformalPredictor::conformalize(Calibrator::Identity, &calibration, &config).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rows without the subgroup column `sex`, which the promise is conditioned on"
    );

    let p = Probabilities::new(array![[0.5, 0.5]]).unwrap();
    let rule = |partition, targets: &[usize], uniforms: &[f64], groups: Option<&[String]>| {
        ConformalRule::fit(ConformalScore::Lac, partition, &p, targets, uniforms, groups, 0.1)
    };
    assert!(rule(Partition::Marginal, &[2], &[0.5], None).is_err());
    assert!(rule(Partition::Marginal, &[0, 1], &[0.5], None).is_err());
    assert!(rule(Partition::Marginal, &[0], &[], None).is_err());
    let error = rule(Partition::Marginal, &[0], &[1.5], None).unwrap_err();
    assert!(matches!(error, Error::Entry { argument: "uniforms", position: 0, .. }), "{error}");
    assert!(rule(Partition::Class { num_classes: 3 }, &[0], &[0.5], None).is_err());
    let cluster = Partition::Cluster { of_class: vec![0, 2], num_parts: 2 };
    assert!(matches!(rule(cluster, &[0], &[0.5], None), Err(Error::Inconsistent { .. })));
    let groups = || Partition::Group { column: "sex".into(), values: vec![String::new()] };
    assert!(matches!(rule(groups(), &[0], &[0.5], None), Err(Error::SubgroupColumn { .. })));
    assert!(rule(groups(), &[0], &[0.5], Some(&[])).is_err());
    assert!(rule(groups(), &[0], &[0.5], Some(&[String::new()])).is_ok());

    let sets = PredictionSets::new(array![[true, false]]);
    let none = BTreeMap::new();
    assert!(ConformalTable::new(&sets, &[2], &none, 0.1, 0.05).is_err());
    assert!(ConformalTable::new(&sets, &[0, 0], &none, 0.1, 0.05).is_err());
    assert!(ConformalTable::new(&sets, &[0], &none, 1.0, 0.05).is_err());
    assert!(ConformalTable::new(&sets, &[0], &none, 0.1, f64::NAN).is_err());
    let short = BTreeMap::from([("sex".to_owned(), vec![])]);
    assert!(ConformalTable::new(&sets, &[0], &short, 0.1, 0.05).is_err());
    assert!(
        ConformalTable::new(&PredictionSets::new(Array2::default((0, 2))), &[], &none, 0.1, 0.05).is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sets_grow_as_alpha_falls(seed in 0u64..1000, which in 0usize..9) {
        let mut population = Population::new(seed, 4);
        let calibration = population.draw(60);
        let test = population.draw::<Test>(30);
        let sets = |alpha| {
            let config = ConformalConfig { alpha, score: all_scores()[which], ..Default::default() };
            fitted(&config, &calibration).predict_sets(&test).unwrap()
        };
        let (small, large) = (sets(0.4), sets(0.05));
        prop_assert!(small.view().iter().zip(large.view()).all(|(small, large)| *large || !small));
    }

    #[test]
    fn the_quantile_is_the_kth_smallest(scores in prop::collection::vec(0.0..1.0f64, 0..60), percent in 1u32..100) {
        let quantile = ConformalQuantile::new(&scores, f64::from(percent) / 100.0).unwrap();
        // (n + 1)(100 − percent) / 100 rounded up, in whole numbers
        let k = ((scores.len() + 1) * (100 - percent as usize)).div_ceil(100);
        prop_assert_eq!(quantile.k(), k);
        let mut sorted = scores.clone();
        sorted.sort_by(f64::total_cmp);
        prop_assert_eq!(quantile.value(), sorted.get(k - 1).copied());
    }

    #[test]
    fn a_class_that_ranks_higher_never_has_the_larger_score(seed in 0u64..1000, which in 0usize..9) {
        let p = Population::new(seed, 6).draw::<Test>(5).probabilities();
        let scores = all_scores()[which].scores(&p, &[0.3; 5]).unwrap();
        for row in 0..5 {
            let ranked: Vec<f64> = p.ranking(row).into_iter().map(|class| scores[[row, class]]).collect();
            // The mass before a class grows by its own p, of which u is counted already.
            prop_assert!(ranked.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12), "{ranked:?}");
        }
    }
}
