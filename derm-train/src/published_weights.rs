use std::path::Path;

use burn::tensor::Device;
use derm_backbones::weights::{HeadLoading, LoadOptions, load};
use derm_backbones::{Bert, Classifier, PublishedKeys, drawn};
use derm_core::{Backbone, sha256_file};

use crate::{Error, Progress, TextRecipe};

/// The network with the weights of a published file, where there is one, and the file's SHA-256.
pub(crate) fn with_weights<B: Backbone + PublishedKeys>(
    model: Classifier<B>,
    path: Option<&Path>,
    progress: Progress,
) -> Result<(Classifier<B>, Option<String>), Error> {
    let Some(path) = path else { return Ok((model, None)) };
    let options = LoadOptions {
        head: HeadLoading::Replace,
        resize_positions: true,
        // What stands beside the image encoder is this task's own.
        allow_missing: ["questionnaire.", "fusion.", "text."].map(str::to_owned).to_vec(),
        ..LoadOptions::default()
    };
    let (sha256, _) = sha256_file(path)?;
    let (model, report) = load(model, path, &options)?;
    let (loaded, fresh) = (report.loaded.len(), report.fresh_head.len() + report.missing.len());
    progress.line(&format!("{}: {loaded} tensors loaded, {fresh} are drawn", path.display()));
    Ok((model, Some(sha256)))
}

/// The network whose text encoder has the weights of a published file, where the recipe names one, and the file's
/// SHA-256.
pub(crate) fn with_text_weights<B: Backbone>(
    model: Classifier<B>,
    recipe: Option<&TextRecipe>,
    device: &Device,
    progress: Progress,
) -> Result<(Classifier<B>, Option<String>), Error> {
    let path = recipe.and_then(|recipe| recipe.weights.as_deref());
    let (Some(path), Some(config)) = (path, model.text().map(Bert::config)) else { return Ok((model, None)) };
    // No pooling here reads the pooler, and some files have none.
    let allow_missing = ["pooler.", "bert.pooler."].map(str::to_owned).to_vec();
    let options = LoadOptions { allow_missing, ..LoadOptions::default() };
    let (sha256, _) = sha256_file(path)?;
    let (text, report) = load(config.init(device)?, path, &options)?;
    progress.line(&format!("{}: {} tensors of the text encoder loaded", path.display(), report.loaded.len()));
    Ok((model.with_text(drawn(text))?, Some(sha256)))
}
