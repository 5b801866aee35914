//! Compares ways to make predictions honest, on predictions files of this workspace or of another framework:
//! `cargo run --release --example calibrate -- FOLDER`
//!
//! FOLDER holds `validation`, `calibration` and `test` predictions, as a run writes them to `predictions/`. Calibrators
//! are compared by cross-validation on the first, conformal sets are fitted on the second, and every number about
//! them comes from the third.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use derm_calibration::{
    Bandwidth, CalibrationError, CalibrationErrorEstimate, CalibrationNotion, Calibrator, CalibratorConfig,
    CalibratorSelection, Conditioning, ConformalConfig, ConformalPredictor, ConformalScore, ConformalTable,
    ErrorNorm, Randomization, RejectOutcome, RejectThreshold, RejectThresholdConfig, RiskCoverage,
    SelectionConfig, SelectionRule, SelectiveScore, calibration_errors, select_calibrator,
};
use derm_core::{Calibration, Predictions, Test, Validation};
use derm_metrics::{Binning, Interval, Resamples};
use derm_train::Error;
use examples::load_predictions;
use serde::Serialize;

#[derive(Parser)]
#[command(about = "Compare calibrators, calibration errors, conformal sets and confidence scores")]
struct Arguments {
    /// Folder with the three predictions files
    predictions: PathBuf,
    /// Share of lesions whose set may miss the true class
    #[arg(long, default_value_t = 0.1)]
    alpha: f64,
    /// Also promise coverage for each value of this subgroup column
    #[arg(long)]
    group: Option<String>,
    /// Bins of the calibration errors, at most the number of test rows
    #[arg(long, default_value_t = 15)]
    calibration_bins: usize,
    /// Bootstrap replicates of the calibration errors
    #[arg(long, default_value_t = 200)]
    replicates: usize,
    /// Seed of folds, replicates and randomised sets
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also write everything as JSON to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The miscoverage of every interval.
const INTERVAL_ALPHA: f64 = 0.05;

#[derive(Serialize)]
struct Comparison {
    calibrator: Calibrator,
    selection: CalibratorSelection,
    uncalibrated_errors: Vec<CalibrationErrorEstimate>,
    calibrated_errors: Vec<CalibrationErrorEstimate>,
    sets: Vec<Sets>,
    confidence: Vec<Confidence>,
    reject_threshold: RejectThreshold,
    reject_threshold_on_test: RejectOutcome,
}

#[derive(Serialize)]
struct Sets {
    score: &'static str,
    promised_for: String,
    /// Coverage that one calibration split gives 95 % of the time, where there is one quantile.
    expected: Option<[f64; 2]>,
    table: ConformalTable,
}

#[derive(Serialize)]
struct Confidence {
    score: &'static str,
    aurc: f64,
    e_aurc: f64,
    risk_at_80: f64,
}

fn main() -> ExitCode {
    examples::finish(calibrate(&Arguments::parse()))
}

fn calibrate(arguments: &Arguments) -> Result<(), Error> {
    let folder = &arguments.predictions;
    let validation: Predictions<Validation> = load_predictions(folder)?;
    let calibration: Predictions<Calibration> = load_predictions(folder)?;
    let test: Predictions<Test> = load_predictions(folder)?;
    calibration.check_split(validation.split_hash())?;
    test.check_split(validation.split_hash())?;

    let config = SelectionConfig {
        seed: arguments.seed,
        rule: SelectionRule::OneStandardError,
        ..SelectionConfig::default()
    };
    let (calibrator, selection) = select_calibrator(&validation, &CalibratorConfig::all(), &config)?;
    let probabilities = calibrator.calibrate(&test)?;
    let resamples = Resamples::groups(test.groups(), arguments.replicates, arguments.seed)?;
    let errors_of = |probabilities: &_| {
        calibration_errors(
            probabilities,
            test.targets(),
            &estimators(arguments.calibration_bins),
            &resamples,
            INTERVAL_ALPHA,
        )
    };
    let reject_threshold = RejectThreshold::fit(&validation, &calibrator, &RejectThresholdConfig::default())?;
    let comparison = Comparison {
        uncalibrated_errors: errors_of(&test.probabilities())?,
        calibrated_errors: errors_of(&probabilities)?,
        sets: sets(&calibrator, &calibration, &test, arguments)?,
        confidence: confidence(&calibrator, &test)?,
        reject_threshold_on_test: reject_threshold.evaluate(&calibrator, &test)?,
        reject_threshold,
        selection,
        calibrator,
    };
    if let Some(path) = &arguments.json {
        derm_core::atomic::write_file(path, |file| {
            serde_json::to_writer_pretty(&mut *file, &comparison).map_err(io::Error::from)?;
            file.write_all(b"\n")
        })?;
    }
    #[allow(clippy::print_stdout, reason = "the tables are what the program is for")]
    {
        println!("{}", comparison.to_text());
    }
    Ok(())
}

/// The calibration errors that the literature reports.
fn estimators(n_bins: usize) -> [CalibrationError; 6] {
    let binned = |notion, binning, norm| CalibrationError::Binned { notion, binning, norm };
    let (uniform, equal) = (Binning::Uniform { n_bins }, Binning::EqualMass { n_bins });
    let notion = CalibrationNotion::Confidence;
    [
        binned(notion, uniform, ErrorNorm::L1),
        binned(notion, equal, ErrorNorm::L1),
        binned(notion, equal, ErrorNorm::DebiasedL2),
        binned(CalibrationNotion::Marginal, uniform, ErrorNorm::L1),
        CalibrationError::Smooth { notion },
        CalibrationError::Kde { notion, bandwidth: Bandwidth::default() },
    ]
}

const ESTIMATOR_NAMES: [&str; 6] =
    ["ECE, equal width", "ECE, equal mass", "L2, debiased", "class-wise ECE", "smooth ECE", "kernel ECE"];

/// Every score with coverage promised for all lesions, for each class, and for each subgroup if asked.
fn sets(
    calibrator: &Calibrator,
    calibration: &Predictions<Calibration>,
    test: &Predictions<Test>,
    arguments: &Arguments,
) -> Result<Vec<Sets>, Error> {
    let randomization = Randomization::PerRow;
    let scores = [
        ConformalScore::Lac,
        ConformalScore::Aps { randomization },
        ConformalScore::Raps { randomization, lambda: 0.1, k_reg: 2 },
        ConformalScore::Saps { randomization, lambda: 0.1 },
        ConformalScore::TopK { randomization },
    ];
    let mut promises = vec![
        ("all lesions".to_owned(), Conditioning::Marginal),
        ("each class".to_owned(), Conditioning::Class),
    ];
    let of_group =
        |column: &String| (format!("each {column}"), Conditioning::Group { column: column.clone() });
    promises.extend(arguments.group.as_ref().map(of_group));
    let mut sets = Vec::new();
    for (promised_for, conditioning) in promises {
        for score in scores {
            let config = ConformalConfig {
                alpha: arguments.alpha,
                score,
                conditioning: conditioning.clone(),
                seed: arguments.seed,
                ..ConformalConfig::default()
            };
            let predictor = ConformalPredictor::conformalize(calibrator.clone(), calibration, &config)?;
            let table = ConformalTable::evaluate(&predictor, test, INTERVAL_ALPHA)?;
            let rows = table.overall.count;
            let expected = match predictor.rule().quantiles() {
                [quantile] => {
                    let (low, high) = quantile.expected_covered(rows, INTERVAL_ALPHA)?;
                    Some([low, high].map(|covered| covered as f64 / rows as f64))
                }
                _ => None,
            };
            sets.push(Sets { score: score.name(), promised_for: promised_for.clone(), expected, table });
        }
    }
    Ok(sets)
}

/// How well each score puts the errors last.
fn confidence(calibrator: &Calibrator, test: &Predictions<Test>) -> Result<Vec<Confidence>, Error> {
    let mut scores = vec![
        ("max probability", SelectiveScore::MaxProbability),
        ("margin", SelectiveScore::Margin),
        ("negative entropy", SelectiveScore::NegativeEntropy),
        ("top-3 mass", SelectiveScore::Top3Mass),
    ];
    if test.logits().is_some() {
        scores.push(("energy", SelectiveScore::Energy { temperature: 1.0 }));
    }
    let predicted = calibrator.calibrate(test)?.predicted();
    let correct: Vec<bool> = predicted.iter().zip(test.targets()).map(|(p, y)| p == y).collect();
    let of_score = |(name, score): (&'static str, SelectiveScore)| {
        let curve = RiskCoverage::new(&score.scores(test, calibrator)?, &correct)?;
        let aurc = curve.aurc();
        let risk_at_80 = curve.risk_at_coverage(0.8)?;
        Ok(Confidence { score: name, aurc: aurc.aurc, e_aurc: aurc.e_aurc, risk_at_80 })
    };
    scores.into_iter().map(of_score).collect()
}

impl Comparison {
    fn to_text(&self) -> String {
        let mut lines = vec![format!(
            "calibrators, negative log-likelihood over {} folds of the validation split",
            self.selection.config.folds
        )];
        for (index, candidate) in self.selection.candidates.iter().enumerate() {
            let mark = if index == self.selection.chosen { "  chosen" } else { "" };
            let outcome = match (candidate.mean_nll, candidate.standard_error) {
                (Some(mean), Some(error)) => format!("{mean:.4} ± {error:.4}"),
                // What stands in brackets is for the JSON file.
                _ => candidate
                    .failure
                    .as_deref()
                    .and_then(|f| f.split(" (").next())
                    .unwrap_or_default()
                    .to_owned(),
            };
            lines.push(format!("  {:<20} {outcome}{mark}", candidate.candidate.name()));
        }

        lines.push("calibration errors on the test split, uncalibrated and calibrated".to_owned());
        let pairs = self.uncalibrated_errors.iter().zip(&self.calibrated_errors).zip(ESTIMATOR_NAMES);
        for ((before, after), name) in pairs {
            let number =
                |error: &CalibrationErrorEstimate| format!("{:.3} {}", error.value, interval(error.interval));
            lines.push(format!("  {name:<20} {}   {}", number(before), number(after)));
        }

        lines.push(format!(
            "{:<22} {:<18} {:>20} {:>15} {:>6} {:>6} {:>10} {:>12}",
            "conformal sets",
            "promised for",
            "coverage",
            "expected",
            "size",
            "empty",
            "one class",
            "worst class"
        ));
        for sets in &self.sets {
            let table = &sets.table;
            let share =
                |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
            let worst = table.by_class.iter().filter_map(|class| class.coverage).reduce(f64::min);
            let coverage = format!(
                "{} {}",
                share(table.overall.coverage),
                table.overall.interval.map_or_else(String::new, interval)
            );
            lines.push(format!(
                "  {:<20} {:<18} {coverage:>20} {:>15} {:>6.2} {:>6} {:>10} {:>12}",
                sets.score,
                sets.promised_for,
                sets.expected.map_or_else(String::new, |[low, high]| format!("{low:.3} to {high:.3}")),
                table.overall.mean_size.unwrap_or_default(),
                table.empty_sets,
                table.singletons,
                share(worst),
            ));
        }

        lines.push(format!("{:<22} {:>7} {:>8} {:>18}", "confidence", "AURC", "E-AURC", "risk of best 80 %"));
        for score in &self.confidence {
            lines.push(format!(
                "  {:<20} {:>7.4} {:>8.4} {:>18.3}",
                score.score, score.aurc, score.e_aurc, score.risk_at_80
            ));
        }

        let (point, test) = (&self.reject_threshold, &self.reject_threshold_on_test);
        lines.push(format!(
            "best macro F1 on validation at confidence {:.3}: test macro F1 {:.3}, {:.1} % answered",
            point.threshold,
            test.macro_f1,
            100.0 * test.coverage
        ));
        lines.join("\n")
    }
}

fn interval(interval: Interval) -> String {
    format!("[{:.3}, {:.3}]", interval.low, interval.high)
}
