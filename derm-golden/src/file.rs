use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Case;

/// The folder with the golden files of a crate: `DERM_GOLDEN_DIR`, or `tests/golden` under the crate's own folder.
///
/// `manifest_dir` is the crate's `env!("CARGO_MANIFEST_DIR")`.
pub fn golden_folder(manifest_dir: &str) -> PathBuf {
    match std::env::var_os("DERM_GOLDEN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(manifest_dir).join("tests/golden"),
    }
}

/// A file of golden cases.
#[derive(Debug)]
pub struct GoldenFile {
    path: PathBuf,
    cases: Vec<Case>,
}

impl GoldenFile {
    /// Reads `file` from the crate's [`golden_folder`]. A file that is missing, is no such file or has no case
    /// panics.
    pub fn open(manifest_dir: &str, file: &str) -> Self {
        Self::read(&golden_folder(manifest_dir).join(file))
    }

    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Self {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let root: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(root["schema"], 1, "{}: `schema`", path.display());
        let none = serde_json::Map::new();
        let datasets = root.get("datasets").map_or(&none, |datasets| datasets.as_object().unwrap());
        let cases: Vec<Case> =
            root["cases"].as_array().unwrap().iter().map(|case| Case::parse(case, datasets)).collect();
        assert!(!cases.is_empty(), "{} has no case", path.display());
        Self { path: path.to_owned(), cases }
    }

    /// Runs every case through `check`, which compares it with [`Case::check`] and returns true, or returns false
    /// for an op that it does not know; those must be listed in `elsewhere`, the ops that another crate runs.
    pub fn run(&self, elsewhere: &[&str], check: impl Fn(&Case) -> bool) {
        let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        for case in &self.cases {
            let known_elsewhere = elsewhere.contains(&case.op.as_str());
            if check(case) {
                assert!(!known_elsewhere, "{} runs here: take it off the list of other crates' ops", case.op);
                assert!(case.was_checked(), "{}: nothing was compared", case.name);
                *ran.entry(&case.op).or_default() += 1;
            } else {
                assert!(known_elsewhere, "{}: unknown op {:?}", case.name, case.op);
                *left.entry(&case.op).or_default() += 1;
            }
        }
        assert!(!ran.is_empty(), "{}: no case ran", self.path.display());
        let total: usize = ran.values().sum();
        println!("{}: {total} cases run {ran:?}", self.path.display());
        if !left.is_empty() {
            println!("{}: run by another crate {left:?}", self.path.display());
        }
    }
}
