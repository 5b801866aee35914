//! A run's network with weights in fewer bits: what it saves and what it costs.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use derm_backbones::weights::from_safetensors;
use derm_backbones::{AnyBackbone, Classifier, ClassifierConfig};
use derm_core::{FileError, Predictions, Probabilities, Role, SplitRole, atomic};
use derm_data::Answers;
use derm_predict::{Bundle, BundleConfig, Predictor, Request, WeightFormat};
use derm_train::{Assessment, Error, Prepared, Progress, Recipe, predict_view};
use ndarray::Array2;
use serde::Serialize;

use crate::ensemble::measures;

/// What is made and how it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How the weights are stored.
    pub format: WeightFormat,
    /// Whether computing in half precision is measured too.
    pub half: bool,
}

/// One way to keep or to compute a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// How the weights are stored.
    pub weights: WeightFormat,
    /// What the network computes in, `F32` or `F16`.
    pub precision: String,
    /// Bytes of `model.safetensors`.
    pub bytes: u64,
    /// Median seconds from decoded pixels to scores over the test rows, one image at a time.
    pub median_latency: f64,
    /// Accuracy on the test split, uncalibrated.
    pub accuracy: f64,
    /// Balanced accuracy on the test split, over the classes that have rows.
    pub balanced_accuracy: f64,
    /// Mean negative log-likelihood on the test split, uncalibrated, in nats.
    pub nll: f64,
    /// Share of the test rows with the class that f32 predicts.
    pub agreement: f64,
}

/// The comparison with f32.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// f32 first.
    pub rows: Vec<Row>,
    /// Rows of the test split.
    pub test_rows: usize,
}

impl Table {
    /// Writes the table as JSON.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        atomic::write_file(path, |file| {
            serde_json::to_writer_pretty(&mut *file, self).map_err(io::Error::from)?;
            file.write_all(b"\n")
        })
    }
}

/// A finished run that is looked at again.
struct Study<'a> {
    recipe: Recipe,
    prepared: Prepared,
    config: BundleConfig<ClassifierConfig>,
    device: &'a Device,
}

/// Writes the network of the run in `folder` with smaller weights to the bundle `output`, calibrated and measured anew
/// with those weights, and compares it with f32.
///
/// # Errors
/// Where the folder is not a finished run of one of the workspace's own networks, its data are not there, or `output`
/// exists.
pub fn run(
    folder: &Path,
    overrides: &[String],
    output: &Path,
    options: &Options,
    device: &Device,
) -> Result<Table, Error> {
    let device = &device.clone().without_autodiff();
    let mut recipe = Recipe::read(folder.join("config.yaml"), overrides)?;
    // The very records that the run tested on.
    recipe.dataset.split_path = Some(folder.join("split.json"));
    recipe.dataset.published_split = None;
    let source = folder.join("bundle");
    let before = Predictor::load(&source, device)?;
    let path = source.join("config.json");
    let text = fs::read_to_string(&path).map_err(FileError::at(&path, "read"))?;
    let config: BundleConfig<ClassifierConfig> =
        serde_json::from_str(&text).map_err(|error| FileError::new(&path, "read", io::Error::from(error)))?;
    let prepared = Prepared::new(&recipe, Progress::Terminal)?;
    let study = Study { recipe, prepared, config, device };

    let bytes = fs::read(source.join("model.safetensors"))
        .map_err(FileError::at(source.join("model.safetensors"), "read"))?;
    let whole = study.config.weights.restore(&bytes)?;
    let small = options.format.restore(&options.format.store(whole.clone(), device)?)?;
    let network = study.network(&small)?;
    let assessment = study.assess(&network)?;
    let config = BundleConfig { weights: options.format, ..study.config.clone() };
    let metrics = serde_json::to_value(&assessment)
        .map_err(|error| FileError::new(output, "write", io::Error::from(error)))?;
    let card = source.join("MODEL_CARD.md");
    let card = fs::read_to_string(&card).map_err(FileError::at(&card, "read"))?;
    let note = format!(
        "\n## Weights\n\nStored as {}; calibrated and measured anew with those weights. The numbers above are of f32; on \
         the test split now:\n\n```text\n{assessment}\n```\n",
        options.format.name()
    );
    let bundle = Bundle {
        model: &network,
        config,
        labels: before.labels(),
        schema: before.schema(),
        tokenizer: before.tokenizer(),
        // Further tasks keep the calibrators that were fitted in f32.
        tasks: before.tasks(),
        calibration: &assessment.calibration,
        metrics,
        model_card: card + &note,
        provenance: before.manifest().provenance.clone(),
    };
    bundle.write(output)?;

    let after = Predictor::load(output, device)?;
    let plain = study.measure(&before)?;
    let mut rows = vec![plain.row(study.config.weights, &before, &plain)?];
    rows.push(study.measure(&after)?.row(options.format, &after, &plain)?);
    if options.half {
        let half = after.in_half_precision();
        rows.push(study.measure(&half)?.row(options.format, &half, &plain)?);
    }
    Ok(Table { rows, test_rows: plain.targets.len() })
}

/// What a predictor gave for the test rows.
struct Measured {
    probabilities: Probabilities,
    targets: Vec<usize>,
    /// Seconds for each.
    latencies: Vec<f64>,
}

impl Measured {
    fn row(&self, weights: WeightFormat, predictor: &Predictor, plain: &Self) -> Result<Row, Error> {
        let [accuracy, balanced_accuracy, nll] = measures(&self.probabilities, &self.targets)?;
        let (ours, theirs) = (self.probabilities.predicted(), plain.probabilities.predicted());
        let agreeing = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours == theirs).count();
        let mut latencies = self.latencies.clone();
        latencies.sort_by(f64::total_cmp);
        Ok(Row {
            weights,
            precision: format!("{:?}", predictor.precision()),
            bytes: predictor.manifest().files.get("model.safetensors").map_or(0, |file| file.size),
            median_latency: latencies.get(latencies.len() / 2).copied().unwrap_or_default(),
            accuracy,
            balanced_accuracy,
            nll,
            agreement: agreeing as f64 / ours.len() as f64,
        })
    }
}

impl Study<'_> {
    /// The network with the weights of a file, as it predicts.
    fn network(&self, weights: &[u8]) -> Result<Classifier<AnyBackbone>, Error> {
        let model = self.config.model.init_undrawn(self.device)?;
        Ok(from_safetensors(model, weights)?.0.valid())
    }

    fn predictions<R: Role>(&self, model: &Classifier<AnyBackbone>) -> Result<Predictions<R>, Error> {
        let Prepared { dataset, split, .. } = &self.prepared;
        predict_view(model, dataset, split, &self.prepared.loader(R::ROLE)?, &self.config.view, self.device)
    }

    fn assess(&self, model: &Classifier<AnyBackbone>) -> Result<Assessment, Error> {
        let Recipe { abstention, conformal, evaluation, seed, .. } = &self.recipe;
        Assessment::new(
            &self.predictions(model)?,
            &self.predictions(model)?,
            &self.predictions(model)?,
            abstention,
            conformal,
            evaluation,
            *seed,
        )
    }

    /// What the predictor itself says of the test rows, one by one.
    fn measure(&self, predictor: &Predictor) -> Result<Measured, Error> {
        let Prepared { dataset, split, .. } = &self.prepared;
        let none = Answers::new();
        let (mut values, mut targets, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
        for index in split.indices(dataset, SplitRole::Test)? {
            let (record, pixels) = (dataset.record(index)?, self.prepared.pixels().get(index)?);
            let answers = if predictor.schema().is_some() { &record.answers } else { &none };
            let text = record.text.as_deref().filter(|_| predictor.tokenizer().is_some());
            let request = Request { text, ..Request::pixels(&pixels, answers) };
            let clock = Instant::now();
            let logits = predictor.logits_of(&request)?;
            latencies.push(clock.elapsed().as_secs_f64());
            values.extend(logits.softmax().row(0).iter().copied());
            targets.push(record.class.get());
        }
        let shape = (targets.len(), predictor.labels().num_classes());
        let values = Array2::from_shape_vec(shape, values).unwrap_or_default();
        Ok(Measured { probabilities: Probabilities::new(values)?, targets, latencies })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "test split: {} images, one at a time", self.test_rows)?;
        write!(
            f,
            "{:<9}{:<10}{:>12}{:>8}{:>13}{:>11}{:>11}{:>9}{:>11}",
            "weights", "computed", "bytes", "share", "latency/ms", "accuracy", "balanced", "NLL", "as f32"
        )?;
        let whole = self.rows.first().map_or(1.0, |row| row.bytes as f64);
        for row in &self.rows {
            write!(
                f,
                "\n{:<9}{:<10}{:>12}{:>8.3}{:>13.3}{:>11.4}{:>11.4}{:>9.4}{:>11.4}",
                row.weights.name(),
                row.precision.to_lowercase(),
                row.bytes,
                row.bytes as f64 / whole,
                1000.0 * row.median_latency,
                row.accuracy,
                row.balanced_accuracy,
                row.nll,
                row.agreement,
            )?;
        }
        Ok(())
    }
}
