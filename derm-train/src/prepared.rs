use std::sync::Arc;

use derm_backbones::TextTokenizer;
use derm_core::{Normalization, SplitRole, sha256_hex};
use derm_data::{
    Dataset, LastBatch, LeakReport, Loader, LoaderConfig, PixelCache, Questionnaire, Record, Resize,
    ResizeRule, SampleOrder, Sampler, Samples, Split, StoredPixels,
};
use serde_json::{Value, json};

use crate::progress::Progress;
use crate::seed::{Purpose, derive};
use crate::task_assessment::check_tasks;
use crate::texts::{Tokenizer, token_rows};
use crate::{Error, Recipe};

/// The data of a run: read, checked, split, with pixels at the network's size.
#[derive(Debug)]
pub struct Prepared {
    /// The records. Its schema is scaled to the training rows.
    pub dataset: Dataset,
    /// What the missing answers of the training rows tell of their class.
    pub leak_report: LeakReport,
    /// Who is in which role.
    pub split: Split,
    /// How an image is brought to the network.
    pub resize: Resize,
    /// Standardisation of the pixels.
    pub normalization: Normalization,
    samples: Samples,
    tokenizer: Option<Tokenizer>,
    cache: Arc<PixelCache>,
    config: LoaderConfig,
}

impl Prepared {
    /// Reads the dataset that the recipe names, decodes every image once, splits by group and fits the
    /// questionnaire's scaling on the training rows.
    ///
    /// # Errors
    /// What reading gives: a file, row, class or image that is missing or wrong; a class without rows in a role. Where
    /// the network reads texts, [`Error::NoText`] for records without any, and what is wrong with the tokenizer.
    pub fn new(recipe: &Recipe, progress: Progress) -> Result<Self, Error> {
        Self::with_tokenizer(recipe, Tokenizer::of(recipe)?, progress)
    }

    /// The same with the tokenizer of a network that is there already, or none for one that reads no text.
    pub(crate) fn with_tokenizer(
        recipe: &Recipe,
        tokenizer: Option<Tokenizer>,
        progress: Progress,
    ) -> Result<Self, Error> {
        let section = &recipe.dataset;
        progress.stage("reading the dataset");
        let mut dataset = section.read(&recipe.tasks)?;
        // The whole image is shown to the network, squashed to a square: lesions reach to the border.
        let resize = Resize::new(recipe.model.image_size, ResizeRule::Squash, recipe.model.interpolation)?;
        let budget = section.cache_mib.saturating_mul(1 << 20);
        // Crops are cut from the picture itself, not from what was shrunk to the network's size.
        let crops = recipe.training.augmentation.random_resized_crop.probability > 0.0;
        let stored = if crops { StoredPixels::Decoded } else { StoredPixels::Resized };
        let cache = Arc::new(dataset.load_pixels(resize, stored, section.unreadable, budget)?);
        let (mut dataset, split) = section.divide(dataset, progress)?;
        recipe.evaluation.check_positive_classes(dataset.labels())?;
        recipe.evaluation.check_bins(split.indices(&dataset, SplitRole::Validation)?.len())?;
        let leak_report = dataset.fit_schema(&split.indices(&dataset, SplitRole::Train)?)?;
        let questionnaire =
            if recipe.model.use_answers { Questionnaire::Encode } else { Questionnaire::Ignore };
        let normalization = recipe.model.image_norm.normalization();
        let samples = Samples::new(&dataset, Arc::clone(&cache), normalization, questionnaire)?;
        let samples = match &tokenizer {
            Some(tokenizer) => samples.with_tokens(tokenizer.rows(&dataset)?)?,
            None => samples,
        };
        let config = LoaderConfig {
            batch_size: recipe.training.batch_size,
            workers: section.workers,
            prefetch: section.prefetch,
            last_batch: LastBatch::Keep,
        };
        let prepared =
            Self { dataset, leak_report, split, resize, normalization, samples, tokenizer, cache, config };
        check_tasks(recipe, &prepared)?;
        progress.line(&prepared.summary()?);
        if recipe.model.use_answers {
            let warning = if prepared.leak_report.leaks() { "warning: " } else { "" };
            progress.line(&format!("{warning}{}", prepared.leak_report.summary()));
        }
        Ok(prepared)
    }

    /// The loader that training draws from: shuffled or class-balanced, augmented and mixed, without partial batches.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn training_loader(&self, recipe: &Recipe) -> Result<Loader, Error> {
        let indices = self.split.indices(&self.dataset, SplitRole::Train)?;
        let classes = self.dataset.classes(&indices)?;
        let order = recipe.training.sample_order();
        let seed = derive(recipe.seed, Purpose::Data, 0);
        let sampler = Sampler::new(indices, &classes, order, seed)?;
        let config = LoaderConfig { last_batch: LastBatch::Drop, ..self.config };
        let loader = Loader::new(self.samples.clone(), sampler, Some(recipe.training.augmentation), config)?;
        let hidden = recipe.model.text.as_ref().map_or(0.0, |text| text.text_dropout);
        Ok(loader.with_mix(recipe.training.batch_mix)?.with_text_dropout(hidden)?)
    }

    /// The rows of a role in order, as they are.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn loader(&self, role: SplitRole) -> Result<Loader, Error> {
        self.loader_of(role, self.samples.clone())
    }

    /// The same for another network's tokenizer, or for one that reads no text.
    pub(crate) fn loader_by(
        &self,
        role: SplitRole,
        tokenizer: Option<&TextTokenizer>,
    ) -> Result<Loader, Error> {
        match tokenizer {
            Some(tokenizer) => {
                let tokens = token_rows(tokenizer, &self.dataset)?;
                self.loader_of(role, self.samples.with_tokens(tokens)?)
            }
            None => self.loader_of(role, self.samples.without_tokens()),
        }
    }

    fn loader_of(&self, role: SplitRole, samples: Samples) -> Result<Loader, Error> {
        let indices = self.split.indices(&self.dataset, role)?;
        let classes = self.dataset.classes(&indices)?;
        let sampler = Sampler::new(indices, &classes, SampleOrder::Sequential, 0)?;
        Ok(Loader::new(samples, sampler, None, self.config)?)
    }

    /// Width of the encoded questionnaire, where the network reads it.
    pub fn answers_width(&self) -> Option<usize> {
        (self.samples.answer_width() > 0).then(|| self.samples.answer_width())
    }

    /// The tokenizer, where the network reads texts.
    pub fn tokenizer(&self) -> Option<&TextTokenizer> {
        self.tokenizer.as_ref().map(|read| &read.tokenizer)
    }

    /// SHA-256 of what the tokenizer was read from.
    pub(crate) fn tokenizer_hash(&self) -> Option<String> {
        self.tokenizer.as_ref().map(|read| read.sha256.clone())
    }

    /// The pixels of every record, as the cache stores them.
    pub fn pixels(&self) -> &PixelCache {
        &self.cache
    }

    /// The samples, for a loader of one's own.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Training rows of each class.
    ///
    /// # Errors
    /// Where the split does not fit the dataset.
    pub fn training_counts(&self) -> Result<Vec<usize>, Error> {
        Ok(self.dataset.class_counts_of(&self.split.indices(&self.dataset, SplitRole::Train)?)?)
    }

    /// Training rows of each class of a further task.
    ///
    /// # Errors
    /// [`Error::Data`] for a task that the dataset is not labelled for.
    pub fn task_training_counts(&self, task: &str) -> Result<Vec<usize>, Error> {
        Ok(self.dataset.task_counts_of(task, &self.split.indices(&self.dataset, SplitRole::Train)?)?)
    }

    /// SHA-256, in hexadecimal, of what is learned of the records: their labels by name, of every task, and their answers and texts where
    /// the network reads these. A table or a label mapping that was edited gives another one.
    pub(crate) fn records_hash(&self) -> String {
        let names = self.dataset.labels().names();
        let with_answers = self.samples.answer_width() > 0;
        let of_record = |record: &Record| {
            let answers = with_answers.then_some(&record.answers);
            let (id, name) = (&record.id, &names[record.class.get()]);
            match self.tokenizer {
                None => json!([id, name, record.soft_label, answers]),
                Some(_) => json!([id, name, record.soft_label, answers, record.text]),
            }
        };
        let mut records: Vec<Value> = self.dataset.records().iter().map(of_record).collect();
        for (task, labels) in self.dataset.tasks() {
            let class = |record: &Record| record.tasks.get(task).and_then(|class| labels.name(*class));
            let classes: Vec<Option<&str>> = self.dataset.records().iter().map(class).collect();
            records.push(json!([task, labels.names(), classes]));
        }
        let columns = with_answers.then(|| self.dataset.schema().column_names());
        sha256_hex(json!([names, columns, records]).to_string().as_bytes())
    }

    fn summary(&self) -> Result<String, Error> {
        let mut sizes = Vec::new();
        for role in SplitRole::ALL {
            sizes.push(format!("{role} {}", self.split.indices(&self.dataset, role)?.len()));
        }
        let counts = self.dataset.labels().names().iter().zip(self.dataset.class_counts());
        let counts: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
        let skipped = match self.dataset.skipped().len() {
            0 => String::new(),
            count => format!(", {count} skipped"),
        };
        let mut summary = format!(
            "{}: {} images ({}){skipped}; {}",
            self.dataset.name(),
            self.dataset.records().len(),
            sizes.join(", "),
            counts.join(", "),
        );
        let all: Vec<usize> = (0..self.dataset.records().len()).collect();
        for (task, labels) in self.dataset.tasks() {
            let counts = labels.names().iter().zip(self.dataset.task_counts_of(task, &all)?);
            let counts: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
            summary.extend(["\n  ", task, ": ", &counts.join(", ")]);
        }
        Ok(summary)
    }
}
