//! ISIC 2020: 33,126 dermoscopic images of 2,056 patients, melanoma or not.
//!
//! # Source
//! Rotemberg et al.: A patient-centric dataset of images and metadata for identifying melanomas using clinical context,
//! Scientific Data 8, 34 (2021). The layout is that of the challenge's download page (ISIC 2020, training data); the
//! table of the SIIM-ISIC contest on Kaggle (`train.csv`) has the same columns.

use std::collections::BTreeMap;
use std::path::Path;

use derm_core::LabelMap;

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, Reading, answer_subgroups, of_lesion};
use super::table::{Table, first_file};
use crate::{Dataset, Error, Record, schema};

/// The two classes, in the order of the column `target`. The column `diagnosis` is a subgroup: it is `unknown` for four
/// images of five.
pub const LABELS: [&str; 2] = ["benign", "malignant"];

/// Names of the table, in the order in which they are looked for. The second version has a column `lesion_id`.
pub const GROUND_TRUTH: [&str; 3] =
    ["ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv"];

/// Name of the published list of images that stand twice in the dataset.
pub const DUPLICATES: &str = "ISIC_2020_Training_Duplicates.csv";

const IMAGE_FOLDERS: [&str; 5] = ["ISIC_2020_Training_Input", "train", "jpeg/train", "images", ""];

const COLUMNS: [&str; 8] = [
    "image_name",
    "patient_id",
    "sex",
    "age_approx",
    "anatom_site_general_challenge",
    "diagnosis",
    "benign_malignant",
    "target",
];

/// Features of the schema with the columns of this year's table.
const QUESTIONS: [(&str, &str); 3] =
    [("age_approx", "age_approx"), ("sex", "sex"), ("anatom_site_general", "anatom_site_general_challenge")];

/// Reads the ground truth of either version and finds the images in `ISIC_2020_Training_Input/`, `train/`,
/// `jpeg/train/`, `images/` or beside the table.
///
/// Answers are age, sex and site; subgroup columns are `sex`, `anatom_site_general`, `age_band`
/// and `diagnosis`. The group is the patient.
/// Where the published list of duplicates is there, the second image of each pair whose first one is in the table is
/// left out.
///
/// # Errors
/// As [`ham10000::read`](super::ham10000::read); [`Error::Cell`] for a `target` that contradicts `benign_malignant`.
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let table = Table::read(&first_file(root, &GROUND_TRUTH), &COLUMNS)?;
    let images = ImageIndex::find(root, &IMAGE_FOLDERS, policy.images)?;
    let mut intake = Intake::new("ISIC 2020", LabelMap::new(LABELS)?, schema::isic()?, policy);
    let duplicates = duplicates(root, &table, &mut intake)?;
    intake.read_rows(&table, "image_name", |intake, row| {
        let id = row.filled("image_name", "an image's name")?;
        if let Some(first) = duplicates.get(id) {
            return Ok(Reading::LeftOut(format!("it is the image {first:?} again, by {DUPLICATES}")));
        }
        let class = intake.class(row, "benign_malignant")?;
        if row.cell("target") != class.get().to_string() {
            return Err(row.wrong("target", format!("{}, as `benign_malignant` says", class.get())));
        }
        let patient = row.filled("patient_id", "a patient's name")?;
        let answers = intake.answers(row, &QUESTIONS)?;
        let mut subgroups = answer_subgroups(&answers, "age_approx", &["sex", "anatom_site_general"]);
        subgroups.insert("diagnosis".to_owned(), row.filled("diagnosis", "a diagnosis")?.to_owned());
        let patient = Some(patient.to_owned());
        let record = Record { patient, answers, subgroups, ..Record::new(id, images.named(row, id)?, class) };
        Ok(of_lesion(record, row.cell("lesion_id")).into())
    })?;
    intake.finish()
}

/// The images to leave out, with the image of the table that each repeats.
fn duplicates(root: &Path, table: &Table, intake: &mut Intake) -> Result<BTreeMap<String, String>, Error> {
    let path = root.join(DUPLICATES);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let listed = Table::read(&path, &["image_name_1", "image_name_2"])?;
    let present = table.distinct("image_name");
    let mut again: BTreeMap<String, String> = BTreeMap::new();
    for row in listed.rows() {
        let pair = row.and_then(|row| {
            let name = |column| row.filled(column, "an image's name").map(str::to_owned);
            Ok((name("image_name_1")?, name("image_name_2")?))
        });
        let (mut first, second) = match pair {
            Ok(pair) => pair,
            Err(error) => {
                intake.tolerate(DUPLICATES, error)?;
                continue;
            }
        };
        // Where the first image is itself a duplicate, the image that stays is the one that it repeats; of images that
        // repeat each other in a circle one stays.
        while let Some(earlier) = again.get(&first) {
            first.clone_from(earlier);
        }
        if first != second && present.contains(first.as_str()) {
            again.entry(second).or_insert(first);
        }
    }
    Ok(again)
}
