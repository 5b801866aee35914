//! Every dependency is under a licence that MIT or Apache-2.0 code may link.
#![allow(clippy::unwrap_used)]

use std::fs;

/// Licences that the project accepts: permissive ones, and MPL-2.0, which covers single files that nobody here
/// changes. CDLA-Permissive-2.0 is that of a list of root certificates.
const ACCEPTED: [&str; 16] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "BSL-1.0",
    "Unicode-3.0",
    "MPL-2.0",
    "NCSA",
    "CDLA-Permissive-2.0",
];

/// Packages that name a file in place of an expression, with the licence that the file holds.
const READ_BY_HAND: [(&str, &str); 1] = [("cfg_block", "Apache-2.0")];

/// Whether an SPDX expression of OR, AND, `/` and parentheses can be met by accepted licences.
fn accepted(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace("Apache-2.0 WITH LLVM-exception", "Apache-2.0");
    let expression = expression.trim();
    if let Some((left, right)) = split_outside_parentheses(expression, " OR ") {
        return accepted(left) || accepted(right);
    }
    if let Some((left, right)) = split_outside_parentheses(expression, " AND ") {
        return accepted(left) && accepted(right);
    }
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => accepted(inner),
        None => ACCEPTED.contains(&expression),
    }
}

fn split_outside_parentheses<'a>(expression: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    let mut depth = 0_i32;
    for (position, character) in expression.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 && expression[position..].starts_with(operator) {
            return Some((&expression[..position], &expression[position + operator.len()..]));
        }
    }
    None
}

#[test]
fn expressions_are_read_as_spdx_says() {
    assert!(accepted("MIT"));
    assert!(accepted("MIT/Apache-2.0"));
    assert!(accepted("GPL-3.0 OR MIT"));
    assert!(accepted("(MIT OR GPL-3.0) AND Unicode-3.0"));
    assert!(!accepted("MIT AND GPL-3.0"));
    assert!(!accepted("(MIT OR Apache-2.0) AND GPL-3.0"));
    assert!(!accepted("AGPL-3.0"));
}

#[test]
#[ignore = "needs DERM_METADATA, the output of `cargo metadata --format-version 1`"]
fn every_dependency_is_accepted() {
    let path = std::env::var("DERM_METADATA").unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages: the metadata has no dependencies", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| {
            let by_hand = READ_BY_HAND.iter().find(|(name, _)| package["name"] == *name);
            let licence = package["license"].as_str().or(by_hand.map(|(_, licence)| *licence));
            !licence.is_some_and(accepted)
        })
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
