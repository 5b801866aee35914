use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_count, check_dropout, check_sizes};

/// Configuration of [`QuestionnaireEncoder`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `inputs` | required | width Q of the encoded answers | ≥ 1 |
/// | `widths` | 64, 32 | width of each layer; the last is the embedding E | one or more, each ≥ 1 |
/// | `dropout` | 0.1 | dropout between the layers in training | [0, 1) |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionnaireEncoderConfig {
    /// Width Q of the encoded answers.
    pub inputs: usize,
    /// Width of each layer; the last is the embedding E.
    #[serde(default = "default_widths")]
    pub widths: Vec<usize>,
    /// Dropout between the layers in training, in [0, 1).
    #[serde(default = "default_dropout")]
    pub dropout: f64,
}

fn default_widths() -> Vec<usize> {
    vec![64, 32]
}

fn default_dropout() -> f64 {
    0.1
}

impl QuestionnaireEncoderConfig {
    /// The default encoder of Q encoded answers.
    pub fn new(inputs: usize) -> Self {
        Self { inputs, widths: default_widths(), dropout: default_dropout() }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] or [`Error::Sizes`] naming the parameter.
    pub fn validate(&self) -> Result<(), Error> {
        check_count("questionnaire.inputs", self.inputs, 1, "at least 1")?;
        check_sizes("questionnaire.widths", &self.widths)?;
        check_dropout(self.dropout)
    }

    /// The encoder with fresh weights, torch's defaults for linear layers.
    ///
    /// # Errors
    /// As [`QuestionnaireEncoderConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<QuestionnaireEncoder, Error> {
        self.validate()?;
        let mut inputs = self.inputs;
        let mut layers = Vec::with_capacity(self.widths.len());
        for &width in &self.widths {
            layers.push(LinearConfig::new(inputs, width).init(device));
            inputs = width;
        }
        let encoder = QuestionnaireEncoder {
            layers,
            dropout: DropoutConfig::new(self.dropout).init(),
            inputs: self.inputs,
            embedding: inputs,
        };
        Ok(encoder.materialize())
    }
}

/// MLP over encoded answers: linear layers, each followed by a `ReLU`, with dropout between them.
///
/// The answers come encoded from a feature schema, missing ones included: how a missing answer is written is the
/// schema's matter.
///
/// # Shapes
/// [B, Q] → [B, E].
#[derive(Module, Debug)]
pub struct QuestionnaireEncoder {
    layers: Vec<Linear>,
    dropout: Dropout,
    inputs: usize,
    embedding: usize,
}

impl QuestionnaireEncoder {
    /// Width Q of the encoded answers.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width E of the embedding.
    pub fn embedding(&self) -> usize {
        self.embedding
    }

    /// Encoded answers [B, Q] → embedding [B, E].
    ///
    /// # Panics
    /// When the answers are not Q wide.
    pub fn forward(&self, answers: Tensor<2>) -> Tensor<2> {
        self.layers.iter().enumerate().fold(answers, |x, (index, layer)| {
            let x = if index == 0 { x } else { self.dropout.forward(x) };
            relu(layer.forward(x))
        })
    }
}
