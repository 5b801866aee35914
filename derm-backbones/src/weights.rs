//! Weights as safetensors files under the published key names, both ways.
//!
//! A file holds every float parameter and running statistic of the module under the key that its
//! [`PublishedKeys`] gives, in torch's layout (linear weights are [out, in]), and `num_batches_tracked` counters
//! beside running statistics, so that `load_state_dict(strict=True)` takes it. Loading is strict: a key that is
//! missing, unused or of another shape is an error that lists all of them, and nothing is loaded then.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, DType, Int, Tensor, TensorData};
use derm_core::{FileError, atomic};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};

use crate::parameter_count::RUNNING_VAR;
use crate::{Error, PublishedKeys, ShapeMismatch};

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

/// The published keys of a module with their shapes, in the module's order, counters included.
///
/// # Errors
/// [`Error::DuplicateKey`] and [`Error::Parameter`] for a module that has no such file.
pub fn published_shapes<M: Module + PublishedKeys>(module: &M) -> Result<Vec<(String, Vec<usize>)>, Error> {
    let layout = Layout::of(module)?;
    let entries = layout.0.iter().flat_map(|entry| {
        let counter = counter_of(&entry.key).map(|key| (key, Vec::new()));
        std::iter::once((entry.key.clone(), entry.shape.clone())).chain(counter)
    });
    Ok(entries.collect())
}

/// The module's weights as the bytes of a safetensors file. The same weights give the same bytes.
///
/// # Errors
/// [`Error::DuplicateKey`] and [`Error::Parameter`] for a module that has no such file,
/// [`Error::NotSafetensors`] where the bytes cannot be put together.
pub fn to_safetensors<M: Module + PublishedKeys>(module: &M) -> Result<Vec<u8>, Error> {
    let layout = Layout::of(module)?;
    // `valid` brings running statistics up to date, and leaves the graph behind.
    let mut reader = Reader::default();
    module.valid().visit(&mut reader);
    let mut tensors: Vec<(String, Stored)> = Vec::with_capacity(layout.0.len());
    for entry in layout.0 {
        let Some(values) = reader.values.remove(&entry.path) else { continue };
        let values =
            if entry.transposed { transpose(&values, entry.shape[1], entry.shape[0]) } else { values };
        if let Some(key) = counter_of(&entry.key) {
            tensors.push((key, Stored { dtype: Dtype::I64, shape: Vec::new(), bytes: vec![0; 8] }));
        }
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((entry.key, Stored { dtype: Dtype::F32, shape: entry.shape, bytes }));
    }
    // transformers refuses a file that does not say which framework's layout it has
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(tensors, Some(metadata))
        .map_err(|error| Error::NotSafetensors { origin: MEMORY.to_owned(), reason: error.to_string() })
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
    let layout = Layout::of(&module)?;
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::NotSafetensors { origin: origin.to_owned(), reason: error.to_string() })?;
    let mut in_file: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    let (mut missing, mut reshaped, mut counters) = (Vec::new(), Vec::new(), Vec::new());
    let mut found = Vec::with_capacity(layout.0.len());
    for entry in &layout.0 {
        if let Some(counter) = counter_of(&entry.key)
            && in_file.remove(&counter).is_some()
        {
            counters.push(counter);
        }
        match in_file.remove(&entry.key) {
            None => missing.push(entry.key.clone()),
            Some(view) if view.shape() != entry.shape => reshaped.push(ShapeMismatch {
                key: entry.key.clone(),
                expected: entry.shape.clone(),
                found: view.shape().to_vec(),
            }),
            Some(view) => found.push((entry, view)),
        }
    }
    if !(missing.is_empty() && reshaped.is_empty() && in_file.is_empty()) {
        let unused = in_file.into_keys().collect();
        return Err(Error::Keys { origin: origin.to_owned(), missing, unused, reshaped });
    }
    let mut values = HashMap::with_capacity(found.len());
    for (entry, view) in found {
        let floats = floats(&entry.key, &view, origin)?;
        let floats =
            if entry.transposed { transpose(&floats, entry.shape[0], entry.shape[1]) } else { floats };
        values.insert(entry.path.clone(), floats);
    }
    let loaded = layout.0.into_iter().map(|entry| entry.key).collect();
    let module = module.map(&mut Writer { path: ModulePath::default(), values });
    Ok((module, LoadReport { loaded, counters }))
}

/// The counter's key beside the key of a running variance.
fn counter_of(key: &str) -> Option<String> {
    key.strip_suffix(RUNNING_VAR).map(|prefix| format!("{prefix}{COUNTER}"))
}

/// A file tensor as f32.
fn floats(key: &str, view: &TensorView<'_>, origin: &str) -> Result<Vec<f32>, Error> {
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

/// Where a visitor stands in a module. Enum variants are no part of a path.
#[derive(Default)]
struct ModulePath(Vec<(String, String)>);

impl ModulePath {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_owned(), container.to_owned()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn path(&self) -> String {
        let names = self.0.iter().filter(|(_, container)| !container.starts_with("Enum:"));
        names.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    /// Burn keeps linear weights as [in, out], torch as [out, in].
    fn is_linear_weight(&self) -> bool {
        matches!(self.0.last(), Some((name, container)) if name == "weight" && container == "Struct:Linear")
    }
}

/// One float parameter: its path, its published key and its shape in the file.
struct Entry {
    path: String,
    key: String,
    shape: Vec<usize>,
    transposed: bool,
}

/// All float parameters of a module, in its order.
struct Layout(Vec<Entry>);

impl Layout {
    fn of<M: Module + PublishedKeys>(module: &M) -> Result<Self, Error> {
        let mut surveyor = Surveyor::default();
        module.visit(&mut surveyor);
        if let Some(path) = surveyor.unsupported {
            return Err(Error::Parameter { path });
        }
        let mut owners: HashMap<String, String> = HashMap::new();
        for entry in &mut surveyor.entries {
            entry.key = module.published_key(&entry.path);
            if let Some(first) = owners.insert(entry.key.clone(), entry.path.clone()) {
                return Err(Error::DuplicateKey {
                    key: entry.key.clone(),
                    first,
                    second: entry.path.clone(),
                });
            }
        }
        Ok(Self(surveyor.entries))
    }
}

#[derive(Default)]
struct Surveyor {
    path: ModulePath,
    entries: Vec<Entry>,
    unsupported: Option<String>,
}

impl ModuleVisitor for Surveyor {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut shape: Vec<usize> = param.lazy_shape().to_vec();
        let transposed = D == 2 && self.path.is_linear_weight();
        if transposed {
            shape.reverse();
        }
        self.entries.push(Entry { path: self.path.path(), key: String::new(), shape, transposed });
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.unsupported.get_or_insert_with(|| self.path.path());
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.unsupported.get_or_insert_with(|| self.path.path());
    }
}

/// Takes every float parameter to the host.
#[derive(Default)]
struct Reader {
    path: ModulePath,
    values: HashMap<String, Vec<f32>>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().iter::<f32>().collect();
        self.values.insert(self.path.path(), values);
    }
}

/// Puts host values into every float parameter.
struct Writer {
    path: ModulePath,
    values: HashMap<String, Vec<f32>>,
}

impl ModuleMapper for Writer {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.values.remove(&self.path.path()) else { return param };
        let data = TensorData::new(values, param.lazy_shape());
        let tensor = Tensor::from_data(data, &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}
