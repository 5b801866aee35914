use super::spelling::{plain, trim};
use super::{Block, Excluded, Feature, FeatureSchema};
use crate::Error;

/// A questionnaire in the making: [`FeatureSchema::builder`].
#[derive(Clone, Debug)]
pub struct SchemaBuilder {
    name: String,
    revision: String,
    missing_markers: Vec<String>,
    blocks: Vec<Block>,
    features: Vec<Feature>,
    excluded: Vec<Excluded>,
}

impl SchemaBuilder {
    pub(super) fn new(name: &str, revision: &str) -> Self {
        Self {
            name: name.to_owned(),
            revision: revision.to_owned(),
            missing_markers: Vec::new(),
            blocks: Vec::new(),
            features: Vec::new(),
            excluded: Vec::new(),
        }
    }

    /// Adds texts that count as a missing answer to any question, such as `unknown`. The empty text always does.
    #[must_use]
    pub fn missing_markers(mut self, markers: &[&str]) -> Self {
        self.missing_markers.extend(markers.iter().map(|marker| plain(marker)));
        self
    }

    /// Adds a block.
    #[must_use]
    pub fn block(self, block: Block) -> Self {
        self.blocks([block])
    }

    /// Adds blocks.
    #[must_use]
    pub fn blocks(mut self, blocks: impl IntoIterator<Item = Block>) -> Self {
        self.blocks.extend(blocks);
        self
    }

    /// Adds a question after those that are there.
    #[must_use]
    pub fn feature(self, feature: Feature) -> Self {
        self.features([feature])
    }

    /// Adds questions after those that are there.
    #[must_use]
    pub fn features(mut self, features: impl IntoIterator<Item = Feature>) -> Self {
        self.features.extend(features);
        self
    }

    /// Names a column that must never be an input, and why.
    #[must_use]
    pub fn exclude(mut self, name: &str, reason: &str) -> Self {
        self.excluded.push(Excluded { name: name.to_owned(), reason: reason.to_owned() });
        self
    }

    /// The questionnaire.
    ///
    /// # Errors
    /// [`Error::Feature`] for a feature that contradicts itself, shares its name with another, is in an unknown block, is
    /// excluded too, gives a column the name of another's, or understands a missing marker as an answer; [`Error::Schema`]
    /// for a schema without name or revision, a block that stands twice or a blank name.
    pub fn build(self) -> Result<FeatureSchema, Error> {
        let schema = |reason: String| Err(Error::Schema { schema: self.name.clone(), reason });
        for (what, text) in [("name", &self.name), ("revision", &self.revision)] {
            if text.is_empty() || trim(text) != text {
                return schema(format!("{what} {text:?}: expected text without blanks at its ends"));
            }
        }
        for (index, block) in self.blocks.iter().enumerate() {
            if block.name.is_empty() || trim(&block.name) != block.name {
                return schema(format!("block {:?}: expected a name without blanks at its ends", block.name));
            }
            if self.blocks[..index].iter().any(|other| other.name == block.name) {
                return schema(format!("block {:?} stands twice", block.name));
            }
        }
        let mut known = Vec::with_capacity(self.features.len());
        let mut columns = std::collections::BTreeSet::new();
        for (index, feature) in self.features.iter().enumerate() {
            let spellings = feature.validate()?;
            let wrong = |reason: String| Err(Error::Feature { feature: feature.name.clone(), reason });
            if self.features[..index].iter().any(|other| other.name == feature.name) {
                return wrong("the name stands twice".to_owned());
            }
            if let Some(block) = &feature.block
                && self.blocks.iter().all(|known| known.name != *block)
            {
                return wrong(format!("it is in the block {block:?}, which is not among the schema's"));
            }
            if let Some(excluded) = self.excluded.iter().find(|excluded| excluded.name == feature.name) {
                return wrong(format!("it is excluded: {}", excluded.reason));
            }
            if let Some(marker) =
                self.missing_markers.iter().find(|marker| feature.answers_to(&spellings, marker))
            {
                return wrong(format!("{marker:?} is an answer and also means a missing one"));
            }
            if let Some(column) =
                feature.column_names().into_iter().find(|name| !columns.insert(name.clone()))
            {
                return wrong(format!("its column `{column}` is another feature's too"));
            }
            known.push(spellings);
        }
        for (index, excluded) in self.excluded.iter().enumerate() {
            if excluded.name.is_empty() || self.excluded[..index].iter().any(|one| one.name == excluded.name)
            {
                return schema(format!(
                    "excluded column {:?}: expected a name that stands once",
                    excluded.name
                ));
            }
        }
        let Self { name, revision, missing_markers, blocks, features, excluded } = self;
        Ok(FeatureSchema { name, revision, missing_markers, blocks, features, excluded, known })
    }
}
