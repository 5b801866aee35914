//! The recipes, studies and searches that are shipped: each is read, says what it is, names no place of data, and has a tiny
//! variant that runs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use derm_backbones::AnyBackbone;
use derm_train::{
    DatasetSource, Error, Progress, Recipe, Search, Study, StudyTeacher, Verdict, run, run_search, run_study,
};
use examples::quickstart::{self, Options};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")
}

/// The names of the configs in a folder, sorted.
fn names(folder: &Path) -> BTreeSet<String> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.yaml"))
}

fn tiny(name: &str) -> PathBuf {
    folder().join("tiny").join(format!("{name}.yaml"))
}

/// Studies have variants; those of a base count.
fn is_study(name: &str) -> bool {
    fs::read_to_string(file(name)).unwrap().lines().any(|line| line.starts_with("variants:"))
}

/// Searches have a space; that of a base counts.
fn is_search(name: &str) -> bool {
    fs::read_to_string(file(name)).unwrap().lines().any(|line| line.starts_with("space:"))
}

/// The recipe of a config, or those of a study: one a variant, by name. Of a search, that without its keys.
fn recipes(name: &str, path: &Path, overrides: &[String]) -> Result<Vec<Recipe>, Error> {
    if is_search(name) {
        return Ok(vec![Search::read(path, overrides)?.recipe(&BTreeMap::new())?]);
    }
    if !is_study(name) {
        return Ok(vec![Recipe::read(path, overrides)?]);
    }
    let study = Study::read(path, overrides)?;
    let variants: BTreeMap<String, Recipe> =
        study.runs.into_iter().map(|run| (run.variant, run.recipe)).collect();
    Ok(variants.into_values().collect())
}

/// The recipes of a shipped config, whose data may have to be named.
fn shipped(name: &str) -> Vec<Recipe> {
    let root = ["dataset.root=somewhere".to_owned()];
    let made = recipes(name, &file(name), &[]);
    made.unwrap_or_else(|_| {
        recipes(name, &file(name), &root).unwrap_or_else(|error| panic!("{name}: {error}"))
    })
}

#[test]
fn each_is_read_and_wants_only_the_folder_of_its_data() {
    for name in names(&folder()) {
        let path = file(&name);
        let text = fs::read_to_string(&path).unwrap();
        let comment: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let comment = comment.join(" ");
        assert!(comment.contains(&format!("examples/configs/{name}.yaml")), "{name}: no command to run it");
        assert!(!text.contains("root: ") && !text.contains("output: "), "{name} names a place");
        assert!(text.lines().any(|line| line == format!("name: {name}")), "{name} has another name");
        let made = shipped(&name).iter().all(|recipe| recipe.dataset.source == DatasetSource::Synthetic);
        if !made {
            let error = recipes(&name, &path, &[]).unwrap_err().to_string();
            assert!(error.contains("dataset.root"), "{name}: {error}");
        }
    }
}

#[test]
fn each_has_a_tiny_variant_of_the_same_kind() {
    let device = Device::default();
    assert_eq!(names(&folder()), names(&folder().join("tiny")));
    for name in names(&folder()) {
        let text = fs::read_to_string(tiny(&name)).unwrap();
        assert!(text.lines().any(|line| line == format!("base: ../{name}.yaml")), "{name}");
        let kind = |recipe: &Recipe| {
            let network: AnyBackbone = recipe.model.backbone.init(&device).unwrap();
            (
                discriminant(&network),
                recipe.model.use_answers,
                recipe.model.text.is_some(),
                recipe.model.fusion.clone(),
                recipe.training.loss.clone(),
            )
        };
        let (shipped, small) = (shipped(&name), recipes(&name, &tiny(&name), &[]).unwrap());
        assert_eq!(shipped.len(), small.len(), "{name}");
        for (shipped, small) in shipped.iter().zip(&small) {
            assert!(kind(shipped) == kind(small), "{name}: {}", small.name);
            assert_eq!(small.dataset.source, DatasetSource::Synthetic);
            assert_eq!(small.distillation.is_some(), shipped.distillation.is_some());
        }
    }
}

#[test]
fn the_quickstart_is_its_config() {
    let options = Options { output: PathBuf::from("runs/quickstart"), seed: 0, tiny: false };
    let study = Study::read(file("quickstart"), &[]).unwrap();
    let Some(StudyTeacher::Recipe(teacher)) = &study.teacher else { panic!("{:?}", study.teacher) };
    let placed = |recipe: &Recipe, like: &Recipe| Recipe {
        name: like.name.clone(),
        output: like.output.clone(),
        ..recipe.clone()
    };
    let of_example = quickstart::teacher(&options);
    assert_eq!(placed(teacher, &of_example), of_example);
    let of_example = quickstart::student(&options);
    let distilled = study.runs.iter().find(|run| run.variant == "distilled").unwrap();
    assert_eq!(placed(&distilled.recipe, &of_example), of_example);
}

#[test]
fn the_tiny_variants_run() {
    let device = Device::default();
    let place = tempfile::tempdir().unwrap();
    for name in names(&folder()) {
        let clock = Instant::now();
        let output = place.path().join(&name);
        let overrides = [format!("output={}", output.display())];
        if is_study(&name) {
            let study = Study::read(tiny(&name), &overrides).unwrap();
            let results = run_study(&study, &device, Progress::Silent).unwrap();
            assert!(results.failed.is_empty() && results.variants[0].verdict.is_none());
            let several = study.runs.iter().any(|run| run.recipe.seed == 1);
            for variant in &results.variants[1..] {
                assert_eq!(variant.verdict == Some(Verdict::Unproven), !several, "{name}: {}", variant.name);
            }
            for file in ["study.json", "runs.csv", "variants.csv", "comparisons.csv", "report.html"] {
                assert!(output.join(file).is_file(), "{name}: {file}");
            }
        } else if is_search(&name) {
            let search = Search::read(tiny(&name), &overrides).unwrap();
            let results = run_search(&search, &device, Progress::Silent).unwrap();
            assert_eq!(results.trials.len(), search.config.trials);
            assert!(results.best().is_some(), "{results}");
            Recipe::read(output.join("best.yaml"), &[]).unwrap();
            for file in ["search.jsonl", "search.json", "search.csv", "search.html"] {
                assert!(output.join(file).is_file(), "{name}: {file}");
            }
        } else {
            let recipe = Recipe::read(tiny(&name), &overrides).unwrap();
            let finished = run(&recipe, &device, Progress::Silent).unwrap();
            assert_eq!(finished.history.len(), recipe.training.epochs);
            assert!(finished.bundle().join("manifest.json").is_file());
        }
        println!("{name}: {:.1} s", clock.elapsed().as_secs_f64());
    }
}
