//! Flips and quarter turns: a lesion has no upright.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};

/// One of the eight ways to lay a square: transposed or not, then mirrored or not along each axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    transpose: bool,
    mirror_columns: bool,
    mirror_rows: bool,
}

impl Orientation {
    /// As photographed.
    pub const UPRIGHT: Self = Self { transpose: false, mirror_columns: false, mirror_rows: false };
    /// Left and right exchanged: the view that flip averaging adds.
    pub const MIRRORED: Self = Self { transpose: false, mirror_columns: true, mirror_rows: false };

    /// The row and column of the original whose pixel comes to (`row`, `column`) in a square of `side` pixels.
    pub fn source(self, row: usize, column: usize, side: usize) -> (usize, usize) {
        let row = if self.mirror_rows { side - 1 - row } else { row };
        let column = if self.mirror_columns { side - 1 - column } else { column };
        if self.transpose { (column, row) } else { (row, column) }
    }
}

/// What augmentation may do to a training image.
///
/// What it does to one record in one epoch follows from (seed, epoch, record index) alone, so that batches do not
/// depend on the number of workers or on where an epoch was resumed.
///
/// | field | default | range |
/// |---|---|---|
/// | `horizontal_flip` | 0.5 | probability |
/// | `vertical_flip` | 0.5 | probability |
/// | `quarter_turns` | 0.0 | probability of a quarter turn, to either side alike |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Probability that left and right are exchanged.
    pub horizontal_flip: f64,
    /// Probability that top and bottom are exchanged.
    pub vertical_flip: f64,
    /// Probability of a quarter turn, to the left or to the right alike.
    pub quarter_turns: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { horizontal_flip: 0.5, vertical_flip: 0.5, quarter_turns: 0.0 }
    }
}

impl Augmentation {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] for a probability outside [0, 1].
    pub fn validate(&self) -> Result<(), Error> {
        for (name, probability) in [
            ("horizontal_flip", self.horizontal_flip),
            ("vertical_flip", self.vertical_flip),
            ("quarter_turns", self.quarter_turns),
        ] {
            if !(0.0..=1.0).contains(&probability) {
                return Err(setting(name, probability, "a probability from 0 to 1"));
            }
        }
        Ok(())
    }

    /// How the record at `index` lies in `epoch`.
    pub fn orientation(&self, seed: u64, epoch: u64, index: usize) -> Orientation {
        let mut rng = PortableRng::new(seed, Purpose::Augment, epoch, index as u64);
        // Every draw is made whatever the probabilities, so that changing one leaves the others' outcomes alone.
        let mirror_columns = rng.chance(self.horizontal_flip);
        let mirror_rows = rng.chance(self.vertical_flip);
        let turned = rng.chance(self.quarter_turns);
        let other_way = rng.chance(0.5);
        if !turned {
            return Orientation { transpose: false, mirror_columns, mirror_rows };
        }
        // A quarter turn is a transposition and one mirroring.
        Orientation {
            transpose: true,
            mirror_columns: mirror_columns != other_way,
            mirror_rows: mirror_rows == other_way,
        }
    }
}
