//! Which reader a recipe names.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    CsvLayout, ReadPolicy, bcn20000, ddi, derm7pt, dermamnist, fitzpatrick17k, folders, ham10000, isic2019,
    isic2020, pad_ufes_20, scin, uci_dermatology,
};
use crate::{Dataset, Error};

/// A reader by name, as a recipe gives it: `ham10000`, or `csv:` with the columns of a table of one's own.
///
/// ```
/// use derm_data::readers::Source;
/// let names: Vec<Source> = serde_json::from_str(r#"["ham10000", "pad_ufes_20", "ddi_malignant"]"#)?;
/// assert_eq!(names, [Source::Ham10000, Source::PadUfes20, Source::DdiMalignant]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// [`ham10000::read`].
    Ham10000,
    /// [`isic2019::read`].
    Isic2019,
    /// [`isic2020::read`].
    Isic2020,
    /// [`pad_ufes_20::read`].
    #[serde(rename = "pad_ufes_20")]
    PadUfes20,
    /// [`scin::read`].
    Scin,
    /// [`fitzpatrick17k::read`].
    Fitzpatrick17k,
    /// [`ddi::read`]: the diseases as classes.
    Ddi,
    /// [`ddi::read_malignant`]: benign and malignant as classes.
    DdiMalignant,
    /// [`derm7pt::read`]: the dermoscopic images.
    Derm7pt,
    /// [`derm7pt::read_clinic`]: the clinical images.
    Derm7ptClinic,
    /// [`bcn20000::read`].
    Bcn20000,
    /// [`dermamnist::read`], of any side.
    Dermamnist,
    /// [`uci_dermatology::read`].
    UciDermatology,
    /// [`folders::read`]: one folder a class.
    Folders,
    /// [`CsvLayout::read`]: a table of one's own.
    Csv(Box<CsvLayout>),
}

impl Source {
    /// The name of every reader, as a recipe writes it. All but the last, `csv`, stand alone.
    pub const NAMES: [&str; 15] = [
        "ham10000",
        "isic2019",
        "isic2020",
        "pad_ufes_20",
        "scin",
        "fitzpatrick17k",
        "ddi",
        "ddi_malignant",
        "derm7pt",
        "derm7pt_clinic",
        "bcn20000",
        "dermamnist",
        "uci_dermatology",
        "folders",
        "csv",
    ];

    /// Reads the dataset in the folder `root`.
    ///
    /// # Errors
    /// As the reader that is named.
    pub fn read(&self, root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
        match self {
            Self::Ham10000 => ham10000::read(root, policy),
            Self::Isic2019 => isic2019::read(root, policy),
            Self::Isic2020 => isic2020::read(root, policy),
            Self::PadUfes20 => pad_ufes_20::read(root, policy),
            Self::Scin => scin::read(root, policy),
            Self::Fitzpatrick17k => fitzpatrick17k::read(root, policy),
            Self::Ddi => ddi::read(root, policy),
            Self::DdiMalignant => ddi::read_malignant(root, policy),
            Self::Derm7pt => derm7pt::read(root, policy),
            Self::Derm7ptClinic => derm7pt::read_clinic(root, policy),
            Self::Bcn20000 => bcn20000::read(root, policy),
            Self::Dermamnist => dermamnist::read(root, policy),
            Self::UciDermatology => uci_dermatology::read(root, policy),
            Self::Folders => folders::read(root, policy),
            Self::Csv(layout) => layout.read(root, policy),
        }
    }
}
