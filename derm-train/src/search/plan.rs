use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::space::{fault, lies_within};
use super::{Parameters, PrunerConfig, SamplerConfig, SearchConfig, SearchSpace};
use crate::recipe::check::check;
use crate::recipe_file::{Layers, Node};
use crate::{Error, Recipe, ValidationMetric};

/// A search for the hyper-parameters of a recipe, read from a file.
#[derive(Debug, Clone)]
pub struct Search {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub output: PathBuf,
    /// What is looked for, and how.
    pub config: SearchConfig,
    /// The recipe that all trials share.
    recipe: Layers,
    /// Overrides of that recipe.
    overrides: Vec<String>,
    /// How errors name the file.
    origin: String,
}

/// The keys of a search file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchKeys {
    name: String,
    output: Option<PathBuf>,
    recipe: Node,
    #[serde(default = "default_metric")]
    metric: ValidationMetric,
    #[serde(default = "default_trials")]
    trials: usize,
    #[serde(default)]
    sampler: SamplerConfig,
    pruner: Option<PrunerConfig>,
    space: SearchSpace,
}

fn default_metric() -> ValidationMetric {
    SearchConfig::default().metric
}

fn default_trials() -> usize {
    SearchConfig::default().trials
}

/// The first part of overrides that are meant for the search; all others are meant for its recipe.
const KEYS: [&str; 8] = ["name", "output", "recipe", "metric", "trials", "sampler", "pruner", "space"];

/// Sections of a recipe that cannot be searched, and why.
const CLOSED: [(&str, &str); 7] = [
    ("name", "the search sets it"),
    ("output", "the search sets it"),
    ("seed", "all trials share it: the luckiest seed is no better recipe"),
    ("dataset", "all trials must be measured on the same rows"),
    ("abstention", "it changes nothing that is measured on the validation rows"),
    ("conformal", "it changes nothing that is measured on the validation rows"),
    ("evaluation", "it changes nothing that is measured on the validation rows"),
];

impl Search {
    /// Reads a search from a YAML file. An override whose first key is one of the search's is set there, any other one in
    /// the recipe: `trials=50 dataset.root=DIR`.
    ///
    /// Every key of the space is set to the ends of its range and to each of its choices, and the recipe is checked: alone,
    /// and together with the first and with the last values of all other keys. What is impossible in all three is refused.
    /// What goes wrong only in other company is a trial that fails.
    ///
    /// # Errors
    /// As [`Recipe::read`], for the search and for its recipe with each of those values; [`Error::Value`] and
    /// [`Error::SearchSpace`] for a search that cannot be.
    pub fn read(path: impl AsRef<Path>, overrides: &[String]) -> Result<Self, Error> {
        let layers = Layers::read(path.as_ref())?;
        let of_search = |text: &String| KEYS.contains(&text.split(['.', '=']).next().unwrap_or_default());
        let (own, of_recipe): (Vec<String>, Vec<String>) = overrides.iter().cloned().partition(of_search);
        if let Some(text) = own.iter().find(|text| text.starts_with("space.")) {
            let reason = "a space is given as a whole: `space={…}`".to_owned();
            return Err(Error::Override { text: text.clone(), reason });
        }
        let keys: SearchKeys = layers.typed(&own)?;
        let plain =
            |name: &String| !name.trim().is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        check("name", &keys.name, "a name without `/` that begins with no dot", plain)?;
        let SearchKeys { name, output, recipe, metric, trials, sampler, pruner, space } = keys;
        let config = SearchConfig { metric, trials, sampler, pruner, space };
        config.validate()?;
        // A JSON value, which a choice is, would make it `null`.
        if !layers.values(&own)?.is_finite() {
            return Err(fault("", "a choice is NaN or infinite"));
        }
        let recipe = match recipe {
            // A path of the file lies beside it, one of the command line where that is given.
            Node::Text(path) if own.iter().any(|text| text.starts_with("recipe=")) => {
                Layers::read(Path::new(&path))?
            }
            Node::Text(path) => Layers::read(&layers.folder("recipe").join(path))?,
            Node::Mapping(keys) => Layers::of_part(layers.origin("recipe"), "recipe", Node::Mapping(keys)),
            other => {
                let (origin, key) = (layers.origin("recipe").to_owned(), "recipe".to_owned());
                let reason = format!("expected a file or the keys of a recipe, got {other}");
                return Err(Error::Key { origin, key, reason });
            }
        };
        let output = output.unwrap_or_else(|| Path::new("runs").join(&name));
        let origin = layers.origin("space").to_owned();
        let search = Self { name, output, config, recipe, overrides: of_recipe, origin };
        search.check_keys()?;
        search.check_corners()?;
        Ok(search)
    }

    /// The recipe with these values in it.
    ///
    /// # Errors
    /// Where they are impossible, alone or together.
    pub fn recipe(&self, parameters: &Parameters) -> Result<Recipe, Error> {
        let recipe = self.unchecked(parameters)?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe of a trial, in a folder of its own.
    pub(super) fn recipe_of_trial(&self, number: usize, parameters: &Parameters) -> Result<Recipe, Error> {
        let name = format!("{}_{number:04}", self.name);
        Ok(Recipe { name, output: Some(self.folder_of_trial(number)), ..self.recipe(parameters)? })
    }

    pub(super) fn folder_of_trial(&self, number: usize) -> PathBuf {
        self.output.join("trials").join(format!("{number:04}"))
    }

    /// What all trials share, whatever the values of the space.
    pub(super) fn shared_recipe(&self) -> Result<Recipe, Error> {
        self.unchecked(&self.all(<[Value]>::first))
    }

    fn unchecked(&self, parameters: &Parameters) -> Result<Recipe, Error> {
        let (mut cleared, mut values) = (Node::empty(), Node::empty());
        for (key, value) in parameters {
            let node = Node::deserialize(value).map_err(|error| fault(key, &error.to_string()))?;
            cleared.at(key).map_err(|reason| fault(key, &reason))?;
            *values.at(key).map_err(|reason| fault(key, &reason))? = node;
        }
        // A value takes the place of what the recipe has there and is not merged with it.
        let layers = self.recipe.over(&self.origin, "space", cleared).over(&self.origin, "space", values);
        layers.typed(&self.overrides)
    }

    fn check_keys(&self) -> Result<(), Error> {
        for key in self.config.space.dimensions.keys() {
            if let Some((_, reason)) = CLOSED.iter().find(|(section, _)| lies_within(key, section)) {
                return Err(fault(key, reason));
            }
            let set = |text: &&String| {
                let path = text.split('=').next().unwrap_or_default();
                lies_within(path, key) || lies_within(key, path)
            };
            if let Some(text) = self.overrides.iter().find(set) {
                let reason = format!("the search decides `{key}`");
                return Err(Error::Override { text: text.clone(), reason });
            }
        }
        Ok(())
    }

    fn check_corners(&self) -> Result<(), Error> {
        let (first, last) = (self.all(<[Value]>::first), self.all(<[Value]>::last));
        for (key, dimension) in &self.config.space.dimensions {
            for value in dimension.corners() {
                let with = |others: &Parameters| {
                    let mut parameters = others.clone();
                    parameters.insert(key.clone(), value.clone());
                    self.recipe(&parameters).map(drop)
                };
                let alone = with(&BTreeMap::new());
                if alone.is_err() && with(&first).is_err() && with(&last).is_err() {
                    return alone;
                }
            }
        }
        Ok(())
    }

    /// One of its corners for every key.
    fn all(&self, choose: impl Fn(&[Value]) -> Option<&Value>) -> Parameters {
        let dimensions = self.config.space.dimensions.iter();
        dimensions
            .filter_map(|(key, dimension)| Some((key.clone(), choose(&dimension.corners())?.clone())))
            .collect()
    }
}
