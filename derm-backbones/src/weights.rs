//! Weights in files under the published key names, both ways.
//!
//! A written file holds every float parameter and running statistic of the module under the key that its
//! [`PublishedKeys`] gives, in torch's layout (linear weights are [out, in]), and `num_batches_tracked` counters
//! beside running statistics, so that `load_state_dict(strict=True)` takes it.
//!
//! Read are safetensors (one file, or shards with their index) and what `torch.save` writes (`.pth`, `.pt`, `.bin`:
//! zip and legacy). A pickle is never run, and one that would run anything is refused. These rules find the weights,
//! and the [`LoadReport`] tells what they found:
//!
//! - the entry of a checkpoint: `state_dict`, `model`, `model_state_dict`, `net`, …, or none;
//! - wrappers before the keys, which are stripped: `module.`, `_orig_mod.`, `model.`, `backbone.`, …, three of them
//!   at most; the network's own [`published_prefix`](PublishedKeys::published_prefix) may be absent;
//! - the naming, of those that the network is published under;
//! - of all these together, what gives most of the module's keys; among equals the plainest;
//! - axes of length 1 may be more or fewer; f64, f16 and bf16 become f32.
//!
//! Everything else is strict: a key that is missing, unused or of another shape is an error that lists all of them,
//! and nothing is loaded then, unless [`LoadOptions`] or the network declares it.

mod fit;
mod layout;
mod load;
mod options;
mod pickle;
mod pytorch;
mod report;
mod source;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use burn::module::Module;
use derm_core::atomic;
use safetensors::tensor::{Dtype, View};

pub use self::options::{HeadLoading, LoadOptions};
pub use self::report::{LoadReport, WeightsFormat};

use self::layout::{Layout, Reader};
use self::source::{MEMORY, Source};
use crate::parameter_count::RUNNING_VAR;
use crate::{Error, Naming, PublishedKeys};

/// torch's count of training batches, an I64 scalar beside running statistics. It has no effect on the network
/// (only on a cumulative average, which none here uses), so it is written as 0 and may be absent in a file.
const COUNTER: &str = "num_batches_tracked";

/// The published keys of a module with their shapes under this naming, in the module's order, counters included.
///
/// # Errors
/// [`Error::DuplicateKey`], [`Error::Folded`] and [`Error::Parameter`] for a module that has no such file.
pub fn published_shapes<M: Module + PublishedKeys>(
    module: &M,
    naming: Naming,
) -> Result<Vec<(String, Vec<usize>)>, Error> {
    let mut shapes = Vec::new();
    for entry in Layout::of(module, naming)?.0 {
        let shape = entry.published.shape(&entry.shape);
        for key in entry.published.keys() {
            shapes.push((key.clone(), shape.clone()));
            shapes.extend(counter_of(key).map(|counter| (counter, Vec::new())));
        }
    }
    Ok(shapes)
}

/// The module's weights as the bytes of a safetensors file. The same weights give the same bytes.
///
/// # Errors
/// [`Error::DuplicateKey`], [`Error::Folded`] and [`Error::Parameter`] for a module that has no such file,
/// [`Error::NotSafetensors`] where the bytes cannot be put together.
pub fn to_safetensors<M: Module + PublishedKeys>(module: &M) -> Result<Vec<u8>, Error> {
    to_safetensors_as(module, default_naming(module))
}

/// As [`to_safetensors`] under another of the module's namings.
///
/// # Errors
/// As [`to_safetensors`].
pub fn to_safetensors_as<M: Module + PublishedKeys>(module: &M, naming: Naming) -> Result<Vec<u8>, Error> {
    let layout = Layout::of(module, naming)?;
    // `valid` brings running statistics up to date, and leaves the graph behind.
    let mut reader = Reader::default();
    module.valid().visit(&mut reader);
    let mut tensors: Vec<(String, Stored)> = Vec::with_capacity(layout.0.len());
    for entry in layout.0 {
        let Some(values) = reader.values.remove(&entry.path) else { continue };
        let values =
            if entry.transposed { transpose(&values, entry.shape[1], entry.shape[0]) } else { values };
        let shape = entry.published.shape(&entry.shape);
        let size = values.len() / entry.published.keys().len();
        for (part, key) in entry.published.keys().iter().enumerate() {
            if let Some(counter) = counter_of(key) {
                tensors.push((counter, Stored { dtype: Dtype::I64, shape: Vec::new(), bytes: vec![0; 8] }));
            }
            let values = &values[part * size..(part + 1) * size];
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((key.clone(), Stored { dtype: Dtype::F32, shape: shape.clone(), bytes }));
        }
    }
    // transformers refuses a file that does not say which framework's layout it has
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(tensors, Some(metadata))
        .map_err(|error| Error::NotSafetensors { origin: MEMORY.to_owned(), reason: error.to_string() })
}

/// The naming that is written.
fn default_naming<M: PublishedKeys>(module: &M) -> Naming {
    module.namings().first().copied().unwrap_or(Naming::Paths)
}

/// Writes the module's weights to a safetensors file; the file appears whole or not at all.
///
/// # Errors
/// As [`to_safetensors`], and [`Error::File`].
pub fn save_safetensors<M: Module + PublishedKeys>(module: &M, path: impl AsRef<Path>) -> Result<(), Error> {
    save_safetensors_as(module, path, default_naming(module))
}

/// As [`save_safetensors`] under another of the module's namings.
///
/// # Errors
/// As [`save_safetensors`].
pub fn save_safetensors_as<M: Module + PublishedKeys>(
    module: &M,
    path: impl AsRef<Path>,
    naming: Naming,
) -> Result<(), Error> {
    let bytes = to_safetensors_as(module, naming)?;
    atomic::write_file(path, |file| std::io::Write::write_all(file, &bytes))?;
    Ok(())
}

/// The module with the weights of a file, or of the weights file in a folder (`model.safetensors`, its sharded form
/// with `model.safetensors.index.json`, or `pytorch_model.bin`). What kind of file it is, its content tells. Devices,
/// gradient settings and parameter ids stay as they are.
///
/// ```
/// use burn::tensor::Device;
/// use derm_backbones::weights::{self, HeadLoading, LoadOptions};
/// use derm_backbones::{BackboneConfig, ClassifierConfig, HeadConfig};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.safetensors");
/// let config = |num_classes| ClassifierConfig {
///     backbone: BackboneConfig::Resnet18_28,
///     head: HeadConfig::new(num_classes),
/// };
/// let device = Device::default();
/// weights::save_safetensors(&config(9).init(&device)?, &path)?;
/// let (model, report) = weights::load(config(9).init(&device)?, &path, &LoadOptions::default())?;
/// assert!(report.loaded.contains(&"linear.weight".to_owned()));
/// // another class count is refused, unless the head is to be replaced
/// assert!(weights::load(config(7).init(&device)?, &path, &LoadOptions::default()).is_err());
/// let options = LoadOptions { head: HeadLoading::Replace, ..LoadOptions::default() };
/// let (model, report) = weights::load(config(7).init(&device)?, &path, &options)?;
/// assert_eq!(report.fresh_head, ["linear.weight", "linear.bias"]);
/// println!("{report}");
/// # let _ = model;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::File`], [`Error::NotWeights`], [`Error::NotSafetensors`], [`Error::ShardIndex`], [`Error::ShardLacks`],
/// [`Error::ShardDuplicate`], [`Error::NotPytorch`] and [`Error::PickledCode`] for files that are broken, no weights
/// or dangerous; as [`from_safetensors`] for weights that do not fit. Nothing is loaded then.
pub fn load<M: Module + PublishedKeys>(
    module: M,
    path: impl AsRef<Path>,
    options: &LoadOptions,
) -> Result<(M, LoadReport), Error> {
    load::load(module, &Source::open(path.as_ref())?, options)
}

/// The module with the weights of a safetensors file that lies in memory, every key of it.
///
/// # Errors
/// [`Error::NotSafetensors`] for bytes that are truncated or something else, [`Error::Keys`] where the keys or
/// shapes are not the module's, [`Error::Dtype`] and [`Error::NotFinite`] for weights that are no finite
/// floats; nothing is loaded then.
pub fn from_safetensors<M: Module + PublishedKeys>(
    module: M,
    bytes: &[u8],
) -> Result<(M, LoadReport), Error> {
    from_safetensors_with(module, bytes, &LoadOptions::default())
}

/// As [`from_safetensors`] with options.
///
/// # Errors
/// As [`from_safetensors`].
pub fn from_safetensors_with<M: Module + PublishedKeys>(
    module: M,
    bytes: &[u8],
    options: &LoadOptions,
) -> Result<(M, LoadReport), Error> {
    load::load(module, &Source::from_safetensors(bytes)?, options)
}

/// The counter's key beside the key of a running variance.
fn counter_of(key: &str) -> Option<String> {
    key.strip_suffix(RUNNING_VAR).map(|prefix| format!("{prefix}{COUNTER}"))
}

/// Row-major [rows, columns] → [columns, rows].
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// A tensor that is about to be written.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
