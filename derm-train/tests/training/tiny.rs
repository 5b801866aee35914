//! The trainings that the tests here look at: a tiny made dataset, a tiny network.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use derm_backbones::weights::save_safetensors;
use derm_backbones::{
    AnyBackbone, Classifier, ClassifierConfig, ClassifierOutput, HeadConfig, QuestionnaireEncoderConfig,
    TaskConfig,
};
use derm_core::{Backbone, LabelMap, SplitRole, Taps};
use derm_data::Batch;
use derm_losses::CrossEntropyLossConfig;
use derm_train::{
    EpochObserver, Error, Objective, OptimizerStep, Prepared, Progress, Recipe, Supervised, TextRecipe,
    Trained, Trainer,
};

/// flex has one generator in the whole process: trainings run one after the other.
static DEVICE: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn device() -> Device {
    Device::default()
}

/// 56 lesions at 16 pixels, dropout on, three steps an epoch.
pub(crate) fn recipe(output: &Path, overrides: &[&str]) -> Recipe {
    let text = "
dataset:
  synthetic: { num_lesions: 56, image_size: 16, min_views: 1, max_views: 2 }
  split: { fractions: { train: 0.4, validation: 0.2, calibration: 0.2, test: 0.2 } }
  workers: 0
model:
  backbone: { resnet: { block: basic, depths: [1, 1], widths: [4, 8], stem: conv3x3 } }
  image_size: 16
  use_answers: true
  answers_widths: [8, 4]
  dropout: 0.3
training: { epochs: 3, batch_size: 8, checkpoint_steps: 2, clip_norm: 1.0 }
evaluation: { bootstrap_replicates: 20, calibration_bins: 5, report_images: 2 }
";
    let output = format!("output={}", output.display());
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).chain([output]).collect();
    Recipe::parse(text, "test.yaml", &overrides).unwrap()
}

pub(crate) fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("bundle/model.safetensors")).unwrap()
}

/// Every file below a folder with its bytes.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// What the training of `recipe` starts from.
pub(crate) struct Start {
    pub(crate) recipe: Recipe,
    pub(crate) prepared: Prepared,
}

impl Start {
    pub(crate) fn new(recipe: Recipe) -> Self {
        let prepared = Prepared::new(&recipe, Progress::Silent).unwrap();
        Self { recipe, prepared }
    }

    /// The network before its first step.
    pub(crate) fn model(&self) -> Classifier<AnyBackbone> {
        let device = device();
        device.seed(11);
        let questionnaire = self.prepared.answers_width().map(|width| QuestionnaireEncoderConfig {
            widths: vec![8],
            dropout: 0.3,
            ..QuestionnaireEncoderConfig::new(width)
        });
        let text = self.recipe.model.text.as_ref().map(TextRecipe::config);
        let tasks = self.prepared.dataset.tasks().iter();
        let task = |(name, labels): (&String, &LabelMap)| TaskConfig {
            name: name.clone(),
            num_classes: labels.num_classes(),
        };
        let head = HeadConfig {
            dropout: 0.3,
            questionnaire,
            text,
            tasks: tasks.map(task).collect(),
            ..HeadConfig::new(7)
        };
        let config = ClassifierConfig { backbone: self.recipe.model.backbone.clone(), head };
        config.init(&device).unwrap()
    }

    pub(crate) fn fit(
        &self,
        folder: &Path,
        objective: &impl Objective<AnyBackbone>,
    ) -> Result<Trained<AnyBackbone>, Error> {
        self.fit_by(folder, objective, None)
    }

    pub(crate) fn fit_observed(
        &self,
        folder: &Path,
        objective: &impl Objective<AnyBackbone>,
        observer: &dyn EpochObserver,
    ) -> Result<Trained<AnyBackbone>, Error> {
        self.fit_by(folder, objective, Some(observer))
    }

    fn fit_by(
        &self,
        folder: &Path,
        objective: &impl Objective<AnyBackbone>,
        observer: Option<&dyn EpochObserver>,
    ) -> Result<Trained<AnyBackbone>, Error> {
        let device = device();
        let trainer = Trainer {
            recipe: &self.recipe.training,
            seed: self.recipe.seed,
            device: &device,
            folder,
            progress: Progress::Silent,
            label: "test",
            observer,
        };
        let rows = self.prepared.training_loader(&self.recipe).unwrap();
        let validation = self.prepared.loader(SplitRole::Validation).unwrap();
        trainer.fit(self.model(), objective, &rows, &validation)
    }
}

pub(crate) fn supervised() -> Supervised<derm_losses::CrossEntropyLoss> {
    Supervised { criterion: CrossEntropyLossConfig::default().init(7, &device().autodiff()).unwrap() }
}

/// Loses its loss at one step, counted in calls.
pub(crate) struct LosesIts<O> {
    pub(crate) objective: O,
    pub(crate) at: usize,
    pub(crate) calls: Cell<usize>,
}

impl<B: Backbone, O: Objective<B>> Objective<B> for LosesIts<O> {
    fn taps(&self) -> Taps {
        self.objective.taps()
    }

    fn loss(&self, output: ClassifierOutput, batch: &Batch, step: &OptimizerStep) -> Tensor<1> {
        let loss = self.objective.loss(output, batch, step);
        let call = self.calls.replace(self.calls.get() + 1);
        if call == self.at { loss * f64::NAN } else { loss }
    }
}

pub(crate) fn bytes(trained: &Trained<AnyBackbone>, place: &Path) -> Vec<u8> {
    let path = place.join("weights.safetensors");
    save_safetensors(&trained.model, &path).unwrap();
    fs::read(path).unwrap()
}

pub(crate) fn latest(folder: &Path) -> String {
    fs::read_to_string(folder.join("checkpoints/latest")).unwrap().trim_end().to_owned()
}

/// Every float tensor by its path, running statistics included.
pub(crate) fn values<M: Module>(model: &M) -> BTreeMap<String, Vec<f32>> {
    let mut values = Values::default();
    model.visit(&mut values);
    values.found
}

#[derive(Default)]
struct Values {
    path: Vec<String>,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Values {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        // The variant of an enum is no part of a path.
        let name = if container_type.starts_with("Enum:") { String::new() } else { name.to_owned() };
        self.path.push(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>().join(".");
        self.found.insert(path, param.val().into_data().iter::<f32>().collect());
    }
}
