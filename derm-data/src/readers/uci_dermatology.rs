//! UCI dermatology: 366 patients with one of six erythemato-squamous diseases, 34 attributes, no images.
//!
//! # Source
//! Güvenir, Demiröz, Ilter: Learning differential diagnosis of erythemato-squamous diseases using voting feature
//! intervals, Artificial Intelligence in Medicine 13(3), 147–165 (1998); UCI Machine Learning Repository, dataset 33.

use std::path::Path;

use derm_core::LabelMap;

use super::ReadPolicy;
use super::intake::{Intake, answer_subgroups};
use super::table::Table;
use crate::{Dataset, Error, ImageSource, Record, schema};

/// The six diagnoses in the order of their codes 1 to 6, spelt as published.
pub const LABELS: [&str; 6] = [
    "psoriasis",
    "seboreic dermatitis",
    "lichen planus",
    "pityriasis rosea",
    "cronic dermatitis",
    "pityriasis rubra pilaris",
];

/// Name of the table, which has no header.
pub const DATA: &str = "dermatology.data";

/// Name that the last column, the code of the diagnosis, gets here.
const CLASS: &str = "class";

/// Reads `dermatology.data`: the 34 attributes are the answers, of the schema's features in order, and the 35th column is
/// the diagnosis. `?` is a missing age.
///
/// A record is a patient, named by the line (`patient_001` and so on), without an image whatever the policy. The only
/// subgroup column is `age_band`.
///
/// # Errors
/// [`Error::File`] where the table cannot be read; [`Error::Row`] and [`Error::Cell`], with the line, unless `policy`
/// tolerates them; [`Error::EmptyDataset`] where no row is left.
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let schema = schema::uci_dermatology()?;
    let questions: Vec<String> = schema.features().iter().map(|feature| feature.name.clone()).collect();
    let mut columns: Vec<&str> = questions.iter().map(String::as_str).collect();
    let questions: Vec<(&str, &str)> = columns.iter().map(|&name| (name, name)).collect();
    columns.push(CLASS);
    let table = Table::read_headerless(&root.as_ref().join(DATA), &columns)?;
    let mut intake = Intake::new("UCI dermatology", LabelMap::new(LABELS)?, schema, policy);
    intake.read_rows(&table, "", |intake, row| {
        let code: Option<usize> = row.cell(CLASS).parse().ok();
        let class = code.and_then(|code| intake.labels().class_at(code.checked_sub(1)?).ok());
        let class = class.ok_or_else(|| row.wrong(CLASS, "1 to 6"))?;
        let answers = intake.answers(row, &questions)?;
        let id = format!("patient_{:03}", row.line());
        let subgroups = answer_subgroups(&answers, "age", &[]);
        let patient = Some(id.clone());
        Ok(Record { patient, answers, subgroups, ..Record::new(id, ImageSource::Absent, class) }.into())
    })?;
    intake.finish()
}
