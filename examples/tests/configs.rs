//! The recipes that are shipped.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;

use derm_train::Recipe;

#[test]
fn every_shipped_recipe_is_read_and_wants_only_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let recipe = Recipe::read(&path, &["dataset.root=somewhere".to_owned()]).unwrap();
        assert_eq!(Some(recipe.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
        // No place of data or weights stands in a shipped file.
        let error = Recipe::read(&path, &[]).unwrap_err().to_string();
        assert!(error.contains("dataset.root"), "{error}");
        count += 1;
    }
    assert_eq!(count, 2);
}
