//! PAD-UFES-20: 2,298 smartphone photographs of 1,641 lesions of 1,373 patients, six diagnoses, with a questionnaire.
//!
//! # Source
//! Pacheco et al.: PAD-UFES-20: A skin lesion dataset composed of patient data and clinical images collected from
//! smartphones, Data in Brief 32, 106221 (2020). Labels and column names are the publishers' (`fitspatrick` is spelt so).

use std::path::Path;

use derm_core::LabelMap;

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, answer_subgroups, of_lesion, within_patient};
use super::table::Table;
use crate::{Dataset, Error, Record, schema};

/// The six diagnoses: actinic keratosis, basal cell carcinoma, melanoma, nevus, squamous cell carcinoma (with Bowen's
/// disease), seborrheic keratosis.
pub const LABELS: [&str; 6] = ["ACK", "BCC", "MEL", "NEV", "SCC", "SEK"];

/// Name of the table.
pub const METADATA: &str = "metadata.csv";

/// The three parts, as unpacked side by side, under `images/`, and each within a folder of its own name.
const IMAGE_FOLDERS: [&str; 11] = [
    "images",
    "imgs_part_1",
    "imgs_part_2",
    "imgs_part_3",
    "images/imgs_part_1",
    "images/imgs_part_2",
    "images/imgs_part_3",
    "imgs_part_1/imgs_part_1",
    "imgs_part_2/imgs_part_2",
    "imgs_part_3/imgs_part_3",
    "",
];

/// Answers by which metrics are broken down.
const SUBGROUPS: [&str; 3] = ["gender", "fitspatrick", "region"];

/// Reads `metadata.csv` and finds the images in `imgs_part_1/` to `imgs_part_3/`, in `images/` or beside the table.
///
/// Answers are all 21 columns that the schema asks for; `biopsed` is none of them, because it follows from the diagnosis.
/// Subgroup columns are `gender`, `fitspatrick`, `region`, `age_band` and `biopsed`. The group is the patient; lesions
/// carry their patient's name.
///
/// # Errors
/// As [`ham10000::read`](super::ham10000::read).
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let schema = schema::pad_ufes_20()?;
    let questions: Vec<String> = schema.features().iter().map(|feature| feature.name.clone()).collect();
    let questions: Vec<(&str, &str)> = questions.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let mut columns = vec!["patient_id", "lesion_id", "diagnostic", "img_id", "biopsed"];
    columns.extend(questions.iter().map(|&(_, column)| column));
    let table = Table::read(&root.join(METADATA), &columns)?;
    let images = ImageIndex::find(root, &IMAGE_FOLDERS, policy.images)?;
    let mut intake = Intake::new("PAD-UFES-20", LabelMap::new(LABELS)?, schema, policy);
    intake.read_rows(&table, "img_id", |intake, row| {
        let id = row.filled("img_id", "an image's file name")?;
        let patient = row.filled("patient_id", "a patient's name")?;
        let lesion = row.filled("lesion_id", "a lesion's number")?;
        let class = intake.class(row, "diagnostic")?;
        let answers = intake.answers(row, &questions)?;
        let mut subgroups = answer_subgroups(&answers, "age", &SUBGROUPS);
        let biopsed = row.one_of("biopsed", &["True", "False"])?;
        subgroups.insert("biopsed".to_owned(), biopsed.to_owned());
        let image = images.named(row, id)?;
        let patient = patient.to_owned();
        let lesion = within_patient(&patient, lesion);
        let record = Record { patient: Some(patient), answers, subgroups, ..Record::new(id, image, class) };
        Ok(of_lesion(record, &lesion).into())
    })?;
    intake.finish()
}
