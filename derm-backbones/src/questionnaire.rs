use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_count, check_dropout, check_range, check_sizes};
use crate::layers::Dropping;

/// The columns of one encoded answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerColumns {
    /// How many columns it has, the missing one included.
    pub columns: usize,
    /// Whether its last column is 1 where the answer is missing and 0 where it is there. A required answer has no
    /// such column.
    pub optional: bool,
}

/// Configuration of [`QuestionnaireEncoder`].
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `inputs` | required | width Q of the encoded answers | ≥ 1 |
/// | `widths` | 64, 32 | width of each layer; the last is the embedding E | one or more, each ≥ 1 |
/// | `dropout` | 0.1 | dropout between the layers in training | [0, 1) |
/// | `answers` | none | which columns belong to one answer, in order | their columns add up to `inputs` |
/// | `answer_dropout` | 0 | probability that a whole answer is taken as missing in training | [0, 1); above 0 only with `answers`, one of them optional |
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
    /// Which columns belong to one answer, in order; empty where that is not known.
    #[serde(default)]
    pub answers: Vec<AnswerColumns>,
    /// Probability that a whole optional answer is taken as missing in training, in [0, 1).
    #[serde(default)]
    pub answer_dropout: f64,
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
        Self {
            inputs,
            widths: default_widths(),
            dropout: default_dropout(),
            answers: Vec::new(),
            answer_dropout: 0.0,
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] or [`Error::Sizes`] naming the parameter, [`Error::AnswerColumns`] where the columns of
    /// the answers do not add up.
    pub fn validate(&self) -> Result<(), Error> {
        check_count("questionnaire.inputs", self.inputs, 1, "at least 1")?;
        check_sizes("questionnaire.widths", &self.widths)?;
        check_dropout(self.dropout)?;
        let least = |answer: &AnswerColumns| if answer.optional { 2 } else { 1 };
        let columns = self.answers.iter().fold(0, |sum: usize, answer| sum.saturating_add(answer.columns));
        let fits = self.answers.is_empty() || columns == self.inputs;
        if !fits || self.answers.iter().any(|answer| answer.columns < least(answer)) {
            return Err(Error::AnswerColumns { inputs: self.inputs, columns });
        }
        let droppable = self.answers.iter().any(|answer| answer.optional);
        let expected = "a number in [0, 1), above 0 only with optional `answers`";
        check_range("questionnaire.answer_dropout", self.answer_dropout, expected, |v| {
            v == 0.0 || (droppable && (0.0..1.0).contains(&v))
        })
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
            answer_dropout: Dropping::new(self.answer_dropout),
            answers: self.answers.clone(),
            inputs: self.inputs,
            embedding: inputs,
        };
        Ok(encoder)
    }
}

/// MLP over encoded answers: linear layers, each followed by a `ReLU`, with dropout between them.
///
/// The answers come encoded from a feature schema, each with a column that says whether it is missing. Where the
/// encoder knows which columns belong together ([`QuestionnaireEncoderConfig::answers`]), that column masks the
/// others: a missing answer enters as zeros and its flag, whatever stands in its columns, NaN too. In training
/// `answer_dropout` takes whole answers away in the same form, so that the model learns to do without them.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use derm_backbones::{AnswerColumns, QuestionnaireEncoderConfig};
///
/// let device = Device::default();
/// let answers = vec![
///     AnswerColumns { columns: 2, optional: true },  // age, age:missing
///     AnswerColumns { columns: 3, optional: false }, // one of three sites
/// ];
/// let config = QuestionnaireEncoderConfig { answers, answer_dropout: 0.2, ..QuestionnaireEncoderConfig::new(5) };
/// let encoder = config.init(&device)?;
/// let missing = Tensor::from_data([[0.7, 1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0, 0.0]], &device);
/// let embedding = encoder.forward(missing).into_data();
/// let rows: Vec<f32> = embedding.iter::<f32>().collect();
/// assert_eq!(rows[..32], rows[32..]);
/// # Ok::<(), derm_backbones::Error>(())
/// ```
///
/// # Shapes
/// [B, Q] → [B, E].
#[derive(Module, Debug)]
pub struct QuestionnaireEncoder {
    layers: Vec<Linear>,
    dropout: Dropout,
    answer_dropout: Dropping,
    #[module(skip)]
    answers: Vec<AnswerColumns>,
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
        let answers = self.mask(answers);
        self.layers.iter().enumerate().fold(answers, |x, (index, layer)| {
            let x = if index == 0 { x } else { self.dropout.forward(x) };
            relu(layer.forward(x))
        })
    }

    /// Zeros and the flag where an answer is missing or dropped.
    fn mask(&self, answers: Tensor<2>) -> Tensor<2> {
        let mut flags = Vec::new();
        let mut owner = Vec::with_capacity(self.inputs);
        for answer in &self.answers {
            owner.extend(std::iter::repeat_n(answer.optional.then_some(flags.len()), answer.columns));
            if answer.optional {
                flags.push(owner.len() - 1);
            }
        }
        if flags.is_empty() {
            return answers;
        }
        let [batch, _] = answers.dims();
        let device = answers.device();
        let plain = device.clone().without_autodiff();
        let indices = |values: Vec<usize>| {
            let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
            let shape = [values.len()];
            Tensor::<1, Int>::from_data(TensorData::new(values, shape), &plain)
        };
        let missing = answers.clone().select(1, indices(flags.clone()));
        let dropped = self.answer_dropout.draw(&missing);
        let missing = dropped.map_or(missing.clone(), |dropped| missing.max_pair(dropped));
        // a required answer reads the column of zeros behind the flags
        let none = Tensor::zeros([batch, 1], (&device, answers.dtype()));
        let required = flags.len();
        let owner: Vec<usize> = owner.into_iter().map(|flag| flag.unwrap_or(required)).collect();
        let missing = Tensor::cat(vec![missing, none], 1).select(1, indices(owner));
        let is_flag: Vec<f32> =
            (0..self.inputs).map(|column| if flags.contains(&column) { 1.0 } else { 0.0 }).collect();
        let is_flag =
            Tensor::<2>::from_data(TensorData::new(is_flag, [1, self.inputs]), (&device, answers.dtype()));
        // filled and not multiplied: 0 · NaN is NaN
        let kept = answers.mask_fill(missing.clone().greater_elem(0.5), 0.0);
        kept * (is_flag.ones_like() - is_flag.clone()) + missing * is_flag
    }

    /// Multiply-accumulates of one patient.
    pub(crate) fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| layer.weight.lazy_shape().num_elements() as u64).sum()
    }
}
