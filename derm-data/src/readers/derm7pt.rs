//! Derm7pt: 1,011 lesions, each with a dermoscopic and a clinical image, twenty diagnoses and the seven-point checklist.
//!
//! # Source
//! Kawahara, Daneshvar, Argenziano, Hamarneh: Seven-point checklist and skin lesion classification using multitask
//! multimodal neural nets, IEEE JBHI 23(2), 538–546 (2019); the publishers' code
//! (<https://github.com/jeremykawahara/derm7pt>) for layout, labels and the values of the checklist.

use std::collections::BTreeMap;
use std::path::Path;

use derm_core::{LabelMap, SplitRole};

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, of_lesion, subgroups};
use super::table::{Table, first_file};
use crate::{Dataset, Error, Record, schema};

/// The twenty diagnoses in alphabetical order. The label mapping `derm7pt_to_five` makes the paper's five groups of them.
pub const LABELS: [&str; 20] = [
    "basal cell carcinoma",
    "blue nevus",
    "clark nevus",
    "combined nevus",
    "congenital nevus",
    "dermal nevus",
    "dermatofibroma",
    "lentigo",
    "melanoma",
    "melanoma (0.76 to 1.5 mm)",
    "melanoma (in situ)",
    "melanoma (less than 0.76 mm)",
    "melanoma (more than 1.5 mm)",
    "melanoma metastasis",
    "melanosis",
    "miscellaneous",
    "recurrent nevus",
    "reed or spitz nevus",
    "seborrheic keratosis",
    "vascular lesion",
];

/// Where the table may lie: as published, or in the folder itself.
pub const METADATA: [&str; 2] = ["meta/meta.csv", "meta.csv"];

/// The published split: files with a column `indexes` of row numbers, from 0.
const PARTS: [(SplitRole, [&str; 2]); 3] = [
    (SplitRole::Train, ["meta/train_indexes.csv", "train_indexes.csv"]),
    (SplitRole::Validation, ["meta/valid_indexes.csv", "valid_indexes.csv"]),
    (SplitRole::Test, ["meta/test_indexes.csv", "test_indexes.csv"]),
];

/// The seven criteria, which every version of the table has.
const CRITERIA: [&str; 7] = [
    "pigment_network",
    "streaks",
    "pigmentation",
    "regression_structures",
    "dots_and_globules",
    "blue_whitish_veil",
    "vascular_structures",
];

/// What the full table asks besides.
const PATIENT: [&str; 3] = ["sex", "location", "elevation"];

/// What was decided or judged with the diagnosis in sight: never an answer.
const JUDGED: [&str; 3] = ["management", "level_of_diagnostic_difficulty", "seven_point_score"];

/// Reads `meta/meta.csv` (or `meta.csv`), the full table or one reduced to the diagnosis, the seven criteria and the
/// image, and finds the dermoscopic images (column `derm`) under `images/` or the folder itself.
///
/// Answers are the seven criteria and, in the full table, sex, location and elevation. The criteria are a dermatologist's
/// reading of the dermoscopic image, not a patient's words. Subgroup columns, where the table has them, are `sex`,
/// `location`, `elevation`, `management`, `level_of_diagnostic_difficulty` and `seven_point_score`. A lesion is a row, or
/// the rows of one `case_id`; the patients are not known. Where the three files of the published split are there, it
/// stands in [`Record::published_role`].
///
/// # Errors
/// As [`ham10000::read`](super::ham10000::read); [`Error::Row`] for a row number of the split that the table does not
/// have, or that stands in two parts.
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    read_images(root.as_ref(), policy, "derm")
}

/// The same with the clinical images (column `clinic`, which the reduced table does not have).
///
/// # Errors
/// As [`read`].
pub fn read_clinic(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    read_images(root.as_ref(), policy, "clinic")
}

fn read_images(root: &Path, policy: ReadPolicy, image: &str) -> Result<Dataset, Error> {
    let mut columns = vec!["diagnosis", image];
    columns.extend(CRITERIA);
    let table = Table::read(&first_file(root, &METADATA), &columns)?;
    let images = ImageIndex::paths(root, &["images", ""], "", policy.images);
    let mut intake = Intake::new("Derm7pt", LabelMap::new(LABELS)?, schema::derm7pt()?, policy);
    let roles = roles(root, &table, &mut intake)?;
    let asked: Vec<(&str, &str)> = CRITERIA
        .into_iter()
        .chain(PATIENT)
        .map(|name| (name, name))
        .filter(|(name, _)| table.has(name))
        .collect();
    intake.read_rows(&table, image, |intake, row| {
        let id = row.filled(image, "an image's path")?;
        let class = intake.class(row, "diagnosis")?;
        let answers = intake.answers(row, &asked)?;
        let known: Vec<(&str, &str)> = PATIENT
            .into_iter()
            .chain(JUDGED)
            .filter(|column| table.has(column))
            .map(|column| (column, row.cell(column)))
            .collect();
        let record = Record {
            answers,
            subgroups: subgroups(&known),
            published_role: roles.get(&row.line()).copied(),
            ..Record::new(id, images.at(row, image, None)?, class)
        };
        Ok(of_lesion(record, row.cell("case_id")).into())
    })?;
    intake.finish()
}

/// The published part of each row, by the row's line; of a row that stands in two the first.
fn roles(root: &Path, table: &Table, intake: &mut Intake) -> Result<BTreeMap<u64, SplitRole>, Error> {
    // A row that cannot be read has a number too.
    let lines: Vec<Option<u64>> = table.rows().map(|row| row.ok().map(|row| row.line())).collect();
    let mut roles = BTreeMap::new();
    for (role, names) in PARTS {
        let path = first_file(root, &names);
        if !path.is_file() {
            continue;
        }
        let part = Table::read(&path, &["indexes"])?;
        for row in part.rows() {
            let placed = row.and_then(|row| {
                let index = row.cell("indexes").parse().ok();
                let line = index.and_then(|index: usize| lines.get(index));
                let line = line.ok_or_else(|| row.wrong("indexes", "the number of a row, from 0"))?;
                if let Some(line) = *line {
                    if roles.contains_key(&line) {
                        return Err(row.wrong("indexes", "each row once, in one part"));
                    }
                    roles.insert(line, role);
                }
                Ok(())
            });
            if let Err(error) = placed {
                intake.tolerate(&format!("{role} part"), error)?;
            }
        }
    }
    Ok(roles)
}
