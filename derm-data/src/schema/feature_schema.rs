use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::Given;
use super::file::SchemaFile;
use super::spelling::plain;
use super::{Block, ColumnGroup, Excluded, Feature, MissingPolicy, SchemaBuilder};
use crate::{Answers, Error};

/// A questionnaire: its features in the order of their columns. It is a file, `feature_schema.json`, which travels with
/// a model, so that answers are encoded in service exactly as they were in training.
///
/// What an answer's columns are says [`FeatureKind`](super::FeatureKind), what becomes of a missing one
/// [`MissingPolicy`]. An answer is missing where its key is absent or its text is blank or one of the missing markers.
///
/// ```
/// use derm_data::schema::{Feature, UnknownPolicy};
/// use derm_data::{Answers, FeatureSchema};
/// let schema = FeatureSchema::builder("intake", "2026-11")
///     .missing_markers(&["not asked"])
///     .feature(Feature::numeric("age", "How old are you?", "years", 0.0, 100.0))
///     .feature(Feature::choice("sex", "Your sex?", &["female", "male"], &[("f", "female")]))
///     .feature(Feature::ordinal("itch", "How much does it itch?", &["no", "some", "much"], &[]))
///     .feature(Feature::boolean("bleeding", "Has it bled?", UnknownPolicy::Column))
///     .build()?;
/// let columns = [
///     "age", "age:missing", "sex=female", "sex=male", "sex:missing", "itch>=some", "itch>=much", "itch:missing",
///     "bleeding", "bleeding:unknown", "bleeding:missing",
/// ];
/// assert_eq!(schema.column_names(), columns);
///
/// let answers = |pairs: &[(&str, &str)]| -> Answers {
///     pairs.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
/// };
/// let given = answers(&[("age", "75.0"), ("sex", " F"), ("itch", "not asked"), ("bleeding", "unknown")]);
/// let row = schema.encode(&given)?;
/// assert_eq!(row, [0.5, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
/// assert_eq!(schema.missing(&given), ["itch"]);
/// assert_eq!(schema.decode(&row)?, answers(&[("age", "75"), ("sex", "female"), ("bleeding", "unknown")]));
///
/// let wrong = schema.encode(&answers(&[("sex", "x")])).unwrap_err();
/// assert_eq!(wrong.to_string(), r#"answer "x" to feature `sex`: expected one of ["female", "male"]"#);
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SchemaFile", into = "SchemaFile")]
pub struct FeatureSchema {
    pub(super) name: String,
    pub(super) revision: String,
    pub(super) missing_markers: Vec<String>,
    pub(super) blocks: Vec<Block>,
    pub(super) features: Vec<Feature>,
    pub(super) excluded: Vec<Excluded>,
    /// For each feature every spelling that it understands, in its plain form, with its value's position.
    pub(super) known: Vec<BTreeMap<String, usize>>,
}

impl FeatureSchema {
    /// A questionnaire in the making: its name, and the survey's own version.
    pub fn builder(name: &str, revision: &str) -> SchemaBuilder {
        SchemaBuilder::new(name, revision)
    }

    /// A questionnaire without a question: the dataset has images alone.
    pub fn empty() -> Self {
        Self {
            name: "empty".to_owned(),
            revision: "1".to_owned(),
            missing_markers: Vec::new(),
            blocks: Vec::new(),
            features: Vec::new(),
            excluded: Vec::new(),
            known: Vec::new(),
        }
    }

    /// What the survey is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The survey's own version.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Texts that count as a missing answer, in lower case.
    pub fn missing_markers(&self) -> &[String] {
        &self.missing_markers
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The features, in the order of their columns.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Columns of the data that must never be an input.
    pub fn excluded(&self) -> &[Excluded] {
        &self.excluded
    }

    /// Number of columns Q.
    pub fn width(&self) -> usize {
        self.features.iter().map(Feature::width).sum()
    }

    /// Names of the columns, each of them once.
    pub fn column_names(&self) -> Vec<String> {
        self.features.iter().flat_map(Feature::column_names).collect()
    }

    /// Which columns belong to which feature, in order: all columns, each once.
    pub fn column_groups(&self) -> Vec<ColumnGroup> {
        let mut start = 0;
        let group = |feature: &Feature| {
            let columns = feature.width();
            let group = ColumnGroup {
                feature: feature.name.clone(),
                start,
                columns,
                has_missing_column: feature.has_missing_column(),
            };
            start += columns;
            group
        };
        self.features.iter().map(group).collect()
    }

    /// Whether a text means that there is no answer, to whatever question. See [`FeatureSchema::missing`] for answers to
    /// a question.
    pub fn is_missing(&self, text: &str) -> bool {
        let plain = plain(text);
        plain.is_empty() || self.missing_markers.contains(&plain)
    }

    /// The columns of a patient's answers, Q numbers, none of them NaN or infinite.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`] for a key that the schema does not ask for ([`FeatureSchema::select`] leaves such answers
    /// out), [`Error::ExcludedFeature`] for one that it excludes, [`Error::Answer`] naming feature, answer and what is
    /// allowed, [`Error::MissingAnswer`] for a required feature.
    pub fn encode(&self, answers: &Answers) -> Result<Vec<f32>, Error> {
        let given = self.given(answers)?;
        let mut row = vec![0.0; self.width()];
        let mut rest = row.as_mut_slice();
        for (feature, given) in self.features.iter().zip(&given) {
            let (columns, after) = rest.split_at_mut(feature.width());
            feature.write(given.as_ref(), columns);
            rest = after;
        }
        Ok(row)
    }

    /// The answers that a row of Q columns holds, as [`FeatureSchema::canonical`] spells them; a number as the decimal
    /// with the fewest digits that encodes to the same column. Missing answers are absent.
    ///
    /// # Errors
    /// [`Error::EncodedWidth`], or [`Error::EncodedAnswer`] for columns that no answer gives.
    pub fn decode(&self, row: &[f32]) -> Result<Answers, Error> {
        let width = self.width();
        if row.len() != width {
            return Err(Error::EncodedWidth { got: row.len(), expected: width });
        }
        let mut answers = Answers::new();
        let mut rest = row;
        for feature in &self.features {
            let (columns, after) = rest.split_at(feature.width());
            let given = feature.read(columns).map_err(|_| Error::EncodedAnswer {
                feature: feature.name.clone(),
                columns: columns.to_vec(),
                names: feature.column_names(),
            })?;
            answers.extend(given.map(|given| (feature.name.clone(), feature.spell(&given))));
            rest = after;
        }
        Ok(answers)
    }

    /// The answers as the schema spells them: each value as it stands in the schema, a number as a plain decimal within
    /// its range, several values in the schema's order. Missing answers are absent.
    ///
    /// # Errors
    /// As [`FeatureSchema::encode`].
    pub fn canonical(&self, answers: &Answers) -> Result<Answers, Error> {
        let given = self.given(answers)?;
        let spell = |(feature, given): (&Feature, &Option<Given>)| {
            given.as_ref().map(|given| (feature.name.clone(), feature.spell(given)))
        };
        Ok(self.features.iter().zip(&given).filter_map(spell).collect())
    }

    /// The features without an answer, in the schema's order.
    pub fn missing<'a>(&'a self, answers: &Answers) -> Vec<&'a str> {
        let missing = (0..self.features.len()).filter(|&index| self.text_of(index, answers).is_none());
        missing.map(|index| self.features[index].name.as_str()).collect()
    }

    /// The text of the answer to the feature at `index`, where one is given.
    pub(crate) fn text_of<'a>(&self, index: usize, answers: &'a Answers) -> Option<&'a str> {
        let (feature, known) = (&self.features[index], &self.known[index]);
        let text = answers.get(&feature.name)?.as_str();
        (!self.is_missing(text) && !feature.says_missing(known, text)).then_some(text)
    }

    /// Checks the answer to one feature, whatever the others are.
    pub(crate) fn check_answer(&self, feature: &str, text: &str) -> Result<(), Error> {
        let index = self.features.iter().position(|known| known.name == feature);
        let index = index.ok_or_else(|| self.unknown(feature))?;
        if !self.is_missing(text) {
            self.features[index].given(&self.known[index], text)?;
        }
        Ok(())
    }

    /// What was answered, one a feature.
    fn given(&self, answers: &Answers) -> Result<Vec<Option<Given>>, Error> {
        for key in answers.keys() {
            if let Some(excluded) = self.excluded.iter().find(|excluded| excluded.name == *key) {
                let (feature, reason) = (key.clone(), excluded.reason.clone());
                return Err(Error::ExcludedFeature { feature, reason });
            }
            if self.features.iter().all(|feature| feature.name != *key) {
                return Err(self.unknown(key));
            }
        }
        let mut all = Vec::with_capacity(self.features.len());
        for (index, feature) in self.features.iter().enumerate() {
            let given = match self.text_of(index, answers) {
                Some(text) => feature.given(&self.known[index], text)?,
                None => None,
            };
            if given.is_none() && feature.missing == MissingPolicy::Required {
                return Err(Error::MissingAnswer {
                    feature: feature.name.clone(),
                    expected: feature.expected(),
                });
            }
            all.push(given);
        }
        Ok(all)
    }

    pub(super) fn unknown(&self, feature: &str) -> Error {
        let known = self.features.iter().map(|feature| feature.name.clone()).collect();
        Error::UnknownFeature { feature: feature.to_owned(), known }
    }
}
