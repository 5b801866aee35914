//! Classifiers that see no image: what a questionnaire alone tells, and which of its questions tell it.

use std::fmt;
use std::path::Path;

use burn::module::Module as _;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use derm_backbones::QuestionnaireEncoderConfig;
use derm_core::{ClassIndex, Criterion as _, Probabilities, SplitRole, Targets, ValueError};
use derm_data::{
    AnswerDropoutConfig, AnswerDropoutSweep, Answers, Dataset, FeatureSchema, FoldConfig, Folds, LeakReport,
    PermutationImportanceConfig, PermutationUnit, Split, SplitConfig, SplitFractions,
};
use derm_losses::{CrossEntropyLossConfig, WeightNormalization, WeightScheme, ZeroCounts, class_weights};
use derm_metrics::{ClassSet, Interval, Metric, Resamples, accuracy, bootstrap, wilson};
use derm_train::Error;
use ndarray::{Array2, Axis};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::answers_network::{AnswersNetwork, answer_columns, tensor};

/// Miscoverage of the intervals.
const ALPHA: f64 = 0.05;

/// Bootstrap resamples of lesions.
const REPLICATES: usize = 2000;

/// How the classifier is trained.
#[derive(Debug, Clone)]
pub struct Options {
    /// Passes over the training rows.
    pub epochs: usize,
    /// Rows a step.
    pub batch_size: usize,
    /// `AdamW`'s learning rate, falling along half a cosine to 0.
    pub learning_rate: f64,
    /// `AdamW`'s weight decay.
    pub weight_decay: f32,
    /// Probability that an answer is taken away in training.
    pub answer_dropout: f64,
    /// Whether classes weigh the same whatever their number of rows.
    pub balanced: bool,
    /// Number of folds.
    pub folds: usize,
    /// Seed of weights, order, folds and studies.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            epochs: 60,
            batch_size: 32,
            learning_rate: 3e-3,
            weight_decay: 0.05,
            answer_dropout: 0.1,
            balanced: false,
            folds: 5,
            seed: 0,
        }
    }
}

/// A trained classifier with the questionnaire that it reads.
#[derive(Debug)]
pub struct Fitted {
    /// The questionnaire, scaled to the training records.
    pub schema: FeatureSchema,
    /// What the missing answers of the training records tell.
    pub leak_report: LeakReport,
    network: AnswersNetwork,
    device: Device,
}

impl Fitted {
    /// Trains on the records at `indices`.
    ///
    /// # Errors
    /// Where the records cannot be encoded or a setting is out of range.
    pub fn train(
        dataset: &Dataset,
        indices: &[usize],
        options: &Options,
        device: &Device,
    ) -> Result<Self, Error> {
        let mut dataset = dataset.clone();
        let leak_report = dataset.fit_schema(indices)?;
        let schema = dataset.schema().clone();
        let num_classes = dataset.labels().num_classes();
        let targets: Vec<usize> = dataset.classes(indices)?.into_iter().map(ClassIndex::get).collect();
        let rows = encode(&schema, &answers(&dataset, indices)?)?;

        let training_device = device.clone().without_autodiff().autodiff();
        training_device.seed(options.seed);
        let config = QuestionnaireEncoderConfig {
            answers: answer_columns(&schema),
            answer_dropout: options.answer_dropout,
            ..QuestionnaireEncoderConfig::new(schema.width())
        };
        let mut network = AnswersNetwork::init(&config, num_classes, &training_device)?;
        let weights = options.balanced.then(|| {
            let counts = dataset.class_counts_of(indices)?;
            let (scheme, normalization) = (WeightScheme::InverseFrequency, WeightNormalization::Balanced);
            let weights = class_weights(&counts, scheme, normalization, ZeroCounts::Refuse)?;
            Ok::<_, Error>(weights.into_iter().map(|weight| weight as f32).collect())
        });
        let criterion = CrossEntropyLossConfig {
            class_weights: weights.transpose()?,
            ..CrossEntropyLossConfig::default()
        }
        .init(num_classes, &training_device)?;
        let mut optimizer =
            ModuleOptimizer::from(AdamWConfig::new().with_weight_decay(options.weight_decay).build());

        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let mut order: Vec<usize> = (0..indices.len()).collect();
        for epoch in 0..options.epochs {
            shuffle(&mut order, &mut rng);
            let done = epoch as f64 / options.epochs as f64;
            let rate = options.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
            for batch in order.chunks(options.batch_size.max(1)) {
                let inputs = tensor(&rows.select(Axis(0), batch), &training_device);
                let of_batch: Vec<usize> = batch.iter().map(|&row| targets[row]).collect();
                let of_batch = Targets::from_indices(&of_batch, num_classes, &training_device)?;
                let loss = criterion.forward(network.forward(inputs), &of_batch);
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                network = optimizer.step(rate, network, gradients);
            }
        }
        Ok(Self { schema, leak_report, network: network.valid(), device: device.clone() })
    }

    /// Class probabilities of encoded answers [N, Q], [N, C].
    ///
    /// # Errors
    /// Where a logit is not finite.
    pub fn probabilities(&self, rows: &Array2<f32>) -> Result<Probabilities, Error> {
        self.network.probabilities(rows, &self.device)
    }

    /// Class probabilities of answers.
    ///
    /// # Errors
    /// As [`FeatureSchema::encode`].
    pub fn predict(&self, answers: &[&Answers]) -> Result<Probabilities, Error> {
        self.probabilities(&encode(&self.schema, answers)?)
    }
}

/// Fisher-Yates, from the generator's 64-bit words.
fn shuffle(order: &mut [usize], rng: &mut ChaCha8Rng) {
    for last in (1..order.len()).rev() {
        order.swap(last, (rng.next_u64() % (last as u64 + 1)) as usize);
    }
}

fn answers<'a>(dataset: &'a Dataset, indices: &[usize]) -> Result<Vec<&'a Answers>, Error> {
    Ok(indices
        .iter()
        .map(|&index| Ok(&dataset.record(index)?.answers))
        .collect::<Result<_, derm_data::Error>>()?)
}

/// Encoded answers [N, Q].
fn encode(schema: &FeatureSchema, answers: &[&Answers]) -> Result<Array2<f32>, Error> {
    let mut rows = Vec::with_capacity(answers.len() * schema.width());
    for one in answers {
        rows.extend(schema.encode(one)?);
    }
    let (got, expected) = (rows.len(), answers.len() * schema.width());
    let rows = Array2::from_shape_vec((answers.len(), schema.width()), rows);
    Ok(rows.map_err(|_| ValueError::Length { argument: "answers", got, expected })?)
}

/// Cross-validated accuracy of one questionnaire.
#[derive(Debug)]
pub struct CrossValidation {
    /// What the questionnaire is called in the table.
    pub name: String,
    /// Number of questions.
    pub questions: usize,
    /// Records tested and records right, of each fold.
    pub folds: Vec<[usize; 2]>,
    /// Share of all records that were right.
    pub accuracy: f64,
    /// Its Wilson interval: each record is one patient.
    pub interval: Interval,
    /// The classifier of each fold with the records that it did not see.
    pub fitted: Vec<(Fitted, Vec<usize>)>,
}

impl CrossValidation {
    /// Trains and tests on each of the folds of a dataset, given as the indices of its test records.
    ///
    /// # Errors
    /// As [`Fitted::train`].
    pub fn run(
        name: &str,
        dataset: &Dataset,
        folds: &[Vec<usize>],
        options: &Options,
        device: &Device,
    ) -> Result<Self, Error> {
        let (mut outcomes, mut fitted) = (Vec::new(), Vec::new());
        for test in folds {
            let train: Vec<usize> =
                (0..dataset.records().len()).filter(|index| !test.contains(index)).collect();
            let model = Fitted::train(dataset, &train, options, device)?;
            let probabilities = model.predict(&answers(dataset, test)?)?;
            outcomes.push([test.len(), right(&probabilities, dataset, test)?]);
            fitted.push((model, test.clone()));
        }
        let (tested, right) = outcomes.iter().fold((0, 0), |(n, hits), one| (n + one[0], hits + one[1]));
        Ok(Self {
            name: name.to_owned(),
            questions: dataset.schema().features().len(),
            folds: outcomes,
            accuracy: right as f64 / tested as f64,
            interval: wilson(right, tested, ALPHA)?,
            fitted,
        })
    }
}

/// How many of the records at `indices` a classifier has right.
fn right(probabilities: &Probabilities, dataset: &Dataset, indices: &[usize]) -> Result<usize, Error> {
    let classes = dataset.classes(indices)?;
    let predicted = probabilities.predicted();
    Ok(predicted.into_iter().zip(classes).filter(|&(predicted, class)| predicted == class.get()).count())
}

/// Test records of stratified folds that divide no group.
fn folds(dataset: &Dataset, options: &Options) -> Result<Vec<Vec<usize>>, Error> {
    let config = FoldConfig { folds: options.folds, seed: options.seed, ..FoldConfig::default() };
    let folds = Folds::stratified(dataset, config)?;
    Ok((0..folds.num_folds()).map(|fold| folds.test(dataset, fold)).collect::<Result<_, _>>()?)
}

/// Mean importance of one feature or block over the folds.
#[derive(Debug)]
pub struct MeanImportance {
    /// The feature or block.
    pub name: String,
    /// Accuracy that is lost, mean over folds and permutations.
    pub mean: f64,
    /// Standard deviation over folds and permutations.
    pub std: f64,
}

/// Everything about a table without images.
#[derive(Debug)]
pub struct TableStudy {
    /// Each questionnaire, the full one first.
    pub questionnaires: Vec<CrossValidation>,
    /// Accuracy of the full one as answers are taken away; all records, each predicted by the fold that did not see it.
    pub sweep: AnswerDropoutSweep,
    /// Importance of each block.
    pub blocks: Vec<MeanImportance>,
    /// Importance of each feature.
    pub features: Vec<MeanImportance>,
    /// What missing answers alone tell, on all records.
    pub leak_report: LeakReport,
}

/// Cross-validates a table with all questions and with those of each named block alone, and studies the full one.
///
/// # Errors
/// As [`Fitted::train`].
pub fn study_table(
    dataset: &Dataset,
    blocks: &[&str],
    options: &Options,
    device: &Device,
) -> Result<TableStudy, Error> {
    let folds = folds(dataset, options)?;
    let mut questionnaires = vec![CrossValidation::run("all", dataset, &folds, options, device)?];
    for block in blocks {
        let schema = dataset.schema().keep(&dataset.schema().features_in(block)?)?;
        let reduced = dataset.clone().with_schema(schema)?;
        questionnaires.push(CrossValidation::run(block, &reduced, &folds, options, device)?);
    }
    let full = &questionnaires[0];
    let all: Vec<usize> = (0..dataset.records().len()).collect();
    let config = AnswerDropoutConfig { seed: options.seed, ..AnswerDropoutConfig::default() };
    let sweep = config.sweep(dataset.schema(), &answers(dataset, &all)?, |kept| {
        let mut hits = 0;
        for (model, test) in &full.fitted {
            let of_fold: Vec<&Answers> = test.iter().map(|&index| &kept[index]).collect();
            hits += right(&model.predict(&of_fold)?, dataset, test)?;
        }
        Ok::<f64, Error>(hits as f64 / all.len() as f64)
    })?;
    let blocks = importances(dataset, full, PermutationUnit::Blocks, options)?;
    let features = importances(dataset, full, PermutationUnit::Features, options)?;
    let leak_report = LeakReport::of(dataset, &all)?;
    Ok(TableStudy { questionnaires, sweep, blocks, features, leak_report })
}

fn importances(
    dataset: &Dataset,
    full: &CrossValidation,
    unit: PermutationUnit,
    options: &Options,
) -> Result<Vec<MeanImportance>, Error> {
    let config = PermutationImportanceConfig { unit, seed: options.seed, ..Default::default() };
    let mut pooled: Vec<(String, Vec<f64>)> = Vec::new();
    for (model, test) in &full.fitted {
        let rows = encode(&model.schema, &answers(dataset, test)?)?;
        let targets: Vec<usize> = dataset.classes(test)?.into_iter().map(ClassIndex::get).collect();
        let groups: Vec<&str> = test.iter().map(|&index| dataset.records()[index].group()).collect();
        let measured = config.measure(&model.schema, &rows, &groups, |rows| {
            Ok::<f64, Error>(accuracy(&model.probabilities(rows)?, &targets)?)
        })?;
        for (place, importance) in measured.importances.into_iter().enumerate() {
            match pooled.get_mut(place) {
                Some((_, values)) => values.extend(importance.repeats),
                None => pooled.push((importance.name, importance.repeats)),
            }
        }
    }
    let mut all: Vec<MeanImportance> = pooled
        .into_iter()
        .map(|(name, values)| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let square = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
            MeanImportance { name, mean, std: (square / values.len() as f64).sqrt() }
        })
        .collect();
    all.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    Ok(all)
}

impl fmt::Display for TableStudy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.questionnaires {
            let CrossValidation { name, questions, folds, accuracy, interval, .. } = one;
            writeln!(
                f,
                "{name}, {questions} questions: accuracy {accuracy:.3} [{:.3}, {:.3}]",
                interval.low, interval.high
            )?;
            for (fold, [tested, right]) in folds.iter().enumerate() {
                let share = *right as f64 / *tested as f64;
                writeln!(f, "  fold {}: {right} of {tested}, {share:.3}", fold + 1)?;
            }
        }
        writeln!(f, "\naccuracy of all questions as answers are taken away\n{}", self.sweep)?;
        writeln!(f, "\naccuracy lost by permuting a block, or a question (the ten largest)")?;
        for MeanImportance { name, mean, std } in self.blocks.iter().chain(self.features.iter().take(10)) {
            writeln!(f, "{mean:>8.4} ± {std:.4}  {name}")?;
        }
        write!(f, "\n{}", self.leak_report)
    }
}

/// A table-only classifier on the project's four-role split, to stand beside image runs on the same split.
#[derive(Debug)]
pub struct SplitStudy {
    /// Hash of the split.
    pub split_hash: String,
    /// Test records and their lesions.
    pub test: [usize; 2],
    /// Each metric on the test role with its bootstrap interval over lesions.
    pub metrics: Vec<(String, Option<f64>, Option<Interval>)>,
    /// What missing answers of the training records alone tell.
    pub leak_report: LeakReport,
}

/// Trains on the training role and measures on the test role of a split like that of an image run.
///
/// # Errors
/// As [`Fitted::train`]; where the split is impossible.
pub fn study_split(
    dataset: &Dataset,
    split: &SplitConfig,
    options: &Options,
    device: &Device,
) -> Result<SplitStudy, Error> {
    let split = Split::stratified(dataset, split)?;
    let model = Fitted::train(dataset, &split.indices(dataset, SplitRole::Train)?, options, device)?;
    let test = split.indices(dataset, SplitRole::Test)?;
    let probabilities = model.predict(&answers(dataset, &test)?)?;
    let targets: Vec<usize> = dataset.classes(&test)?.into_iter().map(ClassIndex::get).collect();
    let groups: Vec<&str> = test.iter().map(|&index| dataset.records()[index].group()).collect();
    let resamples = Resamples::groups(&groups, REPLICATES, options.seed)?;
    let metrics = [
        ("balanced accuracy", Metric::BalancedAccuracy { classes: ClassSet::Present }),
        ("accuracy", Metric::Accuracy),
    ];
    let estimates =
        bootstrap(&probabilities, &targets, &metrics.map(|(_, metric)| metric), &resamples, ALPHA)?;
    let metrics = metrics
        .iter()
        .zip(estimates)
        .map(|((name, _), one)| ((*name).to_owned(), one.estimate, one.interval))
        .collect();
    let lesions = groups.iter().collect::<std::collections::BTreeSet<_>>().len();
    let (split_hash, leak_report) = (split.hash(), model.leak_report);
    Ok(SplitStudy { split_hash, test: [test.len(), lesions], metrics, leak_report })
}

impl fmt::Display for SplitStudy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { split_hash, test: [records, lesions], metrics, leak_report } = self;
        writeln!(f, "split {split_hash}\ntest: {records} records of {lesions} lesions")?;
        for (name, value, interval) in metrics {
            let value = value.map_or("undefined".to_owned(), |value| format!("{value:.3}"));
            let interval =
                interval.as_ref().map_or(String::new(), |i| format!(" [{:.3}, {:.3}]", i.low, i.high));
            writeln!(f, "{name}: {value}{interval}")?;
        }
        write!(f, "\n{leak_report}")
    }
}

/// Which table is studied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[clap(rename_all = "snake_case")]
pub enum Table {
    /// UCI dermatology: five folds.
    UciDermatology,
    /// The answers of HAM10000: the four-role split of `configs/ham10000_resnet18.yaml`.
    Ham10000,
}

/// Reads the table under a folder and studies it; gives the text to print.
///
/// # Errors
/// Where the table cannot be read, otherwise as [`study_table`] and [`study_split`].
pub fn run(table: Table, root: &Path, options: &Options, device: &Device) -> Result<String, Error> {
    let policy = derm_data::ReadPolicy::TABLE_ONLY;
    match table {
        Table::UciDermatology => {
            let dataset = derm_data::readers::uci_dermatology::read(root, policy)?;
            Ok(study_table(&dataset, &["clinical", "histopathological"], options, device)?.to_string())
        }
        Table::Ham10000 => {
            let dataset = derm_data::readers::ham10000::read(root, policy)?;
            let options = Options { balanced: true, ..options.clone() };
            // That of `configs/ham10000_resnet18.yaml`, so that the numbers stand beside an image run's.
            let fractions = SplitFractions { train: 0.65, validation: 0.075, calibration: 0.075, test: 0.20 };
            let split = SplitConfig { fractions, ..SplitConfig::default() };
            Ok(study_split(&dataset, &split, &options, device)?.to_string())
        }
    }
}
