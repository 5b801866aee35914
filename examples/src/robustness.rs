//! A finished run on worse pictures, averaged views and missing answers.

use std::fmt::Write as _;
use std::path::Path;

use burn::tensor::Device;
use derm_core::{Predictions, Probabilities, SplitRole, Test};
use derm_data::{
    AnswerDropoutConfig, Answers, CorruptionKind, Loader, LoaderConfig, SampleOrder, Sampler, TestView,
};
use derm_metrics::{ClassSet, Metric, Resamples, balanced_accuracy, bootstrap, paired_bootstrap};
use derm_predict::Predictor;
use derm_train::{Error, EvaluationRecipe, Prepared, Progress, Recipe, Robustness, predict};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kinds of corruption, each at its five levels.
    pub kinds: Vec<CorruptionKind>,
    /// Seed of the corruptions, of the missing answers and of the bootstrap.
    pub seed: u64,
}

/// Miscoverage of the intervals.
const ALPHA: f64 = 0.05;
/// Share of the side that is seen in one of five crops.
const CROP: f32 = 0.875;
const METRIC: Metric = Metric::BalancedAccuracy { classes: ClassSet::Present };

/// A run that is looked at again.
struct Study<'a> {
    prepared: Prepared,
    predictor: Predictor,
    device: &'a Device,
}

/// Measures the run in `folder` and tells it as text.
///
/// # Errors
/// Where the folder is not a finished run, its data are not there, or the bundle's split is another one.
pub fn run(folder: &Path, overrides: &[String], options: &Options, device: &Device) -> Result<String, Error> {
    let mut recipe = Recipe::read(folder.join("config.yaml"), overrides)?;
    // The very records that the run tested on.
    recipe.dataset.split_path = Some(folder.join("split.json"));
    recipe.dataset.published_split = None;
    let predictor = Predictor::load(folder.join("bundle"), device)?;
    let prepared = Prepared::new(&recipe, Progress::Terminal)?;
    let study = Study { prepared, predictor, device };
    let plain = study.predictions(&study.prepared.loader(SplitRole::Test)?)?;
    plain.check_split(&study.predictor.manifest().provenance.split_hash)?;

    let mut text = study.views(&plain, options.seed)?;
    text += &study.corruptions(&plain, options)?;
    if study.prepared.samples().answer_width() > 0 {
        text += &study.missing_answers(options.seed)?;
    }
    Ok(text)
}

impl Study<'_> {
    fn predictions(&self, loader: &Loader) -> Result<Predictions<Test>, Error> {
        let Prepared { dataset, split, .. } = &self.prepared;
        predict(self.predictor.model(), dataset, split, loader, self.device)
    }

    /// The mean probability over views, beside the picture as it is.
    fn views(&self, plain: &Predictions<Test>, seed: u64) -> Result<String, Error> {
        const REPLICATES: usize = 1000;
        let resamples = Resamples::groups(plain.groups(), REPLICATES, seed)?;
        let flips = [TestView::HorizontalFlip, TestView::VerticalFlip, TestView::BothFlips];
        let identity = plain.probabilities();
        let rows = [
            ("identity", identity.clone()),
            ("mean of four flips", self.mean_over(vec![identity.clone()], &flips)?),
            ("mean of five crops", self.mean_over(Vec::new(), &TestView::five_crops(CROP)?)?),
        ];
        let mut text = format!(
            "test split: {} images of {} lesions or patients; balanced accuracy with {} % intervals\n\n\
             {:<22}{:<24}minus identity\n",
            plain.len(),
            plain.num_groups(),
            100.0 * (1.0 - ALPHA),
            "view",
            "balanced accuracy",
        );
        for (name, probabilities) in &rows {
            let own = bootstrap(probabilities, plain.targets(), &[METRIC], &resamples, ALPHA)?;
            let gain =
                paired_bootstrap(probabilities, &identity, plain.targets(), &[METRIC], &resamples, ALPHA)?;
            let cell = |value: Option<f64>, interval: Option<&derm_metrics::Interval>| match (value, interval)
            {
                (Some(value), Some(i)) => format!("{value:.3} [{:.3}, {:.3}]", i.low, i.high),
                (Some(value), None) => format!("{value:.3}"),
                (None, _) => "undefined".to_owned(),
            };
            let own = own.first().map(|own| cell(own.estimate, own.interval.as_ref())).unwrap_or_default();
            let gain =
                gain.first().map(|gain| cell(gain.estimate, gain.interval.as_ref())).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<22}{own:<24}{gain}");
        }
        Ok(text)
    }

    /// The mean over what was predicted already and what these views give.
    fn mean_over(&self, mut members: Vec<Probabilities>, views: &[TestView]) -> Result<Probabilities, Error> {
        for &view in views {
            let loader = self.prepared.loader(SplitRole::Test)?.with_view(view)?;
            Progress::Terminal.line(&format!("view {}", loader.view()));
            members.push(self.predictions(&loader)?.probabilities());
        }
        let sum = members.iter().skip(1).fold(members[0].view().to_owned(), |sum, one| sum + one.view());
        Ok(Probabilities::new(sum / members.len() as f64)?)
    }

    /// Balanced accuracy at each level of each kind, and what is lost against clean pictures.
    fn corruptions(&self, plain: &Predictions<Test>, options: &Options) -> Result<String, Error> {
        let settings = EvaluationRecipe { confidence: 1.0 - ALPHA, ..EvaluationRecipe::default() };
        let mut last = None;
        let measured = Robustness::measure(plain, &options.kinds, &settings, options.seed, |corruption| {
            if last.replace(corruption.kind()) != Some(corruption.kind()) {
                Progress::Terminal.line(&format!("corruption {}", corruption.kind().name()));
            }
            self.predictions(
                &self.prepared.loader(SplitRole::Test)?.with_corruption(corruption, options.seed),
            )
        })?;
        let number = |value: Option<f64>| value.map_or("undefined".to_owned(), |value| format!("{value:.3}"));
        let mut text = format!(
            "\nbalanced accuracy on corrupted images, mildest level first; {} without\n\n{:<20}levels\n",
            number(measured.clean),
            "corruption",
        );
        for kind in measured.results.chunk_by(|a, b| a.kind == b.kind) {
            let mut line = format!("{:<20}", kind[0].kind);
            for result in kind {
                let _ = write!(line, "{:<16}", format!("{}: {}", result.level, number(result.value)));
            }
            text += line.trim_end();
            text.push('\n');
        }
        Ok(text)
    }

    /// Balanced accuracy as answers are taken away from the test records.
    fn missing_answers(&self, seed: u64) -> Result<String, Error> {
        let Prepared { dataset, split, .. } = &self.prepared;
        let indices = split.indices(dataset, SplitRole::Test)?;
        let of_test: Vec<&Answers> = indices.iter().map(|&index| &dataset.records()[index].answers).collect();
        let config = AnswerDropoutConfig { repeats: 1, seed, ..AnswerDropoutConfig::default() };
        Progress::Terminal.line("taking answers away");
        let sweep = config.sweep(dataset.schema(), &of_test, |kept| {
            let mut answers: Vec<&Answers> = dataset.records().iter().map(|record| &record.answers).collect();
            for (&index, kept) in indices.iter().zip(kept) {
                answers[index] = kept;
            }
            let samples = self.prepared.samples().with_answers(dataset, &answers)?;
            let classes = dataset.classes(&indices)?;
            let sampler = Sampler::new(indices.clone(), &classes, SampleOrder::Sequential, 0)?;
            let loader = Loader::new(samples, sampler, None, LoaderConfig::default())?;
            let predictions = self.predictions(&loader)?;
            let probabilities = predictions.probabilities();
            Ok::<_, Error>(balanced_accuracy(&probabilities, predictions.targets(), ClassSet::Present)?)
        })?;
        Ok(format!("\nbalanced accuracy as answers are taken away\n\n{sweep}\n"))
    }
}
