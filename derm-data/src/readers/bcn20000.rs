//! BCN20000: 18,946 dermoscopic images from Barcelona, eight diagnoses and those that are none of them.
//!
//! # Source
//! Hernández-Pérez et al.: BCN20000: Dermoscopic lesions in the wild, Scientific Data 11, 641 (2024). The column names
//! are those of `bcn_20k_train.csv` as it is published on Figshare (24140028), read off public code that reads it; the
//! names of the folders likewise.

use std::path::Path;

use derm_core::{LabelMap, SplitRole};

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, Reading, answer_subgroups, of_lesion};
use super::table::Table;
use crate::{Dataset, Error, Record, schema};

/// The eight diagnoses, in the order of ISIC 2019.
pub const LABELS: [&str; 8] = super::isic2019::LABELS;

/// Diagnoses of lesions that are none of the eight.
const OUTSIDE: [&str; 2] = ["OOD", "UNK"];

/// Name of the table of the images whose diagnosis is published. That of the others, `bcn_20k_test.csv`, has none and is
/// not read.
pub const METADATA: &str = "bcn_20k_train.csv";

const IMAGE_FOLDERS: [&str; 5] =
    ["bcn_20k_train", "BCN_20k_train", "BCN_20k_train/bcn_20k_train", "images", ""];

const COLUMNS: [&str; 6] =
    ["bcn_filename", "age_approx", "anatom_site_general", "diagnosis", "lesion_id", "sex"];

const QUESTIONS: [&str; 3] = ["age_approx", "sex", "anatom_site_general"];

const ROLES: [(&str, Option<SplitRole>); 5] = [
    ("", None),
    ("train", Some(SplitRole::Train)),
    ("val", Some(SplitRole::Validation)),
    ("validation", Some(SplitRole::Validation)),
    ("test", Some(SplitRole::Test)),
];

/// Reads `bcn_20k_train.csv` and finds the images in `bcn_20k_train/`, `BCN_20k_train/`, one within the other, `images/`
/// or beside the table.
///
/// Answers are age, sex and site; subgroup columns are `sex`, `anatom_site_general`, `age_band` and, where the table has
/// it, `capture_date`. The group is the lesion; an image without a `lesion_id` is a lesion of its own. A column `split`
/// gives [`Record::published_role`]. An image without a diagnosis, or with one of none of the eight, is left out.
///
/// # Errors
/// As [`ham10000::read`](super::ham10000::read).
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let table = Table::read(&root.join(METADATA), &COLUMNS)?;
    let images = ImageIndex::find(root, &IMAGE_FOLDERS, policy.images)?;
    let mut intake = Intake::new("BCN20000", LabelMap::new(LABELS)?, schema::isic()?, policy);
    intake.read_rows(&table, "bcn_filename", |intake, row| {
        let id = row.filled("bcn_filename", "an image's file name")?;
        let diagnosis = row.cell("diagnosis");
        if diagnosis.is_empty() {
            return Ok(Reading::LeftOut("it has no diagnosis".to_owned()));
        }
        if OUTSIDE.contains(&diagnosis) {
            return Ok(Reading::LeftOut(format!("its diagnosis is {diagnosis}, none of the eight")));
        }
        let class = intake.class(row, "diagnosis")?;
        let answers = intake.answers(row, &QUESTIONS.map(|question| (question, question)))?;
        let mut subgroups = answer_subgroups(&answers, QUESTIONS[0], &QUESTIONS[1..]);
        if table.has("capture_date") {
            subgroups.extend(super::intake::subgroups(&[("capture_date", row.cell("capture_date"))]));
        }
        let part = row.cell("split");
        let role = ROLES.iter().find(|(name, _)| *name == part);
        let (_, published_role) =
            *role.ok_or_else(|| row.wrong("split", "train, val, validation, test or nothing"))?;
        let record =
            Record { answers, subgroups, published_role, ..Record::new(id, images.named(row, id)?, class) };
        Ok(of_lesion(record, row.cell("lesion_id")).into())
    })?;
    intake.finish()
}
