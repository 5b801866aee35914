//! Reads a recipe: YAML files, one laid over the other, then `key.path=value` overrides, then a typed structure in
//! which every unknown key is an error that names the nearest known one.

mod node;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use derm_core::FileError;
use serde::de::DeserializeOwned;
use serde_saphyr::options::NonFiniteFloatPolicy;

pub(crate) use node::Node;
use node::NodeError;

use crate::Error;

/// Similarity (Damerau-Levenshtein, a share of the longer name's letters, in [0, 1]) from which a known key is
/// offered for an unknown one.
const NEAR: f64 = 0.5;

/// The key by which a file names the file that it builds on.
const BASE: &str = "base";

/// What a file, or a part of one, sets.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// How errors name the file.
    origin: String,
    /// Where in the file it stands: empty, or `variants.focal.`.
    place: String,
    /// The folder of the file.
    folder: PathBuf,
    values: Node,
}

/// The files that make up one recipe: what a file builds on below it.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    /// From the file itself down.
    layers: Vec<Layer>,
}

impl Layers {
    /// Reads the YAML file at `path` and those that it builds on.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Yaml`] for what is no YAML mapping, [`Error::Key`] for a `base` that is no name of a
    /// file, [`Error::BaseCycle`] for a file that builds on itself.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut layers = Vec::new();
        let mut seen: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let text = fs::read_to_string(&path).map_err(FileError::at(&path, "read"))?;
            let place = fs::canonicalize(&path).map_err(FileError::at(&path, "read"))?;
            let again = seen.iter().any(|(before, _)| *before == place);
            seen.push((place, path.clone()));
            if again {
                let files = seen.into_iter().map(|(_, path)| path).collect();
                return Err(Error::BaseCycle { files });
            }
            let origin = path.display().to_string();
            let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
            let mut values = mapping(&text, &origin)?;
            next = match values.remove(BASE) {
                None => None,
                Some(Node::Text(base)) => Some(folder.join(base)),
                Some(other) => return Err(base_error(&origin, &format!("expected a file, got {other}"))),
            };
            layers.push(Layer { origin, place: String::new(), folder, values: Node::Mapping(values) });
        }
        Ok(Self { layers })
    }

    /// The one layer of a text, which can have no base; `origin` names it in errors.
    fn of_text(text: &str, origin: &str) -> Result<Self, Error> {
        let values = mapping(text, origin)?;
        if values.contains_key(BASE) {
            return Err(base_error(origin, "a text has no folder in which its base could lie"));
        }
        let values = Node::Mapping(values);
        let (origin, place, folder) = (origin.to_owned(), String::new(), PathBuf::new());
        Ok(Self { layers: vec![Layer { origin, place, folder, values }] })
    }

    /// The one layer of a part of a file.
    pub(crate) fn of_part(origin: &str, place: &str, values: Node) -> Self {
        Self { layers: Vec::new() }.over(origin, place, values)
    }

    /// These with the part `values` of another file laid over them.
    pub(crate) fn over(&self, origin: &str, place: &str, values: Node) -> Self {
        let (origin, place) = (origin.to_owned(), format!("{place}."));
        let top = Layer { origin, place, folder: PathBuf::new(), values };
        Self { layers: std::iter::once(top).chain(self.layers.iter().cloned()).collect() }
    }

    /// The layer that sets a key: an upper one before a lower one.
    fn setting(&self, key: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.values.sets(key))
    }

    /// How errors name the file that sets a key, which is the upper one where none does.
    pub(crate) fn origin(&self, key: &str) -> &str {
        let layer = self.setting(key).or(self.layers.first());
        layer.map_or("", |layer| layer.origin.as_str())
    }

    /// The folder of the file that sets a key; the current one where an override does.
    pub(crate) fn folder(&self, key: &str) -> &Path {
        self.setting(key).map_or(Path::new(""), |layer| layer.folder.as_path())
    }

    /// The values of all layers with each `key.path=value` of `overrides` set; the value is YAML as well.
    ///
    /// # Errors
    /// [`Error::Override`] for an override that is no `key=value`.
    pub(crate) fn values(&self, overrides: &[String]) -> Result<Node, Error> {
        let mut root =
            self.layers.iter().rev().fold(Node::empty(), |below, layer| below.overlaid(layer.values.clone()));
        for text in overrides {
            set(&mut root, text)?;
        }
        Ok(root)
    }

    /// [`Layers::values`] as a typed structure.
    ///
    /// # Errors
    /// [`Error::Override`], and [`Error::UnknownKey`] and [`Error::Key`] for what the structure does not allow.
    pub(crate) fn typed<T: DeserializeOwned>(&self, overrides: &[String]) -> Result<T, Error> {
        let mut track = serde_path_to_error::Track::new();
        let node = serde_path_to_error::Deserializer::new(self.values(overrides)?, &mut track);
        T::deserialize(node).map_err(|error| {
            let path = track.path().to_string();
            let named = |key: &str| match self.setting(key).or(self.layers.first()) {
                Some(layer) if layer.values.sets(key) => {
                    (layer.origin.clone(), format!("{}{key}", layer.place))
                }
                Some(layer) => (layer.origin.clone(), key.to_owned()),
                None => (String::new(), key.to_owned()),
            };
            match error {
                NodeError::UnknownField { field, known } => {
                    // The path ends in the unknown key itself where the tracker has seen it.
                    let parent = path.strip_suffix(&field).unwrap_or(&path).trim_end_matches('.');
                    let key = if parent.is_empty() { field.clone() } else { format!("{parent}.{field}") };
                    let (origin, key) = named(&key);
                    Error::UnknownKey { origin, key, hint: hint(&field, "keys", known) }
                }
                NodeError::Other(reason) => {
                    let (origin, key) = named(&path);
                    Error::Key { origin, key, reason }
                }
            }
        })
    }
}

/// Reads the YAML file at `path` with its bases and sets each `key.path=value` of `overrides`.
///
/// # Errors
/// As [`Layers::read`] and [`Layers::typed`].
pub(crate) fn read<T: DeserializeOwned>(path: &Path, overrides: &[String]) -> Result<T, Error> {
    Layers::read(path)?.typed(overrides)
}

/// The same on a text; `origin` names it in errors.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, origin: &str, overrides: &[String]) -> Result<T, Error> {
    Layers::of_text(text, origin)?.typed(overrides)
}

fn base_error(origin: &str, reason: &str) -> Error {
    Error::Key { origin: origin.to_owned(), key: BASE.to_owned(), reason: reason.to_owned() }
}

fn mapping(text: &str, origin: &str) -> Result<BTreeMap<String, Node>, Error> {
    let not_yaml = |reason: String| Error::Yaml { origin: origin.to_owned(), reason };
    let root: Node = if text.trim().is_empty() { Node::Null } else { yaml(text).map_err(not_yaml)? };
    match root {
        Node::Mapping(map) => Ok(map),
        // A file of comments alone says nothing.
        Node::Null => Ok(BTreeMap::new()),
        other => Err(not_yaml(format!("expected a mapping of keys to values, got {other}"))),
    }
}

/// Numbers that are not finite pass here, so that they are refused under the name of their key.
fn yaml(text: &str) -> Result<Node, String> {
    let options = serde_saphyr::options! { non_finite_float_policy: NonFiniteFloatPolicy::PassThrough };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// `did you mean …?` where a known key or value is near, else the list of those known.
fn hint(field: &str, what: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|&key| (strsim::normalized_damerau_levenshtein(field, key), key))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= NEAR);
    match nearest {
        Some((_, key)) => format!("did you mean `{key}`?"),
        None => format!("known {what} are {}", known.join(", ")),
    }
}

fn set(root: &mut Node, text: &str) -> Result<(), Error> {
    let wrong = |reason: &str| Error::Override { text: text.to_owned(), reason: reason.to_owned() };
    let (path, value) = text.split_once('=').ok_or_else(|| wrong("expected key.path=value"))?;
    let value: Node =
        if value.is_empty() { Node::Null } else { yaml(value).map_err(|reason| wrong(&reason))? };
    *root.at(path).map_err(|reason| wrong(&reason))? = value;
    Ok(())
}
