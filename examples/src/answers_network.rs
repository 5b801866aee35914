//! A network of the answers alone: the questionnaire encoder that the image networks have, and a linear head.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use derm_backbones::{AnswerColumns, QuestionnaireEncoder, QuestionnaireEncoderConfig};
use derm_core::{Logits, Probabilities, ValueError};
use derm_data::FeatureSchema;
use derm_train::Error;
use ndarray::Array2;

/// Encoder and head.
#[derive(Module, Debug)]
pub struct AnswersNetwork {
    encoder: QuestionnaireEncoder,
    head: Linear,
}

impl AnswersNetwork {
    /// A network with fresh weights.
    ///
    /// # Errors
    /// Where the encoder's config is out of range.
    pub fn init(
        config: &QuestionnaireEncoderConfig,
        num_classes: usize,
        device: &Device,
    ) -> Result<Self, Error> {
        let encoder = config.init(device)?;
        let head = LinearConfig::new(encoder.embedding(), num_classes).init(device);
        Ok(Self { encoder, head })
    }

    /// Encoded answers [B, Q] → logits [B, C].
    pub fn forward(&self, answers: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.encoder.forward(answers))
    }

    /// The class probabilities of encoded answers [N, Q], [N, C]. The network must be `valid()`.
    ///
    /// # Errors
    /// [`Error::Values`] where a logit is not finite.
    pub fn probabilities(&self, answers: &Array2<f32>, device: &Device) -> Result<Probabilities, Error> {
        let logits = self.forward(tensor(answers, &device.clone().without_autodiff()));
        let shape = logits.dims();
        let values: Vec<f64> = logits.into_data().iter::<f64>().collect();
        let (got, expected) = (values.len(), shape[0] * shape[1]);
        let values = Array2::from_shape_vec((shape[0], shape[1]), values)
            .map_err(|_| ValueError::Length { argument: "logits", got, expected })?;
        Ok(Logits::new(values)?.softmax())
    }
}

/// Rows on a device.
pub(crate) fn tensor(rows: &Array2<f32>, device: &Device) -> Tensor<2> {
    let numbers: Vec<f32> = rows.iter().copied().collect();
    Tensor::from_data(TensorData::new(numbers, [rows.nrows(), rows.ncols()]), device)
}

/// Which columns of the encoded answers belong to one answer, as the encoder wants to know it.
pub fn answer_columns(schema: &FeatureSchema) -> Vec<AnswerColumns> {
    let groups = schema.column_groups().into_iter();
    groups.map(|group| AnswerColumns { columns: group.columns, optional: group.has_missing_column }).collect()
}
