use crate::Error;
use crate::error::check_not_all_zero;

/// One weight a layer, for a loss that is summed over several.
///
/// ```
/// use derm_losses::{Error, LayerWeights};
///
/// assert_eq!(LayerWeights::equal(2)?, LayerWeights::new(vec![1.0, 1.0])?);
/// assert_eq!(LayerWeights::new(vec![1.0, -2.0]), Err(Error::LayerWeight { index: 1, value: -2.0 }));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LayerWeights(Vec<f64>);

impl LayerWeights {
    /// These weights, first layer first.
    ///
    /// # Errors
    /// [`Error::NoLayers`] for none, [`Error::LayerWeight`] for one that is negative or not finite,
    /// [`Error::ZeroWeights`] where all are 0.
    pub fn new(weights: Vec<f64>) -> Result<Self, Error> {
        if weights.is_empty() {
            return Err(Error::NoLayers);
        }
        let allowed = |weight: f64| (weight as f32).is_finite() && weight >= 0.0;
        if let Some(index) = weights.iter().position(|&weight| !allowed(weight)) {
            return Err(Error::LayerWeight { index, value: weights[index] });
        }
        check_not_all_zero("layer weights", &weights)?;
        Ok(Self(weights))
    }

    /// 1 for each of `num_layers` layers: the plain sum.
    ///
    /// # Errors
    /// [`Error::NoLayers`] for no layer.
    pub fn equal(num_layers: usize) -> Result<Self, Error> {
        Self::new(vec![1.0; num_layers])
    }

    /// The weights, first layer first.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }
}
