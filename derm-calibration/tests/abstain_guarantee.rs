//! The promise of the abstain policy, over many draws from populations whose risks are known exactly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use derm_calibration::{
    AbstainConfig, AbstainPolicy, Calibrator, RiskCoverage, SelectionMethod, ThresholdGrid, ThresholdScope,
    Tier, TierThresholds,
};
use derm_core::{
    Calibration, LabelMap, Logits, PredictionColumns, PredictionMetadata, Predictions, Probabilities, Role,
    ScoreKind, Scores, Validation, View,
};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const DRAWS: u64 = 500;
const CLASSES: usize = 5;
const KINDS: usize = 200;

/// Kinds of cases, all equally frequent: what the model says of each, how often its first class is right, and
/// how often its first three hold the true one.
struct Population {
    logits: Array2<f32>,
    probabilities: Probabilities,
    first_right: Vec<f64>,
    first_three_right: Vec<f64>,
}

impl Population {
    /// Kind `i` of `KINDS` is the more certain the smaller `i`; `right(u)` gives both rates at `u = i /
    /// KINDS`.
    fn new(right: impl Fn(f64) -> (f64, f64)) -> Self {
        let position = |kind: usize| kind as f64 / KINDS as f64;
        let logits = Array2::from_shape_fn((KINDS, CLASSES), |(kind, class)| {
            let strength = 5.0 * (1.0 - position(kind)) + 0.01;
            // The three likeliest are 0, 1 and 2; their share of the mass varies on its own.
            let second = strength * (0.1 + 0.2 * ((kind * 37) % KINDS) as f64 / KINDS as f64);
            [strength, second, 0.8 * second, -0.2, -0.4][class] as f32
        });
        let probabilities = Logits::new(logits.mapv(f64::from)).unwrap().softmax();
        let rates: Vec<(f64, f64)> = (0..KINDS).map(|kind| right(position(kind))).collect();
        let (first_right, first_three_right) = rates.into_iter().unzip();
        Self { logits, probabilities, first_right, first_three_right }
    }

    /// `lesions` drawn at random, each photographed `photographs` times with one outcome.
    fn draw<R: Role>(&self, rng: &mut ChaCha8Rng, lesions: usize, photographs: usize) -> Predictions<R> {
        let mut columns = PredictionColumns::default();
        let mut values = Vec::new();
        for lesion in 0..lesions {
            let kind = (uniform(rng) * KINDS as f64) as usize;
            let u = uniform(rng);
            let target = if u < self.first_right[kind] {
                0
            } else if u < self.first_three_right[kind] {
                1 + lesion % 2
            } else {
                3
            };
            for photograph in 0..photographs {
                columns.ids.push(format!("{lesion}_{photograph}"));
                columns.groups.push(format!("lesion_{lesion}"));
                columns.cases.push(format!("{lesion}_{photograph}"));
                columns.targets.push(target);
                values.extend(self.logits.row(kind));
            }
        }
        let metadata = PredictionMetadata {
            task: "diagnosis".into(),
            view: View::Identity,
            labels: LabelMap::new(["a", "b", "c", "d", "e"]).unwrap(),
            split_hash: "simulated".into(),
        };
        let values = Array2::from_shape_vec((columns.ids.len(), CLASSES), values).unwrap();
        Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
    }

    /// Share of the population in a tier, and the tier's exact risk.
    fn truth(&self, thresholds: &TierThresholds, tier: Tier) -> (f64, f64) {
        let right = if tier == Tier::Answer { &self.first_right } else { &self.first_three_right };
        let tiers = thresholds.assign(&self.probabilities);
        let wrong: Vec<f64> = tiers
            .iter()
            .zip(right)
            .filter(|(of_kind, _)| **of_kind == tier)
            .map(|(_, right)| 1.0 - right)
            .collect();
        (wrong.len() as f64 / KINDS as f64, wrong.iter().sum::<f64>() / wrong.len() as f64)
    }
}

/// A number in [0, 1) with 53 bits.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// What came of all draws, for the first and the second tier.
#[derive(Debug, Default)]
struct Tally {
    violations: [u32; 2],
    filled: [u32; 2],
    coverage: [f64; 2],
    naive_violations: u32,
}

fn tally(population: &Population, lesions: usize, photographs: usize, config: &AbstainConfig) -> Tally {
    let mut tally = Tally::default();
    for draw in 0..DRAWS {
        let mut rng = ChaCha8Rng::seed_from_u64(20_261_121);
        rng.set_stream(draw);
        let validation = population.draw::<Validation>(&mut rng, 150, 1);
        let calibration = population.draw::<Calibration>(&mut rng, lesions, photographs);
        let grid = ThresholdGrid::from_validation(
            &validation,
            &Calibrator::Identity,
            config.answer_steps,
            config.suggest_steps,
        )
        .unwrap();
        let policy = AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid, config).unwrap();
        let targets = [(Tier::Answer, config.answer_risk), (Tier::SuggestTop3, config.suggest_risk)];
        for (index, (tier, target)) in targets.into_iter().enumerate() {
            let (coverage, risk) = population.truth(&policy.thresholds, tier);
            if coverage > 0.0 {
                tally.filled[index] += 1;
                tally.coverage[index] += coverage / DRAWS as f64;
                tally.violations[index] += u32::from(risk > target + 1e-12);
            }
        }
        tally.naive_violations += u32::from(naive_is_wrong(population, &calibration, config.answer_risk));
    }
    tally
}

/// What one would do without a test: the largest coverage whose observed risk meets the target.
fn naive_is_wrong(population: &Population, calibration: &Predictions<Calibration>, target: f64) -> bool {
    let probabilities = calibration.probabilities();
    let curve = RiskCoverage::top_label(&probabilities, calibration.targets()).unwrap();
    let rows =
        (curve.coverage_at_risk(target).unwrap() * probabilities.num_samples() as f64).round() as usize;
    let mut confidence = probabilities.confidence();
    confidence.sort_unstable_by(|a, b| b.total_cmp(a));
    rows > 0 && {
        let score = derm_calibration::SuggestScore::Top3Mass;
        let thresholds = TierThresholds::new(Some(confidence[rows - 1]), score, None).unwrap();
        population.truth(&thresholds, Tier::Answer).1 > target
    }
}

/// The smallest k with P(X ≤ k) ≥ `q` for X binomial.
fn binomial_quantile(n: u64, p: f64, q: f64) -> u32 {
    let mut term = (1.0 - p).powi(n as i32);
    let (mut k, mut sum) = (0, term);
    while sum < q {
        term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        k += 1;
        sum += term;
    }
    k as u32
}

fn check(name: &str, tally: &Tally, config: &AbstainConfig) {
    println!("{name}: {tally:?}");
    let allowed = binomial_quantile(DRAWS, config.delta, 0.999);
    for (tier, violations) in tally.violations.into_iter().enumerate() {
        assert!(violations <= allowed, "{name}: tier {tier} broke its promise {violations} times of {DRAWS}");
    }
}

#[test]
fn a_population_just_above_the_target_everywhere() {
    // Whatever is certified is a violation, and the tests are at their least powerful against it.
    let config = AbstainConfig::default();
    let population = Population::new(|_| (0.895, 0.895));
    for lesions in [60, 150, 600] {
        let tally = tally(&population, lesions, 1, &config);
        check(&format!("just above, {lesions} lesions"), &tally, &config);
        // The check can fail: choosing by the observed risk breaks the promise more often than not.
        assert!(tally.naive_violations > DRAWS as u32 / 2);
    }
}

#[test]
fn searching_many_thresholds_costs_nothing() {
    // With this many, testing on after a threshold that failed would break the promise.
    let config = AbstainConfig { answer_steps: 60, ..AbstainConfig::default() };
    let population = Population::new(|_| (0.899, 0.899));
    check("sixty thresholds", &tally(&population, 1000, 1, &config), &config);
}

#[test]
fn photographs_of_one_lesion_count_once() {
    let config = AbstainConfig::default();
    let population = Population::new(|_| (0.895, 0.895));
    check("three photographs a lesion", &tally(&population, 150, 3, &config), &config);
}

#[test]
fn the_most_certain_cases_may_be_the_worst() {
    let config = AbstainConfig::default();
    let population = Population::new(|u| {
        if u < 0.25 {
            (0.85, 0.88)
        } else if u < 0.6 {
            (0.97, 0.99)
        } else {
            (0.7, 0.85)
        }
    });
    check("certain and wrong", &tally(&population, 150, 1, &config), &config);
}

#[test]
fn a_usual_model_is_answered_for_with_few_lesions() {
    let config = AbstainConfig::default();
    // 85 % right, the errors among the uncertain.
    let population = Population::new(|u| (0.995 - 0.5 * u.powf(2.5), 0.995 - 0.08 * u));
    for (lesions, filled, coverage) in [(150, 0.8, 0.5), (600, 0.95, 0.65)] {
        let tally = tally(&population, lesions, 1, &config);
        check(&format!("usual, {lesions} lesions"), &tally, &config);
        assert!(f64::from(tally.filled[0]) >= filled * DRAWS as f64, "{tally:?}");
        assert!(tally.coverage[0] >= coverage, "{tally:?}");
    }
}

#[test]
fn bonferroni_bounds_keep_the_promise_too() {
    let config =
        AbstainConfig { method: SelectionMethod::BonferroniClopperPearson, ..AbstainConfig::default() };
    let hard = Population::new(|_| (0.895, 0.895));
    check("Bonferroni, just above", &tally(&hard, 150, 1, &config), &config);
    // Its price: a usual model is answered for less often than by the fixed sequence, and still as a rule.
    let usual = Population::new(|u| (0.995 - 0.5 * u.powf(2.5), 0.995 - 0.08 * u));
    let tally = tally(&usual, 600, 1, &config);
    check("Bonferroni, usual", &tally, &config);
    assert!(f64::from(tally.filled[0]) >= 0.9 * DRAWS as f64, "{tally:?}");
}

/// Kinds of cases that are predicted as one of the first classes, equally many as each.
struct PredictedClasses {
    logits: Array2<f32>,
    probabilities: Probabilities,
    /// How often each predicted class is right.
    right: Vec<f64>,
}

impl PredictedClasses {
    fn new(right: &[f64]) -> Self {
        let of = right.len();
        let logits = Array2::from_shape_fn((KINDS, CLASSES), |(kind, class)| {
            let strength = 4.0 * (1.0 - (kind / of) as f64 / (KINDS / of) as f64) + 0.1;
            let value = match (class + CLASSES - kind % of) % CLASSES {
                0 => strength,
                1 => 0.3 * strength,
                2 => 0.2 * strength,
                _ => -0.2,
            };
            value as f32
        });
        let probabilities = Logits::new(logits.mapv(f64::from)).unwrap().softmax();
        Self { logits, probabilities, right: right.to_vec() }
    }

    fn draw<R: Role>(&self, rng: &mut ChaCha8Rng, lesions: usize) -> Predictions<R> {
        let mut columns = PredictionColumns::default();
        let mut values = Vec::new();
        for lesion in 0..lesions {
            let kind = (uniform(rng) * KINDS as f64) as usize;
            let predicted = kind % self.right.len();
            // A wrong first class lies outside the three as well, so that both tiers share one rate.
            let is_right = uniform(rng) < self.right[predicted];
            columns.targets.push(if is_right { predicted } else { (predicted + 3) % CLASSES });
            values.extend(self.logits.row(kind));
            columns.ids.push(format!("{lesion}"));
        }
        columns.groups.clone_from(&columns.ids);
        columns.cases.clone_from(&columns.ids);
        let metadata = PredictionMetadata {
            task: "diagnosis".into(),
            view: View::Identity,
            labels: LabelMap::new(["a", "b", "c", "d", "e"]).unwrap(),
            split_hash: "simulated".into(),
        };
        let values = Array2::from_shape_vec((lesions, CLASSES), values).unwrap();
        Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
    }
}

/// How often some predicted class has a tier that breaks its promise, for each tier, and how often each class's
/// first tier is filled.
fn tally_by_class(
    population: &PredictedClasses,
    lesions: usize,
    config: &AbstainConfig,
) -> ([u32; 2], Vec<u32>) {
    let of = population.right.len();
    let (mut violations, mut filled) = ([0; 2], vec![0; of]);
    for draw in 0..DRAWS {
        let mut rng = ChaCha8Rng::seed_from_u64(20_261_122);
        rng.set_stream(draw);
        let validation = population.draw::<Validation>(&mut rng, 300);
        let calibration = population.draw::<Calibration>(&mut rng, lesions);
        let (answer, suggest) = (config.answer_steps, config.suggest_steps);
        let grid =
            ThresholdGrid::from_validation(&validation, &Calibrator::Identity, answer, suggest).unwrap();
        let policy = AbstainPolicy::fit(&calibration, &Calibrator::Identity, &grid, config).unwrap();
        let tiers = policy.assign(&population.probabilities).unwrap();
        for (index, (tier, target)) in
            [(Tier::Answer, config.answer_risk), (Tier::SuggestTop3, config.suggest_risk)]
                .into_iter()
                .enumerate()
        {
            let breaks = |class: usize| {
                let used = tiers.iter().skip(class).step_by(of).any(|&of_kind| of_kind == tier);
                used && 1.0 - population.right[class] > target
            };
            violations[index] += u32::from((0..of).any(breaks));
        }
        for (class, filled) in filled.iter_mut().enumerate() {
            let answered = tiers.iter().skip(class).step_by(of).any(|&tier| tier == Tier::Answer);
            *filled += u32::from(answered);
        }
    }
    (violations, filled)
}

#[test]
fn the_promise_by_class_holds_for_every_class_at_once() {
    let config = AbstainConfig { scope: ThresholdScope::PredictedClass, ..AbstainConfig::default() };
    let allowed = binomial_quantile(DRAWS, config.delta, 0.999);
    for method in [SelectionMethod::FixedSequence, SelectionMethod::BonferroniClopperPearson] {
        let config = AbstainConfig { method, ..config };
        // All five classes just above the target: whatever is certified is a violation. With δ for each of them, and
        // not for all together, a fifth of the draws had one.
        let population = PredictedClasses::new(&[0.895; CLASSES]);
        let (violations, _) = tally_by_class(&population, 750, &config);
        println!("by class, {method:?}: {violations:?} of {allowed}");
        assert!(violations.iter().all(|&count| count <= allowed), "{violations:?}");
    }
    // One class good and one bad: over all rows the risk is met, and for the bad class it is not. Thresholds
    // for all rows answer for both; those by class tell them apart.
    let population = PredictedClasses::new(&[0.995, 0.87]);
    let (violations, filled) = tally_by_class(&population, 600, &config);
    println!("good and bad: {violations:?} {filled:?}");
    assert!(violations.iter().all(|&count| count <= allowed), "{violations:?}");
    assert!(f64::from(filled[0]) >= 0.95 * DRAWS as f64, "{filled:?}");
    assert!(filled[1] <= allowed, "{filled:?}");
    let shared = AbstainConfig::default();
    let (violations, _) = tally_by_class(&population, 600, &shared);
    assert!(violations[0] > allowed, "the check can fail: {violations:?}");
}
