//! Weights as safetensors files under the published key names, both ways.
//!
//! A file holds every float parameter and running statistic of the module under the key that its
//! [`PublishedKeys`] gives, in torch's layout (linear weights are [out, in]), and `num_batches_tracked` counters
//! beside running statistics, so that `load_state_dict(strict=True)` takes it. Loading is strict: a key that is
//! missing, unused or of another shape is an error that lists all of them, and nothing is loaded then.

mod layout;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, TensorData};
use derm_core::{FileError, atomic};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};

use self::layout::{Layout, Reader, Writer};
use crate::module_path::ModulePath;
use crate::parameter_count::RUNNING_VAR;
use crate::{Error, Naming, PublishedKeys, ShapeMismatch};

/// torch's count of training batches, an I64 scalar beside running statistics. It has no effect on the network
/// (only on a cumulative average, which none here uses), so it is written as 0 and may be absent in a file.
const COUNTER: &str = "num_batches_tracked";

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// The published keys of the tensors that were loaded, in the module's order.
    pub loaded: Vec<String>,
    /// Counters in the file, which have no effect.
    pub counters: Vec<String>,
}

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
/// ```
/// use burn::tensor::Device;
/// use derm_backbones::{BackboneConfig, ClassifierConfig, HeadConfig, weights};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.safetensors");
/// let config = ClassifierConfig { backbone: BackboneConfig::Resnet18_28, head: HeadConfig::new(7) };
/// let device = Device::default();
/// weights::save_safetensors(&config.init(&device)?, &path)?;
/// let (model, report) = weights::load_safetensors(config.init(&device)?, &path)?;
/// assert!(report.loaded.contains(&"linear.weight".to_owned()));
/// # let _ = model;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`to_safetensors`], and [`Error::File`].
pub fn save_safetensors<M: Module + PublishedKeys>(module: &M, path: impl AsRef<Path>) -> Result<(), Error> {
    let bytes = to_safetensors(module)?;
    atomic::write_file(path, |file| std::io::Write::write_all(file, &bytes))?;
    Ok(())
}

/// The module with the weights of a safetensors file. f64, f16 and bf16 weights become f32. Devices, gradient
/// settings and parameter ids stay as they are.
///
/// # Errors
/// [`Error::File`], and as [`from_safetensors`]; nothing is loaded then.
pub fn load_safetensors<M: Module + PublishedKeys>(
    module: M,
    path: impl AsRef<Path>,
) -> Result<(M, LoadReport), Error> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(FileError::at(path, "read"))?;
    load(module, &bytes, &path.display().to_string())
}

/// The module with the weights of a safetensors file that lies in memory.
///
/// # Errors
/// [`Error::NotSafetensors`] for bytes that are truncated or something else, [`Error::Keys`] where the keys or
/// shapes are not the module's, [`Error::Dtype`] and [`Error::NotFinite`] for weights that are no finite
/// floats; nothing is loaded then.
pub fn from_safetensors<M: Module + PublishedKeys>(
    module: M,
    bytes: &[u8],
) -> Result<(M, LoadReport), Error> {
    load(module, bytes, MEMORY)
}

const MEMORY: &str = "memory";

fn load<M: Module + PublishedKeys>(module: M, bytes: &[u8], origin: &str) -> Result<(M, LoadReport), Error> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::NotSafetensors { origin: origin.to_owned(), reason: error.to_string() })?;
    let mut in_file: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    let layout = best_layout(&module, &in_file)?;
    let (mut missing, mut reshaped, mut counters) = (Vec::new(), Vec::new(), Vec::new());
    let mut loaded = Vec::new();
    let mut found = Vec::with_capacity(layout.0.len());
    for entry in &layout.0 {
        let shape = entry.published.shape(&entry.shape);
        let mut parts = Vec::with_capacity(entry.published.keys().len());
        for key in entry.published.keys() {
            if let Some(counter) = counter_of(key)
                && in_file.remove(&counter).is_some()
            {
                counters.push(counter);
            }
            match in_file.remove(key) {
                None => missing.push(key.clone()),
                Some(view) if view.shape() != shape => reshaped.push(ShapeMismatch {
                    key: key.clone(),
                    expected: shape.clone(),
                    found: view.shape().to_vec(),
                }),
                Some(view) => parts.push((key.clone(), view)),
            }
        }
        found.push((entry, parts));
    }
    if !(missing.is_empty() && reshaped.is_empty() && in_file.is_empty()) {
        let unused = in_file.into_keys().collect();
        return Err(Error::Keys { origin: origin.to_owned(), missing, unused, reshaped });
    }
    let mut values = HashMap::with_capacity(found.len());
    for (entry, parts) in found {
        let mut floats = Vec::with_capacity(entry.shape.iter().product());
        for (key, view) in parts {
            floats.extend(floats_of(&key, &view, origin)?);
            loaded.push(key);
        }
        let floats =
            if entry.transposed { transpose(&floats, entry.shape[0], entry.shape[1]) } else { floats };
        values.insert(entry.path.clone(), floats);
    }
    let module = module.map(&mut Writer { path: ModulePath::default(), values });
    Ok((module, LoadReport { loaded, counters }))
}

/// The layout under the naming of which the file holds most keys; among equals the earlier one.
fn best_layout<M: Module + PublishedKeys>(
    module: &M,
    in_file: &BTreeMap<String, TensorView<'_>>,
) -> Result<Layout, Error> {
    let mut best: Option<(usize, Layout)> = None;
    for naming in module.namings() {
        let layout = Layout::of(module, *naming)?;
        let keys = layout.0.iter().flat_map(|entry| entry.published.keys());
        let hits = keys.filter(|key| in_file.contains_key(*key)).count();
        if best.as_ref().is_none_or(|(most, _)| hits > *most) {
            best = Some((hits, layout));
        }
    }
    match best {
        Some((_, layout)) => Ok(layout),
        None => Layout::of(module, Naming::Paths),
    }
}

/// The counter's key beside the key of a running variance.
fn counter_of(key: &str) -> Option<String> {
    key.strip_suffix(RUNNING_VAR).map(|prefix| format!("{prefix}{COUNTER}"))
}

/// A file tensor as f32.
fn floats_of(key: &str, view: &TensorView<'_>, origin: &str) -> Result<Vec<f32>, Error> {
    let dtype = match view.dtype() {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => {
            let dtype = format!("{other:?}");
            return Err(Error::Dtype { origin: origin.to_owned(), key: key.to_owned(), dtype });
        }
    };
    let not_safetensors = |reason: String| Error::NotSafetensors { origin: origin.to_owned(), reason };
    let data = TensorData::try_from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype)
        .map_err(|error| not_safetensors(format!("`{key}`: {error}")))?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => Err(Error::NotFinite {
            origin: origin.to_owned(),
            key: key.to_owned(),
            index,
            value: values[index],
        }),
    }
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
