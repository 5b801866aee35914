//! Answers, text, fusion and several tasks on top of an image encoder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::module::Module;
use burn::tensor::{Bool, Device, Distribution, Int, Tensor, TensorData};
use derm_backbones::weights::{HeadLoading, LoadOptions};
use derm_backbones::{
    AnswerColumns, AnyBackbone, BackboneConfig, BertConfig, BertFamily, BlockKind, Classifier,
    ClassifierConfig, ClassifierInput, CrossAttentionFusionConfig, Error, Fusion, FusionConfig, FusionInput,
    FusionText, FusionWidths, GatedFusionConfig, HeadConfig, LayerGroups, MetaBlockConfig, Naming,
    PublishedKeys, QuestionnaireEncoderConfig, ResNetConfig, Stem, TaskConfig, TextConfig, TextEncoderConfig,
    TextPooling, TextTokenizer, Tokens, drawn, layer_rates, weights,
};
use derm_core::Taps;
use safetensors::SafeTensors;

/// Sums in another order.
const F32_NOISE: f64 = 1e-5;

fn host<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn close(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= F32_NOISE * (1.0 + expected.abs()), "{got} and {expected}");
    }
}

const IMAGE: usize = 8;
const ANSWERS: usize = 3;
const TEXT: usize = 4;

fn fusions() -> Vec<FusionConfig> {
    vec![
        FusionConfig::Concatenation,
        FusionConfig::MetaBlock(MetaBlockConfig { values: 2 }),
        FusionConfig::Gated(GatedFusionConfig { width: 5 }),
        FusionConfig::CrossAttention(CrossAttentionFusionConfig {
            width: 6,
            layers: 2,
            heads: 3,
            dropout: 0.2,
        }),
    ]
}

/// Answers, text, both.
const BESIDE: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

fn widths(answers: bool, text: bool) -> FusionWidths {
    FusionWidths {
        image: IMAGE,
        image_map: Some(10),
        answers: answers.then_some(ANSWERS),
        text: text.then_some(TEXT),
    }
}

fn padding(rows: [[bool; 4]; 2], device: &Device) -> Tensor<2, Bool> {
    Tensor::from_data(TensorData::new(rows.concat(), [2, 4]), device)
}

fn fusion_input(answers: bool, text: bool, device: &Device) -> FusionInput {
    FusionInput {
        image: random([2, IMAGE], device),
        image_map: Some(random([2, 10, 2, 3], device)),
        answers: answers.then(|| random([2, ANSWERS], device)),
        text: text.then(|| FusionText {
            pooled: random([2, TEXT], device),
            tokens: random([2, 4, TEXT], device),
            padding: padding([[false; 4], [false, false, true, true]], device),
        }),
    }
}

/// Every fused vector has the width that is announced, is finite, and depends on each modality, row by row.
#[test]
fn every_fusion_reads_every_modality_of_its_own_row() {
    let device = Device::default();
    device.seed(3);
    for config in fusions() {
        for (answers, text) in BESIDE {
            let fusion = config.init(widths(answers, text), &device).unwrap();
            let input = fusion_input(answers, text, &device);
            let fused = fusion.forward(&input);
            assert_eq!(fused.dims(), [2, fusion.width()]);
            let before = host(&fused);
            assert!(before.iter().all(|x| x.is_finite()), "{config:?}");
            // what stands beside the first image is changed: the first row changes, the second one does not
            let first = Tensor::<2>::from_data([[1.0], [0.0]], &device);
            let changed = FusionInput {
                answers: input.answers.clone().map(|answers| answers + first.clone()),
                text: input.text.clone().map(|text| FusionText {
                    pooled: text.pooled + first.clone(),
                    tokens: text.tokens + first.clone().unsqueeze_dim::<3>(2),
                    padding: text.padding,
                }),
                ..input.clone()
            };
            let after = host(&fusion.forward(&changed));
            let half = fusion.width();
            assert_ne!(before[..half], after[..half], "{config:?}");
            close(&after[half..], &before[half..]);
            let changed = FusionInput { image: input.image.clone() + first, ..input };
            let after = host(&fusion.forward(&changed));
            assert_ne!(before[..half], after[..half], "{config:?}");
            close(&after[half..], &before[half..]);
        }
    }
}

#[test]
fn what_is_padding_is_not_read() {
    let device = Device::default();
    device.seed(4);
    let config = CrossAttentionFusionConfig { width: 6, layers: 2, heads: 3, dropout: 0.0 };
    let fusion = FusionConfig::CrossAttention(config).init(widths(true, true), &device).unwrap();
    let input = fusion_input(true, true, &device);
    let before = host(&fusion.forward(&input));
    let text = input.text.clone().unwrap();
    let hidden = text.padding.clone().float().unsqueeze_dim::<3>(2) * 100.0;
    let changed = FusionInput { text: Some(FusionText { tokens: text.tokens + hidden, ..text }), ..input };
    close(&host(&fusion.forward(&changed)), &before);
}

/// `σ(tanh(V · f(u)) + g(u))` with f and g a linear layer and a fresh batch norm, on the host.
#[test]
fn meta_block_is_its_formula() {
    let device = Device::default();
    device.seed(5);
    let fusion =
        FusionConfig::MetaBlock(MetaBlockConfig { values: 2 }).init(widths(true, false), &device).unwrap();
    let input = fusion_input(true, false, &device);
    let got = host(&fusion.forward(&input));
    let tensors = float_parameters(&fusion);
    let linear = |name: &str, row: &[f64], map: usize| -> f64 {
        let weight = &tensors[&format!("{name}.weight")];
        let sum: f64 = row.iter().enumerate().map(|(i, x)| x * weight[i * IMAGE / 2 + map]).sum();
        // a fresh batch norm divides by √(1 + ε)
        (sum + tensors[&format!("{name}.bias")][map]) / (1.0_f64 + 1e-5).sqrt()
    };
    let (image, answers) = (host(&input.image), host(&input.answers.unwrap()));
    let mut expected = Vec::new();
    for row in 0..2 {
        let beside = &answers[row * ANSWERS..][..ANSWERS];
        for (feature, value) in image[row * IMAGE..][..IMAGE].iter().enumerate() {
            let map = feature / 2;
            let x = (value * linear("scale", beside, map)).tanh() + linear("shift", beside, map);
            expected.push(1.0 / (1.0 + (-x).exp()));
        }
    }
    close(&got, &expected);
}

/// Two modalities share one gate: with `W` and `b` of the gate 0 the fused vector is the mean of both.
#[test]
fn two_modalities_share_one_gate_and_three_have_their_own() {
    let device = Device::default();
    device.seed(6);
    let gates = |fusion: &Fusion| {
        float_parameters(fusion)
            .keys()
            .filter(|path| path.starts_with("gates.") && path.ends_with("weight"))
            .count()
    };
    let config = FusionConfig::Gated(GatedFusionConfig { width: 5 });
    let two = config.init(widths(true, false), &device).unwrap();
    assert_eq!(gates(&two), 1);
    assert_eq!(gates(&config.init(widths(true, true), &device).unwrap()), 3);
    let input = fusion_input(true, false, &device);
    let tensors = float_parameters(&two);
    let linear = |path: &str, x: &[f64]| -> Vec<f64> {
        let (weight, bias) = (&tensors[&format!("{path}.weight")], &tensors[&format!("{path}.bias")]);
        (0..5)
            .map(|o| bias[o] + x.iter().enumerate().map(|(i, x)| x * weight[i * 5 + o]).sum::<f64>())
            .collect()
    };
    let (image, answers) = (host(&input.image), host(input.answers.as_ref().unwrap()));
    let mut expected = Vec::new();
    for row in 0..2 {
        let (x, u) = (&image[row * IMAGE..][..IMAGE], &answers[row * ANSWERS..][..ANSWERS]);
        let gate = linear("gates.0", &[x, u].concat());
        let (h, k) = (linear("content.0", x), linear("content.1", u));
        for o in 0..5 {
            let z = 1.0 / (1.0 + (-gate[o]).exp());
            expected.push(z * h[o].tanh() + (1.0 - z) * k[o].tanh());
        }
    }
    close(&host(&two.forward(&input)), &expected);
}

/// Values of all float parameters by path, row-major as the module keeps them.
fn float_parameters<M: Module>(module: &M) -> std::collections::HashMap<String, Vec<f64>> {
    use burn::module::{ModuleVisitor, Param};
    #[derive(Default)]
    struct Visitor(Vec<(String, String)>, std::collections::HashMap<String, Vec<f64>>);
    impl ModuleVisitor for Visitor {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.push((name.to_owned(), container.to_owned()));
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let names =
                self.0.iter().filter(|(_, kind)| !kind.starts_with("Enum:")).map(|(name, _)| name.as_str());
            self.1.insert(names.collect::<Vec<_>>().join("."), host(&param.val()));
        }
    }
    let mut visitor = Visitor::default();
    module.visit(&mut visitor);
    visitor.1
}

fn bert() -> TextEncoderConfig {
    TextEncoderConfig::Bert(BertConfig {
        family: BertFamily::DistilBert,
        vocabulary: 20,
        positions: 8,
        width: TEXT,
        layers: 2,
        heads: 2,
        hidden: 6,
        ..BertConfig::minilm_l6_h384()
    })
}

fn config(fusion: FusionConfig, answers: bool, text: bool) -> ClassifierConfig {
    let resnet = ResNetConfig {
        block: BlockKind::Basic,
        depths: vec![1, 1],
        widths: vec![4, IMAGE],
        stem: Stem::Conv3x3,
    };
    ClassifierConfig {
        backbone: BackboneConfig::Resnet(resnet),
        head: HeadConfig {
            questionnaire: answers.then(|| QuestionnaireEncoderConfig {
                widths: vec![ANSWERS],
                ..QuestionnaireEncoderConfig::new(6)
            }),
            text: text.then(|| TextConfig { encoder: bert(), pooling: TextPooling::Cls }),
            fusion,
            tasks: vec![
                TaskConfig { name: "location".to_owned(), num_classes: 4 },
                TaskConfig { name: "severity".to_owned(), num_classes: 2 },
            ],
            ..HeadConfig::new(3)
        },
    }
}

fn input(answers: bool, text: bool, device: &Device) -> ClassifierInput {
    let ids = Tensor::<2, Int>::from_data([[2, 7, 9, 3], [2, 5, 3, 0]], device);
    let padding = padding([[false; 4], [false, false, false, true]], device);
    ClassifierInput {
        images: random([2, 3, 6, 6], device),
        answers: answers.then(|| random([2, 6], device)),
        text: text.then(|| Tokens { padding, ..Tokens::new(ids) }),
    }
}

/// Every fusion over every set of modalities trains all of its parameters for every task, saves and loads.
#[test]
fn classifiers_of_every_fusion_train_save_and_load() {
    let device = Device::default();
    for fusion in fusions() {
        for (answers, text) in BESIDE {
            let config = config(fusion.clone(), answers, text);
            device.seed(8);
            let model = config.init(&device.clone().autodiff()).unwrap();
            let input = input(answers, text, &device.clone().autodiff());
            let output = model.forward_input(input.clone(), &Taps::none());
            assert_eq!(output.logits.dims(), [2, 3]);
            assert_eq!(output.task("location").unwrap().dims(), [2, 4]);
            assert_eq!(output.task("severity").unwrap().dims(), [2, 2]);
            assert!(output.task("type").is_none() && output.features.maps.is_empty());
            let loss = output.tasks.iter().fold(output.logits.powi_scalar(2).sum(), |loss, (_, logits)| {
                loss + logits.clone().powi_scalar(2).sum()
            });
            let gradients = loss.backward();
            let without = parameters_without_gradient(&model, &gradients);
            // the first token is all that CLS pooling reads: nothing else is left without a gradient
            assert!(without.is_empty(), "{fusion:?} {answers} {text}: {without:?}");

            let model = model.valid();
            let plain = |input: &ClassifierInput| ClassifierInput {
                images: input.images.clone().inner(),
                answers: input.answers.clone().map(Tensor::inner),
                text: self::input(answers, text, &device).text,
            };
            let expected = host(&model.forward_input(plain(&input), &Taps::none()).logits);
            let bytes = weights::to_safetensors(&model).unwrap();
            let (copy, _) = weights::from_safetensors(config.init(&device).unwrap(), &bytes).unwrap();
            assert_eq!(host(&copy.forward_input(plain(&input), &Taps::none()).logits), expected);
        }
    }
}

fn parameters_without_gradient<M: Module>(module: &M, gradients: &burn::tensor::Gradients) -> Vec<String> {
    use burn::module::{ModuleVisitor, Param};
    struct Visitor<'a>(&'a burn::tensor::Gradients, Vec<String>, Vec<String>);
    impl ModuleVisitor for Visitor<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.1.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.1.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = self.1.join(".");
            if !path.contains("running_") && param.val().grad(self.0).is_none() {
                self.2.push(path);
            }
        }
    }
    let mut visitor = Visitor(gradients, Vec::new(), Vec::new());
    module.visit(&mut visitor);
    visitor.2
}

#[test]
fn modalities_and_tasks_have_keys_of_their_own() {
    let device = Device::default();
    let model = config(FusionConfig::default(), true, true).init(&device).unwrap();
    let shapes = weights::published_shapes(&model, Naming::Torchvision).unwrap();
    let keys: Vec<&str> = shapes.iter().map(|(key, _)| key.as_str()).collect();
    for key in [
        "conv1.weight",
        "fc.weight",
        "questionnaire.layers.0.weight",
        "text.transformer.layer.1.attention.k_lin.weight",
        "tasks.location.weight",
        "tasks.severity.bias",
    ] {
        assert!(keys.contains(&key), "{key} is not among {keys:?}");
    }
}

#[test]
fn both_encoders_begin_one_step_below_the_head() {
    let device = Device::default();
    let model: Classifier<AnyBackbone> = config(FusionConfig::default(), true, true).init(&device).unwrap();
    let rates = layer_rates(&model, 0.5).unwrap();
    let factor = |name: &str| rates.iter().find(|rate| rate.name == name).unwrap().factor;
    assert_eq!(model.layer_groups().len(), rates.len());
    assert_eq!((factor("head"), factor("layer2.0"), factor("text.layers.1")), (1.0, 0.5, 0.5));
    assert_eq!((factor("stem"), factor("text.layers.0"), factor("text.embeddings")), (0.125, 0.25, 0.125));
}

#[test]
fn a_missing_answer_counts_as_missing_whatever_stands_in_its_columns() {
    let device = Device::default();
    device.seed(9);
    let answers = vec![
        AnswerColumns { columns: 3, optional: true },
        AnswerColumns { columns: 1, optional: false },
        AnswerColumns { columns: 2, optional: true },
    ];
    let config = QuestionnaireEncoderConfig { answers, ..QuestionnaireEncoderConfig::new(6) };
    let encoder = config.init(&device).unwrap();
    let rows = |rows: [[f32; 6]; 2]| host(&encoder.forward(Tensor::from_data(rows, &device)));
    let same = rows([[0.3, 0.7, 1.0, 0.5, 0.2, 0.0], [f32::NAN, f32::INFINITY, 1.0, 0.5, 0.2, 0.0]]);
    assert_eq!(same[..32], same[32..]);
    let given = rows([[0.3, 0.7, 0.0, 0.5, 0.2, 0.0], [9.0, -4.0, 0.0, 0.5, 0.2, 0.0]]);
    assert_ne!(given[..32], given[32..]);
    // with every answer there, the masks change nothing
    let unmasked = QuestionnaireEncoderConfig::new(6).init(&device).unwrap();
    let unmasked = unmasked.load_record(encoder.clone().into_record());
    let all = Tensor::<2>::from_data([[0.3, 0.7, 0.0, 0.5, 0.2, 0.0]], &device);
    assert_eq!(host(&encoder.forward(all.clone())), host(&unmasked.forward(all)));
}

/// In training about p of the optional answers become missing, required ones never, and only whole answers.
#[test]
fn whole_answers_are_dropped_in_training() {
    const ROWS: usize = 2000;
    let plain = Device::default();
    plain.seed(10);
    let device = plain.clone().autodiff();
    let answers =
        vec![AnswerColumns { columns: 3, optional: true }, AnswerColumns { columns: 1, optional: false }];
    let config = QuestionnaireEncoderConfig {
        answers,
        answer_dropout: 0.25,
        dropout: 0.0,
        ..QuestionnaireEncoderConfig::new(4)
    };
    let encoder = config.init(&device).unwrap();
    let row = [0.4, 0.6, 0.0, 0.8];
    let full = Tensor::<2>::from_data(TensorData::new(row.repeat(ROWS), [ROWS, 4]), &device);
    let still = encoder.valid();
    let embed = |row: [f32; 4]| host(&still.forward(Tensor::from_data([row], &plain)));
    let (there, missing) = (embed([0.4, 0.6, 0.0, 0.8]), embed([0.0, 0.0, 1.0, 0.8]));
    let near =
        |got: &[f64], expected: &[f64]| got.iter().zip(expected).all(|(x, y)| (x - y).abs() < F32_NOISE);
    let rows = host(&encoder.forward(full.clone()));
    let mut dropped = 0;
    for row in rows.chunks(32) {
        assert!(near(row, &there) || near(row, &missing));
        dropped += usize::from(near(row, &missing));
    }
    // ± 5 standard deviations of a binomial of 2000 and 0.25
    assert!((403..=597).contains(&dropped), "{dropped}");
    assert!(host(&encoder.freeze().forward(full)).chunks(32).all(|row| near(row, &there)));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let device = Device::default();
    let refused = |head: HeadConfig| {
        ClassifierConfig { head, ..config(FusionConfig::default(), true, true) }.init(&device).unwrap_err()
    };
    let full = config(FusionConfig::default(), true, true).head;
    let head = || full.clone();
    let gated = FusionConfig::Gated(GatedFusionConfig { width: 4 });
    let alone = HeadConfig { questionnaire: None, text: None, fusion: gated, ..head() };
    assert!(matches!(refused(alone), Error::NothingToFuse));
    let odd = FusionConfig::MetaBlock(MetaBlockConfig { values: 3 });
    assert!(matches!(
        refused(HeadConfig { fusion: odd, ..head() }),
        Error::Indivisible { value: 3, width: 8, .. }
    ));
    let heads = CrossAttentionFusionConfig { width: 10, heads: 4, ..CrossAttentionFusionConfig::default() };
    let heads = FusionConfig::CrossAttention(heads);
    assert!(matches!(refused(HeadConfig { fusion: heads, ..head() }), Error::Heads { width: 10, heads: 4 }));
    for name in ["location", "", "two words"] {
        let task = TaskConfig { name: name.to_owned(), num_classes: 2 };
        let tasks = vec![TaskConfig { name: "location".to_owned(), num_classes: 2 }, task];
        assert!(matches!(refused(HeadConfig { tasks, ..head() }), Error::Task { .. }), "{name:?}");
    }
    let one = vec![TaskConfig { name: "type".to_owned(), num_classes: 1 }];
    assert!(matches!(refused(HeadConfig { tasks: one, ..head() }), Error::OutOfRange { .. }));
    let questionnaire = |answers, answer_dropout| QuestionnaireEncoderConfig {
        answers,
        answer_dropout,
        ..QuestionnaireEncoderConfig::new(3)
    };
    let columns = |columns, optional| AnswerColumns { columns, optional };
    for answers in [
        vec![columns(2, true)],
        vec![columns(2, false), columns(1, true)],
        vec![columns(3, false), columns(0, false)],
    ] {
        let error = questionnaire(answers, 0.0).init(&device).unwrap_err();
        assert!(matches!(error, Error::AnswerColumns { inputs: 3, .. }), "{error}");
    }
    for answers in [Vec::new(), vec![columns(3, false)]] {
        let error = questionnaire(answers, 0.1).init(&device).unwrap_err();
        assert!(
            matches!(error, Error::OutOfRange { parameter: "questionnaire.answer_dropout", .. }),
            "{error}"
        );
    }
}

/// An image file with a head and a loaded text encoder become parts of one classifier.
#[test]
fn a_classifier_starts_from_two_published_files() {
    let device = Device::default();
    device.seed(12);
    let config = config(FusionConfig::Concatenation, false, true);
    let image = ClassifierConfig { head: HeadConfig::new(9), ..config.clone() }.init(&device).unwrap();
    let image = weights::to_safetensors(&image).unwrap();
    let skip = LoadOptions { head: HeadLoading::Skip, ..LoadOptions::default() };
    let (backbone, _) =
        weights::from_safetensors_with(config.backbone.init(&device).unwrap(), &image, &skip).unwrap();
    let text = drawn(bert().init(&device).unwrap());
    let expected = weights::to_safetensors(&text).unwrap();

    let model = config.head.init_with_text(backbone, text.clone(), &device).unwrap();
    assert_eq!(weights::to_safetensors(model.text().unwrap()).unwrap(), expected);
    let (file, saved) = (SafeTensors::deserialize(&image).unwrap(), weights::to_safetensors(&model).unwrap());
    let saved = SafeTensors::deserialize(&saved).unwrap();
    for key in ["conv1.weight", "layer2.0.shortcut.0.weight"] {
        assert_eq!(saved.tensor(key).unwrap().data(), file.tensor(key).unwrap().data(), "{key}");
    }

    let backbone = || config.backbone.init(&device).unwrap();
    let other = BertConfig { positions: 9, ..text.config().clone() }.init(&device).unwrap();
    let error = config.head.init_with_text(backbone(), other, &device).unwrap_err();
    assert!(
        matches!(&error, Error::TextEncoder { expected: Some(expected), given }
            if expected.positions == 8 && given.positions == 9),
        "{error}"
    );
    let error = HeadConfig::new(3).init_with_text(backbone(), text, &device).unwrap_err();
    assert!(matches!(error, Error::TextEncoder { expected: None, .. }), "{error}");
}

/// The heads of further tasks are heads: a file without them is taken where heads may be replaced.
#[test]
fn heads_of_further_tasks_stay_as_they_are_where_the_file_has_none() {
    let device = Device::default();
    device.seed(13);
    let several = config(FusionConfig::default(), false, false);
    let single = ClassifierConfig { head: HeadConfig::new(5), ..several.clone() };
    let bytes = weights::to_safetensors(&single.init(&device).unwrap()).unwrap();
    assert!(weights::from_safetensors(several.init(&device).unwrap(), &bytes).is_err());
    for head in [HeadLoading::Replace, HeadLoading::Skip] {
        let options = LoadOptions { head, ..LoadOptions::default() };
        let (_, report) =
            weights::from_safetensors_with(several.init(&device).unwrap(), &bytes, &options).unwrap();
        let fresh = ["linear", "tasks.location", "tasks.severity"]
            .iter()
            .flat_map(|head| ["weight", "bias"].map(|parameter| format!("{head}.{parameter}")));
        assert_eq!(report.fresh_head, fresh.collect::<Vec<_>>(), "{head:?}");
    }
}

#[test]
fn berts_first_names_of_layer_norms_are_understood() {
    let device = Device::default();
    let mut config = bert().bert();
    for family in [BertFamily::Bert, BertFamily::DistilBert] {
        config.family = family;
        let network = drawn(config.init(&device).unwrap());
        let bytes = weights::to_safetensors(&network).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let old = |key: String| {
            let key = key.replace("LayerNorm.weight", "LayerNorm.gamma");
            key.replace("LayerNorm.bias", "LayerNorm.beta")
        };
        let renamed: Vec<_> = file.tensors().into_iter().map(|(key, view)| (old(key), view)).collect();
        assert!(renamed.iter().any(|(key, _)| key == "embeddings.LayerNorm.gamma"));
        let renamed = safetensors::serialize(renamed, None).unwrap();
        let (loaded, report) = weights::from_safetensors(config.init(&device).unwrap(), &renamed).unwrap();
        assert!(report.unused.is_empty());
        assert_eq!(weights::to_safetensors(&loaded).unwrap(), bytes);
    }
    // as a part of a classifier too
    let model = self::config(FusionConfig::default(), false, true).init(&device).unwrap();
    let renamed = |key: &str| model.renamed(key, Naming::MedMnist);
    assert_eq!(renamed("text.embeddings.LayerNorm.beta").unwrap(), "text.embeddings.LayerNorm.bias");
    assert_eq!(renamed("text.embeddings.LayerNorm.bias"), None);
}

/// What a fusion was built for and is not given is missed, and what it was not built for is not passed over.
#[test]
fn a_fusion_takes_the_modalities_that_it_was_built_for_and_no_others() {
    let device = Device::default();
    let refused = |fusion: &Fusion, input: &FusionInput| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fusion.forward(input))).is_err()
    };
    for config in fusions() {
        let fusion = config.init(widths(true, true), &device).unwrap();
        for (answers, text) in [(true, false), (false, true)] {
            assert!(refused(&fusion, &fusion_input(answers, text, &device)), "{config:?} {answers} {text}");
            let one = config.init(widths(answers, text), &device).unwrap();
            assert!(refused(&one, &fusion_input(true, true, &device)), "{config:?} {answers} {text}");
        }
    }
    let input = fusion_input(true, true, &device);
    let fusion = fusions().pop().unwrap().init(widths(true, true), &device).unwrap();
    assert!(refused(&fusion, &FusionInput { image_map: None, ..input }));
}

/// Softmax and mean over nothing would be NaN, in the gradients of the other texts too.
#[test]
fn a_text_of_padding_alone_leaves_everything_finite() {
    let device = Device::default();
    device.seed(14);
    let ids = || Tensor::<2, Int>::from_data([[2, 7, 9, 3], [0, 0, 0, 0]], &device);
    let alone = |device: &Device| padding([[false, false, false, true], [true; 4]], device);
    let encoder = bert().init(&device).unwrap();
    let features = encoder.forward(&Tokens { padding: alone(&device), ..Tokens::new(ids()) }, &Taps::none());
    let mean = host(&features.pooled(TextPooling::Mean));
    assert!(mean[..TEXT].iter().any(|x| *x != 0.0));
    assert_eq!(mean[TEXT..], [0.0; TEXT]);
    assert!(host(&features.pooled(TextPooling::Cls)).iter().all(|x| x.is_finite()));

    let device = device.clone().autodiff();
    for fusion in fusions() {
        let model = config(fusion.clone(), false, true).init(&device).unwrap();
        let ids = Tensor::<2, Int>::from_data([[2, 7, 9, 3], [0, 0, 0, 0]], &device);
        let text = Some(Tokens { padding: alone(&device), ..Tokens::new(ids) });
        let images = random([2, 3, 6, 6], &device).require_grad();
        let input = ClassifierInput { images: images.clone(), answers: None, text };
        let gradients = model.forward_input(input, &Taps::none()).logits.square().sum().backward();
        let gradient = host(&images.grad(&gradients).unwrap());
        assert!(gradient.iter().all(|x| x.is_finite()), "{fusion:?}");
    }
}

/// One row has no variance: the running statistics normalise it and stay as they are.
#[test]
fn a_meta_block_takes_a_training_batch_of_one_row() {
    let plain = Device::default();
    plain.seed(15);
    let device = plain.clone().autodiff();
    let fusion = FusionConfig::MetaBlock(MetaBlockConfig { values: 2 });
    let fusion = fusion.init(widths(true, false), &device).unwrap();
    fusion.forward(&fusion_input(true, false, &device));
    let before = float_parameters(&fusion);
    let one = |device: &Device| FusionInput {
        image: Tensor::ones([1, IMAGE], device),
        image_map: None,
        answers: Some(Tensor::ones([1, ANSWERS], device)),
        text: None,
    };
    let got = host(&fusion.forward(&one(&device)));
    assert_eq!(float_parameters(&fusion), before);
    close(&got, &host(&fusion.valid().forward(&one(&plain))));
}

#[test]
fn tokenizers_refuse_a_text_without_tokens() {
    // no special tokens are added
    let json = br#"{
        "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 1, "mole": 7}, "unk_token": "[UNK]"}
    }"#;
    let tokenizer = TextTokenizer::from_json(json, 8).unwrap();
    // ids may leave gaps
    assert_eq!(tokenizer.vocabulary(), 8);
    let device = Device::default();
    let tokens = tokenizer.encode(&["mole", "mole mole"], &device).unwrap();
    assert_eq!(tokens.padding.into_data().iter::<bool>().collect::<Vec<_>>(), [false, true, false, false]);
    for (texts, named) in [(&["mole", ""][..], "text 1"), (&[""], "text 0"), (&[], "without texts")] {
        let error = tokenizer.encode(texts, &device).unwrap_err();
        assert!(matches!(&error, Error::Tokenizer { reason, .. } if reason.contains(named)), "{error}");
    }
}

/// Every config of a classifier goes through JSON as it is.
#[test]
fn configs_survive_json() {
    for fusion in fusions() {
        for (answers, text) in BESIDE {
            let config = config(fusion.clone(), answers, text);
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ClassifierConfig>(&json).unwrap(), config, "{json}");
        }
    }
    // what a file leaves out has the documented default, and what it misspells is refused
    let short = r#"{"backbone": "resnet18", "head": {"num_classes": 7, "questionnaire": {"inputs": 4},
        "text": {"encoder": "minilm_l6_h384"}, "fusion": {"cross_attention": {"heads": 4}}}}"#;
    let expected = HeadConfig {
        questionnaire: Some(QuestionnaireEncoderConfig::new(4)),
        text: Some(TextConfig { encoder: TextEncoderConfig::MinilmL6, pooling: TextPooling::Mean }),
        fusion: FusionConfig::CrossAttention(CrossAttentionFusionConfig {
            heads: 4,
            ..CrossAttentionFusionConfig::default()
        }),
        ..HeadConfig::new(7)
    };
    assert_eq!(serde_json::from_str::<ClassifierConfig>(short).unwrap().head, expected);
    for (right, wrong) in
        [("inputs", "input"), ("encoder", "coder"), ("heads", "head"), ("\"head\"", "\"top\"")]
    {
        let misspelt = short.replacen(right, wrong, 1);
        assert!(serde_json::from_str::<ClassifierConfig>(&misspelt).is_err(), "{misspelt}");
    }
}
