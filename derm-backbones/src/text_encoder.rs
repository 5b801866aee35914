use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{Bert, BertConfig, Error};

/// A text encoder that a file names: `minilm_l6_h384`, or `bert: {vocabulary: …, width: …, …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoderConfig {
    /// BERT-base, cased: `bert-base-cased` and the clinical models trained from it.
    BertBaseCased,
    /// BERT-base, lower case: `bert-base-uncased`.
    BertBaseUncased,
    /// DistilBERT-base, lower case: `distilbert-base-uncased`.
    DistilbertBaseUncased,
    /// `MiniLM` of 6 layers: `all-MiniLM-L6-v2`.
    #[serde(rename = "minilm_l6_h384")]
    MinilmL6,
    /// `MiniLM` of 12 layers: `all-MiniLM-L12-v2`.
    #[serde(rename = "minilm_l12_h384")]
    MinilmL12,
    /// Any other BERT-like encoder.
    Bert(BertConfig),
}

impl TextEncoderConfig {
    /// The encoder as data.
    pub fn bert(&self) -> BertConfig {
        match self {
            Self::BertBaseCased => BertConfig::bert_base_cased(),
            Self::BertBaseUncased => BertConfig::bert_base_uncased(),
            Self::DistilbertBaseUncased => BertConfig::distilbert_base_uncased(),
            Self::MinilmL6 => BertConfig::minilm_l6_h384(),
            Self::MinilmL12 => BertConfig::minilm_l12_h384(),
            Self::Bert(config) => config.clone(),
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// As [`BertConfig::validate`].
    pub fn validate(&self) -> Result<(), Error> {
        self.bert().validate()
    }

    /// The encoder with fresh weights.
    ///
    /// # Errors
    /// As [`BertConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<Bert, Error> {
        self.bert().init(device)
    }
}
