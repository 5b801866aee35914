use std::fs;
use std::path::Path;

use burn::tensor::{Device, FloatDType};
use derm_backbones::weights::{self, LoadOptions};
use derm_backbones::{AnyBackbone, Bert, Classifier, ClassifierConfig, PublishedKeys, TextTokenizer};
use derm_calibration::CalibrationRecord;
use derm_core::{Backbone, FileError, LabelMap, Logits, Normalization, View};
use derm_data::{Answers, FeatureSchema, Normalizer, Resize, RgbPixels, TestView};
use serde::de::DeserializeOwned;

use crate::bundle::{CALIBRATION, CONFIG, FEATURE_SCHEMA, TOKENIZER, WEIGHTS, labels_file, no_labels_file};
use crate::judge::{Judge, Missing};
use crate::manifest::{Manifest, parse};
use crate::network::{Input, Network, Scores, for_inference};
use crate::request::Beside;
use crate::{BundleConfig, BundleTask, Decision, Error, ImageLimits, Request, Serve, WeightFormat, task};

/// Most images that go through the network at once.
pub(crate) const BATCH: usize = 32;

/// A bundle that was verified and loaded: takes an image, answers and, where the model reads one, a text, gives calibrated probabilities and a
/// decision.
///
/// It holds no state between calls and may be shared between threads.
#[derive(Debug)]
pub struct Predictor<B: Backbone = AnyBackbone> {
    network: Network<B>,
    judge: Judge,
    task: String,
    view: View,
    limits: ImageLimits,
    manifest: Manifest,
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
        let (model, _) = match config.weights {
            WeightFormat::F32 => weights::load(model, folder.join(WEIGHTS), &LoadOptions::default())?,
            stored => weights::from_safetensors(model, &stored.read(&folder.join(WEIGHTS))?)?,
        };
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
        let path = folder.join(TOKENIZER);
        let tokenizer = path.is_file().then(|| TextTokenizer::from_saved(&path)).transpose()?;
        match (&tokenizer, model.text().map(Bert::config)) {
            (None, None) => {}
            (None, Some(_)) => return mismatch(&path, "is not there: the network reads text".to_owned()),
            (Some(_), None) => return mismatch(&path, "is there: the network reads no text".to_owned()),
            (Some(tokenizer), Some(encoder)) => {
                let (ids, words) = (tokenizer.vocabulary(), encoder.vocabulary);
                let (length, positions) = (tokenizer.max_length(), encoder.positions);
                if ids > words || length > positions {
                    let reason = format!(
                        "has {ids} tokens and texts of {length}: the network has {words} and takes {positions}"
                    );
                    return mismatch(&path, reason);
                }
            }
        }
        let split = &manifest.provenance.split_hash;
        let tasks = task::read(folder, &model, split, &config.view)?;
        let judge = Judge::new(labels, calibration, split, &config.view, folder)?.with_tasks(tasks);
        let views = TestView::of(&config.view);
        if views.is_empty() {
            let reason =
                format!("view `{}`: expected identity, horizontal_flip, vertical_flip or flips", config.view);
            return mismatch(&folder.join(CONFIG), reason);
        }
        let network = Network {
            model: for_inference(model),
            schema,
            tokenizer,
            resize: config.resize,
            normalizer: Normalizer::new(config.normalization)?,
            normalization: config.normalization,
            views,
            device,
            precision: FloatDType::F32,
        };
        let (task, view, limits) = (config.task, config.view, ImageLimits::default());
        Ok(Self { network, judge, task, view, limits, manifest })
    }

    /// The same network computing in half precision (f16) where the device does arithmetic in it, else as it is;
    /// [`Predictor::precision`] tells which. Norms that are not folded stay in f32. It is meant for GPUs: Burn's CPU
    /// backend computes in f16 too, without a promise of speed. A score that overflows is [`Error::Logits`], never a
    /// decision.
    ///
    /// The calibration was fitted on scores in single precision, so measure before serving: the example `quantize`
    /// does with `--half`.
    #[must_use]
    pub fn in_half_precision(self) -> Self {
        Self { network: self.network.in_half_precision(), ..self }
    }

    /// What the network computes in.
    pub fn precision(&self) -> FloatDType {
        self.network.precision
    }

    /// The same with other limits of what an image may be.
    #[must_use]
    pub fn with_limits(self, limits: ImageLimits) -> Self {
        Self { limits, ..self }
    }

    /// Decides on an image file.
    ///
    /// # Errors
    /// [`Error::ImageTooLarge`] where the file is over the limits, [`Error::File`] and [`Error::Data`] where it is no
    /// readable image, [`Error::Data`] where an answer is not one that the questionnaire knows,
    /// [`Error::UnexpectedAnswers`] where the model reads none, [`Error::Logits`] where the scores are not finite.
    pub fn predict_file(&self, image: impl AsRef<Path>, answers: &Answers) -> Result<Decision, Error> {
        self.decide(&Request::file(image.as_ref(), answers))
    }

    /// Decides on the bytes of an image file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn predict_bytes(&self, bytes: &[u8], name: &str, answers: &Answers) -> Result<Decision, Error> {
        self.decide(&Request::bytes(bytes, name, answers))
    }

    /// Decides on pixels.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn predict(&self, pixels: &RgbPixels, answers: &Answers) -> Result<Decision, Error> {
        self.decide(&Request::pixels(pixels, answers))
    }

    /// Decides on one request.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`], and [`Error::UnexpectedText`] for a text where the model reads none.
    pub fn decide(&self, request: &Request<'_>) -> Result<Decision, Error> {
        let pixels = self.limits.pixels(request.picture)?;
        let scores = self.scores(&[(&*pixels, request.beside())]).pop().unwrap_or_else(nothing)?;
        self.judge.decide(&scores, request, self.network.missing(request.beside()))
    }

    /// The uncalibrated scores of pixels for the diagnosis, shape [1, C]: the network's logits; with the view `flips` the
    /// logarithms of the mean probabilities. A model that reads a text is given none.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn logits(&self, pixels: &RgbPixels, answers: &Answers) -> Result<Logits, Error> {
        self.logits_beside(pixels, Beside { answers, text: None })
    }

    /// The uncalibrated scores of a request, as [`Predictor::logits`], with its text.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`], and [`Error::UnexpectedText`].
    pub fn logits_of(&self, request: &Request<'_>) -> Result<Logits, Error> {
        self.logits_beside(&*self.limits.pixels(request.picture)?, request.beside())
    }

    fn logits_beside(&self, pixels: &RgbPixels, beside: Beside<'_>) -> Result<Logits, Error> {
        let input = self.network.input(pixels, beside)?;
        Ok(self.network.scores(&[input]).pop().unwrap_or_else(nothing)?.diagnosis)
    }

    /// The uncalibrated scores of each picture and what stands beside it, several at once.
    pub(crate) fn scores(&self, items: &[(&RgbPixels, Beside<'_>)]) -> Vec<Result<Scores, Error>> {
        let mut inputs: Vec<Input> = Vec::with_capacity(items.len());
        let prepared: Vec<Result<(), Error>> = items
            .iter()
            .map(|(pixels, beside)| self.network.input(pixels, *beside).map(|input| inputs.push(input)))
            .collect();
        let mut scores = self.network.scores(&inputs).into_iter();
        let next = |ready: Result<(), Error>| ready.and_then(|()| scores.next().unwrap_or_else(nothing));
        prepared.into_iter().map(next).collect()
    }

    /// The questionnaire, where the model reads one.
    pub fn schema(&self) -> Option<&FeatureSchema> {
        self.network.schema.as_ref()
    }

    /// The tokenizer, where the model reads texts.
    pub fn tokenizer(&self) -> Option<&TextTokenizer> {
        self.network.tokenizer.as_ref()
    }

    /// The classes.
    pub fn labels(&self) -> &LabelMap {
        &self.judge.labels
    }

    /// The tasks beside the diagnosis, in the order of the network's heads.
    pub fn tasks(&self) -> &[BundleTask] {
        &self.judge.tasks
    }

    /// The task's name.
    pub fn task(&self) -> &str {
        &self.task
    }

    /// What the network looks at.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The network in its inference form: batch norms are folded, so it neither trains nor saves. The trained form is
    /// what [`weights::load`] reads from the bundle's `model.safetensors`.
    pub fn model(&self) -> &Classifier<B> {
        &self.network.model
    }

    /// How an image is brought to the network.
    pub fn resize(&self) -> Resize {
        self.network.resize
    }

    /// Standardisation of the pixels.
    pub fn normalization(&self) -> Normalization {
        self.network.normalization
    }

    /// Calibrator, abstain policy and conformal predictor.
    pub fn calibration(&self) -> &CalibrationRecord {
        &self.judge.calibration
    }

    /// Where the bundle comes from, and its files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

impl<B: Backbone + PublishedKeys> Serve for Predictor<B> {
    fn predict_batch(&self, requests: &[Request<'_>]) -> Vec<Result<Decision, Error>> {
        let scores = |items: &[(&RgbPixels, Beside<'_>)]| self.scores(items);
        let missing = |beside: Beside<'_>| self.network.missing(beside);
        in_batches(requests, &self.limits, &self.judge, &scores, &missing)
    }

    fn labels(&self) -> &LabelMap {
        self.labels()
    }

    fn schema(&self) -> Option<&FeatureSchema> {
        self.schema()
    }
}

/// A network that gave no score for an input.
pub(crate) fn nothing() -> Result<Scores, Error> {
    Err(Error::Logits(derm_core::ValueError::Empty { argument: "logits" }))
}

/// Uncalibrated scores of pictures and what stands beside them.
pub(crate) type Scorer<'a> = dyn Fn(&[(&RgbPixels, Beside<'_>)]) -> Vec<Result<Scores, Error>> + 'a;

/// Decides on requests, [`BATCH`] at a time; each has its own error.
pub(crate) fn in_batches(
    requests: &[Request<'_>],
    limits: &ImageLimits,
    judge: &Judge,
    scorer: &Scorer<'_>,
    missing: &dyn Fn(Beside<'_>) -> Missing,
) -> Vec<Result<Decision, Error>> {
    let mut decisions = Vec::with_capacity(requests.len());
    for requests in requests.chunks(BATCH) {
        let pictures: Vec<_> = requests.iter().map(|request| limits.pixels(request.picture)).collect();
        let readable = requests.iter().zip(&pictures);
        let items: Vec<(&RgbPixels, Beside<'_>)> = readable
            .filter_map(|(request, picture)| {
                picture.as_ref().ok().map(|pixels| (&**pixels, request.beside()))
            })
            .collect();
        let mut scores = scorer(&items).into_iter();
        for (request, picture) in requests.iter().zip(pictures) {
            let scores = picture.and_then(|_| scores.next().unwrap_or_else(nothing));
            decisions
                .push(scores.and_then(|scores| judge.decide(&scores, request, missing(request.beside()))));
        }
    }
    decisions
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
    parse(&text, path)
}
