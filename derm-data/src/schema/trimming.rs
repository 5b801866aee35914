//! A shorter questionnaire from a longer one.

use super::{Feature, FeatureSchema};
use crate::{Answers, Error};

impl FeatureSchema {
    /// The questionnaire with these features only, in its own order: its columns are those of the full one, fitted
    /// scaling included. Blocks that lose all features go; name, revision and excluded columns stay.
    ///
    /// ```
    /// let full = derm_data::schema::uci_dermatology()?;
    /// let clinical = full.keep(&full.features_in("clinical")?)?;
    /// assert_eq!((full.features().len(), clinical.features().len()), (34, 12));
    /// # Ok::<(), derm_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownFeature`].
    pub fn keep(&self, names: &[&str]) -> Result<Self, Error> {
        self.check_names(names)?;
        Ok(self.filtered(|feature| names.contains(&feature.name.as_str())))
    }

    /// The questionnaire without these features, otherwise as [`FeatureSchema::keep`].
    ///
    /// # Errors
    /// [`Error::UnknownFeature`].
    pub fn drop(&self, names: &[&str]) -> Result<Self, Error> {
        self.check_names(names)?;
        Ok(self.filtered(|feature| !names.contains(&feature.name.as_str())))
    }

    /// The features of a block.
    ///
    /// # Errors
    /// [`Error::UnknownBlock`].
    pub fn features_in(&self, block: &str) -> Result<Vec<&str>, Error> {
        if self.blocks.iter().all(|known| known.name != block) {
            let known = self.blocks.iter().map(|block| block.name.clone()).collect();
            return Err(Error::UnknownBlock { block: block.to_owned(), known });
        }
        let inside = self.features.iter().filter(|feature| feature.block.as_deref() == Some(block));
        Ok(inside.map(|feature| feature.name.as_str()).collect())
    }

    /// The answers to the questions that the schema asks: those to a longer questionnaire, excluded columns too, are left
    /// out. The answers themselves are not checked.
    #[must_use]
    pub fn select(&self, answers: &Answers) -> Answers {
        let asked = |name: &str| self.features.iter().any(|feature| feature.name == name);
        answers
            .iter()
            .filter(|(name, _)| asked(name))
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect()
    }

    fn check_names(&self, names: &[&str]) -> Result<(), Error> {
        let unknown = names.iter().find(|&&name| self.features.iter().all(|feature| feature.name != name));
        unknown.map_or(Ok(()), |name| Err(self.unknown(name)))
    }

    /// A part of a schema that makes sense makes sense.
    fn filtered(&self, keep: impl Fn(&Feature) -> bool) -> Self {
        let kept = self.features.iter().zip(&self.known).filter(|(feature, _)| keep(feature));
        let (features, known): (Vec<Feature>, Vec<_>) =
            kept.map(|(feature, known)| (feature.clone(), known.clone())).unzip();
        let used =
            |name: &str| features.iter().any(|feature: &Feature| feature.block.as_deref() == Some(name));
        let blocks = self.blocks.iter().filter(|block| used(&block.name)).cloned().collect();
        Self { blocks, features, known, ..self.clone() }
    }
}
