//! Files of weights: every container, the rules by which weights are found in them, and files that are refused.
//! `tests/checkpoints/` is written by `parity/make_checkpoints.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use derm_backbones::weights::{self, HeadLoading, LoadOptions, LoadReport, WeightsFormat};
use derm_backbones::{
    AnyBackbone, BackboneConfig, BlockKind, Classifier, ClassifierConfig, Error, HeadConfig, Naming,
    PositionResampling, PositionTable, Published, PublishedKeys, QuestionnaireEncoderConfig, ResNetConfig,
    Stem, resample_positions,
};
use derm_core::Taps;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// What rounding to f16 and bf16 changes at most, relative to the value.
const F16_ROUNDING: f32 = 1.0 / 2048.0;
const BF16_ROUNDING: f32 = 1.0 / 256.0;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

fn backbone() -> BackboneConfig {
    BackboneConfig::Resnet(ResNetConfig {
        block: BlockKind::Basic,
        depths: vec![1, 1],
        widths: vec![2, 3],
        stem: Stem::Conv7x7,
    })
}

/// Draws the same weights each time: the device's random generator is one for all tests.
fn seeded<M: Module + PublishedKeys>(draw: impl FnOnce(&Device) -> Result<M, Error>) -> M {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::default();
    device.seed(3);
    let module = draw(&device).unwrap();
    // parameters are drawn when they are first read
    weights::to_safetensors(&module).unwrap();
    module
}

fn classifier(head: HeadConfig) -> Classifier<AnyBackbone> {
    seeded(|device| ClassifierConfig { backbone: backbone(), head }.init(device))
}

fn tiny() -> Classifier<AnyBackbone> {
    classifier(HeadConfig::new(3))
}

fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<(Values, LoadReport), Error> {
    let (model, report) = weights::load(tiny(), path, options)?;
    Ok((values(&model), report))
}

fn refused(path: impl AsRef<Path>) -> Error {
    load(path, &LoadOptions::default()).unwrap_err()
}

type Values = BTreeMap<String, Vec<f32>>;

fn values<M: Module + PublishedKeys>(module: &M) -> Values {
    let bytes = weights::to_safetensors(module).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = file.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    let numbers = |data: &[u8]| data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    floats.map(|(key, view)| (key, numbers(view.data()))).collect()
}

fn expected() -> Values {
    serde_json::from_str(&std::fs::read_to_string(fixture("values.json")).unwrap()).unwrap()
}

fn close(got: &Values, expected: &Values, rounding: f32) {
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, expected) in expected {
        for (got, expected) in got[key].iter().zip(expected) {
            // the smallest numbers of f16 are 6e-8 apart
            assert!((got - expected).abs() <= rounding * expected.abs() + 6e-8 * rounding.signum(), "{key}");
        }
    }
}

/// Tensors of a file, written as safetensors.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn tensors<M: Module + PublishedKeys>(module: &M) -> Tensors {
    let shapes: HashMap<_, _> =
        weights::published_shapes(module, module.namings()[0]).unwrap().into_iter().collect();
    values(module).into_iter().map(|(key, values)| (key.clone(), shapes[&key].clone(), values)).collect()
}

fn bytes(tensors: &Tensors) -> Vec<u8> {
    let data: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&data).map(|((key, shape, _), data)| {
        (key.clone(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn every_container_of_torch_gives_the_same_weights() {
    let expected = expected();
    let options = LoadOptions::default();
    let cases = [
        ("zip.pth", WeightsFormat::PytorchZip, None, "", 0.0),
        ("legacy.pth", WeightsFormat::PytorchLegacy, None, "", 0.0),
        ("training.pth", WeightsFormat::PytorchZip, Some("state_dict"), "module.", 0.0),
        ("net_legacy.pth", WeightsFormat::PytorchLegacy, Some("net"), "", 0.0),
        ("ema.pth", WeightsFormat::PytorchZip, Some("model"), "", 0.0),
        ("views.pth", WeightsFormat::PytorchZip, None, "", 0.0),
        ("f16.pth", WeightsFormat::PytorchZip, None, "", F16_ROUNDING),
        ("bf16.pth", WeightsFormat::PytorchZip, None, "", BF16_ROUNDING),
    ];
    for (name, format, entry, prefix, rounding) in cases {
        let (got, report) = load(fixture(name), &options).unwrap();
        close(&got, &expected, rounding);
        assert_eq!(report.format, format, "{name}");
        assert_eq!(report.entry.as_deref(), entry, "{name}");
        assert_eq!(report.prefix, prefix, "{name}");
        assert_eq!(report.naming, Naming::Torchvision);
        assert_eq!((report.loaded.len(), report.counters.len()), (expected.len(), 6), "{name}");
        let converted: Vec<_> = report.converted.into_iter().collect();
        let half = |dtype: &str| vec![(dtype.to_owned(), expected.len())];
        let conversions = match name {
            "f16.pth" => half("F16"),
            "bf16.pth" => half("BF16"),
            _ => Vec::new(),
        };
        assert_eq!(converted, conversions, "{name}");
        assert!(report.unused.is_empty() && report.missing.is_empty() && report.reshaped.is_empty());
    }
}

#[test]
fn the_averaged_entry_is_read_when_it_is_asked_for() {
    let options = LoadOptions { prefix: Some("model_ema.".to_owned()), ..LoadOptions::default() };
    let (got, report) = load(fixture("ema.pth"), &options).unwrap();
    close(&got, &expected(), 0.0);
    assert_eq!(report.entry.as_deref(), Some("model_ema"));
    assert_eq!(report.converted.keys().collect::<Vec<_>>(), ["F64"]);
    let options = LoadOptions { prefix: Some("teacher.".to_owned()), ..LoadOptions::default() };
    assert!(matches!(load(fixture("ema.pth"), &options), Err(Error::Keys { .. })));
}

#[test]
fn the_report_reads_as_a_summary() {
    let (_, report) = load(fixture("training.pth"), &LoadOptions::default()).unwrap();
    let text = report.to_string();
    for part in ["training.pth", "PyTorch zip", "entry `state_dict`", "prefix `module.`", "tensors loaded"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_pickle_with_code_is_refused_and_not_run() {
    let cases = [
        ("code.pth", "posix.system"),
        ("code_legacy.pth", "posix.system"),
        ("code_protocol4.pth", "posix.system"),
        ("code_injected.pth", "posix.system"),
        ("module.pth", "__main__.Tiny"),
    ];
    for (file, code) in cases {
        let error = refused(fixture(file));
        assert!(error.to_string().contains(file), "{error}");
        let Error::PickledCode { name, .. } = error else { panic!("{file}: {error}") };
        assert_eq!(name, code, "{file}");
    }
    assert!(!Path::new("/tmp/derm-pickle-was-run").exists());
}

#[test]
fn truncated_files_are_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let safetensors = bytes(&tensors(&tiny()));
    let zip = std::fs::read(fixture("zip.pth")).unwrap();
    let legacy = std::fs::read(fixture("legacy.pth")).unwrap();
    for (name, whole) in [("a.safetensors", &safetensors), ("a.pth", &zip), ("legacy.pth", &legacy)] {
        let path = folder.path().join(name);
        std::fs::write(&path, whole).unwrap();
        load(&path, &LoadOptions::default()).unwrap();
        let steps = (0..whole.len()).step_by(397).chain([1, 8, 9, whole.len() - 1]);
        for length in steps {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = refused(&path);
            let typed = matches!(
                error,
                Error::NotSafetensors { .. } | Error::NotPytorch { .. } | Error::NotWeights { .. }
            );
            assert!(typed && error.to_string().contains(name), "{name} cut at {length}: {error}");
        }
    }
}

#[test]
fn changed_bytes_never_panic() {
    // every byte of the pickle and the headers once: either refused, or (a weight, a name beside) still a table
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.pth");
    for name in ["zip.pth", "legacy.pth"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for place in (0..whole.len()).step_by(41) {
            let mut changed = whole.clone();
            changed[place] ^= 0x5a;
            std::fs::write(&path, &changed).unwrap();
            if let Ok((_, report)) = load(&path, &LoadOptions::default()) {
                assert_eq!(report.loaded.len(), expected().len());
            }
        }
    }
}

#[test]
fn files_that_are_no_weights_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    let mut tar = vec![0; 600];
    tar[257..262].copy_from_slice(b"ustar");
    for (content, reason) in [
        (Vec::new(), "empty"),
        (b"accuracy: 0.9\n".to_vec(), "neither safetensors nor"),
        (b"<!DOCTYPE html><html>".to_vec(), "neither safetensors nor"),
        (tar, "tar archive"),
        (std::fs::read(fixture("plain.pkl")).unwrap(), "plain pickle"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = refused(&path);
        assert!(
            matches!(&error, Error::NotWeights { origin, reason: found }
            if origin.ends_with("weights.pth") && found.contains(reason)),
            "{error}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    let error = refused(folder.path());
    assert!(
        matches!(&error, Error::NotWeights { reason, .. } if reason.contains("model.safetensors")),
        "{error}"
    );
    assert!(matches!(refused(&path), Error::File(file) if file.path == path));
}

#[test]
fn another_architectures_file_is_refused_with_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let other = ClassifierConfig { backbone: BackboneConfig::Resnet18_28, head: HeadConfig::new(3) };
    weights::save_safetensors(&seeded(|device| other.init(device)), &path).unwrap();
    let error = refused(&path);
    let text = error.to_string();
    let Error::Keys { missing, unused, reshaped, .. } = error else { panic!("{error}") };
    assert!(missing.contains(&"fc.weight".to_owned()) && unused.contains(&"linear.weight".to_owned()));
    assert!(reshaped.iter().any(|shape| shape.key == "conv1.weight"));
    assert!(text.len() < 2000, "{text}");
}

/// `model.safetensors.index.json` and its two shards in a folder; `edit` changes what they hold.
fn shards(edit: impl FnOnce(&mut Tensors, &mut Tensors, &mut BTreeMap<String, String>)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut first = tensors(&tiny());
    let mut second = first.split_off(9);
    let mut map = BTreeMap::new();
    map.extend(first.iter().map(|(key, ..)| (key.clone(), "model-1.safetensors".to_owned())));
    map.extend(second.iter().map(|(key, ..)| (key.clone(), "model-2.safetensors".to_owned())));
    edit(&mut first, &mut second, &mut map);
    std::fs::write(folder.path().join("model-1.safetensors"), bytes(&first)).unwrap();
    std::fs::write(folder.path().join("model-2.safetensors"), bytes(&second)).unwrap();
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    std::fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    folder
}

#[test]
fn shards_are_one_file() {
    let folder = shards(|_, _, _| {});
    for path in [folder.path().to_owned(), folder.path().join("model.safetensors.index.json")] {
        let (got, report) = load(path, &LoadOptions::default()).unwrap();
        assert_eq!(got, values(&tiny()));
        assert_eq!(report.format, WeightsFormat::ShardedSafetensors { shards: 2 });
        assert!(report.to_string().contains("safetensors in 2 shards"));
    }
}

#[test]
fn shards_that_disagree_with_their_index_are_refused() {
    let folder = shards(|_, _, _| {});
    std::fs::remove_file(folder.path().join("model-2.safetensors")).unwrap();
    let error = refused(folder.path());
    assert!(matches!(&error, Error::File(file) if file.path.ends_with("model-2.safetensors")), "{error}");

    let error = refused(shards(|_, second, _| drop(second.remove(0))).path());
    assert!(matches!(&error, Error::ShardLacks { shard, .. } if shard == "model-2.safetensors"), "{error}");

    let error = refused(shards(|first, second, _| second.push(first[0].clone())).path());
    assert!(
        matches!(&error, Error::ShardDuplicate { first, second, .. }
        if first == "model-1.safetensors" && second == "model-2.safetensors"),
        "{error}"
    );

    let outside = |_: &mut _, _: &mut _, map: &mut BTreeMap<String, String>| {
        map.insert("fc.bias".to_owned(), "../elsewhere.safetensors".to_owned());
    };
    let error = refused(shards(outside).path());
    assert!(matches!(&error, Error::ShardIndex { reason, .. } if reason.contains("elsewhere")), "{error}");

    let folder = shards(|_, _, _| {});
    std::fs::write(folder.path().join("model.safetensors.index.json"), "{\"weights\": {}}").unwrap();
    assert!(matches!(refused(folder.path()), Error::ShardIndex { .. }));

    // a key that the index does not name is read, and has no place here
    let folder = shards(|_, second, _| second.push(("stray".to_owned(), vec![1], vec![0.0])));
    assert!(matches!(refused(folder.path()), Error::Keys { unused, .. } if unused == ["stray"]));

    let folder = shards(|_, _, _| {});
    std::fs::write(folder.path().join("model-1.safetensors"), "short").unwrap();
    let error = refused(folder.path());
    assert!(error.to_string().contains("model-1.safetensors"), "{error}");
}

fn from(tensors: &Tensors, options: &LoadOptions) -> Result<(Values, LoadReport), Error> {
    let (model, report) = weights::from_safetensors_with(tiny(), &bytes(tensors), options)?;
    Ok((values(&model), report))
}

fn other_weights() -> Tensors {
    let mut other = tensors(&tiny());
    for (_, _, values) in &mut other {
        for value in values {
            *value += 0.25;
        }
    }
    other
}

#[test]
fn wrappers_are_stripped_and_reported() {
    let plain = other_weights();
    let (loaded, _) = from(&plain, &LoadOptions::default()).unwrap();
    for prefix in ["module.", "_orig_mod.", "module.backbone.", "model.encoder.", "_orig_mod.module.model."] {
        let mut wrapped = plain.clone();
        for tensor in &mut wrapped {
            tensor.0.insert_str(0, prefix);
        }
        let (got, report) = from(&wrapped, &LoadOptions::default()).unwrap();
        assert_eq!(report.prefix, prefix);
        assert_eq!(got, loaded);
    }
    // something else is no wrapper
    let mut wrapped = plain.clone();
    for tensor in &mut wrapped {
        tensor.0.insert_str(0, "student.");
    }
    assert!(from(&wrapped, &LoadOptions::default()).is_err());
    // two networks in one file: the one that was asked for
    wrapped.extend(plain.iter().map(|(key, shape, values)| {
        (format!("teacher.{key}"), shape.clone(), values.iter().map(|value| value + 1.0).collect())
    }));
    let options = LoadOptions { prefix: Some("student.".to_owned()), ..LoadOptions::default() };
    let (got, report) = from(&wrapped, &options).unwrap();
    assert_eq!(got, loaded);
    assert_eq!(report.unused.len(), plain.len());
}

#[test]
fn a_wrapped_and_a_plain_key_of_one_name_are_not_both_taken() {
    let mut twice = other_weights();
    for tensor in &mut twice {
        tensor.0.insert_str(0, "module.");
    }
    twice.push(("fc.bias".to_owned(), vec![3], vec![0.0; 3]));
    assert!(
        matches!(from(&twice, &LoadOptions::default()), Err(Error::Keys { unused, .. }) if unused == ["fc.bias"])
    );
}

#[test]
fn axes_of_length_one_may_differ_and_nothing_else() {
    let mut other = other_weights();
    let mut reshape = |name: &str, shape: Vec<usize>| {
        other.iter_mut().filter(|tensor| tensor.0 == name).for_each(|tensor| tensor.1.clone_from(&shape));
    };
    reshape("fc.weight", vec![3, 3, 1, 1]);
    reshape("bn1.weight", vec![1, 1, 2]);
    reshape("layer2.0.downsample.0.weight", vec![3, 2]);
    let (got, report) = from(&other, &LoadOptions::default()).unwrap();
    assert_eq!(got, from(&other_weights(), &LoadOptions::default()).unwrap().0);
    let mut reshaped: Vec<&str> = report.reshaped.iter().map(|shape| shape.key.as_str()).collect();
    reshaped.sort_unstable();
    assert_eq!(reshaped, ["bn1.weight", "fc.weight", "layer2.0.downsample.0.weight"]);
    // the same number of elements and of axes
    other.iter_mut().filter(|t| t.0 == "conv1.weight").for_each(|t| t.1 = vec![3, 2, 7, 7]);
    let error = from(&other, &LoadOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Keys { reshaped, .. } if reshaped.len() == 1));
}

#[test]
fn heads_are_strict_replaced_or_skipped_as_asked() {
    let strict = LoadOptions::default();
    let replace = LoadOptions { head: HeadLoading::Replace, ..LoadOptions::default() };
    let skip = LoadOptions { head: HeadLoading::Skip, ..LoadOptions::default() };
    let head = ["fc.weight".to_owned(), "fc.bias".to_owned()];
    let fresh = values(&tiny());
    let same = other_weights();
    let loaded = from(&same, &strict).unwrap().0;
    let mut five_classes = same.clone();
    five_classes
        .iter_mut()
        .filter(|t| t.0 == "fc.weight")
        .for_each(|t| (t.1, t.2) = (vec![5, 3], vec![0.0; 15]));
    five_classes.iter_mut().filter(|t| t.0 == "fc.bias").for_each(|t| (t.1, t.2) = (vec![5], vec![0.0; 5]));
    let none: Tensors = same.iter().filter(|t| !t.0.starts_with("fc.")).cloned().collect();
    let half: Tensors = same.iter().filter(|t| t.0 != "fc.bias").cloned().collect();

    assert!(from(&five_classes, &strict).is_err() && from(&none, &strict).is_err());
    // a head that fits is loaded
    let (got, report) = from(&same, &replace).unwrap();
    assert_eq!((got, report.fresh_head), (loaded.clone(), Vec::new()));
    let other_heads = [
        (&five_classes, &replace, 2),
        (&none, &replace, 0),
        (&half, &replace, 1),
        (&same, &skip, 2),
        (&none, &skip, 0),
    ];
    for (file, options, unused) in other_heads {
        let (got, report) = from(file, options).unwrap();
        assert_eq!(report.fresh_head, head);
        assert_eq!(report.unused.len(), unused);
        for (key, values) in &got {
            assert_eq!(values, if head.contains(key) { &fresh[key] } else { &loaded[key] }, "{key}");
        }
    }
    // everything else stays strict
    let mut stray = five_classes.clone();
    stray.push(("fc2.weight".to_owned(), vec![1], vec![0.0]));
    assert!(matches!(from(&stray, &replace), Err(Error::Keys { unused, .. }) if unused == ["fc2.weight"]));
}

#[test]
fn a_bare_encoder_takes_a_classifiers_file_without_its_head() {
    let file = bytes(&other_weights());
    let encoder = || seeded(|device| backbone().init(device));
    let error = weights::from_safetensors(encoder(), &file).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Keys { unused, .. } if unused == ["fc.bias", "fc.weight"]));
    for head in [HeadLoading::Skip, HeadLoading::Replace] {
        let options = LoadOptions { head, ..LoadOptions::default() };
        let (encoder, report) = weights::from_safetensors_with(encoder(), &file, &options).unwrap();
        assert_eq!(report.unused, ["fc.bias", "fc.weight"]);
        assert!(report.fresh_head.is_empty());
        let expected: Values =
            other_weights().into_iter().filter(|t| !t.0.starts_with("fc.")).map(|t| (t.0, t.2)).collect();
        assert_eq!(values(&encoder), expected);
    }
}

#[test]
fn declared_keys_may_be_missing_or_unused() {
    let head = HeadConfig { questionnaire: Some(QuestionnaireEncoderConfig::new(4)), ..HeadConfig::new(3) };
    let model = || classifier(head.clone());
    let file = bytes(&other_weights());
    let mut options = LoadOptions { head: HeadLoading::Replace, ..LoadOptions::default() };
    assert!(matches!(weights::from_safetensors_with(model(), &file, &options).map(|_| ()),
        Err(Error::Keys { missing, .. }) if missing.iter().all(|key| key.starts_with("questionnaire."))));
    options.allow_missing = vec!["questionnaire.".to_owned()];
    let (loaded, report) = weights::from_safetensors_with(model(), &file, &options).unwrap();
    assert!(!report.missing.is_empty() && report.missing.iter().all(|key| key.starts_with("questionnaire.")));
    let (loaded, fresh) = (values(&loaded), values(&model()));
    assert!(report.missing.iter().all(|key| loaded[key] == fresh[key]));

    let mut more = other_weights();
    more.push(("projector.weight".to_owned(), vec![1], vec![0.0]));
    let options = LoadOptions { allow_unused: vec!["projector.".to_owned()], ..LoadOptions::default() };
    assert_eq!(from(&more, &options).unwrap().1.unused, ["projector.weight"]);
    assert!(from(&more, &LoadOptions::default()).is_err());
    // what is declared unused does not hide what is missing
    more.retain(|tensor| tensor.0 != "conv1.weight");
    assert!(matches!(from(&more, &options), Err(Error::Keys { missing, unused, .. })
        if missing == ["conv1.weight"] && unused.is_empty()));
}

#[test]
fn nothing_is_half_loaded() {
    // batch norms share their running statistics with clones: a refused file must not reach them
    let model = tiny();
    let before = values(&model);
    for key in ["bn1.bias", "conv1.weight", "fc.bias", "layer2.0.downsample.1.running_var"] {
        for value in [f32::NAN, f32::INFINITY] {
            let mut file = other_weights();
            file.iter_mut().filter(|tensor| tensor.0 == key).for_each(|tensor| tensor.2[1] = value);
            let error = weights::from_safetensors(model.clone(), &bytes(&file)).map(|_| ()).unwrap_err();
            assert!(matches!(error, Error::NotFinite { key: found, index: 1, .. } if found == key));
            assert_eq!(values(&model), before);
        }
    }
}

/// An encoder with a table of positions, a prefix that files may lack, an old name and a second tower.
#[derive(Module, Debug)]
struct Tower {
    positions: Param<Tensor<3>>,
    scale: Param<Tensor<1>>,
}

const FROM: PositionTable =
    PositionTable { extra_tokens: 1, grid: [2, 2], resampling: PositionResampling::Timm };

impl Tower {
    fn new(device: &Device) -> Self {
        let rows = FROM.extra_tokens + 9;
        Self {
            positions: Param::from_tensor(Tensor::zeros([1, rows, 2], device)),
            scale: Param::from_tensor(Tensor::zeros([2], device)),
        }
    }
}

impl PublishedKeys for Tower {
    fn published(&self, path: &str, _naming: Naming) -> Published {
        Published::key(format!("vision.{path}"))
    }

    fn published_prefix(&self, _naming: Naming) -> &'static str {
        "vision."
    }

    fn left_out(&self, _naming: Naming) -> &'static [&'static str] {
        &["text."]
    }

    fn renamed(&self, key: &str, _naming: Naming) -> Option<String> {
        key.strip_suffix("gamma").map(|start| format!("{start}scale"))
    }

    fn position_table(&self, path: &str) -> Option<PositionTable> {
        (path == "positions").then_some(PositionTable { grid: [3, 3], ..FROM })
    }
}

fn tower(tensors: &Tensors, options: &LoadOptions) -> Result<(Values, LoadReport), Error> {
    let tower = Tower::new(&Device::default());
    let (tower, report) = weights::from_safetensors_with(tower, &bytes(tensors), options)?;
    Ok((values(&tower), report))
}

#[test]
fn positions_of_another_grid_are_resampled_only_when_asked() {
    let table: Vec<f32> = (0..10).map(|value| value as f32 * 0.5).collect();
    let file = |rows: usize, width: usize| {
        vec![
            ("vision.positions".to_owned(), vec![1, rows, width], table[..rows * width].to_vec()),
            ("vision.scale".to_owned(), vec![2], vec![1.0, 2.0]),
        ]
    };
    let asked = LoadOptions { resize_positions: true, ..LoadOptions::default() };
    assert!(
        matches!(tower(&file(5, 2), &LoadOptions::default()), Err(Error::Keys { reshaped, .. }) if reshaped.len() == 1)
    );
    let (got, report) = tower(&file(5, 2), &asked).unwrap();
    assert_eq!(got["vision.positions"], resample_positions(&table, 2, &FROM, [3, 3]));
    assert_eq!(got["vision.scale"], [1.0, 2.0]);
    assert_eq!(report.resized.len(), 1);
    assert_eq!(
        (&report.resized[0].found[..], &report.resized[0].expected[..]),
        (&[1, 5, 2][..], &[1, 10, 2][..])
    );
    assert!(report.to_string().contains("resampled: `vision.positions`"), "{report}");
    // no square, another width, no patch at all
    for (rows, width) in [(4, 2), (5, 1), (1, 2)] {
        assert!(matches!(tower(&file(rows, width), &asked), Err(Error::Keys { .. })), "{rows} {width}");
    }
}

#[test]
fn the_networks_own_prefix_may_be_absent_and_old_names_are_understood() {
    let file = |keys: [&str; 2]| -> Tensors {
        vec![(keys[0].to_owned(), vec![1, 10, 2], vec![1.0; 20]), (keys[1].to_owned(), vec![2], vec![3.0; 2])]
    };
    let options = LoadOptions::default();
    let (expected, _) = tower(&file(["vision.positions", "vision.scale"]), &options).unwrap();
    for keys in [
        ["positions", "scale"],
        ["vision.positions", "vision.gamma"],
        ["module.vision.positions", "module.vision.gamma"],
        ["model.positions", "model.gamma"],
    ] {
        assert_eq!(tower(&file(keys), &options).unwrap().0, expected, "{keys:?}");
    }
    // with and without it in one file
    assert!(tower(&file(["vision.positions", "scale"]), &options).is_err());
    // what the network leaves out knowingly
    let mut both = file(["vision.positions", "vision.scale"]);
    both.push(("text.layers.0".to_owned(), vec![1], vec![0.0]));
    assert_eq!(tower(&both, &options).unwrap().1.unused, ["text.layers.0"]);
}

#[test]
#[ignore = "needs DERM_WEIGHTS_DIR with the files of parity/make_checkpoints.py --resnet18"]
fn a_torchvision_checkpoint_gives_torchvisions_logits() {
    /// Sums in another order.
    const TOLERANCE: f32 = 1e-4;
    let folder = PathBuf::from(std::env::var("DERM_WEIGHTS_DIR").unwrap());
    let device = Device::default();
    let config = ClassifierConfig { backbone: BackboneConfig::Resnet18, head: HeadConfig::new(1000) };
    let model = config.init(&device).unwrap();
    let (model, report) = weights::load(model, folder.join("resnet18.pth"), &LoadOptions::default()).unwrap();
    println!("{report}");
    assert_eq!((report.loaded.len(), report.counters.len()), (102, 20));
    let image: Vec<f32> = (0..3 * 64 * 64).map(|index| (index as f32 * 0.37).sin()).collect();
    let image = Tensor::<1>::from_floats(image.as_slice(), &device).reshape([1, 3, 64, 64]);
    let logits = model.forward(image, None, &Taps::none()).logits.into_data();
    let expected: Vec<f32> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("resnet18.json")).unwrap()).unwrap();
    assert_eq!(expected.len(), 1000);
    for (got, expected) in logits.iter::<f32>().zip(expected) {
        assert!((got - expected).abs() < TOLERANCE, "{got} and {expected}");
    }
}
