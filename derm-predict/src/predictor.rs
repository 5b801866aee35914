use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use derm_backbones::weights::{self, LoadOptions};
use derm_backbones::{AnyBackbone, Classifier, ClassifierConfig, PublishedKeys};
use derm_calibration::{CalibrationRecord, Tier};
use derm_core::{Backbone, FileError, LabelMap, Logits, Normalization, Taps, View};
use derm_data::{
    Answers, FeatureSchema, Normalizer, Orientation, Resize, RgbPixels, decode_bytes, decode_file,
};
use ndarray::Array2;
use serde::de::DeserializeOwned;

use crate::bundle::{CALIBRATION, CONFIG, FEATURE_SCHEMA, WEIGHTS, labels_file, no_labels_file};
use crate::manifest::{Manifest, parse};
use crate::{BundleConfig, ClassProbability, Decision, Error};

/// A bundle that was verified and loaded: takes an image and answers, gives calibrated probabilities and a
/// decision.
///
/// It holds no state between calls and may be shared between threads.
#[derive(Debug)]
pub struct Predictor<B: Backbone = AnyBackbone> {
    model: Classifier<B>,
    labels: LabelMap,
    schema: Option<FeatureSchema>,
    resize: Resize,
    normalizer: Normalizer,
    normalization: Normalization,
    calibration: CalibrationRecord,
    manifest: Manifest,
    device: Device,
}

impl Predictor<AnyBackbone> {
    /// Loads a bundle of one of this workspace's own networks onto `device`.
    ///
    /// # Errors
    /// [`Error`]: a file is missing, changed, of an unknown version or disagrees with another.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Self::load_with(folder, device, |config: &ClassifierConfig, device| Ok(config.init_undrawn(device)?))
    }
}

impl<B: Backbone + PublishedKeys> Predictor<B> {
    /// Loads a bundle of any network: `build` makes it from its description in `config.json`; the weights come
    /// from the bundle.
    ///
    /// # Errors
    /// As [`Predictor::load`], and what `build` gives.
    pub fn load_with<M: DeserializeOwned>(
        folder: impl AsRef<Path>,
        device: &Device,
        build: impl FnOnce(&M, &Device) -> Result<Classifier<B>, Error>,
    ) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let manifest = Manifest::verify(folder)?;
        let config: BundleConfig<M> = read_json(&folder.join(CONFIG))?;
        let labels_file = labels_file(&config.task).filter(|name| manifest.files.contains_key(name));
        let Some(labels_file) = labels_file else {
            return Err(no_labels_file(folder.join(CONFIG), &config.task));
        };
        let path = folder.join(labels_file);
        let labels = LabelMap::read(&path).map_err(|source| Error::Labels { path: path.clone(), source })?;
        let schema = folder.join(FEATURE_SCHEMA);
        let schema = schema.is_file().then(|| FeatureSchema::read(schema)).transpose()?;
        let calibration: CalibrationRecord = read_json(&folder.join(CALIBRATION))?;

        let device = device.clone().without_autodiff();
        let model = build(&config.model, &device)?;
        let (model, _) = weights::load(model, folder.join(WEIGHTS), &LoadOptions::default())?;
        let model = model.fold_batch_norm();
        let mismatch = |path: &Path, reason: String| Err(Error::Mismatch { path: path.to_owned(), reason });
        if labels.num_classes() != model.num_classes() {
            let (got, expected) = (labels.num_classes(), model.num_classes());
            return mismatch(&path, format!("{got} classes: expected {expected}, one a logit"));
        }
        let width = schema.as_ref().map(FeatureSchema::width);
        if width != model.num_answers() {
            let reason = format!("encodes {width:?} answers: the network reads {:?}", model.num_answers());
            return mismatch(&folder.join(FEATURE_SCHEMA), reason);
        }
        let fitted: Vec<&str> =
            calibration.abstain.expected.classes.iter().map(|class| class.label.as_str()).collect();
        if fitted != labels.names() {
            let reason = format!("fitted on the classes {fitted:?}: expected {:?}", labels.names());
            return mismatch(&folder.join(CALIBRATION), reason);
        }
        let (split, expected) = (&calibration.abstain.fitted_on.split_hash, &manifest.provenance.split_hash);
        if split != expected {
            let reason = format!("fitted on the split {split}: the model's is {expected}");
            return mismatch(&folder.join(CALIBRATION), reason);
        }
        if let Some(fitted_on) = calibration.calibrator.view()
            && *fitted_on != config.view
        {
            let reason =
                format!("the calibrator was fitted on the view `{fitted_on}`: expected `{}`", config.view);
            return mismatch(&folder.join(CALIBRATION), reason);
        }
        if config.view != View::Identity {
            let reason = format!("view `{}`: this program serves the view `identity`", config.view);
            return mismatch(&folder.join(CONFIG), reason);
        }
        Ok(Self {
            model: model.valid(),
            labels,
            schema,
            resize: config.resize,
            normalizer: Normalizer::new(config.normalization)?,
            normalization: config.normalization,
            calibration,
            manifest,
            device,
        })
    }

    /// Decides on an image file.
    ///
    /// # Errors
    /// [`Error::Data`] where the file is no readable image or an answer is not one that the questionnaire knows,
    /// [`Error::UnexpectedAnswers`] where the model reads none.
    pub fn predict_file(&self, image: impl AsRef<Path>, answers: &Answers) -> Result<Decision, Error> {
        self.predict(&decode_file(image)?, answers)
    }

    /// Decides on the bytes of an image file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn predict_bytes(&self, bytes: &[u8], name: &str, answers: &Answers) -> Result<Decision, Error> {
        self.predict(&decode_bytes(bytes, name)?, answers)
    }

    /// Decides on pixels.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn predict(&self, pixels: &RgbPixels, answers: &Answers) -> Result<Decision, Error> {
        let logits = self.logits(pixels, answers)?;
        let (probabilities, tiers) = self.calibration.decide(&logits)?;
        let ranking = probabilities.ranking(0).into_iter().map(|class| ClassProbability {
            label: self.labels.names()[class].clone(),
            probability: probabilities.view()[[0, class]],
        });
        let tier = tiers.first().copied().unwrap_or(Tier::Refer);
        Ok(Decision { tier, ranking: ranking.collect(), missing_answers: self.missing(answers) })
    }

    /// The network's uncalibrated scores for pixels, shape [1, C].
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn logits(&self, pixels: &RgbPixels, answers: &Answers) -> Result<Logits, Error> {
        let answers = match &self.schema {
            Some(schema) => {
                let row = schema.encode(answers)?;
                let shape = [1, row.len()];
                Some(Tensor::from_data(TensorData::new(row, shape), &self.device))
            }
            None if answers.is_empty() => None,
            None => return Err(Error::UnexpectedAnswers { given: answers.keys().cloned().collect() }),
        };
        let size = self.resize.size();
        let mut planes = vec![0.0; 3 * size * size];
        self.normalizer.write_planes(&self.resize.apply(pixels)?, Orientation::UPRIGHT, &mut planes);
        let image = Tensor::from_data(TensorData::new(planes, [1, 3, size, size]), &self.device);
        let logits = self.model.forward(image, answers, &Taps::none()).logits;
        let values: Vec<f64> = logits.into_data().iter::<f64>().collect();
        let values = Array2::from_shape_vec((1, self.labels.num_classes()), values);
        Ok(Logits::new(values.unwrap_or_default())?)
    }

    /// The classes.
    pub fn labels(&self) -> &LabelMap {
        &self.labels
    }

    /// The questionnaire, where the model reads one.
    pub fn schema(&self) -> Option<&FeatureSchema> {
        self.schema.as_ref()
    }

    /// The network in its inference form: batch norms are folded, so it neither trains nor saves. The trained form is
    /// what [`weights::load`] reads from the bundle's `model.safetensors`.
    pub fn model(&self) -> &Classifier<B> {
        &self.model
    }

    /// How an image is brought to the network.
    pub fn resize(&self) -> Resize {
        self.resize
    }

    /// Standardisation of the pixels.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// Calibrator and abstain policy.
    pub fn calibration(&self) -> &CalibrationRecord {
        &self.calibration
    }

    /// Where the bundle comes from, and its files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn missing(&self, answers: &Answers) -> Vec<String> {
        let missing = self.schema.as_ref().map(|schema| schema.missing(answers)).unwrap_or_default();
        missing.into_iter().map(str::to_owned).collect()
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
    parse(&text, path)
}
