//! One image of a dataset with all that is known about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use derm_core::{ClassIndex, SplitRole};

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
    /// A row of a table without a picture: answers and a class.
    Absent,
}

/// One image, or one row of a table without images.
#[derive(Clone, Debug)]
pub struct Record {
    /// Unique within its dataset.
    pub id: String,
    /// The picture.
    pub image: ImageSource,
    /// The diagnosis, as labelled; the likeliest where the label is a distribution.
    pub class: ClassIndex,
    /// The label as a distribution over the classes (C numbers, sum 1), where the dataset gives weighted differential
    /// diagnoses.
    pub soft_label: Option<Vec<f32>>,
    /// The class of each further task that the record is labelled for, by the task's name.
    pub tasks: BTreeMap<String, ClassIndex>,
    /// The lesion that the image shows; several images may show one.
    pub lesion: String,
    /// The visit or case that the image belongs to; its images are judged together.
    pub case: String,
    /// The patient, where the dataset knows.
    pub patient: Option<String>,
    /// Raw answers; what is missing is absent.
    pub answers: Answers,
    /// A caption or history in free text, where there is one; patient data, so no report or log shows it.
    pub text: Option<String>,
    /// Columns by which metrics are broken down (never a model's input).
    pub subgroups: BTreeMap<String, String>,
    /// The part of the split that the publishers put it in, where they did.
    pub published_role: Option<SplitRole>,
}

impl Record {
    /// A record whose lesion and case are itself, with nothing else known.
    pub fn new(id: impl Into<String>, image: ImageSource, class: ClassIndex) -> Self {
        let id = id.into();
        Self {
            lesion: id.clone(),
            case: id.clone(),
            id,
            image,
            class,
            soft_label: None,
            tasks: BTreeMap::new(),
            patient: None,
            answers: Answers::new(),
            text: None,
            subgroups: BTreeMap::new(),
            published_role: None,
        }
    }

    /// The label as a distribution over C classes: the soft label where there is one, else 1 at the class.
    ///
    /// ```
    /// use derm_core::ClassIndex;
    /// use derm_data::{ImageSource, Record};
    /// let record = Record::new("a", ImageSource::Absent, ClassIndex::new(1));
    /// assert_eq!(record.distribution(3), [0.0, 1.0, 0.0]);
    /// ```
    pub fn distribution(&self, num_classes: usize) -> Vec<f32> {
        match &self.soft_label {
            Some(label) => label.clone(),
            None => (0..num_classes).map(|class| f32::from(u8::from(class == self.class.get()))).collect(),
        }
    }

    /// The independent unit: the patient where known, else the lesion. A group is never divided by a split, and
    /// intervals count groups.
    pub fn group(&self) -> &str {
        self.patient.as_deref().unwrap_or(&self.lesion)
    }
}
