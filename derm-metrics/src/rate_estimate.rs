use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Error, Interval, clopper_pearson, wilson_effective};

/// A share of rows with an interval that counts groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateEstimate {
    /// The share; `None` without rows.
    pub value: Option<f64>,
    /// Number of rows in the denominator.
    pub rows: usize,
    /// Number of groups (lesions or patients) behind them.
    pub groups: usize,
    /// [`clopper_pearson`] where every row is a group of its own, else [`wilson_effective`] on the number of
    /// groups; `None` without rows.
    pub interval: Option<Interval>,
}

impl RateEstimate {
    /// The share of `outcomes`, given with the group of each.
    pub(crate) fn new<'a>(
        outcomes: impl Iterator<Item = (bool, &'a str)>,
        alpha: f64,
    ) -> Result<Self, Error> {
        let (mut rows, mut successes, mut groups) = (0, 0, BTreeSet::new());
        for (outcome, group) in outcomes {
            rows += 1;
            successes += usize::from(outcome);
            groups.insert(group);
        }
        let groups = groups.len();
        if rows == 0 {
            return Ok(Self { value: None, rows, groups, interval: None });
        }
        let value = successes as f64 / rows as f64;
        let interval = if groups == rows {
            clopper_pearson(successes, rows, alpha)?
        } else {
            wilson_effective(value, groups, alpha)?
        };
        Ok(Self { value: Some(value), rows, groups, interval: Some(interval) })
    }
}
