//! The losses that the source defines, so that a list of losses to test can be held against them.
use std::collections::BTreeSet;
use std::path::Path;

/// The names of the types: what implements `Criterion`, but for the enum of them all, and the distillation losses.
pub(crate) fn defined_losses() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut criteria, mut losses) = (BTreeSet::new(), BTreeSet::new());
    for entry in Path::new(env!("CARGO_MANIFEST_DIR")).join("src").read_dir().unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in source.lines() {
            let name = |rest: &str| rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
            if let Some((start, rest)) = line.split_once(" Criterion for ")
                && start.starts_with("impl")
            {
                criteria.insert(name(rest));
            } else if let Some(rest) = line.strip_prefix("pub struct ") {
                losses.insert(name(rest));
            }
        }
    }
    losses.retain(|name| name.ends_with("Loss") && !criteria.contains(name));
    assert!(criteria.remove("ClassificationLoss"));
    (criteria, losses)
}
