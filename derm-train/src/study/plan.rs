use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ComparisonConfig, VariantFolders};
use crate::recipe::check::check;
use crate::recipe_file::{Layers, Node};
use crate::{Error, Recipe};

/// A study: variants of one recipe, each with its seeds, and what they are compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Its name.
    pub name: String,
    /// Its folder: a run lies in `<variant>/seed-<n>`, the teacher in `teacher`.
    pub output: PathBuf,
    /// The variant that the others are compared with.
    pub baseline: String,
    /// How they are compared.
    pub comparison: ComparisonConfig,
    /// From whom variants with a `distillation` section learn.
    pub teacher: Option<StudyTeacher>,
    /// The runs in the order in which they are made: seed by seed, so that a study that was stopped has each
    /// variant as often as the others.
    pub runs: Vec<PlannedRun>,
    /// Variants that were run before, elsewhere perhaps.
    pub compare: Vec<VariantFolders>,
}

/// The teacher of a study.
#[derive(Debug, Clone, PartialEq)]
pub enum StudyTeacher {
    /// It is trained first.
    Recipe(Box<Recipe>),
    /// It was trained before: its run folder.
    Run(PathBuf),
}

impl StudyTeacher {
    /// The run folder.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Recipe(recipe) => recipe.output(),
            Self::Run(folder) => folder.clone(),
        }
    }
}

/// A run of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// The variant.
    pub variant: String,
    /// Its recipe, with seed and folder.
    pub recipe: Recipe,
}

/// The keys of a study file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyFile {
    name: String,
    output: Option<PathBuf>,
    recipe: Option<PathBuf>,
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    teacher: Option<PathBuf>,
    baseline: String,
    #[serde(default)]
    comparison: ComparisonConfig,
    #[serde(default)]
    variants: BTreeMap<String, Node>,
    #[serde(default)]
    compare: BTreeMap<String, Vec<PathBuf>>,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// The first part of overrides that are meant for the study; all others are meant for its recipes.
const KEYS: [&str; 9] =
    ["name", "output", "recipe", "seeds", "teacher", "baseline", "comparison", "variants", "compare"];

/// Keys of a recipe that the study sets.
const OWN: [&str; 3] = ["name", "seed", "output"];

impl Study {
    /// Reads a study from a YAML file. An override whose first key is one of the study's is set there, any other one
    /// in every recipe, the teacher's as well: `dataset.root=DIR`.
    ///
    /// # Errors
    /// As [`Recipe::read`], for the study and for each of its recipes; [`Error::Value`] for a study that cannot be.
    pub fn read(path: impl AsRef<Path>, overrides: &[String]) -> Result<Self, Error> {
        let layers = Layers::read(path.as_ref())?;
        let of_study = |text: &String| KEYS.contains(&text.split(['.', '=']).next().unwrap_or_default());
        let (own, of_recipes) = overrides.iter().cloned().partition(of_study);
        let source = Source { layers, own, of_recipes };
        let file: StudyFile = source.layers.typed(&source.own)?;
        file.check()?;
        let output = file.output.clone().unwrap_or_else(|| Path::new("runs").join(&file.name));
        if let Some(text) = source.of_recipes.iter().find(|text| text.starts_with("seed=")) {
            let reason = "a study sets the seed of its runs: `seeds`".to_owned();
            return Err(Error::Override { text: text.clone(), reason });
        }
        let teacher = file.teacher.as_ref().map(|path| source.teacher(path, &output)).transpose()?;
        let bundle = teacher.as_ref().map(|teacher| teacher.folder().join("bundle"));
        let recipe = file.recipe.as_ref().map(|path| Layers::read(&source.beside("recipe", path)));
        let recipe = recipe.transpose()?;

        let mut runs: Vec<(usize, PlannedRun)> = Vec::new();
        for (variant, values) in &file.variants {
            let Some(recipe) = &recipe else {
                return Err(source.wrong("recipe", "missing, and there are variants to run"));
            };
            let (seeds, recipe) = source.variant(variant, values, recipe, bundle.as_deref())?;
            for (turn, seed) in seeds.unwrap_or_else(|| file.seeds.clone()).into_iter().enumerate() {
                let run = format!("seed-{seed}");
                let recipe = Recipe {
                    name: format!("{variant}_{run}"),
                    seed,
                    output: Some(output.join(variant).join(run)),
                    ..recipe.clone()
                };
                recipe.validate()?;
                runs.push((turn, PlannedRun { variant: variant.clone(), recipe }));
            }
        }
        runs.sort_by_key(|(turn, run)| (*turn, run.variant != file.baseline));
        let compare = file.compare.iter().map(|(name, folders)| VariantFolders {
            name: name.clone(),
            folders: folders.iter().map(|folder| source.beside(&format!("compare.{name}"), folder)).collect(),
        });
        Ok(Self {
            compare: compare.collect(),
            name: file.name,
            output,
            baseline: file.baseline,
            comparison: file.comparison,
            teacher,
            runs: runs.into_iter().map(|(_, run)| run).collect(),
        })
    }
}

/// What a study is read from.
struct Source {
    layers: Layers,
    /// The overrides of the study's own keys.
    own: Vec<String>,
    /// Those of every recipe.
    of_recipes: Vec<String>,
}

impl Source {
    fn wrong(&self, key: &str, reason: &str) -> Error {
        let (origin, key) = (self.layers.origin(key).to_owned(), key.to_owned());
        Error::Key { origin, key, reason: reason.to_owned() }
    }

    /// A path of the file lies beside it, one of the command line where that is given.
    fn beside(&self, key: &str, path: &Path) -> PathBuf {
        let given = self.own.iter().any(|text| text.starts_with(&format!("{key}=")));
        if given { path.to_owned() } else { self.layers.folder(key).join(path) }
    }

    fn teacher(&self, path: &Path, output: &Path) -> Result<StudyTeacher, Error> {
        let path = self.beside("teacher", path);
        if path.is_dir() {
            return Ok(StudyTeacher::Run(path));
        }
        let recipe: Recipe = Layers::read(&path)?.typed(&self.of_recipes)?;
        let recipe = Recipe { output: Some(output.join("teacher")), ..recipe };
        recipe.validate()?;
        Ok(StudyTeacher::Recipe(Box::new(recipe)))
    }

    /// The seeds of a variant, where it has its own, and its recipe without a seed.
    fn variant(
        &self,
        name: &str,
        values: &Node,
        recipe: &Layers,
        bundle: Option<&Path>,
    ) -> Result<(Option<Vec<u64>>, Recipe), Error> {
        let key = format!("variants.{name}");
        let mut keys = match values {
            Node::Mapping(keys) => keys.clone(),
            Node::Null => BTreeMap::new(),
            _ => return Err(self.wrong(&key, "expected keys of a recipe")),
        };
        if let Some(set) = OWN.iter().find(|set| keys.contains_key(**set)) {
            return Err(self.wrong(&format!("{key}.{set}"), "the study sets it"));
        }
        let seeds = keys.remove("seeds").map(Vec::<u64>::deserialize).transpose();
        let seeds = seeds.map_err(|error| self.wrong(&format!("{key}.seeds"), &error.to_string()))?;
        seeds.as_deref().map_or(Ok(()), check_seeds)?;
        let layers = recipe.over(self.layers.origin(&key), &key, Node::Mapping(keys));
        let values = layers.values(&self.of_recipes)?;
        let learns = values.has_section("distillation") && !values.sets("distillation.teacher");
        let teacher = bundle.filter(|_| learns).map(|bundle| {
            format!("distillation.teacher='{}'", bundle.display().to_string().replace('\'', "''"))
        });
        let overrides: Vec<String> = self.of_recipes.iter().cloned().chain(teacher).collect();
        Ok((seeds, layers.typed(&overrides)?))
    }
}

impl StudyFile {
    fn check(&self) -> Result<(), Error> {
        let plain = |name: &String| {
            !name.trim().is_empty()
                && !name.starts_with('.')
                && !name.contains(['/', '\\'])
                && name != "teacher"
        };
        let expected = "a name without `/` that begins with no dot";
        check("name", &self.name, expected, plain)?;
        for name in self.variants.keys().chain(self.compare.keys()) {
            check("variants", name, "names without `/` that begin with no dot, other than `teacher`", plain)?;
        }
        if let Some(twice) = self.variants.keys().find(|name| self.compare.contains_key(*name)) {
            check("compare", twice, "other names than those of the variants", |_| false)?;
        }
        let known = |name: &String| self.variants.contains_key(name) || self.compare.contains_key(name);
        check("baseline", &self.baseline, "the name of a variant", known)?;
        check_seeds(&self.seeds)?;
        self.comparison.validate()
    }
}

fn check_seeds(seeds: &[u64]) -> Result<(), Error> {
    let distinct = seeds.iter().enumerate().all(|(place, seed)| !seeds[..place].contains(seed));
    check("seeds", &format!("{seeds:?}"), "one seed or more, each once", |_| !seeds.is_empty() && distinct)
}
