//! A network that this workspace does not know, from training to a bundle that is served: only traits are shared.

use std::path::PathBuf;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use derm_backbones::{Classifier, HeadConfig, LayerGroup, LayerGroups, PublishedKeys};
use derm_core::{
    Backbone, BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec, Taps,
};
use derm_predict::{Decision, Predictor};
use derm_train::{Architecture, Error, Finished, ModelRecipe, Progress, Recipe, run_with};
use serde::{Deserialize, Serialize};

/// A plain convolutional network out of Burn's own layers: 3×3 convolutions of stride 2 with group norms.
#[derive(Module, Debug)]
pub struct PlainNet {
    convolutions: Vec<Conv2d>,
    norms: Vec<GroupNorm>,
    #[module(skip)]
    spec: BackboneSpec,
}

/// What a bundle must hold to build it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlainNetConfig {
    /// Channels of each convolution, multiples of 8.
    pub widths: Vec<usize>,
    /// Side of the image in pixels.
    pub image_size: usize,
    /// What stands on top of it.
    pub head: HeadConfig,
}

impl PlainNetConfig {
    const GROUPS: usize = 8;

    fn init(&self, device: &Device) -> PlainNet {
        let inputs = std::iter::once(3).chain(self.widths.iter().copied());
        let convolutions = inputs.zip(&self.widths).map(|(inputs, &outputs)| {
            Conv2dConfig::new([inputs, outputs], [3, 3])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        });
        let norms = self.widths.iter().map(|&width| GroupNormConfig::new(Self::GROUPS, width).init(device));
        let stages = self.widths.iter().enumerate().map(|(index, &channels)| StageSpec {
            name: format!("convolutions.{index}"),
            channels,
            stride: 2 << index,
        });
        let input = ImageInput {
            size: self.image_size,
            normalization: Normalization::IMAGENET,
            interpolation: Interpolation::Bilinear,
            crop_pct: 1.0,
        };
        let embedding = self.widths.last().copied().unwrap_or_default();
        PlainNet {
            convolutions: convolutions.collect(),
            norms: norms.collect(),
            spec: BackboneSpec::new("plain_net", embedding, stages.collect(), input),
        }
    }
}

impl Backbone for PlainNet {
    fn forward_features(&self, images: Tensor<4>, taps: &Taps) -> Features {
        let mut map = images;
        let mut maps = Vec::new();
        for ((convolution, norm), stage) in self.convolutions.iter().zip(&self.norms).zip(&self.spec.stages) {
            map = relu(norm.forward(convolution.forward(map)));
            if taps.contains(&stage.name) {
                maps.push((stage.name.clone(), map.clone()));
            }
        }
        Features { maps, ..Features::new(map.mean_dim(3).mean_dim(2).flatten(1, 3)) }
    }

    fn spec(&self) -> &BackboneSpec {
        &self.spec
    }
}

/// One group a stage, from the image on: what `training.phases` freezes and `training.layer_decay` goes by.
impl LayerGroups for PlainNet {
    fn layer_groups(&self) -> Vec<LayerGroup> {
        let of_stage = |(index, stage): (usize, &StageSpec)| {
            LayerGroup::new(stage.name.clone(), [format!("convolutions.{index}"), format!("norms.{index}")])
        };
        self.spec.stages.iter().enumerate().map(of_stage).collect()
    }
}

/// Nobody published weights for it: its parameters are named by their paths.
impl PublishedKeys for PlainNet {}

/// How a run builds it, and a bundle builds it again.
#[derive(Debug)]
pub struct PlainArchitecture;

impl Architecture for PlainArchitecture {
    type Backbone = PlainNet;
    type Config = PlainNetConfig;

    fn config(recipe: &ModelRecipe, head: HeadConfig) -> PlainNetConfig {
        PlainNetConfig { widths: vec![16, 32, 64], image_size: recipe.image_size, head }
    }

    fn init(config: &PlainNetConfig, device: &Device) -> Result<Classifier<PlainNet>, derm_backbones::Error> {
        config.head.init(config.init(device), device)
    }
}

/// The recipe: image and answers of the synthetic dataset, everything else as it is.
pub fn recipe(output: PathBuf, tiny: bool) -> Recipe {
    let mut recipe = Recipe { name: "plain_net".to_owned(), output: Some(output), ..Recipe::default() };
    recipe.model.use_answers = true;
    recipe.model.image_size = recipe.dataset.synthetic.image_size;
    recipe.training.epochs = 8;
    recipe.training.learning_rate = 3e-3;
    if tiny {
        recipe.dataset.synthetic.num_lesions = 240;
        recipe.dataset.synthetic.image_size = 24;
        recipe.model.image_size = 24;
        recipe.training.epochs = 1;
        recipe.evaluation.bootstrap_replicates = 50;
    }
    recipe
}

/// Trains it, and lets the bundle that the run wrote decide on a first test image.
///
/// # Errors
/// [`Error`] of the part that failed.
pub fn train_and_serve(
    recipe: &Recipe,
    device: &Device,
    progress: Progress,
) -> Result<(Finished<PlainArchitecture>, Option<Decision>), Error> {
    let finished = run_with::<PlainArchitecture>(recipe, device, progress)?;
    let predictor = Predictor::load_with(finished.bundle(), device, |config, device| {
        Ok(PlainArchitecture::init(config, device)?)
    })?;
    let first = finished.test.ids().first();
    let record = finished.prepared.dataset.records().iter().find(|record| Some(&record.id) == first);
    let decision = record.and_then(|record| match &record.image {
        derm_data::ImageSource::Rgb(pixels) => Some(predictor.predict(pixels, &record.answers)),
        derm_data::ImageSource::File(_) | derm_data::ImageSource::Absent => None,
    });
    Ok((finished, decision.transpose()?))
}
