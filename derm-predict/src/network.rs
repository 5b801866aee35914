use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use derm_backbones::{Classifier, ClassifierInput, HalfPrecision, TextTokenizer, Tokens};
use derm_core::{Backbone, Logits, Normalization, Taps, mean_log_probabilities};
use derm_data::{FeatureSchema, HostTokens, Normalizer, Resize, RgbPixels, Scratch, TestView};
use ndarray::Array2;

use crate::Error;
use crate::judge::Missing;
use crate::request::Beside;

/// A network with everything between a picture and its scores.
#[derive(Debug)]
pub(crate) struct Network<B: Backbone> {
    pub(crate) model: Classifier<B>,
    pub(crate) schema: Option<FeatureSchema>,
    pub(crate) tokenizer: Option<TextTokenizer>,
    pub(crate) resize: Resize,
    pub(crate) normalizer: Normalizer,
    pub(crate) normalization: Normalization,
    /// What the network looks at; probabilities are averaged where it is more than one.
    pub(crate) views: Vec<TestView>,
    pub(crate) device: Device,
    /// What the network computes in.
    pub(crate) precision: FloatDType,
}

/// A picture and what stands beside it as the network takes them.
pub(crate) struct Input {
    /// [3, S, S] for each view.
    planes: Vec<Vec<f32>>,
    /// `[Q]`, where the network reads answers.
    answers: Option<Vec<f32>>,
    /// Token ids, where the network reads a text.
    tokens: Option<Vec<u32>>,
}

/// What a network says of one input, uncalibrated.
#[derive(Debug)]
pub(crate) struct Scores {
    /// The diagnosis, shape [1, C].
    pub(crate) diagnosis: Logits,
    /// Each further task, in the order of its heads.
    pub(crate) tasks: Vec<Logits>,
}

impl<B: Backbone> Network<B> {
    /// Brings a picture and what stands beside it to the network.
    pub(crate) fn input(&self, pixels: &RgbPixels, beside: Beside<'_>) -> Result<Input, Error> {
        let answers = beside.answers;
        let answers = match &self.schema {
            Some(schema) => Some(schema.encode(answers)?),
            None if answers.is_empty() => None,
            None => return Err(Error::UnexpectedAnswers { given: answers.keys().cloned().collect() }),
        };
        let tokens = match (&self.tokenizer, beside.text) {
            (Some(tokenizer), text) => Some(tokenizer.token_ids(text.unwrap_or_default())?),
            (None, None) => None,
            (None, Some(_)) => return Err(Error::UnexpectedText),
        };
        let size = self.resize.size();
        let mut scratch = Scratch::new();
        let mut planes = Vec::with_capacity(self.views.len());
        for view in &self.views {
            let (resized, orientation) = view.apply(pixels, &self.resize, &mut scratch)?;
            let mut values = vec![0.0; 3 * size * size];
            self.normalizer.write_planes(resized, orientation, &mut values);
            planes.push(values);
        }
        Ok(Input { planes, answers, tokens })
    }

    /// The scores of each input: logits, or log-probabilities where several views are averaged.
    pub(crate) fn scores(&self, inputs: &[Input]) -> Vec<Result<Scores, Error>> {
        if inputs.is_empty() {
            return Vec::new();
        }
        // By view, then by head: the diagnosis first.
        let views: Vec<Vec<Array2<f64>>> =
            (0..self.views.len()).map(|view| self.logits(inputs, view)).collect();
        let of_head = |row: usize, head: usize| {
            let row = |heads: &Vec<Array2<f64>>| Logits::new(heads[head].select(ndarray::Axis(0), &[row]));
            let mut views = views.iter().map(row).collect::<Result<Vec<_>, _>>()?;
            match (views.pop(), views.is_empty()) {
                (Some(alone), true) => Ok(alone),
                (last, _) => {
                    views.extend(last);
                    mean_scores(&views)
                }
            }
        };
        let tasks = self.model.tasks().len();
        let of_row = |row| {
            let diagnosis = of_head(row, 0)?;
            let tasks = (1..=tasks).map(|head| of_head(row, head)).collect::<Result<_, Error>>()?;
            Ok(Scores { diagnosis, tasks })
        };
        (0..inputs.len()).map(of_row).collect()
    }

    /// The logits [B, C] of one view of every input: the diagnosis, then each further task.
    fn logits(&self, inputs: &[Input], view: usize) -> Vec<Array2<f64>> {
        let (count, size) = (inputs.len(), self.resize.size());
        let images: Vec<f32> = inputs.iter().flat_map(|input| &input.planes[view]).copied().collect();
        let images = Tensor::<4>::from_data(TensorData::new(images, [count, 3, size, size]), &self.device);
        let answers = self.schema.as_ref().map(|schema| {
            let rows: Vec<f32> =
                inputs.iter().flat_map(|input| input.answers.iter().flatten()).copied().collect();
            let rows = Tensor::<2>::from_data(TensorData::new(rows, [count, schema.width()]), &self.device);
            rows.cast(self.precision)
        });
        let images = images.cast(self.precision);
        let text = self.tokenizer.as_ref().map(|tokenizer| {
            let rows: Vec<&[u32]> =
                inputs.iter().map(|input| input.tokens.as_deref().unwrap_or_default()).collect();
            let tokens = HostTokens::new(&rows, tokenizer.padding_id(), 0).to_device(&self.device);
            Tokens { ids: tokens.ids, padding: tokens.padding, types: None }
        });
        let input = ClassifierInput { images, answers, text };
        let output = self.model.forward_input(input, &Taps::none());
        let heads = std::iter::once(output.logits).chain(output.tasks.into_iter().map(|(_, logits)| logits));
        let host = |logits: Tensor<2>| {
            let shape = logits.dims();
            let values: Vec<f64> = logits.into_data().iter::<f64>().collect();
            // A network gives as many values as it has classes; anything else is refused as no score.
            Array2::from_shape_vec(shape, values).unwrap_or_else(|_| Array2::from_elem((count, 1), f64::NAN))
        };
        heads.map(host).collect()
    }

    /// The same network computing in half precision, where the device does arithmetic in it.
    pub(crate) fn in_half_precision(self) -> Self {
        let precision = HalfPrecision::F16.dtype();
        if self.device.supports_dtype(precision) {
            Self { model: HalfPrecision::F16.copy_of(&self.model), precision, ..self }
        } else {
            self
        }
    }

    /// What it reads and was not given.
    pub(crate) fn missing(&self, beside: Beside<'_>) -> Missing {
        let answers = self.schema.as_ref().map(|schema| schema.missing(beside.answers)).unwrap_or_default();
        let answers = answers.into_iter().map(str::to_owned).collect();
        Missing { answers, text: self.tokenizer.is_some() && beside.text.is_none() }
    }
}

/// The scores of an average over views or models of one row: log-probabilities, as predictions files keep them.
pub(crate) fn mean_scores(members: &[Logits]) -> Result<Logits, Error> {
    let probabilities: Vec<_> = members.iter().map(Logits::softmax).collect();
    Ok(Logits::new(mean_log_probabilities(&probabilities)?.mapv(f64::from))?)
}

/// The form in which a network is served.
pub(crate) fn for_inference<B: Backbone>(model: Classifier<B>) -> Classifier<B> {
    model.fold_batch_norm().valid()
}
