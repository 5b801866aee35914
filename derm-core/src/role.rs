use std::fmt;

use serde::{Deserialize, Serialize};

/// The part of a dataset that a row belongs to, as a value. Its types are [`Train`], [`Validation`],
/// [`Calibration`] and [`Test`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitRole {
    /// The network learns from it.
    Train,
    /// Early stopping, model choice and calibrators see it.
    Validation,
    /// Conformal quantiles and abstain thresholds come from it.
    Calibration,
    /// Reported numbers come from it.
    Test,
}

impl SplitRole {
    /// All four, in the order of the data's way.
    pub const ALL: [Self; 4] = [Self::Train, Self::Validation, Self::Calibration, Self::Test];

    /// The name in files: `train`, `validation`, `calibration`, `test`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Calibration => "calibration",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for SplitRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A split role as a type, so that a function can demand rows of one role.
///
/// A temperature fitted on the rows that also give the abstain thresholds voids their finite-sample guarantee;
/// a number reported on rows that chose a threshold is too good. With roles as types neither compiles:
///
/// ```compile_fail
/// use derm_core::{Calibration, Predictions, Test};
/// fn choose_thresholds(_: &Predictions<Calibration>) {}
/// fn wrong(test: &Predictions<Test>) {
///     choose_thresholds(test);
/// }
/// ```
///
/// ```
/// use derm_core::{Calibration, Predictions};
/// fn choose_thresholds(_: &Predictions<Calibration>) {}
/// fn right(calibration: &Predictions<Calibration>) {
///     choose_thresholds(calibration);
/// }
/// ```
pub trait Role: sealed::Sealed + Copy + fmt::Debug + Send + Sync + 'static {
    /// The same role as a value.
    const ROLE: SplitRole;
}

macro_rules! role {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl sealed::Sealed for $name {}

        impl Role for $name {
            const ROLE: SplitRole = SplitRole::$name;
        }
    };
}

role!(Train, "Rows that the network learns from.");
role!(Validation, "Rows for early stopping, model choice and calibrators.");
role!(Calibration, "Rows for conformal quantiles and abstain thresholds.");
role!(Test, "Rows for reported numbers.");
