use std::collections::BTreeMap;
use std::fmt;

use crate::{Naming, ShapeMismatch};

/// What kind of file weights came from, told by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightsFormat {
    /// One safetensors file.
    Safetensors,
    /// Several safetensors files with an index.
    ShardedSafetensors {
        /// How many.
        shards: usize,
    },
    /// `torch.save` since PyTorch 1.6: a zip archive.
    PytorchZip,
    /// `torch.save` before PyTorch 1.6: pickles, then the tensors.
    PytorchLegacy,
}

impl fmt::Display for WeightsFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safetensors => f.write_str("safetensors"),
            Self::ShardedSafetensors { shards } => write!(f, "safetensors in {shards} shards"),
            Self::PytorchZip => f.write_str("PyTorch zip"),
            Self::PytorchLegacy => f.write_str("PyTorch legacy"),
        }
    }
}

/// What was loaded, by which rules, and everything that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// The file, or `memory`.
    pub origin: String,
    /// Its kind.
    pub format: WeightsFormat,
    /// The naming that fits it best.
    pub naming: Naming,
    /// The entry of the checkpoint that holds the weights, such as `state_dict`.
    pub entry: Option<String>,
    /// What was stripped from the beginning of the keys, such as `module.`; empty where nothing was.
    pub prefix: String,
    /// Published keys of the tensors that were loaded, in the module's order.
    pub loaded: Vec<String>,
    /// Counters in the file, which have no effect.
    pub counters: Vec<String>,
    /// Published keys that the file lacks and was allowed to; these parameters stayed as they were.
    pub missing: Vec<String>,
    /// Keys of the file that have no place and were allowed to: declared, of a skipped head, or knowingly left out
    /// by the network.
    pub unused: Vec<String>,
    /// Published keys of heads that stayed as they were.
    pub fresh_head: Vec<String>,
    /// Loaded tensors that have other axes of length 1 in the file.
    pub reshaped: Vec<ShapeMismatch>,
    /// Loaded tables of position embeddings that were resampled from another grid.
    pub resized: Vec<ShapeMismatch>,
    /// How many loaded tensors had another type than f32, by type.
    pub converted: BTreeMap<String, usize>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, names of {:?}", self.origin, self.format, self.naming)?;
        if let Some(entry) = &self.entry {
            write!(f, ", entry `{entry}`")?;
        }
        if !self.prefix.is_empty() {
            write!(f, ", prefix `{}` stripped", self.prefix)?;
        }
        write!(f, "): {} tensors loaded", self.loaded.len())?;
        for (dtype, count) in &self.converted {
            write!(f, ", {count} of them from {dtype}")?;
        }
        let keys = |list: &[String]| list.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let shapes =
            |list: &[ShapeMismatch]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let lists = [
            ("missing, as declared", keys(&self.missing)),
            ("unused, as declared", keys(&self.unused)),
            ("head left as it was", keys(&self.fresh_head)),
            ("reshaped", shapes(&self.reshaped)),
            ("resampled", shapes(&self.resized)),
        ];
        for (what, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            write!(f, "\n  {what}: {list}")?;
        }
        Ok(())
    }
}
