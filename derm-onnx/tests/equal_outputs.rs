//! Exported networks in another runtime give the logits that they give here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use derm_backbones::{
    AnyBackbone, BackboneConfig, BlockKind, Classifier, ClassifierConfig, ConvNextV2Config,
    EfficientNetConfig, HeadConfig, MobileNetV2Config, QuestionnaireEncoderConfig, ResNetConfig, Stem,
};
use derm_core::Taps;
use derm_onnx::{BatchAxis, Error, OnnxModel, export_network};
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, TValue,
};

/// Sums in another order.
const F32_NOISE: f32 = 1e-4;
const SIDE: usize = 32;

fn convolutional() -> Vec<(&'static str, BackboneConfig)> {
    let resnet = |block, stem| {
        BackboneConfig::Resnet(ResNetConfig { block, depths: vec![1, 1], widths: vec![4, 8], stem })
    };
    let efficientnet =
        EfficientNetConfig { width_multiplier: 0.25, depth_multiplier: 0.5, ..EfficientNetConfig::b0() };
    vec![
        ("resnet, 7×7 stem", resnet(BlockKind::Basic, Stem::Conv7x7)),
        ("resnet, 3×3 stem", resnet(BlockKind::Bottleneck, Stem::Conv3x3)),
        ("mobilenet", BackboneConfig::Mobilenetv2(MobileNetV2Config::new(0.25))),
        ("efficientnet", BackboneConfig::Efficientnet(efficientnet)),
    ]
}

/// Weights and running statistics that are no network's start.
struct Trained(Vec<String>, usize);

impl ModuleMapper for Trained {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.0.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.0.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.1 += 1;
        let phase = self.1 as f32;
        let variance = self.0.last().is_some_and(|name| name == "running_var");
        param.map(|weight| {
            let count = weight.dims().iter().product::<usize>();
            let numbers: Vec<f32> = (0..count).map(|i| (1.7 * i as f32 + phase).sin()).collect();
            let numbers = Tensor::from_data(TensorData::new(numbers, weight.dims()), &weight.device());
            if variance { numbers * 0.5 + 1.0 } else { weight + numbers * 0.1 }
        })
    }
}

/// A classifier with weights as of a training.
fn trained(backbone: BackboneConfig, answers: Option<usize>) -> Classifier<AnyBackbone> {
    let device = Device::default();
    device.seed(5);
    let questionnaire = answers.map(QuestionnaireEncoderConfig::new);
    let head = HeadConfig { questionnaire, ..HeadConfig::new(3) };
    let network = ClassifierConfig { backbone, head }.init(&device).unwrap();
    network.map(&mut Trained(Vec::new(), 0)).valid()
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + 11) % 64) as f32 / 32.0 - 1.0).collect()
}

fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// What tract computes for the same inputs.
fn in_tract(bytes: &[u8], inputs: Vec<(Vec<usize>, Vec<f32>)>) -> Vec<f32> {
    let mut model = tract_onnx::onnx().model_for_read(&mut std::io::Cursor::new(bytes)).unwrap();
    for (index, (shape, _)) in inputs.iter().enumerate() {
        model.set_input_fact(index, InferenceFact::dt_shape(DatumType::F32, shape)).unwrap();
    }
    let model = model.into_optimized().unwrap().into_runnable().unwrap();
    let inputs: Vec<TValue> = inputs
        .into_iter()
        .map(|(shape, values)| {
            tract_onnx::prelude::Tensor::from_shape(&shape, &values).unwrap().into_tvalue()
        })
        .collect();
    let outputs = model.run(inputs.into_iter().collect()).unwrap();
    outputs[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

/// A network, its exported file and what both are given.
struct Case {
    model: OnnxModel,
    inputs: Vec<(Vec<usize>, Vec<f32>)>,
    expected: Vec<f32>,
}

fn case(network: &Classifier<AnyBackbone>, answers: Option<usize>, batch: BatchAxis, count: usize) -> Case {
    let model = export_network(network.clone(), SIDE, batch).unwrap();
    let device = Device::default();
    let shape = [count, 3, SIDE, SIDE];
    let pixels = values(shape.iter().product());
    let images = Tensor::from_data(TensorData::new(pixels.clone(), shape), &device);
    let encoded = answers.map(|width| (vec![count, width], values(count * width)));
    let given = encoded.clone().map(|(shape, values)| {
        Tensor::<2>::from_data(TensorData::new(values, [shape[0], shape[1]]), &device)
    });
    let expected = host(network.forward(images, given, &Taps::none()).logits);
    Case { model, inputs: std::iter::once((shape.to_vec(), pixels)).chain(encoded).collect(), expected }
}

fn check(name: &str, case: Case) {
    let got = in_tract(case.model.as_bytes(), case.inputs);
    assert_eq!(got.len(), case.expected.len(), "{name}");
    for (got, expected) in got.iter().zip(&case.expected) {
        assert!((got - expected).abs() <= F32_NOISE * (1.0 + expected.abs()), "{name}: {got} and {expected}");
    }
}

#[test]
fn convolutional_networks_of_a_fixed_batch() {
    for (name, backbone) in convolutional() {
        check(name, case(&trained(backbone, None), None, BatchAxis::Fixed(2), 2));
    }
}

#[test]
fn any_batch() {
    for (name, backbone) in convolutional() {
        let network = trained(backbone, None);
        if name == "efficientnet" {
            let refused = export_network(network, SIDE, BatchAxis::Dynamic);
            assert!(
                matches!(refused, Err(Error::Unsupported { .. })),
                "the README says that it needs a batch"
            );
            continue;
        }
        for count in [1, 4] {
            check(name, case(&network, None, BatchAxis::Dynamic, count));
        }
    }
}

#[test]
fn answers_are_the_second_input() {
    let (name, backbone) = convolutional().swap_remove(0);
    check(name, case(&trained(backbone, Some(5)), Some(5), BatchAxis::Fixed(2), 2));
}

#[test]
fn what_has_no_place_in_the_exporter_is_refused() {
    let config = ConvNextV2Config { depths: vec![1, 1], widths: vec![4, 6], ..ConvNextV2Config::atto() };
    let network = trained(BackboneConfig::Convnextv2(config), None);
    let error = export_network(network, SIDE, BatchAxis::Fixed(1)).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

/// Files for `equal_in_onnxruntime.py`, which stands beside this one.
#[test]
#[ignore = "writes into DERM_ONNX_DIR"]
fn files_for_onnxruntime() {
    let folder = std::path::PathBuf::from(std::env::var("DERM_ONNX_DIR").expect("DERM_ONNX_DIR"));
    for (number, (name, backbone)) in convolutional().into_iter().enumerate() {
        let case = case(&trained(backbone, Some(5)), Some(5), BatchAxis::Fixed(2), 2);
        std::fs::write(folder.join(format!("{number}.onnx")), case.model.as_bytes()).unwrap();
        let described = serde_json::json!({"name": name, "inputs": case.inputs, "expected": case.expected});
        std::fs::write(folder.join(format!("{number}.json")), described.to_string()).unwrap();
    }
}
