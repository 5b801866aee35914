//! Flips and quarter turns: a lesion has no upright.

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
    /// Top and bottom exchanged.
    pub const FLIPPED: Self = Self { transpose: false, mirror_columns: false, mirror_rows: true };
    /// A half turn: both exchanged.
    pub const HALF_TURN: Self = Self { transpose: false, mirror_columns: true, mirror_rows: true };

    /// All eight, the upright one first.
    pub const ALL: [Self; 8] = {
        let mut all = [Self::UPRIGHT; 8];
        let mut number = 0;
        while number < 8 {
            all[number] = Self {
                transpose: number & 4 != 0,
                mirror_columns: number & 1 != 0,
                mirror_rows: number & 2 != 0,
            };
            number += 1;
        }
        all
    };

    /// Mirrored or not along each axis, then, where there is a quarter turn, turned one way or the
    /// other.
    pub(super) fn of(mirror_columns: bool, mirror_rows: bool, quarter_turn: Option<bool>) -> Self {
        let Some(other_way) = quarter_turn else {
            return Self { transpose: false, mirror_columns, mirror_rows };
        };
        // A quarter turn is a transposition and one mirroring.
        Self {
            transpose: true,
            mirror_columns: mirror_columns != other_way,
            mirror_rows: mirror_rows == other_way,
        }
    }

    /// The row and column of the original whose pixel comes to (`row`, `column`) in a square of `side` pixels.
    pub fn source(self, row: usize, column: usize, side: usize) -> (usize, usize) {
        let row = if self.mirror_rows { side - 1 - row } else { row };
        let column = if self.mirror_columns { side - 1 - column } else { column };
        if self.transpose { (column, row) } else { (row, column) }
    }

    /// Whether rows and columns change places.
    pub(crate) fn transposes(self) -> bool {
        self.transpose
    }

    /// Whether columns are taken from the other end.
    pub(crate) fn mirrors_columns(self) -> bool {
        self.mirror_columns
    }

    /// Whether rows are taken from the other end.
    pub(crate) fn mirrors_rows(self) -> bool {
        self.mirror_rows
    }
}
