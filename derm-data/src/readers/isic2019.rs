//! ISIC 2019: 25,331 dermoscopic images of eight diagnoses, from HAM10000, BCN20000 and MSK.
//!
//! # Source
//! Tschandl et al., Scientific Data 5, 180161 (2018); Codella et al., arXiv:1710.05006 (2017); Combalia et al.,
//! arXiv:1908.02288 (2019). The layout is that of the challenge's download page (ISIC 2019, training data).

use std::path::Path;

use derm_core::LabelMap;

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, Reading, answer_subgroups, of_lesion};
use super::join::Join;
use super::one_hot::one_hot;
use super::table::Table;
use crate::{Dataset, Error, Record, schema};

/// The eight diagnoses in the order of the ground truth's columns.
pub const LABELS: [&str; 8] = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"];

/// The column of images that show none of the eight. The published training data has no such image.
pub const UNKNOWN: &str = "UNK";

/// Name of the file with the one-hot labels.
pub const GROUND_TRUTH: &str = "ISIC_2019_Training_GroundTruth.csv";

/// Name of the file with what is known of the patients.
pub const METADATA: &str = "ISIC_2019_Training_Metadata.csv";

/// Folders of the published archive, once and twice unpacked into its name, before a plain one.
const IMAGE_FOLDERS: [&str; 4] =
    ["ISIC_2019_Training_Input", "ISIC_2019_Training_Input/ISIC_2019_Training_Input", "images", ""];

const COLUMNS: [&str; 5] = ["image", "age_approx", "anatom_site_general", "lesion_id", "sex"];

const QUESTIONS: [&str; 3] = ["age_approx", "sex", "anatom_site_general"];

/// Reads the one-hot ground truth and the metadata, joined on `image`, and finds the images in
/// `ISIC_2019_Training_Input/`, in `images/` or beside the tables.
///
/// Answers are age, sex and site; subgroup columns are `sex`, `anatom_site_general` and `age_band`. The group is the lesion, since patients are
/// not known; an image without a `lesion_id` is a lesion of its own. An image of [`UNKNOWN`] is left out, as is a row of
/// the metadata without a label.
///
/// # Errors
/// As [`ham10000::read`](super::ham10000::read); [`Error::Row`] for an image with none or two of the labels, or without
/// metadata.
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let classes: Vec<&str> = LABELS.into_iter().chain([UNKNOWN]).collect();
    let columns: Vec<&str> = ["image"].into_iter().chain(classes.iter().copied()).collect();
    let truth = Table::read(&root.join(GROUND_TRUTH), &columns)?;
    let metadata = Table::read(&root.join(METADATA), &COLUMNS)?;
    let metadata = Join::new(&metadata, "image", policy)?;
    let images = ImageIndex::find(root, &IMAGE_FOLDERS, policy.images)?;
    let labels = LabelMap::new(LABELS)?;
    let mut intake = Intake::new("ISIC 2019", labels, schema::isic()?, policy);
    intake.read_rows(&truth, "image", |intake, row| {
        let id = row.filled("image", "an image's name")?;
        let Ok(class) = intake.labels().class_at(one_hot(row, &classes)?) else {
            return Ok(Reading::LeftOut(format!("its diagnosis is {UNKNOWN}, none of the eight")));
        };
        let about = metadata.row(row, id)?;
        let answers = intake.answers(about, &QUESTIONS.map(|question| (question, question)))?;
        let subgroups = answer_subgroups(&answers, QUESTIONS[0], &QUESTIONS[1..]);
        let record = Record { answers, subgroups, ..Record::new(id, images.named(row, id)?, class) };
        Ok(of_lesion(record, about.cell("lesion_id")).into())
    })?;
    intake.skip_unmatched(&metadata, &truth, "image");
    intake.finish()
}
