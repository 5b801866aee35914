use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn::module::{ModuleMapper, Param, Quantizer};
use burn::tensor::quantization::{
    Calibration, QuantScheme, QuantStore, QuantValue, QuantizedBytes, ScaleDtype,
};
use burn::tensor::{DType, Device, Tensor, TensorData, f16};
use derm_core::FileError;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, View};
use serde::{Deserialize, Serialize};

use crate::Error;

/// How `model.safetensors` keeps weights: tensors of two axes or more whose key ends in `weight`, which are those of
/// convolutions, linear layers and embeddings. Everything else (biases, norms and their running statistics, tokens) is
/// f32 always.
///
/// Both smaller formats are for the file. When a bundle is loaded the weights become f32 again: Burn 0.22 has no
/// convolution on 8-bit weights, and to its CPU backend they are for storage alone. A quantised student is smaller to
/// store and to send and decides as its quantised weights say; it takes the memory and the time of the f32 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightFormat {
    /// Single precision.
    #[default]
    F32,
    /// Half precision, rounded to the nearest: half the size.
    F16,
    /// Eight bits through Burn's [`Quantizer`], symmetric (−127 to 127) with one f32 scale for each output channel (row
    /// of an embedding): about a quarter of the size. A weight is kept under its published key as I8, its scales under
    /// `<key>.scale`, and stands for `int8 · scale`.
    Int8,
}

/// What is added to a weight's key for its scales.
const SCALE: &str = ".scale";

impl WeightFormat {
    /// All of them, largest first.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    /// The name in files: `f32`, `f16`, `int8`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(crate) fn is_f32(&self) -> bool {
        *self == Self::F32
    }

    /// The safetensors file `bytes`, whose floats are f32, in this format; `device` is where Burn quantises.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use derm_backbones::weights::{from_safetensors, to_safetensors};
    /// use derm_backbones::BackboneConfig;
    /// use derm_predict::WeightFormat;
    /// let device = Device::default();
    /// let whole = to_safetensors(&BackboneConfig::Resnet18_28.init(&device)?)?;
    /// let small = WeightFormat::Int8.store(whole.clone(), &device)?;
    /// assert!(small.len() < whole.len() / 3);
    /// let (_rounded, _) = from_safetensors(BackboneConfig::Resnet18_28.init(&device)?, &WeightFormat::Int8.restore(&small)?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Weight`] for a weight that is too large for the format, or bytes that are no such file.
    pub fn store(self, bytes: Vec<u8>, device: &Device) -> Result<Vec<u8>, Error> {
        if self == Self::F32 {
            return Ok(bytes);
        }
        self.rewrite(&bytes, |key, view, out| {
            if view.dtype() != Dtype::F32 || !is_reduced(key, view.shape()) {
                out.push((key.to_owned(), Kept::of(view)));
                return Ok(());
            }
            match self {
                Self::F32 => out.push((key.to_owned(), Kept::of(view))),
                Self::F16 => {
                    let half: Vec<f16> = floats(view).map(f16::from_f32).collect();
                    if let Some(at) = half.iter().position(|value| !value.is_finite()) {
                        let value = floats(view).nth(at).unwrap_or(f32::NAN);
                        return Err(self.refused(key, format!("{value} is too large")));
                    }
                    let bytes = half.iter().flat_map(|value| value.to_le_bytes()).collect();
                    out.push((
                        key.to_owned(),
                        Kept { dtype: Dtype::F16, shape: view.shape().to_vec(), bytes },
                    ));
                }
                Self::Int8 => {
                    let (values, scales) = self.quantize(key, view, device)?;
                    let bytes = values.into_iter().map(i8::cast_unsigned).collect();
                    out.push((
                        key.to_owned(),
                        Kept { dtype: Dtype::I8, shape: view.shape().to_vec(), bytes },
                    ));
                    let shape = vec![scales.len()];
                    let bytes = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
                    out.push((format!("{key}{SCALE}"), Kept { dtype: Dtype::F32, shape, bytes }));
                }
            }
            Ok(())
        })
    }

    /// The safetensors file `bytes` of this format with f32 weights again.
    ///
    /// # Errors
    /// [`Error::Weight`] for a weight that is not in this format, and bytes that are no such file.
    pub fn restore(self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let file = self.parse(bytes)?;
        self.rewrite(bytes, |key, view, out| {
            let reduced = is_reduced(key, view.shape());
            let values: Vec<f32> = match (self, view.dtype()) {
                (Self::F16, Dtype::F16) if reduced => halves(view).collect(),
                (Self::Int8, Dtype::I8) if reduced => {
                    let scales = file.tensor(&format!("{key}{SCALE}")).ok();
                    let rows = view.shape().first().copied().unwrap_or_default();
                    let scales = scales
                        .filter(|scales| scales.dtype() == Dtype::F32 && scales.shape() == [rows])
                        .ok_or_else(|| self.refused(key, format!("`{key}{SCALE}` is not {rows} scales")))?;
                    let scales: Vec<f32> = floats(&scales).collect();
                    let length = (view.data().len() / rows.max(1)).max(1);
                    let value =
                        |(at, &byte): (usize, &u8)| f32::from(byte.cast_signed()) * scales[at / length];
                    view.data().iter().enumerate().map(value).collect()
                }
                (Self::F16 | Self::Int8, dtype) if reduced => {
                    return Err(self.refused(key, format!("it is {dtype:?} in the file")));
                }
                // The scales are in the weights now.
                (Self::Int8, _) if key.strip_suffix(SCALE).is_some_and(|key| file.tensor(key).is_ok()) => {
                    return Ok(());
                }
                _ => {
                    out.push((key.to_owned(), Kept::of(view)));
                    return Ok(());
                }
            };
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            out.push((key.to_owned(), Kept { dtype: Dtype::F32, shape: view.shape().to_vec(), bytes }));
            Ok(())
        })
    }

    /// [`WeightFormat::restore`] of a file.
    pub(crate) fn read(self, path: &Path) -> Result<Vec<u8>, Error> {
        let bytes = fs::read(path).map_err(FileError::at(path, "read"))?;
        let named = |error: Error| Error::Mismatch { path: path.to_owned(), reason: error.to_string() };
        self.restore(&bytes).map_err(named)
    }

    /// The values [rows, …] and the scale of each row, by Burn's quantizer.
    fn quantize(
        self,
        key: &str,
        view: &TensorView<'_>,
        device: &Device,
    ) -> Result<(Vec<i8>, Vec<f32>), Error> {
        let device = device.clone().without_autodiff();
        let scheme = QuantScheme::default()
            .with_value(QuantValue::Q8S)
            .with_store(QuantStore::Native)
            .per_tensor(ScaleDtype::F32);
        // Burn's blocks are at most 255 wide, so each output channel is a tensor of its own.
        let mut quantizer = Quantizer::new(Calibration::MinMax, scheme);
        let all: Vec<f32> = floats(view).collect();
        let rows = view.shape().first().copied().unwrap_or_default().max(1);
        let (mut values, mut scales) = (Vec::with_capacity(all.len()), Vec::with_capacity(rows));
        for row in all.chunks((all.len() / rows).max(1)) {
            let tensor = Tensor::<1>::from_data(TensorData::new(row.to_vec(), [row.len()]), &device);
            let quantized = quantizer.map_float(Param::from_tensor(tensor)).val().into_data();
            let DType::QFloat(scheme) = quantized.dtype() else {
                return Err(self.refused(key, "this device does not quantise".to_owned()));
            };
            let shape = quantized.shape().clone();
            let (row, parameters) =
                QuantizedBytes { bytes: quantized.into_bytes(), scheme, shape }.into_vec_i8();
            let scale = parameters.block.first().copied().filter(|scale| scale.is_finite());
            scales.push(scale.ok_or_else(|| self.refused(key, "its scale is not finite".to_owned()))?);
            values.extend(row);
        }
        Ok((values, scales))
    }

    fn parse(self, bytes: &[u8]) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize(bytes).map_err(|error| self.refused("model.safetensors", error.to_string()))
    }

    /// The file with what `each` gives for its tensors, in the order of their keys.
    fn rewrite(
        self,
        bytes: &[u8],
        each: impl Fn(&str, &TensorView<'_>, &mut Vec<(String, Kept)>) -> Result<(), Error>,
    ) -> Result<Vec<u8>, Error> {
        let file = self.parse(bytes)?;
        let mut names = file.names();
        names.sort_unstable();
        let mut out = Vec::new();
        for name in names {
            let view = file.tensor(name).map_err(|error| self.refused(name, error.to_string()))?;
            each(name, &view, &mut out)?;
        }
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(out, Some(metadata))
            .map_err(|error| self.refused("model.safetensors", error.to_string()))
    }

    fn refused(self, key: &str, reason: String) -> Error {
        Error::Weight { key: key.to_owned(), format: self.name(), reason }
    }
}

/// Whether a tensor is a weight of a convolution, a linear layer or an embedding, and not a bias, a norm, a token or a
/// position.
fn is_reduced(key: &str, shape: &[usize]) -> bool {
    shape.len() >= 2 && key.ends_with("weight")
}

fn floats<'a>(view: &TensorView<'a>) -> impl Iterator<Item = f32> + use<'a> {
    view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

fn halves<'a>(view: &TensorView<'a>) -> impl Iterator<Item = f32> + use<'a> {
    view.data().as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32())
}

/// A tensor that is about to be written.
struct Kept {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Kept {
    fn of(view: &TensorView<'_>) -> Self {
        Self { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() }
    }
}

impl View for Kept {
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
