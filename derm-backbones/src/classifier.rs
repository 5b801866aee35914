use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use derm_core::{Backbone, Features, Taps};
use serde::{Deserialize, Serialize};

use crate::error::{check_count, check_dropout};
use crate::{
    AnyBackbone, BackboneConfig, CountMacs, Error, LayerGroup, LayerGroups, Macs, QuestionnaireEncoder,
    QuestionnaireEncoderConfig,
};

/// What stands on top of an image encoder.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `num_classes` | required | logits C | ≥ 2 |
/// | `dropout` | 0 | dropout before the last layer in training | [0, 1) |
/// | `questionnaire` | none | encoder of the answers, concatenated with the image features | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Number of classes C.
    pub num_classes: usize,
    /// Dropout before the last layer in training, in [0, 1).
    #[serde(default)]
    pub dropout: f64,
    /// Encoder of the patient's answers; none for an image-only model.
    #[serde(default)]
    pub questionnaire: Option<QuestionnaireEncoderConfig>,
}

impl HeadConfig {
    /// An image-only head without dropout.
    pub fn new(num_classes: usize) -> Self {
        Self { num_classes, dropout: 0.0, questionnaire: None }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] or [`Error::Sizes`] naming the parameter.
    pub fn validate(&self) -> Result<(), Error> {
        check_count("num_classes", self.num_classes, 2, "at least 2")?;
        check_dropout(self.dropout)?;
        self.questionnaire.as_ref().map_or(Ok(()), QuestionnaireEncoderConfig::validate)
    }

    /// A classifier on top of `backbone`, which may come from anywhere.
    ///
    /// # Errors
    /// As [`HeadConfig::validate`].
    pub fn init<B: Backbone>(&self, backbone: B, device: &Device) -> Result<Classifier<B>, Error> {
        self.validate()?;
        let questionnaire = self.questionnaire.as_ref().map(|config| config.init(device)).transpose()?;
        let width =
            backbone.spec().embedding + questionnaire.as_ref().map_or(0, QuestionnaireEncoder::embedding);
        let distillation_head = backbone.spec().distillation.then(|| {
            let width = backbone.spec().embedding;
            LinearConfig::new(width, self.num_classes).init(device).materialize()
        });
        Ok(Classifier {
            backbone,
            questionnaire,
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(width, self.num_classes).init(device).materialize(),
            distillation_head,
            num_classes: self.num_classes,
        })
    }
}

/// A classifier whose encoder a file names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The image encoder.
    pub backbone: BackboneConfig,
    /// What stands on top of it.
    pub head: HeadConfig,
}

impl ClassifierConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// As [`BackboneConfig::validate`] and [`HeadConfig::validate`].
    pub fn validate(&self) -> Result<(), Error> {
        self.backbone.validate()?;
        self.head.validate()
    }

    /// The classifier with fresh weights, drawn here and now from the device's random generator: after
    /// `device.seed(seed)` the same config gives the same weights.
    ///
    /// # Errors
    /// As [`ClassifierConfig::validate`].
    pub fn init(&self, device: &Device) -> Result<Classifier<AnyBackbone>, Error> {
        self.validate()?;
        self.head.init(self.backbone.init(device)?, device)
    }
}

/// Logits and what they were computed from.
#[derive(Debug, Clone)]
pub struct ClassifierOutput {
    /// Logits [B, C]; with two heads their mean.
    pub logits: Tensor<2>,
    /// The logits [B, C] of each head of a distilled `DeiT`: class token, distillation token.
    pub head_logits: Option<[Tensor<2>; 2]>,
    /// The encoder's pooled features [B, D], before fusion, and the feature maps asked for.
    pub features: Features,
}

/// Image encoder, optional questionnaire encoder, concatenation and a linear head.
///
/// `logits = W · dropout([image features, answer embedding]) + b`
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::{BackboneConfig, ClassifierConfig, HeadConfig, QuestionnaireEncoderConfig};
/// use derm_core::Taps;
///
/// let config = ClassifierConfig {
///     backbone: BackboneConfig::Resnet18_28,
///     head: HeadConfig { questionnaire: Some(QuestionnaireEncoderConfig::new(12)), ..HeadConfig::new(7) },
/// };
/// let device = Device::default();
/// device.seed(1);
/// let model = config.init(&device)?;
/// let images = Tensor::zeros([1, 3, 8, 8], &device);
/// let answers = Tensor::zeros([1, 12], &device);
/// assert_eq!(model.forward(images, Some(answers), &Taps::none()).logits.dims(), [1, 7]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Classifier<B> {
    backbone: B,
    questionnaire: Option<QuestionnaireEncoder>,
    dropout: Dropout,
    head: Linear,
    distillation_head: Option<Linear>,
    num_classes: usize,
}

/// The encoder's groups, then `head`: everything on top of the encoder.
impl<B: Backbone + LayerGroups> LayerGroups for Classifier<B> {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let groups = self.backbone.layer_groups().into_iter().map(|group| LayerGroup {
            prefixes: group.prefixes.into_iter().map(|prefix| format!("backbone.{prefix}")).collect(),
            ..group
        });
        let top = ["questionnaire", "dropout", "head", "distillation_head"];
        groups.chain([LayerGroup::new("head", top)]).collect()
    }
}

impl<B: Backbone> Classifier<B> {
    /// Images [B, 3, H, W] and, with a questionnaire, encoded answers [B, Q] → logits [B, C].
    ///
    /// # Panics
    /// When answers are given to an image-only model or withheld from one with a questionnaire (see
    /// [`Classifier::num_answers`]), and when shapes do not fit.
    pub fn forward(&self, images: Tensor<4>, answers: Option<Tensor<2>>, taps: &Taps) -> ClassifierOutput {
        let features = self.backbone.forward_features(images, taps);
        let embedding = match (&self.questionnaire, answers) {
            (None, answers) => {
                assert!(answers.is_none(), "answers were given to a model without a questionnaire");
                features.pooled.clone()
            }
            (Some(questionnaire), answers) => {
                assert!(answers.is_some(), "a model with a questionnaire needs answers");
                let encoded = answers.map(|answers| questionnaire.forward(answers));
                let parts = std::iter::once(features.pooled.clone()).chain(encoded).collect();
                Tensor::cat(parts, 1)
            }
        };
        let logits = self.head.forward(self.dropout.forward(embedding));
        match (&self.distillation_head, &features.distillation) {
            (Some(head), Some(token)) => {
                let distilled = head.forward(self.dropout.forward(token.clone()));
                let mean = (logits.clone() + distilled.clone()) / 2.0;
                ClassifierOutput { logits: mean, head_logits: Some([logits, distilled]), features }
            }
            _ => ClassifierOutput { logits, head_logits: None, features },
        }
    }

    /// The form for inference: the encoder's batch norms folded into its convolutions. The result neither trains
    /// nor saves.
    #[must_use]
    pub fn fold_batch_norm(self) -> Self {
        Self { backbone: self.backbone.fold_batch_norm(), ..self }
    }

    /// Multiply-accumulates of one image of [height, width] pixels through the encoder and the head.
    pub fn macs(&self, image: [usize; 2]) -> Macs
    where
        B: CountMacs,
    {
        let heads = std::iter::once(&self.head).chain(&self.distillation_head);
        let linear = heads.map(|head| head.weight.lazy_shape().num_elements() as u64).sum();
        self.backbone.macs(image) + Macs { conv_and_linear: linear, attention: 0 }
    }

    /// The image encoder.
    pub fn backbone(&self) -> &B {
        &self.backbone
    }

    /// Number of classes C.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Width Q of the encoded answers that [`Classifier::forward`] needs; none for an image-only model.
    pub fn num_answers(&self) -> Option<usize> {
        self.questionnaire.as_ref().map(QuestionnaireEncoder::inputs)
    }
}
