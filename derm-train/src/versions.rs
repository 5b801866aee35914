use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use derm_core::{FileError, atomic};
use serde::{Deserialize, Serialize};

use crate::{Error, Recipe};

/// The version of Burn that the workspace pins.
const BURN_VERSION: &str = "0.22.1";

/// The revision of the sources, where the build was told.
pub(crate) const SOURCE_REVISION: Option<&str> = option_env!("DERM_SOURCE_REVISION");

/// The crates that decide the weights.
pub(crate) fn crates() -> BTreeMap<String, String> {
    [("derm-train", env!("CARGO_PKG_VERSION")), ("burn", BURN_VERSION)]
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .into()
}

/// What a process that wrote into a run folder was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Versions {
    crates: BTreeMap<String, String>,
    source_revision: Option<String>,
    platform: String,
    seed: u64,
}

/// Enters this process into `versions.json`: a list with an entry for each build that wrote into the folder, in their
/// order, so that a run that was resumed by another version can be told.
pub(crate) fn record(path: &Path, recipe: &Recipe) -> Result<(), Error> {
    let platform = format!("{} {}", std::env::consts::ARCH, std::env::consts::OS);
    let source_revision = SOURCE_REVISION.map(str::to_owned);
    let now = Versions { crates: crates(), source_revision, platform, seed: recipe.seed };
    let mut all: Vec<Versions> = match fs::read_to_string(path) {
        Ok(text) => {
            serde_json::from_str(&text).map_err(io::Error::from).map_err(FileError::at(path, "read"))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(FileError::new(path, "read", error).into()),
    };
    if all.last() != Some(&now) {
        all.push(now);
    }
    Ok(atomic::write_file(path, |file| {
        serde_json::to_writer_pretty(&mut *file, &all).map_err(io::Error::from)?;
        file.write_all(b"\n")
    })?)
}
