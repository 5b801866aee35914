//! Diverse Dermatology Images: 656 photographs of lesions proven by biopsy, 78 diseases, on skin of all types.
//!
//! # Source
//! Daneshjou et al.: Disparities in dermatology AI performance on a diverse, curated clinical image set, Science
//! Advances 8, eabq6147 (2022).

use std::path::Path;

use derm_core::LabelMap;

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, found_labels, subgroups};
use super::table::Table;
use crate::{Dataset, Error, FeatureSchema, Record};

/// The classes of [`read_malignant`].
pub const LABELS: [&str; 2] = ["benign", "malignant"];

/// Name of the table.
pub const METADATA: &str = "ddi_metadata.csv";

const IMAGE_FOLDERS: [&str; 3] = ["images", "ddidiversedermatologyimages", ""];

const COLUMNS: [&str; 5] = ["DDI_ID", "DDI_file", "skin_tone", "malignant", "disease"];

/// Reads `ddi_metadata.csv` with the column `disease` as the classes: those that the table has, in the order of their
/// bytes (78 in the published one). Images are found in `images/`, in `ddidiversedermatologyimages/` or beside the
/// table.
///
/// There are no answers. Subgroup columns are `skin_tone` (Fitzpatrick types: `12`, `34` or `56`) and `malignant`. Each
/// image is a group of its own: the paper has 656 images of 570 patients, whom the table does not name.
///
/// # Errors
/// As [`ham10000::read`](super::ham10000::read).
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    read_classes(root.as_ref(), policy, Classes::Disease)
}

/// The same with the column `malignant` as the classes ([`LABELS`]), the paper's task, and the disease as a subgroup
/// column.
///
/// # Errors
/// As [`read`].
pub fn read_malignant(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    read_classes(root.as_ref(), policy, Classes::Malignant)
}

#[derive(Clone, Copy)]
enum Classes {
    Disease,
    Malignant,
}

fn read_classes(root: &Path, policy: ReadPolicy, classes: Classes) -> Result<Dataset, Error> {
    let table = Table::read(&root.join(METADATA), &COLUMNS)?;
    let images = ImageIndex::find(root, &IMAGE_FOLDERS, policy.images)?;
    let labels = match classes {
        Classes::Disease => found_labels("DDI", table.distinct("disease"))?,
        Classes::Malignant => LabelMap::new(LABELS)?,
    };
    let mut intake = Intake::new("DDI", labels, FeatureSchema::empty(), policy);
    intake.read_rows(&table, "DDI_file", |intake, row| {
        let id = row.filled("DDI_file", "an image's file name")?;
        let disease = row.filled("disease", "a disease")?;
        let tone = row.one_of("skin_tone", &["12", "34", "56"])?;
        let malignant = match row.cell("malignant").to_lowercase().as_str() {
            "true" => LABELS[1],
            "false" => LABELS[0],
            _ => return Err(row.wrong("malignant", "True or False")),
        };
        let (class, other) = match classes {
            Classes::Disease => (disease, ("malignant", malignant)),
            Classes::Malignant => (malignant, ("disease", disease)),
        };
        let class = intake.labels().class_index(class)?;
        let subgroups = subgroups(&[("skin_tone", tone), other]);
        Ok(Record { subgroups, ..Record::new(id, images.named(row, id)?, class) }.into())
    })?;
    intake.finish()
}
