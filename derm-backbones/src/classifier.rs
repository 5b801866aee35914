use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use derm_core::{Backbone, BackboneSpec, Features, Taps};
use serde::{Deserialize, Serialize};

use crate::drawn::drawn;
use crate::error::{check_count, check_dropout};
use crate::{
    AnyBackbone, BackboneConfig, Bert, CountMacs, Error, Fusion, FusionConfig, FusionInput, FusionText,
    FusionWidths, LayerGroup, LayerGroups, Macs, QuestionnaireEncoder, QuestionnaireEncoderConfig,
    TextEncoderConfig, TextPooling, Tokens,
};

/// What stands on top of an image encoder.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `num_classes` | required | logits C | ≥ 2 |
/// | `dropout` | 0 | dropout before the last layer in training | [0, 1) |
/// | `questionnaire` | none | encoder of the answers | |
/// | `text` | none | encoder of a text | |
/// | `fusion` | concatenation | how image, answers and text become one vector | needs answers or text, except concatenation |
/// | `tasks` | none | further tasks on the same vector | names differ |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Number of classes C.
    pub num_classes: usize,
    /// Dropout before the last layer in training, in [0, 1).
    #[serde(default)]
    pub dropout: f64,
    /// Encoder of the patient's answers; none for a model without a questionnaire.
    #[serde(default)]
    pub questionnaire: Option<QuestionnaireEncoderConfig>,
    /// Encoder of a text, such as a history or a caption; none for a model without text.
    #[serde(default)]
    pub text: Option<TextConfig>,
    /// How image, answers and text become one vector.
    #[serde(default)]
    pub fusion: FusionConfig,
    /// Further tasks on the same vector, each with its own classes, such as the location beside the modality or
    /// the severity beside the type.
    #[serde(default)]
    pub tasks: Vec<TaskConfig>,
}

/// The text side of a classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// The encoder.
    pub encoder: TextEncoderConfig,
    /// How its tokens become one vector.
    #[serde(default)]
    pub pooling: TextPooling,
}

/// A task beside the first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// Its name, one word: it is part of the published keys.
    pub name: String,
    /// Number of its classes.
    pub num_classes: usize,
}

impl HeadConfig {
    /// An image-only head without dropout.
    pub fn new(num_classes: usize) -> Self {
        Self {
            num_classes,
            dropout: 0.0,
            questionnaire: None,
            text: None,
            fusion: FusionConfig::default(),
            tasks: Vec::new(),
        }
    }

    /// Checks every value that does not depend on the image encoder; [`HeadConfig::init`] checks the others.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] or [`Error::Sizes`] naming the parameter, [`Error::Task`] for a task without a name of
    /// its own, [`Error::NothingToFuse`] for a fusion without answers and text.
    pub fn validate(&self) -> Result<(), Error> {
        check_count("num_classes", self.num_classes, 2, "at least 2")?;
        check_dropout(self.dropout)?;
        self.questionnaire.as_ref().map_or(Ok(()), QuestionnaireEncoderConfig::validate)?;
        self.text.as_ref().map_or(Ok(()), |text| text.encoder.validate())?;
        for (index, task) in self.tasks.iter().enumerate() {
            let taken = self.tasks[..index].iter().any(|before| before.name == task.name);
            if taken || task.name.is_empty() || !task.name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                return Err(Error::Task { name: task.name.clone() });
            }
            check_count("tasks.num_classes", task.num_classes, 2, "at least 2")?;
        }
        if self.image_only() && self.fusion != FusionConfig::Concatenation {
            return Err(Error::NothingToFuse);
        }
        Ok(())
    }

    fn image_only(&self) -> bool {
        self.questionnaire.is_none() && self.text.is_none()
    }

    /// A classifier on top of `backbone`, which may come from anywhere: fresh, or with a published file's weights.
    /// Weights that are not drawn yet, the encoder's too, are drawn here and now; heads as torch draws linear layers,
    /// uniform within ±1/√D, bias too.
    ///
    /// # Errors
    /// As [`HeadConfig::validate`] and [`FusionConfig::validate`].
    pub fn init<B: Backbone>(&self, backbone: B, device: &Device) -> Result<Classifier<B>, Error> {
        self.init_undrawn(backbone, device).map(drawn)
    }

    /// As [`HeadConfig::init`] for weights that a file will replace: they are drawn when they are first used, and not
    /// at all where they are loaded before. Copies of a weight that is not drawn yet draw each their own.
    ///
    /// # Errors
    /// As [`HeadConfig::init`].
    pub fn init_undrawn<B: Backbone>(&self, backbone: B, device: &Device) -> Result<Classifier<B>, Error> {
        let text = self.text.as_ref().map(|text| text.encoder.init(device)).transpose()?;
        self.assemble(backbone, text, device)
    }

    /// As [`HeadConfig::init`] with a text encoder that has weights already, the one that [`HeadConfig::text`] says.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use derm_backbones::weights::{self, HeadLoading, LoadOptions};
    /// use derm_backbones::{BackboneConfig, BertConfig, HeadConfig, TextConfig, TextEncoderConfig, TextPooling};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let (image_file, text_file) = (folder.path().join("image.pth"), folder.path().join("text.bin"));
    /// # let small = BertConfig { vocabulary: 50, width: 8, layers: 1, heads: 2, hidden: 8, ..BertConfig::minilm_l6_h384() };
    /// # let encoder = TextEncoderConfig::Bert(small);
    /// # weights::save_safetensors(&BackboneConfig::Resnet18_28.init(&Device::default())?, &image_file)?;
    /// # weights::save_safetensors(&encoder.init(&Device::default())?, &text_file)?;
    /// # /*
    /// let encoder = TextEncoderConfig::MinilmL6;
    /// # */
    /// let device = Device::default();
    /// // two published files; the head that the image file may have is passed over
    /// let options = LoadOptions { head: HeadLoading::Skip, ..LoadOptions::default() };
    /// let (image, _) = weights::load(BackboneConfig::Resnet18_28.init(&device)?, &image_file, &options)?;
    /// let (text, _) = weights::load(encoder.init(&device)?, &text_file, &LoadOptions::default())?;
    ///
    /// let text_config = TextConfig { encoder, pooling: TextPooling::Mean };
    /// let head = HeadConfig { text: Some(text_config), ..HeadConfig::new(7) };
    /// let model = head.init_with_text(image, text, &device)?;
    /// assert_eq!(model.num_classes(), 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`HeadConfig::init`], and [`Error::TextEncoder`] for a text encoder of another config.
    pub fn init_with_text<B: Backbone>(
        &self,
        backbone: B,
        text: Bert,
        device: &Device,
    ) -> Result<Classifier<B>, Error> {
        if self.text.as_ref().is_some_and(|config| config.encoder.bert() == *text.config()) {
            self.assemble(backbone, Some(text), device).map(drawn)
        } else {
            let expected = self.text.as_ref().map(|config| Box::new(config.encoder.bert()));
            Err(Error::TextEncoder { expected, given: Box::new(text.config().clone()) })
        }
    }

    fn assemble<B: Backbone>(
        &self,
        backbone: B,
        text: Option<Bert>,
        device: &Device,
    ) -> Result<Classifier<B>, Error> {
        self.validate()?;
        let questionnaire = self.questionnaire.as_ref().map(|config| config.init(device)).transpose()?;
        let spec = backbone.spec();
        let widths = FusionWidths {
            image: spec.embedding,
            image_map: spec.stages.last().map(|stage| stage.channels),
            answers: questionnaire.as_ref().map(QuestionnaireEncoder::embedding),
            text: text.as_ref().map(|text| text.config().width),
        };
        let fusion = if self.image_only() { None } else { Some(self.fusion.init(widths, device)?) };
        let width = fusion.as_ref().map_or(spec.embedding, Fusion::width);
        let linear = |width, classes| LinearConfig::new(width, classes).init(device);
        Ok(Classifier {
            questionnaire,
            text,
            text_pooling: self.text.as_ref().map_or(TextPooling::default(), |text| text.pooling),
            fusion,
            dropout: DropoutConfig::new(self.dropout).init(),
            head: linear(width, self.num_classes),
            distillation_head: spec.distillation.then(|| linear(spec.embedding, self.num_classes)),
            task_heads: self.tasks.iter().map(|task| linear(width, task.num_classes)).collect(),
            tasks: self.tasks.iter().map(|task| task.name.clone()).collect(),
            num_classes: self.num_classes,
            backbone,
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
    /// As [`ClassifierConfig::validate`] and [`HeadConfig::init`].
    pub fn init(&self, device: &Device) -> Result<Classifier<AnyBackbone>, Error> {
        self.validate()?;
        self.head.init(self.backbone.init(device)?, device)
    }

    /// As [`ClassifierConfig::init`] for weights that a file will replace; see [`HeadConfig::init_undrawn`].
    ///
    /// # Errors
    /// As [`ClassifierConfig::init`].
    pub fn init_undrawn(&self, device: &Device) -> Result<Classifier<AnyBackbone>, Error> {
        self.validate()?;
        self.head.init_undrawn(self.backbone.init(device)?, device)
    }
}

/// What a classifier reads.
#[derive(Debug, Clone)]
pub struct ClassifierInput {
    /// Images [B, 3, H, W].
    pub images: Tensor<4>,
    /// Encoded answers [B, Q]; given exactly where the model has a questionnaire.
    pub answers: Option<Tensor<2>>,
    /// Texts; given exactly where the model reads text.
    pub text: Option<Tokens>,
}

/// Logits and what they were computed from.
#[derive(Debug, Clone)]
pub struct ClassifierOutput {
    /// Logits [B, C]; with two heads their mean.
    pub logits: Tensor<2>,
    /// The logits [B, C] of each head of a distilled `DeiT`: class token, distillation token.
    pub head_logits: Option<[Tensor<2>; 2]>,
    /// Name and logits [B, C'] of each further task, in the order of the config.
    pub tasks: Vec<(String, Tensor<2>)>,
    /// The encoder's pooled features [B, D], before fusion, and the feature maps asked for.
    pub features: Features,
}

impl ClassifierOutput {
    /// The logits [B, C'] of the further task `name`.
    pub fn task(&self, name: &str) -> Option<&Tensor<2>> {
        self.tasks.iter().find(|(known, _)| known == name).map(|(_, logits)| logits)
    }
}

/// Image encoder, optional encoders of answers and text, their fusion, and a linear head for each task.
///
/// `logits = W · dropout(fusion(image features, answers, text)) + b`; an image-only model has no fusion. The second
/// head of a distilled `DeiT` reads the distillation token alone, whatever stands beside the image.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::{
///     BackboneConfig, ClassifierConfig, CrossAttentionFusionConfig, FusionConfig, HeadConfig,
///     QuestionnaireEncoderConfig, TaskConfig,
/// };
/// use derm_core::Taps;
///
/// let attention = CrossAttentionFusionConfig { width: 32, heads: 4, ..CrossAttentionFusionConfig::default() };
/// let config = ClassifierConfig {
///     backbone: BackboneConfig::Resnet18_28,
///     head: HeadConfig {
///         questionnaire: Some(QuestionnaireEncoderConfig::new(12)),
///         fusion: FusionConfig::CrossAttention(attention),
///         tasks: vec![TaskConfig { name: "severity".to_owned(), num_classes: 3 }],
///         ..HeadConfig::new(7)
///     },
/// };
/// let device = Device::default();
/// device.seed(1);
/// let model = config.init(&device)?;
/// let images = Tensor::zeros([1, 3, 8, 8], &device);
/// let answers = Tensor::zeros([1, 12], &device);
/// let output = model.forward(images, Some(answers), &Taps::none());
/// assert_eq!(output.logits.dims(), [1, 7]);
/// assert_eq!(output.task("severity").map(|logits| logits.dims()), Some([1, 3]));
/// # Ok::<(), derm_backbones::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Classifier<B> {
    backbone: B,
    questionnaire: Option<QuestionnaireEncoder>,
    text: Option<Bert>,
    fusion: Option<Fusion>,
    dropout: Dropout,
    head: Linear,
    distillation_head: Option<Linear>,
    task_heads: Vec<Linear>,
    #[module(skip)]
    text_pooling: TextPooling,
    #[module(skip)]
    tasks: Vec<String>,
    num_classes: usize,
}

impl<B: Backbone> Classifier<B> {
    /// Images [B, 3, H, W] and, with a questionnaire, encoded answers [B, Q] → logits [B, C]; short for
    /// [`Classifier::forward_input`] without text.
    ///
    /// # Panics
    /// As [`Classifier::forward_input`].
    pub fn forward(&self, images: Tensor<4>, answers: Option<Tensor<2>>, taps: &Taps) -> ClassifierOutput {
        self.forward_input(ClassifierInput { images, answers, text: None }, taps)
    }

    /// Everything that the model reads → the logits of every task.
    ///
    /// # Panics
    /// When answers or text are given to a model that has no place for them or withheld from one that does (see
    /// [`Classifier::num_answers`] and [`Classifier::text`]), and when shapes do not fit.
    pub fn forward_input(&self, input: ClassifierInput, taps: &Taps) -> ClassifierOutput {
        self.forward_encoded(input, taps, |images, taps| self.backbone.forward_features(images, taps))
    }

    /// [`Classifier::forward_input`] with image features that `encode` gives for the images and the taps that the
    /// fusion needs too.
    pub(crate) fn forward_encoded(
        &self,
        input: ClassifierInput,
        taps: &Taps,
        encode: impl FnOnce(Tensor<4>, &Taps) -> Features,
    ) -> ClassifierOutput {
        assert!(
            input.answers.is_some() == self.questionnaire.is_some(),
            "a model with a questionnaire needs answers, one without takes none"
        );
        assert!(
            input.text.is_some() == self.text.is_some(),
            "a model with a text encoder needs text, one without takes none"
        );
        let (features, embedding) = match &self.fusion {
            None => {
                let features = encode(input.images, taps);
                let embedding = features.pooled.clone();
                (features, embedding)
            }
            Some(fusion) => self.fuse(fusion, input, taps, encode),
        };
        let embedding = self.dropout.forward(embedding);
        let task = |(name, head): (&String, &Linear)| (name.clone(), head.forward(embedding.clone()));
        let tasks = self.tasks.iter().zip(&self.task_heads).map(task).collect();
        let logits = self.head.forward(embedding.clone());
        let distilled = self.distillation_head.as_ref().zip(features.distillation.as_ref());
        let distilled = distilled.map(|(head, token)| head.forward(self.dropout.forward(token.clone())));
        match distilled {
            None => ClassifierOutput { logits, head_logits: None, tasks, features },
            Some(distilled) => {
                let mean = (logits.clone() + distilled.clone()) / 2.0;
                ClassifierOutput { logits: mean, head_logits: Some([logits, distilled]), tasks, features }
            }
        }
    }

    fn fuse(
        &self,
        fusion: &Fusion,
        input: ClassifierInput,
        taps: &Taps,
        encode: impl FnOnce(Tensor<4>, &Taps) -> Features,
    ) -> (Features, Tensor<2>) {
        let last = match fusion {
            Fusion::CrossAttention(_) => self.backbone.spec().stages.last().map(|stage| stage.name.as_str()),
            _ => None,
        };
        let wanted = taps.clone().with_stages(last.filter(|name| !taps.contains(name)));
        let mut features = encode(input.images, &wanted);
        let answers = self.questionnaire.as_ref().zip(input.answers);
        let text = self.text.as_ref().zip(input.text).map(|(encoder, tokens)| {
            let text = encoder.forward(&tokens, &Taps::none());
            let padding = text.padding().clone();
            FusionText { pooled: text.pooled(self.text_pooling), tokens: text.last_hidden_state, padding }
        });
        let embedding = fusion.forward(&FusionInput {
            image: features.pooled.clone(),
            image_map: last.and_then(|name| features.map(name)).cloned(),
            answers: answers.map(|(encoder, answers)| encoder.forward(answers)),
            text,
        });
        features.maps.retain(|(name, _)| taps.contains(name));
        (features, embedding)
    }

    /// The form for inference: the encoder's batch norms folded into its convolutions. The result neither trains
    /// nor saves.
    #[must_use]
    pub fn fold_batch_norm(self) -> Self {
        Self { backbone: self.backbone.fold_batch_norm(), ..self }
    }

    /// As [`Classifier::fold_batch_norm`], by [`Backbone::fold_for_export`]: for another runtime.
    #[must_use]
    pub fn fold_for_export(self) -> Self {
        Self { backbone: self.backbone.fold_for_export(), ..self }
    }

    /// The image encoder.
    pub fn backbone(&self) -> &B {
        &self.backbone
    }

    /// The text encoder, where the model reads text.
    pub fn text(&self) -> Option<&Bert> {
        self.text.as_ref()
    }

    /// The same with a text encoder that has weights already, such as published ones.
    ///
    /// # Errors
    /// [`Error::TextEncoder`] for one of another config than the model's, and for a model without text.
    pub fn with_text(self, text: Bert) -> Result<Self, Error> {
        match self.text.as_ref().map(Bert::config) {
            Some(config) if config == text.config() => Ok(Self { text: Some(text), ..self }),
            config => {
                let expected = config.cloned().map(Box::new);
                Err(Error::TextEncoder { expected, given: Box::new(text.config().clone()) })
            }
        }
    }

    /// How texts become one vector.
    pub fn text_pooling(&self) -> TextPooling {
        self.text_pooling
    }

    /// Number of classes C of the first task.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Names of the further tasks.
    pub fn tasks(&self) -> &[String] {
        &self.tasks
    }

    /// Width Q of the encoded answers that [`Classifier::forward`] needs; none for a model without a questionnaire.
    pub fn num_answers(&self) -> Option<usize> {
        self.questionnaire.as_ref().map(QuestionnaireEncoder::inputs)
    }
}

impl<B: Backbone + CountMacs> Classifier<B> {
    /// Multiply-accumulates of one image of [height, width] pixels and, where the model reads text, one text of
    /// `tokens` tokens, through encoders, fusion and heads.
    pub fn macs(&self, image: [usize; 2], tokens: usize) -> Macs {
        let elements = |layer: &Linear| layer.weight.lazy_shape().num_elements() as u64;
        let heads = std::iter::once(&self.head).chain(&self.distillation_head).chain(&self.task_heads);
        let linear = heads.map(elements).sum::<u64>()
            + self.questionnaire.as_ref().map_or(0, QuestionnaireEncoder::macs);
        let text = self.text.as_ref().map_or_else(Macs::default, |text| text.macs(tokens));
        let pixels = pixels_of(self.backbone.spec(), image);
        let fusion = self.fusion.as_ref().map_or_else(Macs::default, |fusion| fusion.macs(pixels, tokens));
        self.backbone.macs(image) + text + fusion + Macs { conv_and_linear: linear, attention: 0 }
    }
}

/// Pixels of the last feature map.
fn pixels_of(spec: &BackboneSpec, image: [usize; 2]) -> usize {
    spec.stages.last().map_or(0, |stage| image.iter().map(|side| side.div_ceil(stage.stride)).product())
}

/// The encoder's groups, those of the text encoder under `text.`, then `head`: everything on top of them. Both
/// encoders' last groups lie one step below the head.
impl<B: Backbone + LayerGroups> LayerGroups for Classifier<B> {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let image = self.backbone.layer_groups().into_iter().map(|group| group.below("backbone", None));
        let text = self.text.iter().flat_map(LayerGroups::layer_groups);
        let text = text.map(|group| group.below("text", Some("text")));
        let top = ["questionnaire", "fusion", "dropout", "head", "distillation_head", "task_heads"];
        image.chain(text).chain([LayerGroup::new("head", top)]).collect()
    }

    fn distances(&self) -> Vec<usize> {
        let text = self.text.as_ref().map_or(0, |text| text.layer_groups().len());
        let image = self.backbone.layer_groups().len();
        (1..=image).rev().chain((1..=text).rev()).chain([0]).collect()
    }
}
