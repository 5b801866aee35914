use std::fs;
use std::io::Write as _;
use std::path::Path;

use derm_core::{FileError, atomic};
use serde::{Deserialize, Serialize};

use super::{Feature, FeatureKind};
use crate::{Answers, Error};

/// Version of `feature_schema.json` that this crate writes and reads.
const VERSION: u64 = 1;

/// A questionnaire: its features in the order of their columns. It is a file, `feature_schema.json`, which travels with
/// a model, so that answers are encoded in service exactly as they were in training.
///
/// Every optional feature has a column that is 1 where the answer is missing and 0 where it is there; the feature's
/// other columns are 0 where it is missing (for a number that is the training mean). An answer is missing where its key
/// is absent or its text is one of the missing markers (the empty text always is).
///
/// ```
/// use derm_data::schema::Feature;
/// use derm_data::{Answers, FeatureSchema};
/// let age = Feature::numeric("age", "How old are you?", "years", 0.0, 100.0);
/// let sex = Feature::choice("sex", "Your sex?", &["female", "male"], &[("f", "female")]);
/// let schema = FeatureSchema::new(vec![age, sex], &["unknown"])?;
/// assert_eq!(schema.column_names(), ["age", "age:missing", "sex=female", "sex=male", "sex:missing"]);
/// let answers = Answers::from([("age".into(), "75".into()), ("sex".into(), "unknown".into())]);
/// assert_eq!(schema.encode(&answers)?, [0.5, 0.0, 0.0, 0.0, 1.0]);
/// let wrong = schema.encode(&Answers::from([("sex".into(), "x".into())])).unwrap_err();
/// assert_eq!(wrong.to_string(), r#"answer "x" to feature `sex`: expected one of ["female", "male"]"#);
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SchemaFile", into = "SchemaFile")]
pub struct FeatureSchema {
    features: Vec<Feature>,
    missing_markers: Vec<String>,
}

/// `feature_schema.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile {
    version: u64,
    missing_markers: Vec<String>,
    features: Vec<Feature>,
}

impl FeatureSchema {
    /// A questionnaire of these features. An answer equal to a missing marker (in any case) counts as not given.
    ///
    /// # Errors
    /// [`Error::Feature`] for a feature that contradicts itself, shares its name with another or has a missing marker
    /// among its values.
    pub fn new(features: Vec<Feature>, missing_markers: &[&str]) -> Result<Self, Error> {
        let markers = missing_markers.iter().map(|marker| marker.trim().to_lowercase()).collect();
        Self { features, missing_markers: markers }.validated()
    }

    /// A questionnaire without a question: the dataset has images alone.
    pub fn empty() -> Self {
        Self { features: Vec::new(), missing_markers: Vec::new() }
    }

    fn validated(self) -> Result<Self, Error> {
        for (index, feature) in self.features.iter().enumerate() {
            feature.validate()?;
            let wrong = |reason: String| Error::Feature { feature: feature.name.clone(), reason };
            if self.features[..index].iter().any(|other| other.name == feature.name) {
                return Err(wrong("the name stands twice".to_owned()));
            }
            if let FeatureKind::Choice { values, synonyms } = &feature.kind {
                let marker = values.iter().chain(synonyms.keys()).find(|value| self.is_missing(value));
                if let Some(marker) = marker {
                    return Err(wrong(format!("{marker:?} is a value and also means a missing answer")));
                }
            }
        }
        Ok(self)
    }

    /// The features, in the order of their columns.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Number of columns Q.
    pub fn width(&self) -> usize {
        self.features.iter().map(Feature::width).sum()
    }

    /// Names of the columns.
    pub fn column_names(&self) -> Vec<String> {
        self.features.iter().flat_map(Feature::column_names).collect()
    }

    /// Whether a text means that there is no answer.
    pub fn is_missing(&self, text: &str) -> bool {
        let plain = text.trim().to_lowercase();
        plain.is_empty() || self.missing_markers.contains(&plain)
    }

    /// The columns of a patient's answers, Q numbers. Blanks around an answer and its case do not matter.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`] for a key that the schema does not ask for, [`Error::Answer`] naming feature, answer and
    /// what is allowed, [`Error::MissingAnswer`] for a required feature.
    pub fn encode(&self, answers: &Answers) -> Result<Vec<f32>, Error> {
        if let Some(feature) =
            answers.keys().find(|&key| self.features.iter().all(|known| known.name != *key))
        {
            let known = self.features.iter().map(|feature| feature.name.clone()).collect();
            return Err(Error::UnknownFeature { feature: feature.clone(), known });
        }
        let mut row = Vec::with_capacity(self.width());
        for feature in &self.features {
            feature.encode(self.given(answers, feature), &mut row)?;
        }
        Ok(row)
    }

    fn given<'a>(&self, answers: &'a Answers, feature: &Feature) -> Option<&'a str> {
        answers.get(&feature.name).map(String::as_str).filter(|text| !self.is_missing(text))
    }

    /// The schema with every numeric feature scaled by the mean and the (population) standard deviation of the given
    /// answers. A feature with fewer than two different answers keeps its scaling.
    ///
    /// # Errors
    /// [`Error::Answer`] for an answer that is no number in the range.
    pub fn fit_scaling(&self, answers: &[&Answers]) -> Result<Self, Error> {
        let mut fitted = self.clone();
        for feature in &mut fitted.features {
            let numeric = matches!(feature.kind, FeatureKind::Numeric { .. });
            if !numeric {
                continue;
            }
            let mut numbers = Vec::new();
            for one in answers {
                if let Some(text) = self.given(one, feature) {
                    numbers.push(feature.number(text)?);
                }
            }
            let count = numbers.len().max(1) as f64;
            let centre = numbers.iter().sum::<f64>() / count;
            let spread = (numbers.iter().map(|x| (x - centre) * (x - centre)).sum::<f64>() / count).sqrt();
            if let FeatureKind::Numeric { mean, std, .. } = &mut feature.kind
                && spread > 0.0
            {
                *mean = centre;
                *std = spread;
            }
        }
        fitted.validated()
    }

    /// Reads `feature_schema.json`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Format`], or [`Error::Version`] for a version that this crate does not know.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
        let format =
            |error: serde_json::Error| Error::Format { path: path.to_owned(), reason: error.to_string() };
        let file: serde_json::Value = serde_json::from_str(&text).map_err(format)?;
        if let Some(got) = file.get("version").and_then(serde_json::Value::as_u64)
            && got != VERSION
        {
            return Err(Error::Version { path: path.to_owned(), got, expected: VERSION });
        }
        serde_json::from_str(&text).map_err(format)
    }

    /// Writes `feature_schema.json`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let text = self.to_json(path)?;
        Ok(atomic::write_file(path, |file| file.write_all(text.as_bytes()))?)
    }

    fn to_json(&self, path: &Path) -> Result<String, Error> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n")
            .map_err(|error| Error::Format { path: path.to_owned(), reason: error.to_string() })
    }
}

impl From<FeatureSchema> for SchemaFile {
    fn from(schema: FeatureSchema) -> Self {
        Self { version: VERSION, missing_markers: schema.missing_markers, features: schema.features }
    }
}

impl TryFrom<SchemaFile> for FeatureSchema {
    type Error = String;

    fn try_from(file: SchemaFile) -> Result<Self, String> {
        if file.version != VERSION {
            return Err(format!("format version {}; this program reads version {VERSION}", file.version));
        }
        let markers: Vec<&str> = file.missing_markers.iter().map(String::as_str).collect();
        Self::new(file.features, &markers).map_err(|error| error.to_string())
    }
}
