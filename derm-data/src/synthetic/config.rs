use std::collections::BTreeMap;
use std::sync::Arc;

use derm_core::{ClassIndex, LabelMap};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::case::{self, Missing};
use super::diagnosis::Diagnosis;
use super::person::{Planned, plan};
use super::skin::FITZPATRICK;
use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};
use crate::{Dataset, Error, ImageSource, Record, RgbPixels, schema};

/// The synthetic dataset: drawn lesions of seven diagnoses on skin of six types, with hair, vignettes, uneven light,
/// several photographs a lesion, a questionnaire and captions.
///
/// The same configuration gives the same bytes on every machine and for any number of threads.
///
/// | field | default | range |
/// |---|---|---|
/// | `seed` | 0 | any |
/// | `num_lesions` | 1300 (about 2,600 images) | at least 7 × `min_lesions_per_class` |
/// | `min_lesions_per_class` | 8 | at least 1 |
/// | `image_size` | 48 | 16 to 512 pixels |
/// | `min_views`, `max_views` | 1, 3 | photographs a lesion, drawn evenly; 1 to 16 |
/// | `missing_answers` | 0.12 | probability that an answer is missing |
/// | `missing_captions` | 0.15 | probability that a photograph has no caption |
/// | `label_noise` | 0 | probability that a lesion's label is another class, drawn evenly |
///
/// What a person could tell the classes by: outline and layout of the tones separate melanoma from nevus, which share
/// their colours; surface texture separates benign keratosis, dermatofibroma, actinic keratosis, carcinoma and
/// vascular lesion; answers tell in part what pictures of look-alikes cannot. A caption names colour, shape, surface, size
/// and site in changing words, leaves some of it out, and never names the diagnosis. Label noise changes labels and nothing
/// else: pictures, answers and captions are those of the same configuration without it.
///
/// ```
/// use derm_data::SyntheticConfig;
/// let config = SyntheticConfig { num_lesions: 60, image_size: 24, ..SyntheticConfig::default() };
/// let dataset = config.generate()?;
/// assert_eq!(dataset.labels().num_classes(), 7);
/// assert!(dataset.class_counts().iter().all(|&count| count >= 8));
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticConfig {
    /// Names the dataset.
    pub seed: u64,
    /// Number of lesions.
    pub num_lesions: usize,
    /// Fewest lesions that a class has, however rare it is.
    pub min_lesions_per_class: usize,
    /// Side of the square images in pixels.
    pub image_size: usize,
    /// Fewest photographs a lesion.
    pub min_views: usize,
    /// Most photographs a lesion.
    pub max_views: usize,
    /// Probability that an answer is missing.
    pub missing_answers: f64,
    /// Probability that a photograph has no caption.
    pub missing_captions: f64,
    /// Probability that a lesion's label is wrong.
    pub label_noise: f64,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            num_lesions: 1300,
            min_lesions_per_class: 8,
            image_size: 48,
            min_views: 1,
            max_views: 3,
            missing_answers: 0.12,
            missing_captions: 0.15,
            label_noise: 0.0,
        }
    }
}

impl SyntheticConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn validate(&self) -> Result<(), Error> {
        if self.min_lesions_per_class == 0 {
            return Err(setting("min_lesions_per_class", 0, "at least 1"));
        }
        if self.num_lesions / Diagnosis::ALL.len() < self.min_lesions_per_class {
            return Err(setting("num_lesions", self.num_lesions, "at least 7 times min_lesions_per_class"));
        }
        if !(16..=512).contains(&self.image_size) {
            return Err(setting("image_size", self.image_size, "16 to 512 pixels"));
        }
        if !(1..=16).contains(&self.min_views) {
            return Err(setting("min_views", self.min_views, "1 to 16"));
        }
        if !(self.min_views..=16).contains(&self.max_views) {
            return Err(setting("max_views", self.max_views, "min_views to 16"));
        }
        if !(0.0..=1.0).contains(&self.missing_answers) {
            return Err(setting("missing_answers", self.missing_answers, "a probability from 0 to 1"));
        }
        if !(0.0..=1.0).contains(&self.missing_captions) {
            return Err(setting("missing_captions", self.missing_captions, "a probability from 0 to 1"));
        }
        if !(0.0..=1.0).contains(&self.label_noise) {
            return Err(setting("label_noise", self.label_noise, "a probability from 0 to 1"));
        }
        Ok(())
    }

    /// Draws the dataset, on all cores.
    ///
    /// # Errors
    /// As [`SyntheticConfig::validate`].
    pub fn generate(&self) -> Result<Dataset, Error> {
        self.validate()?;
        let planned = plan(self.seed, self.num_lesions, self.min_lesions_per_class);
        let drawn: Result<Vec<Vec<Record>>, Error> =
            planned.par_iter().map(|planned| self.records(planned)).collect();
        let labels = LabelMap::new(Diagnosis::ALL.map(Diagnosis::name))?;
        let records = drawn?.into_iter().flatten().collect();
        Dataset::new("synthetic", labels, records, schema::synthetic()?, Vec::new())
    }

    /// The records of one lesion.
    fn records(&self, planned: &Planned) -> Result<Vec<Record>, Error> {
        let views = (self.min_views, self.max_views);
        let missing = Missing { answer: self.missing_answers, caption: self.missing_captions };
        let case = case::draw(self.seed, planned, self.image_size, views, missing);
        let class = self.label(planned);
        let (number, person) = (planned.number, &planned.person);
        let subgroups = BTreeMap::from([
            ("fitzpatrick".to_owned(), FITZPATRICK[person.fitzpatrick].to_owned()),
            ("sex".to_owned(), person.sex.to_owned()),
            ("age_band".to_owned(), age_band(f64::from(person.age)).to_owned()),
        ]);
        let mut records = Vec::with_capacity(case.photographs.len());
        for (view, (bytes, text)) in case.photographs.into_iter().zip(case.captions).enumerate() {
            let pixels = RgbPixels::new(self.image_size, self.image_size, bytes)
                .ok_or_else(|| setting("image_size", self.image_size, "16 to 512 pixels"))?;
            records.push(Record {
                id: format!("syn_{number:05}_{view}"),
                image: ImageSource::Rgb(Arc::new(pixels)),
                class,
                lesion: format!("lesion_{number:05}"),
                case: format!("case_{number:05}"),
                patient: Some(format!("patient_{:05}", person.number)),
                soft_label: None,
                tasks: BTreeMap::new(),
                published_role: None,
                answers: case.answers.clone(),
                text,
                subgroups: subgroups.clone(),
            });
        }
        Ok(records)
    }

    /// The label of a lesion: its diagnosis, or by label noise another one.
    fn label(&self, planned: &Planned) -> ClassIndex {
        let truth = Diagnosis::ALL.iter().position(|&diagnosis| diagnosis == planned.diagnosis).unwrap_or(0);
        let mut rng = PortableRng::new(self.seed, Purpose::LabelNoise, 0, planned.number as u64);
        if !rng.chance(self.label_noise) {
            return ClassIndex::new(truth);
        }
        let other = rng.below(Diagnosis::ALL.len() - 1);
        ClassIndex::new(if other < truth { other } else { other + 1 })
    }
}

/// The age band by which metrics are broken down.
pub(crate) fn age_band(years: f64) -> &'static str {
    match years {
        y if y < 30.0 => "under_30",
        y if y < 50.0 => "30_to_49",
        y if y < 70.0 => "50_to_69",
        _ => "70_and_over",
    }
}
