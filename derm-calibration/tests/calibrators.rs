//! What every calibrator must keep, for all inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use derm_calibration::{
    BetaConfig, BetaMap, BetaVariant, BinaryMap, Calibrate, Calibrator, CalibratorConfig, DirichletConfig,
    Error, FitCalibrator, HistogramConfig, IsotonicConfig, MatrixConfig, Odds, Odir, PlattConfig, PlattMap,
    PlattTargets, SelectionConfig, SelectionRule, StoppingRule, VectorConfig, select_calibrator,
};
use derm_core::{
    LabelMap, MeanOver, PredictionColumns, PredictionMetadata, Predictions, ScoreKind, Scores, Test,
    Validation, View,
};
use ndarray::Array2;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Newton's method ends where a step would move a logit by 1e-5, and what is left after that step is its
/// square; sums in another order change far less.
const FIT: f64 = 1e-7;
/// Rounding of a mean of logarithms.
const ROUNDING: f64 = 1e-12;

fn metadata(classes: usize) -> PredictionMetadata {
    PredictionMetadata {
        task: "diagnosis".into(),
        view: View::Identity,
        labels: LabelMap::new((0..classes).map(|class| format!("class {class}"))).unwrap(),
        split_hash: "0f3a".into(),
    }
}

/// Rows in this order, named by their number in the order of `order`.
fn predictions(logits: &Array2<f32>, targets: &[usize], order: &[usize]) -> Predictions<Validation> {
    let names: Vec<String> = order.iter().map(|row| format!("{row:05}")).collect();
    let columns = PredictionColumns {
        ids: names.clone(),
        groups: names.clone(),
        cases: names,
        targets: order.iter().map(|&row| targets[row]).collect(),
        ..PredictionColumns::default()
    };
    let values = logits.select(ndarray::Axis(0), order);
    Predictions::new(metadata(logits.ncols()), columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

/// Over-confident logits of `rows` rows: noise, and a signal at the target that is too strong.
fn usual(rows: usize, classes: usize, seed: u64) -> (Array2<f32>, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    // The rarest class has about a tenth of the most frequent one's rows.
    let targets: Vec<usize> = (0..rows).map(|_| (uniform().powf(1.6) * classes as f64) as usize).collect();
    let logits = Array2::from_shape_fn((rows, classes), |(row, class)| {
        let noise = (0..4).map(|_| uniform() - 0.5).sum::<f64>() * 4.0;
        (2.0 * noise + if targets[row] == class { 3.0 } else { 0.0 }) as f32
    });
    (logits, targets)
}

fn in_order(rows: usize) -> Vec<usize> {
    (0..rows).collect()
}

/// Every method, and every option of it that changes the fit.
fn configs() -> Vec<CalibratorConfig> {
    let odir = Odir { lambda: 0.3, mu: 0.05 };
    let mut configs = CalibratorConfig::all().to_vec();
    configs.extend([
        CalibratorConfig::Vector(VectorConfig {
            scale_penalty: 0.1,
            bias_penalty: 0.2,
            ..VectorConfig::default()
        }),
        CalibratorConfig::Matrix(MatrixConfig { odir: Odir::NONE, ..MatrixConfig::default() }),
        CalibratorConfig::Matrix(MatrixConfig { odir, ..MatrixConfig::default() }),
        CalibratorConfig::Dirichlet(DirichletConfig { odir: Odir::NONE, ..DirichletConfig::default() }),
        CalibratorConfig::Dirichlet(DirichletConfig { odir, ..DirichletConfig::default() }),
        CalibratorConfig::Platt(PlattConfig { targets: PlattTargets::Plain, ..PlattConfig::default() }),
        CalibratorConfig::Beta(BetaConfig { variant: BetaVariant::Ab, ..BetaConfig::default() }),
        CalibratorConfig::Beta(BetaConfig { variant: BetaVariant::Am, ..BetaConfig::default() }),
    ]);
    configs
}

fn nll(calibrator: &Calibrator, rows: &Predictions<Validation>) -> f64 {
    derm_metrics::nll(&calibrator.calibrate(rows).unwrap(), rows.targets(), 1e-12).unwrap()
}

/// Whether the map of the identity is one of those that the fit chooses from, so that its likelihood on the
/// rows of the fit cannot be worse. One-vs-rest maps hold it for each class, and renormalising keeps it only for
/// two; smoothed targets are another likelihood.
fn contains_identity(config: &CalibratorConfig, classes: usize) -> bool {
    match config {
        CalibratorConfig::Temperature(_)
        | CalibratorConfig::Vector(_)
        | CalibratorConfig::Matrix(_)
        | CalibratorConfig::Dirichlet(_)
        | CalibratorConfig::Identity => true,
        CalibratorConfig::Platt(config) => classes == 2 && config.targets == PlattTargets::Plain,
        CalibratorConfig::Beta(_) | CalibratorConfig::Isotonic(_) => classes == 2,
        _ => false,
    }
}

#[test]
fn no_calibrator_makes_its_own_rows_worse() {
    for (seed, classes) in [(1, 2), (2, 3), (3, 7)] {
        let (logits, targets) = usual(700, classes, seed);
        let rows = predictions(&logits, &targets, &in_order(700));
        let before = nll(&Calibrator::Identity, &rows);
        for config in configs() {
            let after = nll(&config.fit(&rows).unwrap(), &rows);
            if contains_identity(&config, classes) {
                assert!(after <= before + ROUNDING, "{config:?} with {classes} classes: {before} to {after}");
            }
            // These rows are over-confident by far, so each of them should gain.
            if config != CalibratorConfig::Identity {
                assert!(after < before, "{config:?} with {classes} classes: {before} to {after}");
            }
        }
    }
}

#[test]
fn arg_max_stays_where_it_is_promised() {
    let (logits, targets) = usual(500, 5, 4);
    let rows = predictions(&logits, &targets, &in_order(500));
    let predicted = rows.probabilities().predicted();
    let mut kept = 0;
    for config in configs() {
        let calibrator = config.fit(&rows).unwrap();
        if calibrator.keeps_argmax() {
            assert_eq!(calibrator.calibrate(&rows).unwrap().predicted(), predicted, "{config:?}");
            kept += 1;
        }
    }
    assert_eq!(kept, 2, "identity and temperature");
    // The others do not promise it for a reason: a prior that moves takes rows along.
    let vector = VectorConfig::default().fit(&rows).unwrap();
    assert!(vector.calibrate(&rows).unwrap().predicted() != predicted);
}

#[test]
fn a_file_keeps_every_bit() {
    let (logits, targets) = usual(300, 4, 5);
    let rows = predictions(&logits, &targets, &in_order(300));
    for config in configs() {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<CalibratorConfig>(&text).unwrap(), config);
        let calibrator = config.fit(&rows).unwrap();
        let text = serde_json::to_string(&calibrator).unwrap();
        let read: Calibrator = serde_json::from_str(&text).unwrap();
        assert_eq!(read, calibrator);
        assert_eq!(read.calibrate(&rows).unwrap(), calibrator.calibrate(&rows).unwrap());
        assert_eq!((read.name(), calibrator.name()), (config.name(), config.name()));
        if config == CalibratorConfig::Identity {
            continue;
        }
        let mut unknown: serde_json::Value = serde_json::from_str(&text).unwrap();
        unknown["extra"] = 1.into();
        assert!(serde_json::from_value::<Calibrator>(unknown).is_err(), "{config:?}");
    }
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let (logits, targets) = usual(300, 4, 6);
    let rows = predictions(&logits, &targets, &in_order(300));
    let shuffled: Vec<usize> = (0..300).map(|row| (row * 77 + 5) % 300).collect();
    let other = predictions(&logits, &targets, &shuffled);
    for config in configs() {
        let (one, two) = (config.fit(&rows).unwrap(), config.fit(&other).unwrap());
        let gap = &one.calibrate(&rows).unwrap().view() - &two.calibrate(&rows).unwrap().view();
        assert!(gap.iter().all(|gap| gap.abs() < FIT), "{config:?}");
    }
    let select =
        |rows| select_calibrator(rows, &CalibratorConfig::all(), &SelectionConfig::default()).unwrap().1;
    let (one, two) = (select(&rows), select(&other));
    assert_eq!(one.chosen, two.chosen);
    for (a, b) in one.candidates.iter().zip(&two.candidates) {
        assert!(a.fold_nll.iter().zip(&b.fold_nll).all(|(a, b)| (a - b).abs() < FIT), "{a:?} {b:?}");
    }
}

#[test]
fn gradients_at_the_fit_vanish() {
    // Against central differences of the penalised likelihood, in every direction.
    let (logits, targets) = usual(250, 3, 7);
    let rows = predictions(&logits, &targets, &in_order(250));
    let odir = Odir { lambda: 0.2, mu: 0.1 };
    let fitted = MatrixConfig { odir, ..MatrixConfig::default() }.fit(&rows).unwrap();
    let (matrix, intercept) = (fitted.map.matrix().to_vec(), fitted.map.intercept().to_vec());
    let objective = |matrix: Vec<Vec<f64>>, intercept: Vec<f64>| {
        let penalty = odir.lambda / 6.0
            * matrix
                .iter()
                .enumerate()
                .flat_map(|(i, row)| row.iter().enumerate().filter(move |&(j, _)| j != i).map(|(_, w)| w * w))
                .sum::<f64>()
            + odir.mu / 3.0 * intercept.iter().map(|b| b * b).sum::<f64>();
        let mut changed = fitted.clone();
        changed.map = derm_calibration::AffineMap::new(matrix, intercept).unwrap();
        nll(&changed.into(), &rows) + penalty
    };
    let h = 1e-4;
    for i in 0..3 {
        let difference = |up: f64, down: f64| (up - down) / (2.0 * h);
        let moved = |by: f64| {
            let mut intercept = intercept.clone();
            intercept[i] += by;
            objective(matrix.clone(), intercept)
        };
        assert!(difference(moved(h), moved(-h)).abs() < 1e-7);
        for j in 0..3 {
            let moved = |by: f64| {
                let mut matrix = matrix.clone();
                matrix[i][j] += by;
                objective(matrix, intercept.clone())
            };
            assert!(difference(moved(h), moved(-h)).abs() < 1e-7, "{i} {j}");
        }
    }
}

#[test]
fn matrix_and_dirichlet_agree_where_they_are_the_same_model() {
    // Rows with logits that sum to a constant log-sum are their own log-probabilities.
    let (logits, targets) = usual(300, 3, 8);
    let first = predictions(&logits, &targets, &in_order(300));
    let normalised = first.log_probabilities().mapv(|value| value as f32);
    let rows = predictions(&normalised, &targets, &in_order(300));
    let matrix = MatrixConfig::default().fit(&rows).unwrap();
    let dirichlet = DirichletConfig::default().fit(&rows).unwrap();
    let gap = &matrix.calibrate(&rows).unwrap().view() - &dirichlet.calibrate(&rows).unwrap().view();
    // Single precision leaves a log-sum of 1e-7 in the logits.
    assert!(gap.iter().all(|gap| gap.abs() < 1e-5));
}

#[test]
fn a_population_is_recovered() {
    // Targets drawn from softmax(W ln p + b): the plain fit must come near W and b, up to what the softmax
    // cannot see (a vector added to every row).
    let classes = 3;
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let (weights, bias) = ([[0.6, 0.1, 0.0], [0.0, 0.9, 0.2], [0.1, 0.0, 0.5]], [0.3, -0.4, 0.1]);
    let logits = Array2::from_shape_fn((20_000, classes), |_| {
        ((0..4).map(|_| uniform() - 0.5).sum::<f64>() * 4.0) as f32
    });
    let plain = predictions(&logits, &vec![0; 20_000], &in_order(20_000));
    let ln_p = plain.log_probabilities();
    let targets: Vec<usize> = ln_p
        .rows()
        .into_iter()
        .map(|row| {
            let outputs: Vec<f64> = (0..classes)
                .map(|c| (0..classes).map(|j| weights[c][j] * row[j]).sum::<f64>() + bias[c])
                .map(f64::exp)
                .collect();
            let mut left = uniform() * outputs.iter().sum::<f64>();
            outputs
                .iter()
                .position(|weight| {
                    left -= weight;
                    left <= 0.0
                })
                .unwrap_or(classes - 1)
        })
        .collect();
    let rows = predictions(&logits, &targets, &in_order(20_000));
    let fitted = DirichletConfig { odir: Odir::NONE, ..DirichletConfig::default() }.fit(&rows).unwrap();
    let matrix = fitted.map.matrix();
    for (c, (got, expected)) in matrix.iter().zip(&weights).enumerate().skip(1) {
        for (j, (got, expected)) in got.iter().zip(expected).enumerate() {
            let (got, expected) = (got - matrix[0][j], expected - weights[0][j]);
            // Three standard errors at this size are about 0.15.
            assert!((got - expected).abs() < 0.15, "{c} {j}: {got} {expected}");
        }
    }
}

#[test]
fn a_likelihood_without_a_maximum_is_refused() {
    // Every row is right by a wide margin: sharper is always better.
    let targets: Vec<usize> = (0..90).map(|row| row % 3).collect();
    let logits = Array2::from_shape_fn((90, 3), |(row, class)| {
        if row % 3 == class { 4.0 } else { ((row * 13 + class) % 7) as f32 / 10.0 }
    });
    let separable = predictions(&logits, &targets, &in_order(90));
    let plain = [
        CalibratorConfig::Vector(VectorConfig::default()),
        CalibratorConfig::Matrix(MatrixConfig { odir: Odir::NONE, ..MatrixConfig::default() }),
        CalibratorConfig::Matrix(MatrixConfig::default()),
        CalibratorConfig::Dirichlet(DirichletConfig::default()),
        CalibratorConfig::Beta(BetaConfig::default()),
        CalibratorConfig::Platt(PlattConfig { targets: PlattTargets::Plain, ..PlattConfig::default() }),
    ];
    for config in plain {
        let wrong = config.fit(&separable).unwrap_err();
        assert!(matches!(wrong, Error::NotConverged { .. }), "{config:?}: {wrong}");
    }
    // What bounds the parameters, or has no likelihood, goes through.
    let bounded = [
        CalibratorConfig::Identity,
        CalibratorConfig::all()[1],
        CalibratorConfig::Platt(PlattConfig::default()),
        CalibratorConfig::Vector(VectorConfig {
            scale_penalty: 0.1,
            bias_penalty: 0.1,
            ..VectorConfig::default()
        }),
        CalibratorConfig::Isotonic(IsotonicConfig::default()),
        CalibratorConfig::HistogramBinning(HistogramConfig::default()),
    ];
    for config in bounded {
        assert!(config.fit(&separable).is_ok(), "{config:?}");
    }
    // The choice leaves out what cannot be fitted and says why.
    let (_, selection) =
        select_calibrator(&separable, &CalibratorConfig::all(), &SelectionConfig::default()).unwrap();
    assert!(selection.candidates[3].failure.as_deref().is_some_and(|text| text.contains("no maximum")));
    assert!(selection.candidates[3].mean_nll.is_none());
    let wrong = select_calibrator(&separable, &plain, &SelectionConfig::default()).unwrap_err();
    assert!(matches!(wrong, Error::NoCandidate { candidates: 6, .. }), "{wrong}");
}

#[test]
fn a_class_without_rows_needs_a_penalty() {
    let (logits, mut targets) = usual(300, 4, 10);
    for target in &mut targets {
        *target = (*target).min(2);
    }
    let rows = predictions(&logits, &targets, &in_order(300));
    assert!(matches!(VectorConfig::default().fit(&rows), Err(Error::NotConverged { method: "vector", .. })));
    let penalised = VectorConfig { bias_penalty: 1e-3, scale_penalty: 1e-3, ..VectorConfig::default() };
    assert!(penalised.fit(&rows).is_ok());
    assert!(PlattConfig::default().fit(&rows).is_ok());
    let isotonic = CalibratorConfig::Isotonic(IsotonicConfig::default()).fit(&rows).unwrap();
    assert!(isotonic.calibrate(&rows).unwrap().view().column(3).iter().all(|&p| p == 0.0));
}

#[test]
fn one_class_only() {
    let (logits, _) = usual(60, 3, 11);
    let rows = predictions(&logits, &[1; 60], &in_order(60));
    for config in [
        CalibratorConfig::Vector(VectorConfig::default()),
        CalibratorConfig::Beta(BetaConfig::default()),
        CalibratorConfig::Platt(PlattConfig { targets: PlattTargets::Plain, ..PlattConfig::default() }),
    ] {
        assert!(matches!(config.fit(&rows), Err(Error::NotConverged { .. })), "{config:?}");
    }
    // A task of one class has nothing to calibrate.
    let single = predictions(&Array2::zeros((5, 1)), &[0; 5], &in_order(5));
    for config in configs() {
        match config {
            CalibratorConfig::Identity | CalibratorConfig::Temperature(_) => {}
            _ => assert!(
                matches!(config.fit(&single), Err(Error::Count { argument: "number of classes", .. })),
                "{config:?}"
            ),
        }
    }
}

#[test]
fn averages_are_calibrated_by_what_works_on_probabilities() {
    let (logits, targets) = usual(200, 3, 12);
    let mean = predictions(&logits, &targets, &in_order(200)).mean_over(MeanOver::Group).unwrap();
    for config in configs() {
        match config {
            CalibratorConfig::Temperature(_) | CalibratorConfig::Vector(_) | CalibratorConfig::Matrix(_) => {
                assert!(matches!(config.fit(&mean), Err(Error::NoLogits { view: View::Mean })), "{config:?}");
            }
            _ => assert!(config.fit(&mean).unwrap().calibrate(&mean).is_ok(), "{config:?}"),
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let (logits, targets) = usual(60, 3, 13);
    let rows = predictions(&logits, &targets, &in_order(60));
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let odir = Odir { lambda: bad, mu: 0.0 };
        let wrong = DirichletConfig { odir, ..DirichletConfig::default() }.fit(&rows).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "lambda", .. }), "{wrong}");
        let odir = Odir { lambda: 0.0, mu: bad };
        let wrong = MatrixConfig { odir, ..MatrixConfig::default() }.fit(&rows).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "mu", .. }), "{wrong}");
        let wrong = VectorConfig { scale_penalty: bad, ..VectorConfig::default() }.fit(&rows).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "scale_penalty", .. }), "{wrong}");
        let wrong = VectorConfig { bias_penalty: bad, ..VectorConfig::default() }.fit(&rows).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "bias_penalty", .. }), "{wrong}");
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let stopping = StoppingRule { gradient_tolerance: bad, ..StoppingRule::default() };
        let wrong = PlattConfig { stopping, ..PlattConfig::default() }.fit(&rows).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "gradient_tolerance", .. }), "{wrong}");
    }
    let stopping = StoppingRule { max_iterations: 0, ..StoppingRule::default() };
    let wrong = BetaConfig { stopping, ..BetaConfig::default() }.fit(&rows).unwrap_err();
    assert!(matches!(wrong, Error::Count { argument: "max_iterations", .. }), "{wrong}");
    let stopping = StoppingRule { max_iterations: 1, ..StoppingRule::default() };
    let wrong = DirichletConfig { stopping, ..DirichletConfig::default() }.fit(&rows).unwrap_err();
    assert!(matches!(wrong, Error::NotConverged { iterations: 1, .. }), "{wrong}");
    for n_bins in [0, 61] {
        let wrong = HistogramConfig { n_bins }.fit(&rows).unwrap_err();
        assert!(matches!(wrong, Error::TooMany { argument: "n_bins", maximum: 60, .. }), "{wrong}");
    }
    assert!(PlattMap::fit_scores(&[], &[], &PlattConfig::default()).is_err());
    assert!(PlattMap::fit_scores(&[1.0], &[true, false], &PlattConfig::default()).is_err());
    let wrong = PlattMap::fit_scores(&[1.0, f64::NAN], &[true, false], &PlattConfig::default()).unwrap_err();
    assert!(matches!(wrong, Error::Entry { argument: "scores", position: 1, .. }), "{wrong}");
    for p in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(Odds::new(p), Err(Error::Range { argument: "p", .. })));
    }
    // Another number of classes than the fit's, and another view.
    let (logits, _) = usual(20, 4, 14);
    let wider = predictions(&logits, &[0; 20], &in_order(20));
    for config in configs() {
        let calibrator = config.fit(&rows).unwrap();
        match config {
            CalibratorConfig::Identity | CalibratorConfig::Temperature(_) => {}
            _ => assert!(
                matches!(calibrator.calibrate(&wider), Err(Error::Classes { got: 4, expected: 3, .. })),
                "{config:?}"
            ),
        }
        let flipped = Predictions::<Test>::new(
            PredictionMetadata { view: View::HorizontalFlip, ..metadata(3) },
            PredictionColumns {
                ids: vec!["a".into()],
                groups: vec!["a".into()],
                cases: vec!["a".into()],
                targets: vec![0],
                ..PredictionColumns::default()
            },
            Scores { kind: ScoreKind::Logits, values: Array2::zeros((1, 3)) },
        )
        .unwrap();
        let other_view = calibrator.calibrate(&flipped);
        assert_eq!(other_view.is_ok(), config == CalibratorConfig::Identity, "{config:?}");
    }
    // Parameters that a file could not hold, or a hand has changed.
    for text in [
        r#"{"matrix": [[1.0, 0.0]], "intercept": [0.0, 0.0]}"#,
        r#"{"matrix": [[1.0, 0.0], [0.0]], "intercept": [0.0, 0.0]}"#,
        r#"{"matrix": [[1.0]], "intercept": [0.0]}"#,
    ] {
        assert!(serde_json::from_str::<derm_calibration::AffineMap>(text).is_err(), "{text}");
    }
    assert!(derm_calibration::HistogramMap::new(vec![]).is_err());
    assert!(derm_calibration::HistogramMap::new(vec![0.5, 1.5]).is_err());
    assert!(serde_json::from_str::<derm_calibration::HistogramMap>("[0.5, -0.5]").is_err());
    let mut vector = VectorConfig::default().fit(&rows).unwrap();
    vector.scale[1] = f64::NAN;
    let wrong = vector.calibrate(&rows).unwrap_err();
    assert!(matches!(wrong, Error::Entry { argument: "scale", position: 1, .. }), "{wrong}");
    vector.bias.pop();
    assert!(vector.calibrate(&rows).is_err());
}

#[test]
fn choosing() {
    let (logits, targets) = usual(400, 3, 15);
    let rows = predictions(&logits, &targets, &in_order(400));
    let temperature = CalibratorConfig::all()[1];
    let select = |candidates: &[CalibratorConfig], config: &SelectionConfig| {
        select_calibrator(&rows, candidates, config)
    };
    for folds in [0, 1, 401] {
        let wrong =
            select(&[temperature], &SelectionConfig { folds, ..SelectionConfig::default() }).unwrap_err();
        assert!(matches!(wrong, Error::TooMany { argument: "folds", maximum: 400, .. }), "{wrong}");
    }
    for clip in [0.0, 1.0, f64::NAN] {
        let wrong =
            select(&[temperature], &SelectionConfig { clip, ..SelectionConfig::default() }).unwrap_err();
        assert!(matches!(wrong, Error::Range { argument: "clip", .. }), "{wrong}");
    }
    assert!(matches!(
        select(&[], &SelectionConfig::default()),
        Err(Error::Count { argument: "candidates", .. })
    ));

    // Equal candidates: the first. Every row is held out once.
    let (_, selection) = select(&[temperature, temperature], &SelectionConfig::default()).unwrap();
    assert_eq!(selection.chosen, 0);
    assert_eq!(selection.fold_samples, [80; 5]);
    let [one, two] = selection.candidates.as_slice() else { panic!() };
    assert_eq!(one.mean_nll, two.mean_nll);
    let mean = one.fold_nll.iter().sum::<f64>() / 5.0;
    assert!((one.mean_nll.unwrap() - mean).abs() < ROUNDING);
    // Equal likelihoods, fewer parameters: an affine map that is held at the identity is the identity.
    let held = Odir { lambda: 1e12, mu: 1e12 };
    let held = CalibratorConfig::Vector(VectorConfig {
        scale_penalty: held.lambda,
        bias_penalty: held.mu,
        ..VectorConfig::default()
    });
    let (chosen, _) = select(&[held, CalibratorConfig::Identity], &SelectionConfig::default()).unwrap();
    assert_eq!(chosen.name(), "identity");
    // A standard error of slack never takes more parameters, and takes less where little is gained.
    let all = CalibratorConfig::all();
    let (_, smallest) = select(&all, &SelectionConfig::default()).unwrap();
    let rule = SelectionRule::OneStandardError;
    let (_, cautious) = select(&all, &SelectionConfig { rule, ..SelectionConfig::default() }).unwrap();
    let parameters =
        |selection: &derm_calibration::CalibratorSelection| selection.candidates[selection.chosen].parameters;
    assert!(parameters(&cautious) <= parameters(&smallest));
    // Another seed deals other folds.
    let (_, other) =
        select(&[temperature], &SelectionConfig { seed: 1, ..SelectionConfig::default() }).unwrap();
    assert!(other.candidates[0].fold_nll != one.fold_nll);
}

#[test]
fn groups_stay_together_and_classes_spread() {
    // Ten lesions of four photographs, the rare class with five of them: with five folds each fold holds
    // whole lesions, so 8 rows; were rows dealt alone, a shuffle would not come out so.
    let logits = Array2::from_shape_fn((40, 2), |(row, class)| ((row * 3 + class * 5) % 7) as f32);
    let names: Vec<String> = (0..40).map(|row| format!("{row:02}")).collect();
    let columns = PredictionColumns {
        groups: (0..40).map(|row| format!("lesion {}", row / 4)).collect(),
        cases: names.clone(),
        ids: names,
        targets: (0..40).map(|row| usize::from(row / 4 >= 5)).collect(),
        ..PredictionColumns::default()
    };
    let scores = Scores { kind: ScoreKind::Logits, values: logits };
    let rows = Predictions::<Validation>::new(metadata(2), columns, scores).unwrap();
    let (_, selection) =
        select_calibrator(&rows, &CalibratorConfig::all()[..2], &SelectionConfig::default()).unwrap();
    assert_eq!(selection.fold_samples, [8; 5]);
    let wrong = select_calibrator(
        &rows,
        &CalibratorConfig::all()[..2],
        &SelectionConfig { folds: 11, ..SelectionConfig::default() },
    )
    .unwrap_err();
    assert!(matches!(wrong, Error::TooMany { maximum: 10, .. }), "{wrong}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn probabilities_come_out(seed in 0_u64..1000, classes in 2_usize..6, scale in 0.1_f32..20.0) {
        let (logits, targets) = usual(150, classes, seed);
        let rows = predictions(&(logits * scale), &targets, &in_order(150));
        for config in CalibratorConfig::all() {
            match config.fit(&rows) {
                // `Probabilities` holds nothing else than rows that sum to 1.
                Ok(calibrator) => prop_assert!(calibrator.calibrate(&rows).is_ok()),
                Err(error) => prop_assert!(matches!(error, Error::NotConverged { .. }), "{config:?}: {error}"),
            }
        }
    }

    #[test]
    fn binary_maps_rise(seed in 0_u64..1000, smoothed in any::<bool>()) {
        let (logits, targets) = usual(120, 2, seed);
        let rows = predictions(&logits, &targets, &in_order(120));
        let p: Vec<f64> = rows.probabilities().view().column(1).to_vec();
        let odds: Vec<Odds> = p.iter().map(|&p| Odds::new(p).unwrap()).collect();
        let positive: Vec<bool> = targets.iter().map(|&target| target == 1).collect();
        let targets = if smoothed { PlattTargets::Smoothed } else { PlattTargets::Plain };
        let platt = PlattMap::fit(&odds, &positive, &PlattConfig { targets, ..PlattConfig::default() }).unwrap();
        let beta = BetaMap::fit(&odds, &positive, &BetaConfig::default()).unwrap();
        prop_assert!(beta.a >= 0.0 && beta.b >= 0.0);
        let mut last = [0.0; 2];
        for step in 1..100 {
            let odds = Odds::new(f64::from(step) / 100.0).unwrap();
            let next = [platt.map(&odds), beta.map(&odds)];
            prop_assert!(next[0] >= last[0] && next[1] >= last[1]);
            last = next;
        }
    }
}
