use std::path::PathBuf;

use derm_backbones::{
    AnswerColumns, BackboneConfig, FusionConfig, HeadConfig, QuestionnaireEncoderConfig, TaskConfig,
};
use derm_core::{Interpolation, Normalization};
use derm_data::FeatureSchema;
use derm_data::schema::ColumnGroup;
use serde::{Deserialize, Serialize};

use crate::recipe::check::{check, section};
use crate::{Error, TextRecipe};

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelRecipe {
    /// The image encoder. Default `resnet18`.
    pub backbone: BackboneConfig,
    /// A file of published weights (safetensors or PyTorch) that the network begins with; heads that do not fit are
    /// drawn. Absent for fresh weights.
    pub weights: Option<PathBuf>,
    /// Rate of stochastic depth, in [0, 1); absent for the architecture's own.
    pub stochastic_depth: Option<f64>,
    /// Whether activations of the encoder are computed again in the backward pass instead of kept. Default false.
    pub gradient_checkpointing: bool,
    /// Blocks that are computed again together. Default 1.
    pub gradient_checkpointing_blocks: usize,
    /// Side of the square image in pixels. Default 224.
    pub image_size: usize,
    /// Standardisation of the pixels. Default `imagenet`.
    pub image_norm: ImageNorm,
    /// Kernel by which images are resized. Default `bilinear`.
    pub interpolation: Interpolation,
    /// Whether the questionnaire goes in. Default false.
    pub use_answers: bool,
    /// Widths of the questionnaire encoder's layers, where there is one. Default 64 and 32.
    pub answers_widths: Vec<usize>,
    /// Probability that a whole answer is taken as missing in training, in [0, 1). Default 0.
    pub answer_dropout: f64,
    /// The text encoder and its tokenizer; absent for a network that reads no text.
    pub text: Option<TextRecipe>,
    /// How image, answers and text become one vector. Default `concatenation`.
    pub fusion: FusionConfig,
    /// Dropout before the head and within the questionnaire encoder, in [0, 1). Default 0.
    pub dropout: f64,
}

/// Standardisation by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageNorm {
    /// The statistics of `ImageNet`.
    #[default]
    Imagenet,
    /// One half for mean and deviation.
    Siglip,
}

impl ImageNorm {
    /// The numbers.
    pub fn normalization(self) -> Normalization {
        match self {
            Self::Imagenet => Normalization::IMAGENET,
            Self::Siglip => Normalization::HALF,
        }
    }
}

impl Default for ModelRecipe {
    fn default() -> Self {
        Self {
            backbone: BackboneConfig::Resnet18,
            weights: None,
            stochastic_depth: None,
            gradient_checkpointing: false,
            gradient_checkpointing_blocks: 1,
            image_size: 224,
            image_norm: ImageNorm::default(),
            interpolation: Interpolation::default(),
            use_answers: false,
            answers_widths: vec![64, 32],
            answer_dropout: 0.0,
            text: None,
            fusion: FusionConfig::default(),
            dropout: 0.0,
        }
    }
}

impl ModelRecipe {
    /// The encoder of the answers to a questionnaire; none where the network reads no answers.
    pub fn questionnaire(&self, schema: &FeatureSchema) -> Option<QuestionnaireEncoderConfig> {
        let answers =
            |group: ColumnGroup| AnswerColumns { columns: group.columns, optional: group.has_missing_column };
        self.use_answers.then(|| QuestionnaireEncoderConfig {
            inputs: schema.width(),
            widths: self.answers_widths.clone(),
            dropout: self.dropout,
            answers: schema.column_groups().into_iter().map(answers).collect(),
            answer_dropout: self.answer_dropout,
        })
    }

    /// What stands on top of the image encoder: heads of `num_classes` diagnoses and of the further tasks, and what
    /// reads the answers to a questionnaire, where the network reads answers.
    pub fn head(
        &self,
        num_classes: usize,
        schema: Option<&FeatureSchema>,
        tasks: Vec<TaskConfig>,
    ) -> HeadConfig {
        HeadConfig {
            dropout: self.dropout,
            questionnaire: schema.and_then(|schema| self.questionnaire(schema)),
            text: self.text.as_ref().map(TextRecipe::config),
            fusion: self.fusion.clone(),
            tasks,
            ..HeadConfig::new(num_classes)
        }
    }

    /// The image encoder, with the stochastic depth that the recipe asks for.
    pub fn backbone(&self) -> BackboneConfig {
        // Validated recipes name a rate only where there is one.
        let with_rate = self.stochastic_depth.and_then(|rate| self.backbone.with_stochastic_depth(rate).ok());
        with_rate.unwrap_or_else(|| self.backbone.clone())
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        match self.stochastic_depth {
            None => self.backbone.validate().map_err(section("model.backbone"))?,
            Some(rate) => {
                self.backbone.with_stochastic_depth(rate).map_err(section("model.stochastic_depth"))?;
            }
        }
        let blocks = self.gradient_checkpointing_blocks;
        check("model.gradient_checkpointing_blocks", &blocks, "1 or more", |v| *v >= 1)?;
        check("model.image_size", &self.image_size, "8 to 4096", |v| (8..=4096).contains(v))?;
        let widths = format!("{:?}", self.answers_widths);
        let sizes =
            !self.answers_widths.is_empty() && self.answers_widths.iter().all(|w| (1..=65536).contains(w));
        check("model.answers_widths", &widths, "one or more, each 1 to 65536", |_| sizes)?;
        let expected = "0 to below 1, above 0 only with model.use_answers";
        check("model.answer_dropout", &self.answer_dropout, expected, |v| {
            (0.0..1.0).contains(v) && (self.use_answers || *v == 0.0)
        })?;
        self.text.as_ref().map_or(Ok(()), TextRecipe::validate)?;
        let fusion = format!("{:?}", self.fusion);
        let expected = "concatenation, or another one with model.use_answers or model.text";
        let beside = self.use_answers || self.text.is_some();
        check("model.fusion", &fusion, expected, |_| beside || self.fusion == FusionConfig::Concatenation)?;
        check("model.dropout", &self.dropout, "0 to below 1", |v| (0.0..1.0).contains(v))
    }
}
