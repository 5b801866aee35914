use std::collections::BTreeMap;
use std::path::Path;

use derm_core::LabelMap;
use derm_data::{Answers, FeatureSchema, RgbPixels};

use crate::{Decision, Error};

/// Where the picture of a [`Request`] is.
#[derive(Debug, Clone, Copy)]
pub enum Picture<'a> {
    /// An image file.
    File(&'a Path),
    /// The bytes of an image file.
    Bytes {
        /// The bytes.
        bytes: &'a [u8],
        /// What they are called in errors.
        name: &'a str,
    },
    /// Pixels, upright and sRGB.
    Pixels(&'a RgbPixels),
}

/// One thing to decide on.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Names it. Randomised conformal scores draw their number from it, so that the same question under the same id has
    /// the same set; other bundles do not read it.
    pub id: &'a str,
    /// The picture.
    pub picture: Picture<'a>,
    /// The patient's answers; empty for a model that reads none.
    pub answers: &'a Answers,
    /// A caption or history in free text, for a model that reads one; absent or blank where there is none. What is longer
    /// than the bundle's tokenizer takes is cut at its end.
    pub text: Option<&'a str>,
    /// Values of subgroup columns by name, skin type for one. Only a conformal predictor that promises its coverage for
    /// each value of a column reads them, and only that column; none stands for unknown. A value that the calibration
    /// rows did not have gets every class.
    pub subgroups: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Request<'a> {
    /// A file, named after its path where that is text.
    pub fn file(path: &'a Path, answers: &'a Answers) -> Self {
        let id = path.to_str().unwrap_or_default();
        Self { id, picture: Picture::File(path), answers, text: None, subgroups: None }
    }

    /// The bytes of a file.
    pub fn bytes(bytes: &'a [u8], name: &'a str, answers: &'a Answers) -> Self {
        Self { id: name, picture: Picture::Bytes { bytes, name }, answers, text: None, subgroups: None }
    }

    /// Pixels, without a name.
    pub fn pixels(pixels: &'a RgbPixels, answers: &'a Answers) -> Self {
        Self { id: "", picture: Picture::Pixels(pixels), answers, text: None, subgroups: None }
    }

    /// The same with a text.
    #[must_use]
    pub fn with_text(self, text: &'a str) -> Self {
        Self { text: Some(text), ..self }
    }

    /// What stands beside the picture.
    pub(crate) fn beside(&self) -> Beside<'a> {
        let text = self.text.filter(|text| !text.trim().is_empty());
        Beside { answers: self.answers, text }
    }
}

/// What a request gives beside its picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) answers: &'a Answers,
    /// Not blank.
    pub(crate) text: Option<&'a str>,
}

/// What answers requests: a [`Predictor`](crate::Predictor) or an [`Ensemble`](crate::Ensemble).
pub trait Serve {
    /// Decides on each request. A request that cannot be answered has its own error and costs the others nothing.
    ///
    /// Several images go through the network at once. Its sums may then be rounded elsewhere, so probabilities agree
    /// with those of one request at a time within 1e-5.
    fn predict_batch(&self, requests: &[Request<'_>]) -> Vec<Result<Decision, Error>>;

    /// The classes.
    fn labels(&self) -> &LabelMap;

    /// The questionnaire, where answers are read.
    fn schema(&self) -> Option<&FeatureSchema>;
}
