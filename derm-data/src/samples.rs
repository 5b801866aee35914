//! Records as a network takes them.

use std::sync::Arc;

use derm_core::{LabelMap, Normalization};
use serde::{Deserialize, Serialize};

use crate::{
    Answers, Corruption, Dataset, Drawn, Error, HostBatch, HostTargets, HostTask, Normalizer, Orientation,
    PixelCache, Scratch, StoredPixels, TestView, TokenRows,
};

/// Whether a model reads the questionnaire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Questionnaire {
    /// Images alone.
    Ignore,
    /// Images and encoded answers.
    #[default]
    Encode,
}

/// What happens to one picture on its way into a batch.
pub(crate) enum Treatment {
    /// A view at test time.
    View(TestView),
    /// An augmentation.
    Drawn(Box<Drawn>),
    /// Laid another way, and nothing else.
    Turned(Orientation),
    /// A corruption of the resized picture, with its seed.
    Corrupted(Corruption, u64),
}

/// All records of a dataset, ready to be put into batches: pixels from the cache, answers encoded, classes as numbers.
/// Cheap to clone; loaders of several splits share one.
#[derive(Clone, Debug)]
pub struct Samples {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Arc<PixelCache>,
    normalizer: Normalizer,
    /// Row-major [N, Q], where answers are used.
    answers: Option<Vec<f32>>,
    answer_width: usize,
    /// The text of every record, where texts are used.
    tokens: Option<Arc<TokenRows>>,
    targets: Vec<usize>,
    /// Row-major [N, C], where any record's label is a distribution.
    distributions: Option<Vec<f32>>,
    num_classes: usize,
    tasks: Arc<Vec<TaskColumn>>,
}

/// The class of every record for a further task; none where it is not labelled.
#[derive(Debug)]
struct TaskColumn {
    name: String,
    num_classes: usize,
    classes: Vec<Option<usize>>,
}

impl TaskColumn {
    fn of(dataset: &Dataset) -> Vec<Self> {
        let column = |(name, labels): (&String, &LabelMap)| Self {
            name: name.clone(),
            num_classes: labels.num_classes(),
            classes: dataset.records().iter().map(|record| record.tasks.get(name).map(|c| c.get())).collect(),
        };
        dataset.tasks().iter().map(column).collect()
    }

    /// The labelled ones among the records at `indices`.
    fn rows(&self, indices: &[usize]) -> HostTask {
        let labelled = indices.iter().enumerate();
        let labelled = labelled.filter_map(|(row, &index)| Some((row, self.classes[index]?)));
        let (rows, classes) = labelled.unzip();
        let targets = HostTargets::Classes(classes);
        HostTask { name: self.name.clone(), num_classes: self.num_classes, rows, targets }
    }
}

impl Samples {
    /// Encodes the answers (with the schema's scaling as it is now: [`Dataset::fit_schema`] comes first) and joins
    /// them with the pixels.
    ///
    /// # Errors
    /// [`Error::Setting`] where the cache is of other records or the normalisation cannot be used; [`Error::Record`] for
    /// answers that do not fit the schema.
    pub fn new(
        dataset: &Dataset,
        cache: Arc<PixelCache>,
        normalization: Normalization,
        questionnaire: Questionnaire,
    ) -> Result<Self, Error> {
        if !cache.is_of(dataset) {
            let got = format!("pictures of {} other records", cache.len());
            return Err(crate::error::setting("pixel cache", got, "the pictures of the dataset's records"));
        }
        let given = dataset.records().iter().map(|record| &record.answers);
        let answers = match questionnaire {
            Questionnaire::Ignore => None,
            Questionnaire::Encode => Some(encode(dataset, given)?),
        };
        let num_classes = dataset.labels().num_classes();
        let soft = dataset.records().iter().any(|record| record.soft_label.is_some());
        let rows = || dataset.records().iter().flat_map(|record| record.distribution(num_classes)).collect();
        let distributions = soft.then(rows);
        let inner = Inner {
            answer_width: if answers.is_some() { dataset.schema().width() } else { 0 },
            cache,
            normalizer: Normalizer::new(normalization)?,
            answers,
            tokens: None,
            targets: dataset.records().iter().map(|record| record.class.get()).collect(),
            distributions,
            num_classes,
            tasks: Arc::new(TaskColumn::of(dataset)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same records with other answers, one of each record in the dataset's order: as a study of missing answers
    /// gives them.
    ///
    /// # Errors
    /// [`Error::Setting`] where there are not as many answers as records; [`Error::Record`] for answers that do not fit
    /// the dataset's schema.
    pub fn with_answers(&self, dataset: &Dataset, answers: &[&Answers]) -> Result<Self, Error> {
        if answers.len() != self.len() || dataset.records().len() != self.len() {
            return Err(crate::error::setting("number of answers", answers.len(), "one a record"));
        }
        let rows = encode(dataset, answers.iter().copied())?;
        let inner = &*self.inner;
        let inner = Inner {
            cache: Arc::clone(&inner.cache),
            normalizer: inner.normalizer.clone(),
            answers: Some(rows),
            answer_width: dataset.schema().width(),
            tokens: inner.tokens.clone(),
            targets: inner.targets.clone(),
            distributions: inner.distributions.clone(),
            num_classes: inner.num_classes,
            tasks: Arc::clone(&inner.tasks),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same records with their texts, as tokens of the network's tokenizer: one row a record in the dataset's order,
    /// that of the empty text for a record without one.
    ///
    /// # Errors
    /// [`Error::Setting`] where there are not as many rows as records.
    pub fn with_tokens(&self, tokens: TokenRows) -> Result<Self, Error> {
        if tokens.len() != self.len() {
            return Err(crate::error::setting("number of texts", tokens.len(), "one a record"));
        }
        Ok(self.whose_tokens_are(Some(Arc::new(tokens))))
    }

    /// The same records without their texts.
    #[must_use]
    pub fn without_tokens(&self) -> Self {
        self.whose_tokens_are(None)
    }

    fn whose_tokens_are(&self, tokens: Option<Arc<TokenRows>>) -> Self {
        let inner = &*self.inner;
        let inner = Inner {
            cache: Arc::clone(&inner.cache),
            normalizer: inner.normalizer.clone(),
            answers: inner.answers.clone(),
            answer_width: inner.answer_width,
            tokens,
            targets: inner.targets.clone(),
            distributions: inner.distributions.clone(),
            num_classes: inner.num_classes,
            tasks: Arc::clone(&inner.tasks),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The texts of all records, where they go into batches.
    pub fn tokens(&self) -> Option<&TokenRows> {
        self.inner.tokens.as_deref()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.inner.targets.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.inner.targets.is_empty()
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.inner.num_classes
    }

    /// Number of answer columns; 0 for images alone.
    pub fn answer_width(&self) -> usize {
        self.inner.answer_width
    }

    /// Side of the images in pixels.
    pub fn image_size(&self) -> usize {
        self.inner.cache.resize().size()
    }

    /// The class of every record; the likeliest where its label is a distribution.
    pub fn targets(&self) -> &[usize] {
        &self.inner.targets
    }

    /// The batch of the records at `indices`, as a view shows them.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`]; [`Error::File`] or [`Error::Decode`] naming the file; [`Error::Record`] naming a record
    /// whose picture cannot be resized; [`Error::Setting`] for an impossible view.
    pub fn batch(&self, indices: &[usize], view: TestView) -> Result<HostBatch, Error> {
        self.batch_with(indices, &mut Scratch::new(), |_| Treatment::View(view), |_| false)
    }

    /// The batch of the records at `indices`, each laid as `orientation` says and otherwise as they are: what an
    /// augmentation of flips and quarter turns alone shows.
    ///
    /// # Errors
    /// As [`Samples::batch`].
    pub fn turned(&self, indices: &[usize], orientation: Orientation) -> Result<HostBatch, Error> {
        self.batch_with(indices, &mut Scratch::new(), |_| Treatment::Turned(orientation), |_| false)
    }

    /// The batch of the records at `indices`; `treatment` says what happens to the picture in a row, `hidden`
    /// whether its text is taken as missing.
    pub(crate) fn batch_with(
        &self,
        indices: &[usize],
        scratch: &mut Scratch,
        treatment: impl Fn(usize) -> Treatment,
        hidden: impl Fn(usize) -> bool,
    ) -> Result<HostBatch, Error> {
        let (size, cache) = (self.image_size(), &self.inner.cache);
        let plane = 3 * size * size;
        let width = self.answer_width();
        let mut images = vec![0.0; indices.len() * plane];
        let mut answers = self.inner.answers.as_ref().map(|_| Vec::with_capacity(indices.len() * width));
        let mut orientations = Vec::with_capacity(indices.len());
        for (row, (&index, planes)) in indices.iter().zip(images.chunks_exact_mut(plane)).enumerate() {
            let stored = cache.get(index)?;
            let at_size = cache.stored() == StoredPixels::Resized;
            let corrupted;
            let (pixels, orientation) = match treatment(row) {
                // A picture that has its size is not brought to it again: rules that crop would crop twice.
                Treatment::View(view) if at_size && view.orientation().is_some() => {
                    (&*stored, view.orientation().unwrap_or(Orientation::UPRIGHT))
                }
                Treatment::View(view) => cache.named(index, view.apply(&stored, &cache.resize(), scratch))?,
                Treatment::Turned(orientation) if at_size => (&*stored, orientation),
                Treatment::Turned(orientation) => {
                    let view = TestView::Identity.apply(&stored, &cache.resize(), scratch);
                    (cache.named(index, view)?.0, orientation)
                }
                Treatment::Corrupted(corruption, seed) => {
                    let view = TestView::Identity.apply(&stored, &cache.resize(), scratch);
                    let (resized, orientation) = cache.named(index, view)?;
                    corrupted = cache.named(index, corruption.apply(resized, seed, index))?;
                    (&corrupted, orientation)
                }
                Treatment::Drawn(drawn) if at_size && drawn.is_orientation_only() => {
                    (&*stored, drawn.orientation())
                }
                Treatment::Drawn(drawn) => {
                    let pixels = cache.named(index, drawn.apply(&stored, &cache.resize(), scratch))?;
                    (pixels, drawn.orientation())
                }
            };
            self.inner.normalizer.write_planes(pixels, orientation, planes);
            orientations.push(orientation);
            if let (Some(rows), Some(all)) = (answers.as_mut(), self.inner.answers.as_ref()) {
                rows.extend_from_slice(&all[index * width..(index + 1) * width]);
            }
        }
        let targets = match &self.inner.distributions {
            Some(rows) => {
                let of = |&index: &usize| &rows[index * self.num_classes()..(index + 1) * self.num_classes()];
                HostTargets::Distributions(indices.iter().flat_map(of).copied().collect())
            }
            None => HostTargets::Classes(indices.iter().map(|&index| self.inner.targets[index]).collect()),
        };
        Ok(HostBatch {
            images,
            image_size: size,
            answers,
            answer_width: width,
            tokens: self.inner.tokens.as_ref().map(|tokens| tokens.padded_but(indices, 0, hidden)),
            targets,
            num_classes: self.num_classes(),
            tasks: self.inner.tasks.iter().map(|task| task.rows(indices)).collect(),
            indices: indices.to_vec(),
            orientations,
        })
    }
}

/// Row-major [N, Q]: the answers of every record by the dataset's schema.
fn encode<'a>(dataset: &Dataset, answers: impl Iterator<Item = &'a Answers>) -> Result<Vec<f32>, Error> {
    let schema = dataset.schema();
    let mut rows = Vec::with_capacity(dataset.records().len() * schema.width());
    for (record, answers) in dataset.records().iter().zip(answers) {
        let row = schema.encode(answers);
        let named = |source| Error::Record { id: record.id.clone(), source: Box::new(source) };
        rows.extend(row.map_err(named)?);
    }
    Ok(rows)
}
