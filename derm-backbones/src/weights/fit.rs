//! Which part of a file a module's weights are, and under which naming.

use std::collections::HashMap;

use burn::module::Module;

use super::layout::Layout;
use super::source::{Source, Table};
use crate::{Error, Naming, PublishedKeys};

/// What wraps a network in training code: data-parallel and compiled modules, a network as a part of another one,
/// and transformers' base models inside models with a head.
const WRAPPERS: [&str; 12] = [
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
    "encoder.",
    "net.",
    "network.",
    "bert.",
    "distilbert.",
    "vit.",
    "convnextv2.",
    "vision_model.",
];

/// How many of them may wrap one another.
const WRAPPED: usize = 3;

/// Where the weights lie in a file.
pub(super) struct Fit {
    /// Index of the table.
    pub(super) table: usize,
    /// What is stripped from the beginning of its keys.
    pub(super) prefix: String,
    pub(super) naming: Naming,
    pub(super) layout: Layout,
    /// Keys of the table by what they are called without the prefix and under today's names.
    pub(super) keys: HashMap<String, String>,
    /// What the file's keys lack of the published ones.
    pub(super) absent: &'static str,
}

impl Fit {
    /// The table, the prefix and the naming by which the file holds most of the module's keys; among equals the
    /// first.
    pub(super) fn best<M: Module + PublishedKeys>(
        module: &M,
        source: &Source<'_>,
        prefix: Option<&str>,
    ) -> Result<Self, Error> {
        let namings = if module.namings().is_empty() { &[Naming::Paths] } else { module.namings() };
        let mut best: Option<(usize, Self)> = None;
        for naming in namings {
            let layout = Layout::of(module, *naming)?;
            for (index, (entry, table)) in source.tables.iter().enumerate() {
                let others = prefix.is_none();
                let prefixes = match prefix {
                    Some(prefix) => within(entry.as_deref(), prefix).into_iter().collect(),
                    None => prefixes(table),
                };
                for prefix in prefixes {
                    let keys = todays_keys(module, table, &prefix, others, *naming);
                    let published = module.published_prefix(*naming);
                    let absences = if published.is_empty() { vec![""] } else { vec!["", published] };
                    for absent in absences {
                        let all = layout.0.iter().flat_map(|entry| entry.published.keys());
                        let hits = all.filter(|key| keys.contains_key(without(key, absent))).count();
                        if best.as_ref().is_none_or(|(most, _)| hits > *most) {
                            let (layout, keys) = (layout.clone(), keys.clone());
                            let prefix = prefix.clone();
                            let fit = Self { table: index, prefix, naming: *naming, layout, keys, absent };
                            best = Some((hits, fit));
                        }
                    }
                }
            }
        }
        match best {
            Some((_, fit)) => Ok(fit),
            None => {
                Err(Error::NotWeights { origin: source.origin.clone(), reason: "it is empty".to_owned() })
            }
        }
    }

    /// The key in the file for a published one.
    pub(super) fn in_file(&self, published: &str) -> Option<&String> {
        self.keys.get(without(published, self.absent))
    }
}

/// A prefix that was given for the whole file, as seen from one of its entries, if it lies there.
fn within(entry: Option<&str>, prefix: &str) -> Option<String> {
    let inside = match entry {
        None => prefix,
        Some(entry) => prefix.strip_prefix(entry)?.strip_prefix('.')?,
    };
    Some(inside.to_owned())
}

fn without<'a>(key: &'a str, prefix: &str) -> &'a str {
    key.strip_prefix(prefix).unwrap_or(key)
}

/// Nothing, and every chain of wrappers that keys of the table begin with, shorter ones first.
fn prefixes(table: &Table<'_>) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..WRAPPED {
        let longer = last.iter().flat_map(|prefix| WRAPPERS.map(|wrapper| format!("{prefix}{wrapper}")));
        let begins = |prefix: &String| {
            table.range(prefix.clone()..).next().is_some_and(|(key, _)| key.starts_with(prefix.as_str()))
        };
        last = longer.filter(begins).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Keys of the table by what they are called without `prefix` and under today's names; those that lack the prefix
/// only where `others` is true. Where two become one, the key that had the prefix takes it.
fn todays_keys<M: PublishedKeys>(
    module: &M,
    table: &Table<'_>,
    prefix: &str,
    others: bool,
    naming: Naming,
) -> HashMap<String, String> {
    let mut keys = HashMap::with_capacity(table.len());
    let rounds: &[bool] = if others { &[false, true] } else { &[true] };
    for with_prefix in rounds {
        for key in table.keys().filter(|key| key.starts_with(prefix) == *with_prefix) {
            let stripped = without(key, prefix);
            let today = module.renamed(stripped, naming).unwrap_or_else(|| stripped.to_owned());
            keys.insert(today, key.clone());
        }
    }
    keys
}
