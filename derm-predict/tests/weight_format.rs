//! Weights in half precision and in eight bits.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod tiny_bundle;

use std::collections::BTreeMap;
use std::fs;

use burn::module::{ModuleMapper, Param, Quantizer};
use burn::tensor::quantization::{Calibration, QuantScheme, QuantStore, QuantValue, ScaleDtype};
use burn::tensor::{Device, Tensor, TensorData, f16};
use derm_backbones::weights::to_safetensors;
use derm_core::Taps;
use derm_data::RgbPixels;
use derm_predict::{Error, Predictor, WeightFormat};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use tiny_bundle::{SIZE, Tiny};

/// Folded and unfolded networks round elsewhere.
const FOLDING_NOISE: f64 = 1e-4;

/// Shape and values of every f32 tensor of a file.
fn floats(bytes: &[u8]) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let tensors = file.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    tensors
        .map(|(key, view)| {
            let values =
                view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            (key, (view.shape().to_vec(), values.collect()))
        })
        .collect()
}

/// One row, there and back through Burn's own quantizer.
fn quantized_by_burn(row: &[f32]) -> Vec<f32> {
    let scheme = QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .with_store(QuantStore::Native)
        .per_tensor(ScaleDtype::F32);
    let tensor = Tensor::<1>::from_data(TensorData::new(row.to_vec(), [row.len()]), &Device::default());
    let quantized = Quantizer::new(Calibration::MinMax, scheme).map_float(Param::from_tensor(tensor));
    quantized.val().dequantize().into_data().iter::<f32>().collect()
}

#[test]
fn int8_weights_are_those_of_burns_quantizer_and_the_rest_is_kept() {
    let tiny = Tiny::new(true);
    let whole = to_safetensors(&tiny.model).unwrap();
    let stored = WeightFormat::Int8.store(whole.clone(), &Device::default()).unwrap();
    assert_eq!(stored, WeightFormat::Int8.store(whole.clone(), &Device::default()).unwrap());
    let restored = WeightFormat::Int8.restore(&stored).unwrap();
    let (before, after) = (floats(&whole), floats(&restored));
    assert!(before.keys().eq(after.keys()));
    let (mut reduced, mut kept) = (0, 0);
    for (key, (shape, values)) in &before {
        let (got_shape, got) = &after[key];
        assert_eq!(shape, got_shape);
        if shape.len() >= 2 {
            reduced += 1;
            for (row, got) in values.chunks(values.len() / shape[0]).zip(got.chunks(values.len() / shape[0]))
            {
                assert_eq!(got, quantized_by_burn(row), "{key}");
                let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                // Half a step, and a rounding of the step.
                let step = largest / 127.0 * 1.0001;
                assert!(row.iter().zip(got).all(|(a, b)| (a - b).abs() <= step / 2.0), "{key}");
            }
        } else {
            kept += 1;
            assert_eq!(values, got, "{key}");
        }
    }
    assert!(reduced >= 5 && kept >= 5, "{reduced} and {kept}");
    let file = SafeTensors::deserialize(&stored).unwrap();
    let (weight, scale) =
        (file.tensor("linear.weight").unwrap(), file.tensor("linear.weight.scale").unwrap());
    assert_eq!((weight.dtype(), weight.shape()[0]), (Dtype::I8, scale.shape()[0]));
}

#[test]
fn half_precision_weights_are_rounded_once() {
    let whole = to_safetensors(&Tiny::new(true).model).unwrap();
    let stored = WeightFormat::F16.store(whole.clone(), &Device::default()).unwrap();
    let restored = floats(&WeightFormat::F16.restore(&stored).unwrap());
    for (key, (shape, values)) in floats(&whole) {
        let expected: Vec<f32> = if shape.len() >= 2 {
            values.iter().map(|&value| f16::from_f32(value).to_f32()).collect()
        } else {
            values
        };
        assert_eq!(restored[&key], (shape, expected), "{key}");
    }
    // f32 is what it was.
    assert_eq!(WeightFormat::F32.store(whole.clone(), &Device::default()).unwrap(), whole);
}

#[test]
fn a_bundle_of_smaller_weights_decides_as_those_weights_say() {
    let answers = Tiny::new(true).answers();
    let value = |at: usize| ((at * 37 + at / 3) % 251) as u8;
    let pixels = RgbPixels::new(SIZE, SIZE, (0..3 * SIZE * SIZE).map(value).collect()).unwrap();
    let tiny = Tiny::new(true);
    let place = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    let mut scores = Vec::new();
    for format in WeightFormat::ALL {
        let folder = place.path().join(format.name());
        let mut config = tiny.config.clone();
        config.weights = format;
        let tiny = Tiny { config, model: tiny.model.clone(), ..Tiny::new(true) };
        tiny.write(&folder).unwrap();
        let predictor = Predictor::load(&folder, &Device::default()).unwrap();
        let file = folder.join("model.safetensors");
        sizes.push(fs::metadata(&file).unwrap().len());

        // The network with those weights, built without a bundle and not folded.
        let restored = match format {
            WeightFormat::F32 => fs::read(&file).unwrap(),
            other => other.restore(&fs::read(&file).unwrap()).unwrap(),
        };
        let model = tiny.config.model.init(&Device::default()).unwrap();
        let (model, _) = derm_backbones::weights::from_safetensors(model, &restored).unwrap();
        let size = SIZE;
        let mut planes = vec![0.0; 3 * size * size];
        let normalizer = derm_data::Normalizer::new(tiny.config.normalization).unwrap();
        normalizer.write_planes(&pixels, derm_data::Orientation::UPRIGHT, &mut planes);
        let device = Device::default();
        let image = Tensor::from_data(TensorData::new(planes, [1, 3, size, size]), &device);
        let row = tiny.schema.as_ref().unwrap().encode(&answers).unwrap();
        let width = row.len();
        let row = Tensor::from_data(TensorData::new(row, [1, width]), &device);
        let expected: Vec<f64> =
            model.forward(image, Some(row), &Taps::none()).logits.into_data().iter::<f64>().collect();
        let got: Vec<f64> = predictor.logits(&pixels, &answers).unwrap().view().iter().copied().collect();
        for (got, expected) in got.iter().zip(&expected) {
            assert!(
                (got - expected).abs() <= FOLDING_NOISE * (1.0 + expected.abs()),
                "{format:?}: {got} {expected}"
            );
        }
        scores.push(got);
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
    assert!(scores[0] != scores[1] && scores[1] != scores[2]);
}

#[test]
fn weights_that_are_not_in_their_format_are_refused() {
    let whole = to_safetensors(&Tiny::new(false).model).unwrap();
    for format in [WeightFormat::F16, WeightFormat::Int8] {
        let error = format.restore(&whole).unwrap_err();
        assert!(matches!(error, Error::Weight { .. }) && error.to_string().contains("F32"), "{error}");
        assert!(format.restore(b"nothing").is_err());
        assert!(format.store(b"nothing".to_vec(), &Device::default()).is_err());
    }
    // Numbers that half precision does not have.
    let key = "linear.weight";
    let tiny = Tiny::new(false);
    let whole = to_safetensors(&tiny.model).unwrap();
    let file = SafeTensors::deserialize(&whole).unwrap();
    let mut tensors: Vec<(String, Vec<u8>, Vec<usize>, Dtype)> = file
        .tensors()
        .into_iter()
        .map(|(key, view)| (key, view.data().to_vec(), view.shape().to_vec(), view.dtype()))
        .collect();
    let large = tensors.iter_mut().find(|tensor| tensor.0 == key).unwrap();
    large.1[..4].copy_from_slice(&1e6_f32.to_le_bytes());
    let views = tensors.iter().map(|(key, bytes, shape, dtype)| {
        (key.clone(), safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    let error = WeightFormat::F16.store(bytes, &Device::default()).unwrap_err();
    assert!(error.to_string().contains(key) && error.to_string().contains("too large"), "{error}");
}
