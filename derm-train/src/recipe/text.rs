use std::path::PathBuf;

use derm_backbones::{TextConfig, TextEncoderConfig, TextPooling};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::recipe::check::{check, section};

/// The text side of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRecipe {
    /// The text encoder.
    pub encoder: TextEncoderConfig,
    /// Its `tokenizer.json`. Absent for one of the words of the synthetic captions, and only with those.
    #[serde(default)]
    pub tokenizer: Option<PathBuf>,
    /// A file of published weights that the text encoder begins with; absent for fresh ones.
    #[serde(default)]
    pub weights: Option<PathBuf>,
    /// How a text's tokens become one vector. Default `mean`.
    #[serde(default)]
    pub pooling: TextPooling,
    /// Most tokens of a text, special ones included; what is longer is cut at its end. Default 128.
    #[serde(default = "max_length")]
    pub max_length: usize,
    /// Probability that a text is taken as missing in training, in [0, 1). Default 0.
    #[serde(default)]
    pub text_dropout: f64,
}

fn max_length() -> usize {
    128
}

impl TextRecipe {
    /// An encoder with the default of every other key.
    pub fn new(encoder: TextEncoderConfig) -> Self {
        Self {
            encoder,
            tokenizer: None,
            weights: None,
            pooling: TextPooling::default(),
            max_length: max_length(),
            text_dropout: 0.0,
        }
    }

    /// What describes it in a bundle.
    pub fn config(&self) -> TextConfig {
        TextConfig { encoder: self.encoder.clone(), pooling: self.pooling }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        self.encoder.validate().map_err(section("model.text.encoder"))?;
        let positions = self.encoder.bert().positions;
        let expected = "3 to the encoder's positions";
        check("model.text.max_length", &self.max_length, expected, |v| (3..=positions).contains(v))?;
        check("model.text.text_dropout", &self.text_dropout, "0 to below 1", |v| (0.0..1.0).contains(v))
    }
}
