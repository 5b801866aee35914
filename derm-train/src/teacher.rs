//! The teacher of a distillation: found, checked, and asked about a student's batches.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use derm_backbones::{AnyBackbone, Classifier, ClassifierInput, TaskConfig, Tokens};
use derm_core::{Backbone, FileError, LabelMap, Normalization, SplitRole, Taps, sha256_file, sha256_hex};
use derm_data::{Batch, BatchTokens, FeatureSchema, Orientation, Resize, ResizeRule, TokenRows};
use derm_distill::{CacheKey, NetworkOutput, NormalizationMap, TeacherCache};
use derm_predict::Predictor;
use ndarray::Array3;

use crate::architecture::{Architecture, Named};
use crate::best_checkpoints::BestCheckpoints;
use crate::checkpoint::Checkpoints;
use crate::run_folder::{CONFIG, LABELS, SCHEMA, task_labels};
use crate::texts::{Tokenizer, tokens_of};
use crate::{Error, Prepared, Progress, Recipe};

/// A network that others learn from, with what it needs to know of its input.
#[derive(Debug)]
pub(crate) struct LoadedTeacher {
    /// In inference form.
    pub model: Classifier<AnyBackbone>,
    labels: LabelMap,
    schema: Option<FeatureSchema>,
    /// Its own tokenizer, with a digest of it, where it reads texts.
    tokenizer: Option<Tokenizer>,
    resize: Resize,
    normalization: Normalization,
    /// SHA-256 of its weights' file.
    pub weights: String,
}

impl LoadedTeacher {
    /// The teacher that `path` names: a bundle, a run folder (its bundle, or its latest checkpoint where the run is not
    /// done), or a checkpoint or best epoch in a run folder. Of a checkpoint the weights themselves are taken, not their
    /// moving average.
    pub(crate) fn load(path: &Path, device: &Device) -> Result<Self, Error> {
        if path.join("bundle").join(MANIFEST).is_file() {
            return Self::of_bundle(&path.join("bundle"), device);
        }
        if path.join(CONFIG).is_file() {
            let checkpoints = Checkpoints::new(path.join("checkpoints"));
            let reason = "is a run folder without a bundle and without a checkpoint".to_owned();
            let none = || Error::Teacher { path: path.to_owned(), reason };
            return Self::of_checkpoint(&checkpoints.latest()?.ok_or_else(none)?, path, device);
        }
        let run = path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        if BestCheckpoints::check(path)? {
            return Self::of_checkpoint(path, run, device);
        }
        if path.join(crate::checkpoint::DIGESTS).is_file() {
            Checkpoints::check(path)?;
            return Self::of_checkpoint(path, run, device);
        }
        if path.is_dir() && !path.join(MANIFEST).is_file() {
            let reason = "is no bundle, no run folder and no checkpoint".to_owned();
            return Err(Error::Teacher { path: path.to_owned(), reason });
        }
        Self::of_bundle(path, device)
    }

    fn of_bundle(folder: &Path, device: &Device) -> Result<Self, Error> {
        let bundle = Predictor::load(folder, device)?;
        let weights = bundle.manifest().files.get("model.safetensors");
        Ok(Self {
            tokenizer: Tokenizer::of_bundle(&bundle),
            labels: bundle.labels().clone(),
            schema: bundle.schema().cloned(),
            resize: bundle.resize(),
            normalization: bundle.normalization(),
            weights: weights.map(|file| file.sha256.clone()).unwrap_or_default(),
            model: bundle.model().clone(),
        })
    }

    /// A checkpoint holds weights alone; the rest is in the run folder.
    fn of_checkpoint(checkpoint: &Path, run: &Path, device: &Device) -> Result<Self, Error> {
        let config = run.join(CONFIG);
        let text = fs::read_to_string(&config).map_err(FileError::at(&config, "read"))?;
        let recipe = Recipe::parse(&text, &config.display().to_string(), &[])?;
        let path = run.join(LABELS);
        let labels = LabelMap::read(&path).map_err(|source| Error::Teacher {
            path,
            reason: format!("does not name the classes of the checkpoint: {source}"),
        })?;
        let schema = recipe.model.use_answers.then(|| FeatureSchema::read(run.join(SCHEMA))).transpose()?;
        let tokenizer = recipe.model.text.as_ref().map(|_| Tokenizer::of_run(run)).transpose()?;
        let mut tasks = Vec::new();
        for name in recipe.tasks.keys() {
            let path = run.join(task_labels(name));
            let of_task = LabelMap::read(&path).map_err(|source| Error::Teacher {
                path: path.clone(),
                reason: format!("does not name the classes of the task `{name}`: {source}"),
            })?;
            tasks.push(TaskConfig { name: name.clone(), num_classes: of_task.num_classes() });
        }
        let head = recipe.model.head(labels.num_classes(), schema.as_ref(), tasks);
        let config = Named::config(&recipe.model, head);
        let model = config.init_undrawn(device)?;
        let model = Checkpoints::model(checkpoint, model)?;
        Ok(Self {
            model: model.valid().fold_batch_norm(),
            labels,
            schema,
            tokenizer,
            resize: Resize::new(recipe.model.image_size, ResizeRule::Squash, recipe.model.interpolation)?,
            normalization: recipe.model.image_norm.normalization(),
            weights: sha256_file(checkpoint.join(crate::checkpoint::MODEL))?.0,
        })
    }

    /// Checks that a batch made for the student means the same to the teacher, up to what [`Teacher`] adapts.
    pub(crate) fn check(&self, prepared: &Prepared) -> Result<(), Error> {
        let (of_teacher, of_student) = (self.labels.names(), prepared.dataset.labels().names());
        if of_teacher != of_student {
            return Err(Error::TeacherLabels { teacher: of_teacher.to_vec(), student: of_student.to_vec() });
        }
        let differs =
            |what, teacher: String, student: String| Err(Error::TeacherInput { what, teacher, student });
        if self.resize != prepared.resize {
            let (teacher, student) = (format!("{:?}", self.resize), format!("{:?}", prepared.resize));
            return differs("image size, crop or interpolation", teacher, student);
        }
        let told = || prepared.dataset.records().iter().any(|record| record.text.is_some());
        if self.tokenizer.is_some() && !told() {
            return differs("text", "reads one".to_owned(), "no record has one".to_owned());
        }
        match &self.schema {
            Some(schema) if schema != prepared.dataset.schema() => {
                let columns = |schema: &FeatureSchema| schema.column_names().join(", ");
                differs("questionnaire or its scaling", columns(schema), columns(prepared.dataset.schema()))
            }
            _ => Ok(()),
        }
    }

    /// The teacher as the student's batches need it.
    pub(crate) fn for_student(
        &self,
        prepared: &Prepared,
        device: &Device,
    ) -> Result<Teacher<'_, AnyBackbone>, Error> {
        let answers = match &self.schema {
            None => TeacherAnswers::None,
            Some(_) if prepared.answers_width().is_some() => TeacherAnswers::OfBatch,
            Some(schema) => {
                let records = prepared.dataset.records();
                let mut rows = Vec::with_capacity(records.len() * schema.width());
                for record in records {
                    rows.extend(schema.encode(&record.answers)?);
                }
                let data = TensorData::new(rows, [records.len(), schema.width()]);
                TeacherAnswers::Own(Box::new(Tensor::from_data(data, device)))
            }
        };
        let texts = match &self.tokenizer {
            None => TeacherTexts::None,
            Some(read) => TeacherTexts::Own(Box::new(read.rows(&prepared.dataset)?)),
        };
        let normalization = NormalizationMap::new(prepared.normalization, self.normalization);
        Ok(Teacher { model: &self.model, normalization, answers, texts, known: None })
    }

    /// What the logits of this teacher on the training rows depend on.
    fn cache_key(
        &self,
        recipe: &Recipe,
        prepared: &Prepared,
        rows: &[usize],
        orientations: &[Orientation],
    ) -> Result<CacheKey, Error> {
        let mut records = String::new();
        for &row in rows {
            let record = prepared.dataset.record(row)?;
            let answers = self.schema.as_ref().map(|_| &record.answers);
            let pixels = sha256_hex(prepared.pixels().get(row)?.as_bytes());
            let line = match self.tokenizer {
                None => serde_json::json!([record.id, pixels, answers]),
                Some(_) => serde_json::json!([record.id, pixels, answers, record.text]),
            };
            records += &line.to_string();
        }
        let mut preparation =
            format!("{:?}, {:?}, {:?}", self.resize, prepared.normalization, self.normalization);
        if let Some(tokenizer) = &self.tokenizer {
            // All texts are padded to the longest of the dataset.
            let longest = tokenizer.rows(&prepared.dataset)?.longest();
            preparation = format!("{preparation}, tokenizer {} to {longest} tokens", tokenizer.sha256);
        }
        Ok(CacheKey {
            weights: self.weights.clone(),
            records: sha256_hex(records.as_bytes()),
            preparation,
            views: orientations.iter().map(|orientation| format!("{orientation:?}")).collect(),
            batch_size: recipe.training.batch_size,
        })
    }

    /// The teacher's logits on every training row in every way in which augmentation may lay it: from the cache below
    /// `folder`, or computed and written there.
    pub(crate) fn known_logits(
        &self,
        folder: &Path,
        recipe: &Recipe,
        prepared: &Prepared,
        device: &Device,
        progress: Progress,
    ) -> Result<KnownLogits, Error> {
        let rows = prepared.split.indices(&prepared.dataset, SplitRole::Train)?;
        let orientations = recipe.training.augmentation.orientations().unwrap_or_default();
        let key = self.cache_key(recipe, prepared, &rows, &orientations)?;
        let cache = if let Some(cache) = TeacherCache::read(folder, &key)? {
            cache
        } else {
            progress.stage("asking the teacher about every training picture");
            let teacher = self.for_student(prepared, device)?;
            let cache = TeacherCache::new(key, teacher.ask(recipe, prepared, &rows, &orientations, device)?)?;
            cache.write(folder)?;
            cache
        };
        let rows = rows.into_iter().enumerate().map(|(number, row)| (row, number)).collect();
        Ok(KnownLogits { cache, rows, orientations })
    }
}

/// The manifest that a bundle has.
const MANIFEST: &str = "manifest.json";

/// A teacher that is asked about a student's batches: the same pictures, lying the same way.
#[derive(Debug)]
pub struct Teacher<'a, T: Backbone> {
    model: &'a Classifier<T>,
    normalization: NormalizationMap,
    answers: TeacherAnswers,
    texts: TeacherTexts,
    known: Option<KnownLogits>,
}

/// Which texts a teacher reads.
#[derive(Debug)]
enum TeacherTexts {
    /// None.
    None,
    /// Those of the batch, by the student's tokenizer.
    OfBatch,
    /// Those of every record by its own tokenizer, hidden from the student or not. They are padded to one length, so that
    /// what it says of a picture does not depend on the batch.
    Own(Box<TokenRows>),
}

/// Whose answers a teacher reads.
#[derive(Debug)]
enum TeacherAnswers {
    /// None.
    None,
    /// Those that the student reads.
    OfBatch,
    /// Those of every record [N, Q]: the student reads none.
    Own(Box<Tensor<2>>),
}

/// Logits that need no forward pass.
#[derive(Debug)]
pub(crate) struct KnownLogits {
    cache: TeacherCache,
    /// The number in the cache of each record of the dataset.
    rows: BTreeMap<usize, usize>,
    orientations: Vec<Orientation>,
}

impl KnownLogits {
    fn of(&self, batch: &Batch, device: &Device) -> Tensor<2> {
        let rows: Vec<(usize, usize)> = batch
            .indices
            .iter()
            .zip(&batch.orientations)
            .filter_map(|(row, orientation)| {
                let view = self.orientations.iter().position(|known| known == orientation)?;
                Some((view, *self.rows.get(row)?))
            })
            .collect();
        assert_eq!(rows.len(), batch.indices.len(), "a picture that the teacher was not asked about");
        self.cache.logits(&rows, device)
    }
}

impl<'a, T: Backbone> Teacher<'a, T> {
    /// A teacher that reads what the student reads: pixels of the same standardisation and, where it has a
    /// questionnaire or a text encoder, the same answers and tokens. `model` is in inference mode on the device without autodiff.
    pub fn new(model: &'a Classifier<T>) -> Self {
        let answers =
            if model.num_answers().is_some() { TeacherAnswers::OfBatch } else { TeacherAnswers::None };
        let same = NormalizationMap::new(Normalization::HALF, Normalization::HALF);
        let texts = if model.text().is_some() { TeacherTexts::OfBatch } else { TeacherTexts::None };
        Self { model, normalization: same, answers, texts, known: None }
    }

    /// With pixels brought from the student's standardisation to its own.
    #[must_use]
    pub fn with_normalization(self, normalization: NormalizationMap) -> Self {
        Self { normalization, ..self }
    }

    /// With logits that are known already.
    pub(crate) fn with_known_logits(self, known: Option<KnownLogits>) -> Self {
        Self { known, ..self }
    }

    /// What it says of a batch, on the device without autodiff.
    ///
    /// # Panics
    /// Where it reads answers or texts that the batch does not have, and for sizes that its encoder does not take.
    pub fn output(&self, batch: &Batch, taps: &Taps) -> NetworkOutput {
        let images = batch.images.clone().without_autodiff();
        if let Some(known) = &self.known {
            return NetworkOutput { logits: known.of(batch, &images.device()), features: None };
        }
        let answers = match &self.answers {
            TeacherAnswers::None => None,
            TeacherAnswers::OfBatch => batch.answers.clone().map(Tensor::without_autodiff),
            TeacherAnswers::Own(rows) => {
                let indices: Vec<i64> = batch.indices.iter().map(|&row| row as i64).collect();
                let data = TensorData::new(indices, [batch.indices.len()]);
                Some(Tensor::clone(rows).select(0, Tensor::from_data(data, &rows.device())))
            }
        };
        let text = match &self.texts {
            TeacherTexts::None => None,
            TeacherTexts::OfBatch => batch.tokens.clone().map(|tokens| {
                let BatchTokens { ids, padding } = tokens;
                let (ids, padding) = (ids.without_autodiff(), padding.without_autodiff());
                Tokens { ids, padding, types: None }
            }),
            TeacherTexts::Own(rows) => {
                Some(tokens_of(rows.padded(&batch.indices, rows.longest()).to_device(&images.device())))
            }
        };
        let input = ClassifierInput { images: self.normalization.apply(images), answers, text };
        let output = self.model.forward_input(input, taps);
        NetworkOutput { logits: output.logits, features: Some(output.features) }
    }

    /// The logits [orientations, rows, classes], asked in batches as large as training's: on some devices the last
    /// bits depend on how many are asked at once.
    fn ask(
        &self,
        recipe: &Recipe,
        prepared: &Prepared,
        rows: &[usize],
        orientations: &[Orientation],
        device: &Device,
    ) -> Result<Array3<f32>, Error> {
        let (size, samples) = (recipe.training.batch_size, prepared.samples());
        let classes = samples.num_classes();
        let mut values = Vec::with_capacity(orientations.len() * rows.len() * classes);
        for orientation in orientations {
            for asked in rows.chunks(size) {
                let full: Vec<usize> = asked.iter().chain(rows.iter().cycle()).take(size).copied().collect();
                let batch = Batch::to_device(samples.turned(&full, *orientation)?, device)?;
                let logits = self.output(&batch, &Taps::none()).logits;
                values.extend(logits.into_data().iter::<f32>().take(asked.len() * classes));
            }
        }
        let (count, shape) = (values.len(), (orientations.len(), rows.len(), classes));
        Ok(Array3::from_shape_vec(shape, values).map_err(|_| derm_core::ValueError::Length {
            argument: "the teacher's logits",
            got: count,
            expected: shape.0 * shape.1 * shape.2,
        })?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn prepared(use_answers: bool) -> (Recipe, Prepared) {
        let text = format!(
            "
dataset:
  synthetic: {{ num_lesions: 56, image_size: 16 }}
  split: {{ fractions: {{ train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 }} }}
model:
  backbone: {{ resnet: {{ block: basic, depths: [1], widths: [4], stem: conv3x3 }} }}
  image_size: 16
  use_answers: {use_answers}
  answers_widths: [4]
evaluation: {{ calibration_bins: 5 }}
"
        );
        let recipe = Recipe::parse(&text, "test.yaml", &[]).unwrap();
        let prepared = Prepared::new(&recipe, Progress::Silent).unwrap();
        (recipe, prepared)
    }

    /// The first training rows, as they are.
    fn batch(prepared: &Prepared, device: &Device) -> Batch {
        let host = prepared.loader(SplitRole::Train).unwrap().epoch(0).next().unwrap().unwrap();
        Batch::to_device(host, device).unwrap()
    }

    #[test]
    fn the_teacher_of_a_student_of_images_alone_reads_the_answers_of_the_records() {
        let device = Device::default();
        let (recipe, with_answers) = prepared(true);
        let (_, images_alone) = prepared(false);
        let head = recipe.model.head(7, Some(with_answers.dataset.schema()), Vec::new());
        let config = Named::config(&recipe.model, head);
        let teacher = LoadedTeacher {
            model: config.init(&device).unwrap().valid(),
            labels: with_answers.dataset.labels().clone(),
            schema: Some(with_answers.dataset.schema().clone()),
            tokenizer: None,
            resize: with_answers.resize,
            normalization: with_answers.normalization,
            weights: String::new(),
        };
        let logits = |prepared: &Prepared, rows: Option<usize>| {
            teacher.check(prepared).unwrap();
            let mut batch = batch(prepared, &device);
            if let Some(by) = rows {
                batch.indices.rotate_left(by);
            }
            let output = teacher.for_student(prepared, &device).unwrap().output(&batch, &Taps::none());
            output.logits.into_data().iter::<f32>().collect::<Vec<_>>()
        };
        let expected = logits(&with_answers, None);
        assert_eq!(logits(&images_alone, None), expected);
        // whose answers they are matters
        assert_ne!(logits(&images_alone, Some(1)), expected);
    }
}
