//! HAM10000: 10,015 dermoscopic images of seven diagnoses.
//!
//! # Source
//! Tschandl, Rosendahl, Kittler: The HAM10000 dataset, Scientific Data 5, 180161 (2018). The labels and the column
//! names are the publishers'.

use std::path::Path;

use derm_core::LabelMap;

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, answer_subgroups, of_lesion};
use super::table::{Table, first_file};
use crate::{Dataset, Error, Record, schema};

/// The seven diagnoses in alphabetical order, which is also the order of `DermaMNIST`.
pub const LABELS: [&str; 7] = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"];

/// Name of the metadata file.
pub const METADATA: &str = "HAM10000_metadata.csv";

/// Folders under the root in which images may lie, in the order in which they are searched; last is the root itself.
const IMAGE_FOLDERS: [&str; 4] = ["images", "HAM10000_images_part_1", "HAM10000_images_part_2", ""];

const COLUMNS: [&str; 7] = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"];

const QUESTIONS: [&str; 3] = ["age", "sex", "localization"];

/// Reads `HAM10000_metadata.csv` (or `HAM10000_metadata`, as it is published) and finds the images in `images/`, in
/// the two published part folders or beside the metadata.
///
/// Answers are `age`, `sex` and `localization`; subgroup columns are those, `age_band` and `dx_type`. The group is
/// the lesion, since patients are not known.
///
/// # Errors
/// [`Error::File`] where the metadata cannot be read; [`Error::Column`], [`Error::RepeatedColumn`], [`Error::Row`],
/// [`Error::Cell`] and [`Error::DuplicateRow`] for a metadata file that is not as published, with the line;
/// [`Error::MissingImage`] for a row without an image file; [`Error::EmptyDataset`] where no row is left. What `policy`
/// tolerates is left out and named in [`Dataset::skipped`].
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let table = Table::read(&first_file(root, &[METADATA, "HAM10000_metadata"]), &COLUMNS)?;
    let images = ImageIndex::find(root, &IMAGE_FOLDERS, policy.images)?;
    let mut intake = Intake::new("HAM10000", LabelMap::new(LABELS)?, schema::ham10000()?, policy);
    intake.read_rows(&table, "image_id", |intake, row| {
        let id = row.filled("image_id", "an image's name")?;
        let lesion = row.filled("lesion_id", "a lesion's name")?;
        let class = intake.class(row, "dx")?;
        let answers = intake.answers(row, &QUESTIONS.map(|question| (question, question)))?;
        let mut subgroups = answer_subgroups(&answers, QUESTIONS[0], &QUESTIONS[1..]);
        subgroups.extend(super::intake::subgroups(&[("dx_type", row.cell("dx_type"))]));
        let record = Record { answers, subgroups, ..Record::new(id, images.named(row, id)?, class) };
        Ok(of_lesion(record, lesion).into())
    })?;
    intake.finish()
}
