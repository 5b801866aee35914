//! One image of a dataset with all that is known about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use derm_core::ClassIndex;

use crate::RgbPixels;

/// Raw answers to a questionnaire, by feature name. An answer that was not given is absent.
pub type Answers = BTreeMap<String, String>;

/// Where an image comes from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// An image file, decoded when it is needed.
    File(PathBuf),
    /// Pixels in memory.
    Rgb(Arc<RgbPixels>),
}

/// One image.
#[derive(Clone, Debug)]
pub struct Record {
    /// Unique within its dataset.
    pub id: String,
    /// The picture.
    pub image: ImageSource,
    /// The diagnosis, as labelled.
    pub class: ClassIndex,
    /// The lesion that the image shows; several images may show one.
    pub lesion: String,
    /// The visit or case that the image belongs to; its images are judged together.
    pub case: String,
    /// The patient, where the dataset knows.
    pub patient: Option<String>,
    /// Raw answers; what is missing is absent.
    pub answers: Answers,
    /// Columns by which metrics are broken down (never a model's input).
    pub subgroups: BTreeMap<String, String>,
}

impl Record {
    /// The independent unit: the patient where known, else the lesion. A group is never divided by a split, and
    /// intervals count groups.
    pub fn group(&self) -> &str {
        self.patient.as_deref().unwrap_or(&self.lesion)
    }
}
