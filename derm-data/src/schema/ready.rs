//! Ready questionnaires: the files of the crate's folder `schemas`, read as any other `feature_schema.json` is.

use std::path::Path;

use super::FeatureSchema;
use crate::Error;

/// Names of the ready questionnaires, as [`ready`] takes them.
pub const NAMES: [&str; 8] =
    ["derm7pt", "ham10000", "isic", "pad_ufes_20", "scin", "synthetic", "teledermatology", "uci_dermatology"];

/// The ready questionnaire of a name.
///
/// ```
/// use derm_data::schema;
/// assert_eq!(schema::ready("pad_ufes_20")?.features().len(), 21);
/// let error = schema::ready("pad-ufes").unwrap_err().to_string();
/// assert!(error.contains("pad_ufes_20"), "{error}");
/// # Ok::<(), derm_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::UnknownSchema`], with the names that there are.
pub fn ready(name: &str) -> Result<FeatureSchema, Error> {
    match name {
        "derm7pt" => derm7pt(),
        "ham10000" => ham10000(),
        "isic" => isic(),
        "pad_ufes_20" => pad_ufes_20(),
        "scin" => scin(),
        "synthetic" => synthetic(),
        "teledermatology" => teledermatology(),
        "uci_dermatology" => uci_dermatology(),
        _ => Err(Error::UnknownSchema { name: name.to_owned(), known: NAMES.map(str::to_owned).to_vec() }),
    }
}

macro_rules! ready_schemas {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// None in practice; the schema is checked as any other.
            pub fn $name() -> Result<FeatureSchema, Error> {
                const FILE: &str = concat!("schemas/", stringify!($name), ".json");
                let text = include_str!(concat!("../../schemas/", stringify!($name), ".json"));
                FeatureSchema::parse(text, Path::new(FILE))
            }
        )*
    };
}

ready_schemas! {
    /// The seven-point checklist of Derm7pt, and the patient's sex with the lesion's location and elevation, which the
    /// reduced table lacks. The criteria are a dermatologist's findings in the dermoscopic image.
    derm7pt
    /// What HAM10000 knows of a patient: `age`, `sex` and `localization`. `unknown` and the empty cell are missing.
    ham10000
    /// What ISIC 2019, ISIC 2020 and BCN20000 know of a patient: `age_approx`, `sex` and `anatom_site_general`, in which
    /// the three torsos of ISIC 2019 belong to the one of ISIC 2020.
    isic
    /// The 21 answers of PAD-UFES-20. The block `history` leaks the diagnosis where it is empty, and `biopsed` is excluded.
    ///
    /// `UNK` to a question about the lesion or the parents' origin is an answer: the question was asked. It has a column
    /// of its own, beside the one for a missing answer.
    pad_ufes_20
    /// The questions of SCIN. Those with one column an option in the published file (`textures_*`, `body_parts_*`,
    /// `condition_symptoms_*`, `other_symptoms_*`, `race_ethnicity_*`) are one multiple choice each; a reader joins the
    /// options that say `YES` by [`SEPARATOR`](super::SEPARATOR), and where none does the answer is missing. No option
    /// stands alone: that people tick nothing beside `no_relevant_symptoms` is not published.
    scin
    /// What the synthetic patients are asked.
    synthetic
    /// A general intake for teledermatology: the person, the place on the body, onset and course, complaints, what the
    /// eruption or lesion looks like, exposures and history. Its body sites understand the words of HAM10000, ISIC,
    /// PAD-UFES-20 and SCIN.
    teledermatology
    /// The 34 attributes of the UCI dermatology data under the names of its documentation: the blocks `clinical` (columns
    /// 1 to 11 and 34 of the file) and `histopathological` (12 to 33, which need a biopsy).
    uci_dermatology
}
