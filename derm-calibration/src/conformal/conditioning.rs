use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ClusterConfig;
use crate::Error;
use crate::calibrate::check_classes;

/// What the coverage is promised for: all rows together, or parts of them, each with a quantile of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Conditioning {
    /// All rows together. A rare class may be covered far less often.
    Marginal,
    /// Every true class (Vovk 2012; Löfström et al. 2015). A class with fewer than ⌈1/α⌉ − 1 calibration rows is in
    /// every set.
    Class,
    /// Clusters of true classes whose scores are distributed alike: between the two, for classes with few rows.
    Cluster(ClusterConfig),
    /// The values of a subgroup column, skin type for one. A value that the calibration rows did not have gets
    /// every class.
    Group {
        /// Name of the column in `Predictions::subgroups`; an empty value, unknown, is a value of its own.
        column: String,
    },
}

/// The parts of a fitted [`Conditioning`], which its quantiles belong to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Partition {
    /// One part.
    Marginal,
    /// One part a class, in the order of the labels.
    Class {
        /// Number of classes.
        num_classes: usize,
    },
    /// One part a cluster. Part 0 is made of all rows and serves the classes that are too rare to be clustered.
    Cluster {
        /// The part of each class.
        of_class: Vec<usize>,
        /// Number of parts.
        num_parts: usize,
    },
    /// One part a value of a subgroup column.
    Group {
        /// The column.
        column: String,
        /// Its values among the calibration rows, sorted, each once.
        values: Vec<String>,
    },
}

impl Partition {
    /// One part a value of `column` that is among `rows`.
    pub(super) fn of_groups(column: &str, rows: &[String]) -> Self {
        let values: BTreeSet<&String> = rows.iter().collect();
        Self::Group { column: column.to_owned(), values: values.into_iter().cloned().collect() }
    }

    /// Checks that the parts are those of `num_classes` classes.
    ///
    /// # Errors
    /// [`Error::Classes`] for another number of classes; [`Error::Inconsistent`] for a class in a part past the
    /// last, or values of a column that are not sorted, each once.
    pub fn validate(&self, num_classes: usize) -> Result<(), Error> {
        match self {
            Self::Marginal => Ok(()),
            Self::Class { num_classes: got } => check_classes("partition", *got, num_classes),
            Self::Cluster { of_class, num_parts } => {
                check_classes("partition", of_class.len(), num_classes)?;
                if *num_parts >= 1 && of_class.iter().all(|part| part < num_parts) {
                    Ok(())
                } else {
                    let expected = "a part below num_parts for each class";
                    Err(Error::Inconsistent { argument: "partition.cluster.of_class", expected })
                }
            }
            Self::Group { values, .. } => {
                if values.is_sorted_by(|a, b| a < b) {
                    Ok(())
                } else {
                    let expected = "values in rising order, each once";
                    Err(Error::Inconsistent { argument: "partition.group.values", expected })
                }
            }
        }
    }

    /// Whether it is one that this conditioning gives.
    pub(super) fn belongs_to(&self, conditioning: &Conditioning) -> bool {
        match (self, conditioning) {
            (Self::Marginal, Conditioning::Marginal)
            | (Self::Class { .. }, Conditioning::Class)
            | (Self::Cluster { .. }, Conditioning::Cluster(_)) => true,
            (Self::Group { column, .. }, Conditioning::Group { column: expected }) => column == expected,
            _ => false,
        }
    }

    /// Number of parts.
    pub fn num_parts(&self) -> usize {
        match self {
            Self::Marginal => 1,
            Self::Class { num_classes } => *num_classes,
            Self::Cluster { num_parts, .. } => *num_parts,
            Self::Group { values, .. } => values.len(),
        }
    }

    /// The part whose quantile decides about `class` for a row of that group value; `None` for a group value that
    /// the calibration rows did not have.
    ///
    /// # Panics
    /// Where a clustering has no such class.
    pub fn part(&self, class: usize, group: Option<&str>) -> Option<usize> {
        match self {
            Self::Marginal => Some(0),
            Self::Class { .. } => Some(class),
            Self::Cluster { of_class, .. } => Some(of_class[class]),
            Self::Group { values, .. } => {
                values.binary_search_by(|value| value.as_str().cmp(group.unwrap_or_default())).ok()
            }
        }
    }

    /// The parts that a calibration row of that class and group value belongs to.
    pub(super) fn members(&self, class: usize, group: Option<&str>) -> impl Iterator<Item = usize> {
        let part = self.part(class, group);
        // Every row counts for part 0 of a clustering.
        let also = matches!(self, Self::Cluster { .. }).then_some(0).filter(|_| part != Some(0));
        part.into_iter().chain(also)
    }

    /// The subgroup column that rows must have.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Group { column, .. } => Some(column),
            _ => None,
        }
    }
}
