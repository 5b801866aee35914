use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The factor on a term's weight over training: `constant`, `linear: {from: 0, to: 1, end: 0.1}`,
/// `cosine: {from: 1, to: 0}` or `between: {start: 0.3}` in a file.
///
/// A pure function of the progress t in [0, 1], the share of the optimizer steps that are done; what lies outside
/// counts as the nearer end, NaN as the start. With `u = (t − start) / (end − start)`, cut to [0, 1]:
///
/// | schedule | factor at t |
/// |---|---|
/// | `constant` | 1 |
/// | `linear` | `from + (to − from) u` |
/// | `cosine` | `to + (from − to) (1 + cos πu) / 2` |
/// | `between` | 1 where `start ≤ t < end`, or `t = end = 1`; else 0 |
///
/// `start` is 0 and `end` 1 where a file does not say. A warm-up over the first tenth is
/// `linear: {from: 0, to: 1, end: 0.1}`; a term that joins late is `between: {start: 0.3}`, one that leaves early
/// `between: {end: 0.7}`. At a factor of 0 a term is not computed.
///
/// ```
/// use derm_distill::WeightSchedule;
///
/// let warm_up = WeightSchedule::Linear { from: 0.0, to: 1.0, start: 0.0, end: 0.1 };
/// assert_eq!([0.0, 0.05, 0.1, 0.9].map(|t| warm_up.factor(t)), [0.0, 0.5, 1.0, 1.0]);
/// let late = WeightSchedule::Between { start: 0.3, end: 1.0 };
/// assert_eq!([0.0, 0.3, 1.0].map(|t| late.factor(t)), [0.0, 1.0, 1.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WeightSchedule {
    /// The weight as it is.
    #[default]
    Constant,
    /// In a straight line.
    Linear {
        /// Factor up to `start`: finite, ≥ 0.
        from: f64,
        /// Factor from `end` on: finite, ≥ 0.
        to: f64,
        /// Progress at which it begins to move, in [0, 1].
        #[serde(default)]
        start: f64,
        /// Progress at which it has arrived, in [0, 1], above `start`.
        #[serde(default = "one")]
        end: f64,
    },
    /// Along half a cosine: slow at both ends.
    Cosine {
        /// Factor up to `start`: finite, ≥ 0.
        from: f64,
        /// Factor from `end` on: finite, ≥ 0.
        to: f64,
        /// Progress at which it begins to move, in [0, 1].
        #[serde(default)]
        start: f64,
        /// Progress at which it has arrived, in [0, 1], above `start`.
        #[serde(default = "one")]
        end: f64,
    },
    /// On from `start` to `end`, off elsewhere.
    Between {
        /// Progress from which on the term weighs, in [0, 1].
        #[serde(default)]
        start: f64,
        /// Progress from which on it weighs nothing, in [0, 1], above `start`; at 1 it weighs to the very end.
        #[serde(default = "one")]
        end: f64,
    },
}

fn one() -> f64 {
    1.0
}

impl WeightSchedule {
    /// The factor at `progress`.
    pub fn factor(&self, progress: f64) -> f64 {
        let t = if progress >= 0.0 { progress.min(1.0) } else { 0.0 };
        let along = |start: f64, end: f64| ((t - start) / (end - start)).clamp(0.0, 1.0);
        match *self {
            Self::Constant => 1.0,
            Self::Linear { from, to, start, end } => {
                let u = along(start, end);
                from * (1.0 - u) + to * u
            }
            Self::Cosine { from, to, start, end } => {
                // cos π is not quite −1 + 0: the ends are given as they are.
                match along(start, end) {
                    u if u >= 1.0 => to,
                    u => to + (from - to) * 0.5 * (1.0 + (PI * u).cos()),
                }
            }
            Self::Between { start, end } => {
                f64::from(u8::from(t >= start && (t < end || (t >= 1.0 && end >= 1.0))))
            }
        }
    }

    /// Checks factors and places; `of` is the key of the weight that it belongs to.
    pub(crate) fn validate(&self, of: &str) -> Result<(), Error> {
        let (factors, [start, end]) = match *self {
            Self::Constant => return Ok(()),
            Self::Linear { from, to, start, end } | Self::Cosine { from, to, start, end } => {
                (vec![("from", from), ("to", to)], [start, end])
            }
            Self::Between { start, end } => (Vec::new(), [start, end]),
        };
        let wrong = |name: &str, value, expected| {
            Err(Error::Schedule { parameter: format!("{of}.{name}"), value, expected })
        };
        for (name, value) in factors {
            if !((value as f32).is_finite() && value >= 0.0) {
                return wrong(name, value, "a finite number >= 0");
            }
        }
        for (name, value) in [("start", start), ("end", end)] {
            if !(0.0..=1.0).contains(&value) {
                return wrong(name, value, "a number in [0, 1]");
            }
        }
        if start < end { Ok(()) } else { wrong("end", end, "a number above `start`") }
    }

    /// Where the factor's course changes.
    pub(crate) fn corners(&self) -> [f64; 2] {
        match *self {
            Self::Constant => [0.0, 1.0],
            Self::Linear { start, end, .. }
            | Self::Cosine { start, end, .. }
            | Self::Between { start, end } => [start, end],
        }
    }
}
