use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use derm_backbones::{ClassifierConfig, count_parameters};
use derm_core::FileError;
use derm_predict::BundleConfig;

use crate::{Efficiency, EfficiencyConfig, Error};

/// What one image costs the network of a run folder's bundle on `device`: the network alone in f32, with folded batch
/// norms and freshly drawn weights, on which its time does not depend.
///
/// `None` where there is no bundle, or it is of a network that the workspace does not build by name.
pub(super) fn cost_of_run(
    folder: &Path,
    passes: usize,
    device: &Device,
) -> Result<Option<Efficiency>, Error> {
    let bundle = folder.join("bundle");
    let path = bundle.join("config.json");
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(FileError::at(&path, "read"))?;
    let Ok(config) = serde_json::from_str::<BundleConfig<ClassifierConfig>>(&text) else {
        return Ok(None);
    };
    let device = device.clone().without_autodiff();
    let model = config.model.init(&device)?.valid();
    let (parameters, model) = (count_parameters(&model), model.fold_batch_norm());
    let settings = EfficiencyConfig { batch_sizes: vec![1], repeats: passes, ..EfficiencyConfig::default() };
    let side = config.resize.size();
    Efficiency::measure(&model, parameters, side, &bundle, &settings, &device).map(Some)
}
