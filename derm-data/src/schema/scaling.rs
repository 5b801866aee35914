//! The scaling of numbers by what the training answers say.

use super::answer::Given;
use super::{FeatureKind, FeatureSchema};
use crate::{Answers, Error};

impl FeatureSchema {
    /// The schema with every numeric feature scaled by the mean and the (population) standard deviation of the given
    /// answers, clipped where the feature clips. A feature with fewer than two different answers keeps its scaling.
    ///
    /// # Errors
    /// [`Error::Answer`] for an answer that is no number in the range; [`Error::Feature`] for answers that lie so far
    /// apart or so close together that a scaled number would not be finite.
    pub fn fit_scaling(&self, answers: &[&Answers]) -> Result<Self, Error> {
        let mut fitted = self.clone();
        for (index, feature) in fitted.features.iter_mut().enumerate() {
            if !matches!(feature.kind, FeatureKind::Numeric { .. }) {
                continue;
            }
            let mut numbers = Vec::new();
            for one in answers {
                let Some(text) = self.text_of(index, one) else { continue };
                if let Some(Given::Number(number)) = feature.given(&self.known[index], text)? {
                    numbers.push(number);
                }
            }
            let count = numbers.len().max(1) as f64;
            let centre = numbers.iter().sum::<f64>() / count;
            let spread = (numbers.iter().map(|x| (x - centre) * (x - centre)).sum::<f64>() / count).sqrt();
            let differ = numbers.iter().any(|&number| number != numbers[0]);
            if let FeatureKind::Numeric { mean, std, .. } = &mut feature.kind
                && differ
            {
                *mean = centre;
                *std = spread;
            }
            feature.validate()?;
        }
        Ok(fitted)
    }
}
