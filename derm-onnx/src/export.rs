use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_onnx::export::{AxisSpec, ExportInput, InputSpec, OnnxExporter, OnnxModel};
use derm_backbones::weights;
use derm_backbones::{Classifier, ClassifierConfig};
use derm_core::{Backbone, FileError, Taps};
use derm_predict::{BundleConfig, Predictor};

use crate::Error;

/// The first axis of the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchAxis {
    /// Any number of images, where every operation of the network allows it.
    Dynamic,
    /// This many.
    Fixed(usize),
}

/// The network of a bundle as an ONNX model (operator set 18): images `[B, 3, S, S]`, standardised as the bundle's
/// `config.json` says, and, where it reads a questionnaire, encoded answers `[B, Q]`, to logits `[B, C]`. Batch norms
/// are folded.
///
/// # Errors
/// [`Error::Bundle`] and [`Error::File`] for a bundle that cannot be read, [`Error::Weights`] for its weights,
/// [`Error::Unsupported`] where the exporter has no place for an operation.
pub fn export(bundle: &Path, batch: BatchAxis) -> Result<OnnxModel, Error> {
    let device = Device::default();
    // Checks every file, and that they fit together.
    Predictor::load(bundle, &device)?;
    let path = bundle.join("config.json");
    let text = fs::read_to_string(&path).map_err(FileError::at(&path, "read"))?;
    let config: BundleConfig<ClassifierConfig> =
        serde_json::from_str(&text).map_err(|error| FileError::new(&path, "read", error.into()))?;
    let path = bundle.join("model.safetensors");
    let bytes = fs::read(&path).map_err(FileError::at(&path, "read"))?;
    let bytes = config.weights.restore(&bytes)?;
    let (network, _) = weights::from_safetensors(config.model.init_undrawn(&device)?, &bytes)?;
    export_network(network, config.resize.size(), batch)
}

/// The same for a network that is not folded yet: `image_size` is the side S.
///
/// # Errors
/// As [`export`].
pub fn export_network<B: Backbone>(
    network: Classifier<B>,
    image_size: usize,
    batch: BatchAxis,
) -> Result<OnnxModel, Error> {
    if network.text().is_some() {
        return Err(Error::Unsupported { reason: "it reads a text".to_owned() });
    }
    let network = &network.fold_for_export().valid();
    let device = Device::default();
    let images = |count| Tensor::<4>::zeros([count, 3, image_size, image_size], &device);
    match network.num_answers() {
        None => written(network, batch, images, &[4], |network, images| {
            network.forward(images, None, &Taps::none()).logits
        }),
        Some(width) => {
            let inputs = |count| (images(count), Tensor::<2>::zeros([count, width], &device));
            written(network, batch, inputs, &[4, 2], |network, (images, answers)| {
                network.forward(images, Some(answers), &Taps::none()).logits
            })
        }
    }
}

fn written<M: Module, I: ExportInput>(
    network: &M,
    batch: BatchAxis,
    inputs: impl Fn(usize) -> I,
    ranks: &[usize],
    forward: impl Fn(&M, I) -> Tensor<2>,
) -> Result<OnnxModel, Error> {
    let exporter = OnnxExporter::new();
    Ok(match batch {
        BatchAxis::Fixed(count) => exporter.export(network, inputs(count), forward)?,
        BatchAxis::Dynamic => {
            let axes = |&rank: &usize| {
                let others = std::iter::repeat_n(AxisSpec::Static, rank - 1);
                let axes: Vec<AxisSpec> = std::iter::once(AxisSpec::dynamic("batch")).chain(others).collect();
                InputSpec::new(axes)
            };
            let specs: Vec<InputSpec> = ranks.iter().map(axes).collect();
            // Two traces of different batches; the exporter compares them.
            exporter.export_dynamic(network, inputs(2), inputs(3), &specs, forward)?
        }
    })
}
