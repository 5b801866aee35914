use serde::{Deserialize, Serialize};

/// A place on the body, in a forest of places: the back belongs to the trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The place.
    pub name: String,
    /// The larger place that it belongs to; none for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

impl Site {
    /// A place that belongs to no other.
    pub fn root(name: &str) -> Self {
        Self { name: name.to_owned(), parent: None }
    }

    /// A place within another.
    pub fn within(name: &str, parent: &str) -> Self {
        Self { name: name.to_owned(), parent: Some(parent.to_owned()) }
    }
}

/// The site at `index` and all places that it belongs to, from itself to its root. Ends on a cycle and at an unknown
/// parent, which [`validate`] refuses.
pub(super) fn lineage(sites: &[Site], index: usize) -> Vec<usize> {
    let mut line = vec![index];
    let mut at = index;
    while let Some(parent) = &sites[at].parent {
        match sites.iter().position(|site| site.name == *parent) {
            Some(next) if !line.contains(&next) => line.push(next),
            _ => break,
        }
        at = line[line.len() - 1];
    }
    line
}

/// Checks that the sites are a forest.
pub(super) fn validate(sites: &[Site]) -> Result<(), String> {
    for (index, site) in sites.iter().enumerate() {
        let Some(parent) = &site.parent else { continue };
        if !sites.iter().any(|other| other.name == *parent) {
            return Err(format!("site {:?} belongs to {parent:?}, which is no site", site.name));
        }
        let line = lineage(sites, index);
        if sites[line[line.len() - 1]].parent.is_some() {
            return Err(format!("site {:?} belongs to itself, by way of {parent:?}", site.name));
        }
    }
    Ok(())
}
