//! One test a variant and a range boundary.
#![allow(clippy::unwrap_used, clippy::panic)]

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use derm_backbones::weights::LoadOptions;
use derm_backbones::{
    AnswerColumns, BackboneConfig, BertConfig, BlockKind, ClassifierConfig, ConvNextV2Config,
    EfficientNetConfig, Error, HeadConfig, MobileNetV2Config, MobileVitConfig, Naming, Published,
    PublishedKeys, QuestionnaireEncoderConfig, ResNetConfig, ShapeMismatch, SiglipConfig, Stem, VitConfig,
    weights,
};
use derm_core::{ImageInput, Normalization, Taps};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

fn resnet(depths: &[usize], widths: &[usize]) -> ResNetConfig {
    ResNetConfig {
        block: BlockKind::Basic,
        depths: depths.to_vec(),
        widths: widths.to_vec(),
        stem: Stem::Conv7x7,
    }
}

fn model(num_classes: usize) -> ClassifierConfig {
    ClassifierConfig {
        backbone: BackboneConfig::Resnet(resnet(&[1], &[2])),
        head: HeadConfig::new(num_classes),
    }
}

fn load(bytes: &[u8]) -> Error {
    let model = model(3).init(&Device::default()).unwrap();
    weights::from_safetensors(model, bytes).map(|_| ()).unwrap_err()
}

/// The bytes of a model of 3 classes, with every tensor passed through `edit`, which may drop it.
type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

fn edited(edit: impl FnOnce(&mut Tensors)) -> Vec<u8> {
    let bytes = weights::to_safetensors(&model(3).init(&Device::default()).unwrap()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Tensors = file
        .tensors()
        .into_iter()
        .map(|(key, view)| (key, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    edit(&mut tensors);
    let views = tensors.iter().map(|(key, dtype, shape, data)| {
        (key.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn sizes_must_be_positive() {
    for (depths, widths) in [(&[][..], &[8][..]), (&[1, 0], &[8, 8]), (&[1], &[]), (&[1], &[0])] {
        let error = resnet(depths, widths).validate().unwrap_err();
        assert!(matches!(error, Error::Sizes { .. }), "{error}");
    }
    let questionnaire = QuestionnaireEncoderConfig { widths: vec![], ..QuestionnaireEncoderConfig::new(3) };
    assert!(matches!(questionnaire.validate(), Err(Error::Sizes { parameter: "questionnaire.widths", .. })));
}

#[test]
fn depths_and_widths_must_agree() {
    let error = resnet(&[1, 1], &[8]).init(&Device::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Stages { depths, widths } if depths == &[1, 1] && widths == &[8]),
        "{error}"
    );
}

#[test]
fn classes_answers_and_dropout_have_ranges() {
    for num_classes in [0, 1] {
        let error = model(num_classes).init(&Device::default()).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "num_classes", .. }), "{error}");
    }
    for dropout in [-0.1, 1.0, f64::NAN] {
        let error = HeadConfig { dropout, ..HeadConfig::new(2) }.validate().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "dropout", .. }), "{error}");
        let questionnaire = QuestionnaireEncoderConfig { dropout, ..QuestionnaireEncoderConfig::new(3) };
        assert!(questionnaire.validate().is_err());
    }
    let error = QuestionnaireEncoderConfig::new(0).init(&Device::default()).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { parameter: "questionnaire.inputs", .. }), "{error}");
}

#[test]
fn multipliers_and_stochastic_depth_have_ranges() {
    for value in [0.0, -1.0, 8.1, f64::NAN, f64::INFINITY] {
        let error = MobileNetV2Config::new(value).init(&Device::default()).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "width_multiplier", .. }), "{error}");
        let wide = EfficientNetConfig { width_multiplier: value, ..EfficientNetConfig::b0() };
        assert!(matches!(wide.spec(), Err(Error::OutOfRange { parameter: "width_multiplier", .. })));
        let deep = EfficientNetConfig { depth_multiplier: value, ..EfficientNetConfig::b0() };
        assert!(matches!(deep.validate(), Err(Error::OutOfRange { parameter: "depth_multiplier", .. })));
    }
    assert!(MobileNetV2Config::new(8.0).validate().is_ok());
    for stochastic_depth in [-0.1, 1.0, f64::NAN] {
        let error =
            EfficientNetConfig { stochastic_depth, ..EfficientNetConfig::b0() }.validate().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "stochastic_depth", .. }), "{error}");
        let error = ConvNextV2Config { stochastic_depth, ..ConvNextV2Config::atto() }.validate().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { parameter: "stochastic_depth", .. }), "{error}");
    }
}

#[test]
fn sizes_of_convnext_and_mobilevit_are_checked() {
    let convnext = ConvNextV2Config { depths: vec![1, 1], ..ConvNextV2Config::atto() };
    assert!(matches!(convnext.init(&Device::default()), Err(Error::Stages { .. })));
    let convnext = ConvNextV2Config { widths: vec![], ..ConvNextV2Config::atto() };
    assert!(matches!(convnext.spec(), Err(Error::Sizes { parameter: "widths", .. })));
    let xxs = MobileVitConfig::xxs;
    let heads = MobileVitConfig { heads: 5, ..xxs() }.init(&Device::default()).map(|_| ()).unwrap_err();
    assert!(matches!(heads, Error::Heads { width: 64, heads: 5 }), "{heads}");
    for config in [
        MobileVitConfig { widths: [8, 8, 0, 8, 8], ..xxs() },
        MobileVitConfig { transformer_widths: [64, 0, 96], ..xxs() },
        MobileVitConfig { transformer_depths: [0, 1, 1], ..xxs() },
    ] {
        assert!(matches!(config.validate(), Err(Error::Sizes { .. })), "{config:?}");
    }
    for config in [
        MobileVitConfig { expansion: 1, ..xxs() },
        MobileVitConfig { heads: 0, ..xxs() },
        MobileVitConfig { embedding: 0, ..xxs() },
        MobileVitConfig { dropout: 1.0, ..xxs() },
        MobileVitConfig { dropout: f64::NAN, ..xxs() },
    ] {
        assert!(matches!(config.validate(), Err(Error::OutOfRange { .. })), "{config:?}");
    }
}

/// Arithmetic on sizes would overflow, and lists of blocks would not fit into memory.
#[test]
fn sizes_beyond_any_network_are_refused() {
    const HUGE: usize = usize::MAX;
    for config in [resnet(&[HUGE], &[8]), resnet(&[1], &[HUGE]), resnet(&[1; 64], &[1; 64])] {
        assert!(matches!(config.init(&Device::default()), Err(Error::Sizes { .. })), "{config:?}");
    }
    let convnext = ConvNextV2Config { depths: vec![1; 64], widths: vec![1; 64], ..ConvNextV2Config::atto() };
    assert!(matches!(convnext.spec(), Err(Error::Sizes { parameter: "depths", .. })));
    assert!(matches!(model(HUGE).validate(), Err(Error::OutOfRange { parameter: "num_classes", .. })));
    let vit = VitConfig { hidden: HUGE, ..VitConfig::deit_tiny_patch16_224() };
    assert!(matches!(vit.spec(), Err(Error::OutOfRange { parameter: "hidden", .. })));
    let bert = BertConfig { vocabulary: HUGE, ..BertConfig::minilm_l6_h384() };
    assert!(matches!(bert.validate(), Err(Error::OutOfRange { parameter: "vocabulary", .. })));
    let columns = |columns| AnswerColumns { columns, optional: false };
    let answers = vec![columns(HUGE), columns(4)];
    let questionnaire = QuestionnaireEncoderConfig { answers, ..QuestionnaireEncoderConfig::new(3) };
    assert!(matches!(questionnaire.validate(), Err(Error::AnswerColumns { .. })));
}

#[test]
fn images_that_configs_expect_have_ranges() {
    let right = EfficientNetConfig::b0().input;
    let normalization = |mean, std| Normalization { mean: [mean; 3], std: [std; 3] };
    for (parameter, input) in [
        ("input.size", ImageInput { size: 0, ..right }),
        ("input.size", ImageInput { size: usize::MAX, ..right }),
        ("input.normalization.mean", ImageInput { normalization: normalization(f32::NAN, 1.0), ..right }),
        ("input.normalization.std", ImageInput { normalization: normalization(0.5, 0.0), ..right }),
        ("input.normalization.std", ImageInput { normalization: normalization(0.5, f32::INFINITY), ..right }),
        ("input.crop_pct", ImageInput { crop_pct: 0.0, ..right }),
        ("input.crop_pct", ImageInput { crop_pct: 1.1, ..right }),
        ("input.crop_pct", ImageInput { crop_pct: f32::NAN, ..right }),
    ] {
        for error in [
            EfficientNetConfig { input, ..EfficientNetConfig::b0() }.validate(),
            VitConfig { input, ..VitConfig::deit_tiny_patch16_224() }.validate(),
            SiglipConfig { input, ..SiglipConfig::medsiglip_448() }.validate(),
        ] {
            let error = error.unwrap_err();
            assert!(
                matches!(error, Error::OutOfRange { parameter: found, .. } if found == parameter),
                "{error}"
            );
        }
    }
}

#[test]
#[should_panic(expected = "in a batch of 0")]
fn a_batch_without_images_is_named() {
    let model = model(3).init(&Device::default()).unwrap();
    model.forward(Tensor::zeros([0, 3, 8, 8], &Device::default()), None, &Taps::none());
}

#[test]
fn unknown_keys_and_names_in_files_are_refused() {
    assert!(serde_json::from_str::<BackboneConfig>(r#""resnet19""#).is_err());
    assert!(serde_json::from_str::<HeadConfig>(r#"{"num_classes": 3, "drop_out": 0.1}"#).is_err());
}

#[test]
fn a_missing_file_is_named() {
    let model = model(3).init(&Device::default()).unwrap();
    let error =
        weights::load(model, "no/such/file.safetensors", &LoadOptions::default()).map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::File(file) if file.path.ends_with("file.safetensors")), "{error}");
}

#[test]
fn truncated_or_foreign_bytes_are_refused() {
    let bytes = edited(|_| {});
    for cut in [0, 4, 100, bytes.len() - 1] {
        assert!(matches!(load(&bytes[..cut]), Error::NotSafetensors { .. }), "cut at {cut}");
    }
    assert!(matches!(load(b"PK\x03\x04 not a tensor file at all"), Error::NotSafetensors { .. }));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let model = model(3).init(&Device::default()).unwrap();
    let error = weights::load(model, &path, &LoadOptions::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("cut.safetensors"), "{error}");
}

#[test]
fn missing_unused_and_reshaped_keys_are_listed_together() {
    let bytes = edited(|tensors| {
        tensors.retain(|tensor| tensor.0 != "fc.bias");
        for tensor in tensors.iter_mut() {
            match tensor.0.as_str() {
                "bn1.weight" => "bn1.gamma".clone_into(&mut tensor.0),
                "layer1.0.conv1.weight" => tensor.2 = vec![4, 1, 3, 3],
                _ => {}
            }
        }
    });
    let error = load(&bytes);
    let text = error.to_string();
    let Error::Keys { missing, unused, reshaped, .. } = error else { panic!("{error}") };
    assert_eq!(missing, ["bn1.weight", "fc.bias"]);
    assert_eq!(unused, ["bn1.gamma"]);
    let expected = ShapeMismatch {
        key: "layer1.0.conv1.weight".to_owned(),
        expected: vec![2, 2, 3, 3],
        found: vec![4, 1, 3, 3],
    };
    assert_eq!(reshaped, [expected]);
    assert!(text.contains("2 missing") && text.contains("1 unused") && text.contains("bn1.gamma"), "{text}");
}

#[test]
fn a_head_of_another_class_count_is_refused() {
    let bytes = weights::to_safetensors(&model(4).init(&Device::default()).unwrap()).unwrap();
    assert!(matches!(load(&bytes), Error::Keys { reshaped, .. } if reshaped.len() == 2));
}

#[test]
fn counters_may_be_absent_but_not_stray() {
    let without = edited(|tensors| tensors.retain(|tensor| !tensor.0.ends_with("num_batches_tracked")));
    let fresh = model(3).init(&Device::default()).unwrap();
    let (_, report) = weights::from_safetensors(fresh, &without).unwrap();
    assert!(report.counters.is_empty());
    let stray = edited(|tensors| {
        tensors.push(("fc.num_batches_tracked".to_owned(), Dtype::I64, vec![], vec![0; 8]));
    });
    assert!(matches!(load(&stray), Error::Keys { unused, .. } if unused == ["fc.num_batches_tracked"]));
}

#[test]
fn integers_are_no_weights() {
    let bytes = edited(|tensors| {
        for tensor in tensors.iter_mut().filter(|tensor| tensor.0 == "fc.bias") {
            tensor.1 = Dtype::I32;
        }
    });
    assert!(matches!(load(&bytes), Error::Dtype { key, .. } if key == "fc.bias"));
}

#[test]
fn half_and_double_precision_become_f32() {
    let bytes = edited(|tensors| {
        for tensor in tensors.iter_mut() {
            match tensor.0.as_str() {
                // 1.5 in bf16, f16 and f64
                "fc.bias" => (tensor.1, tensor.3) = (Dtype::BF16, [0xC0, 0x3F].repeat(3)),
                "bn1.bias" => (tensor.1, tensor.3) = (Dtype::F16, [0x00, 0x3E].repeat(2)),
                "bn1.weight" => (tensor.1, tensor.3) = (Dtype::F64, 1.5_f64.to_le_bytes().repeat(2)),
                _ => {}
            }
        }
    });
    let fresh = model(3).init(&Device::default()).unwrap();
    let (loaded, _) = weights::from_safetensors(fresh, &bytes).unwrap();
    let bytes = weights::to_safetensors(&loaded).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for key in ["fc.bias", "bn1.bias", "bn1.weight"] {
        assert!(
            file.tensor(key).unwrap().data().chunks(4).all(|value| value == 1.5_f32.to_le_bytes()),
            "{key}"
        );
    }
}

#[test]
fn weights_that_are_not_finite_are_named() {
    for value in [f32::NAN, f32::INFINITY] {
        let bytes = edited(|tensors| {
            for tensor in tensors.iter_mut().filter(|tensor| tensor.0 == "fc.bias") {
                tensor.3[4..8].copy_from_slice(&value.to_le_bytes());
            }
        });
        assert!(matches!(load(&bytes), Error::NotFinite { key, index: 1, .. } if key == "fc.bias"));
    }
}

#[derive(Module, Debug)]
struct Odd {
    first: Param<Tensor<1>>,
    second: Param<Tensor<1>>,
    counter: Option<Param<Tensor<1, Int>>>,
}

impl PublishedKeys for Odd {
    fn published(&self, path: &str, _naming: Naming) -> Published {
        Published::key(if self.counter.is_some() { path } else { "same" })
    }
}

#[test]
fn two_parameters_of_one_key_and_integer_parameters_are_refused() {
    let device = Device::default();
    let param = || Param::from_tensor(Tensor::<1>::zeros([2], &device));
    let odd = Odd { first: param(), second: param(), counter: None };
    let error = weights::to_safetensors(&odd).unwrap_err();
    assert!(matches!(error, Error::DuplicateKey { key, first, second }
        if key == "same" && first == "first" && second == "second"));
    let counter = Param::initialized(burn::module::ParamId::new(), Tensor::<1, Int>::zeros([2], &device));
    let odd = Odd { counter: Some(counter), ..odd };
    let error = weights::to_safetensors(&odd).unwrap_err();
    assert!(matches!(error, Error::Parameter { path } if path == "counter"));
}
