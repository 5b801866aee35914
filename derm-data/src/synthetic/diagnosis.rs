//! The seven diagnoses of the synthetic dataset.

/// A diagnosis; the order is the label map's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Diagnosis {
    ActinicKeratosis,
    BasalCellCarcinoma,
    BenignKeratosis,
    Dermatofibroma,
    Melanoma,
    MelanocyticNevus,
    VascularLesion,
}

impl Diagnosis {
    /// All of them, in the label map's order.
    pub(super) const ALL: [Self; 7] = [
        Self::ActinicKeratosis,
        Self::BasalCellCarcinoma,
        Self::BenignKeratosis,
        Self::Dermatofibroma,
        Self::Melanoma,
        Self::MelanocyticNevus,
        Self::VascularLesion,
    ];

    /// The class name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ActinicKeratosis => "actinic_keratosis",
            Self::BasalCellCarcinoma => "basal_cell_carcinoma",
            Self::BenignKeratosis => "benign_keratosis",
            Self::Dermatofibroma => "dermatofibroma",
            Self::Melanoma => "melanoma",
            Self::MelanocyticNevus => "melanocytic_nevus",
            Self::VascularLesion => "vascular_lesion",
        }
    }

    /// Share of the lesions, in 1/1000: long-tailed, as in the clinic.
    pub(super) fn per_mille(self) -> usize {
        match self {
            Self::ActinicKeratosis => 55,
            Self::BasalCellCarcinoma => 75,
            Self::BenignKeratosis => 125,
            Self::Dermatofibroma => 22,
            Self::Melanoma => 120,
            Self::MelanocyticNevus => 570,
            Self::VascularLesion => 33,
        }
    }
}
