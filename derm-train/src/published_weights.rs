use std::path::Path;

use derm_backbones::weights::{HeadLoading, LoadOptions, load};
use derm_backbones::{Classifier, PublishedKeys};
use derm_core::{Backbone, sha256_file};

use crate::{Error, Progress};

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
