use derm_core::{Predictions, Probabilities, Role};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::BootstrapEstimate;
use crate::error::{check_alpha, check_at_least_one, check_length};
use crate::metric::PreparedMetrics;
use crate::replicates::{Spread, minus};
use crate::value_order::value_order;
use crate::{Direction, Error, Interval, Metric, MetricEstimate, Resamples, Units};

/// How a [`SubgroupTable`] is made.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `metrics` | [`Metric::STANDARD`] | the numbers of the table |
/// | `min_groups` | 20 | a subgroup of fewer lesions or patients has no numbers, at least 1 |
/// | `replicates` | 1000 | bootstrap replicates |
/// | `alpha` | 0.05 | miscoverage of the intervals, in (0, 1) |
/// | `seed` | 0 | seed of the replicates |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubgroupConfig {
    /// The numbers of the table.
    pub metrics: Vec<Metric>,
    /// Fewest groups of a subgroup with numbers.
    pub min_groups: usize,
    /// Bootstrap replicates.
    pub replicates: usize,
    /// Miscoverage of the intervals.
    pub alpha: f64,
    /// Seed of the replicates.
    pub seed: u64,
}

impl Default for SubgroupConfig {
    fn default() -> Self {
        Self { metrics: Metric::STANDARD.to_vec(), min_groups: 20, replicates: 1000, alpha: 0.05, seed: 0 }
    }
}

/// The numbers of one subgroup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubgroupRow {
    /// The value that its rows share; empty where it is unknown.
    pub value: String,
    /// Number of rows.
    pub samples: usize,
    /// Number of groups (lesions or patients) with a row in it.
    pub groups: usize,
    /// The metrics in the order of the configuration; `None` for fewer groups than `min_groups`.
    pub metrics: Option<Vec<MetricEstimate>>,
}

impl SubgroupRow {
    /// Whether the value is unknown. Such rows are listed and left out of gaps.
    pub fn is_unknown(&self) -> bool {
        self.value.is_empty()
    }

    /// The value of a metric by its name, where it is there and defined.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.as_ref()?.iter().find(|metric| metric.name == name)?.value
    }
}

/// How far the subgroups lie apart in one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubgroupGap {
    /// The metric's name.
    pub name: String,
    /// The metric and its conventions.
    #[serde(flatten)]
    pub metric: Metric,
    /// Its value on all rows.
    pub overall: Option<f64>,
    /// Largest minus smallest value over the subgroups that are known, large enough and have one; `None` for
    /// fewer than two.
    pub gap: Option<f64>,
    /// Bootstrap interval of the gap, moved by the replicates' bias and cut at 0
    /// ([`BootstrapEstimate::shifted_interval`]): noise alone opens a gap and none closes it, so the plain
    /// percentiles lie too high. Replicates in which a subgroup has no value are left out. It shows the size of
    /// the gap and is no test of whether there is one. `None` where there is no gap, where it or an end is infinite,
    /// where fewer than half of the replicates have one, and where one of the subgroups is a single lesion or patient.
    pub interval: Option<Interval>,
    /// The subgroup of the worst value, the first among equal ones; `None` where the metric has no better and
    /// worse, or no subgroup has a value.
    pub worst: Option<String>,
    /// Its value.
    pub worst_value: Option<f64>,
}

/// Metrics by subgroup (skin type, sex, age band, site), with intervals that count lesions or patients.
///
/// # Source
/// fairlearn `MetricFrame` (`by_group`, `overall`, `difference`).
///
/// ```
/// use derm_core::Probabilities;
/// use derm_metrics::{Metric, SubgroupConfig, SubgroupTable};
/// use ndarray::array;
/// let probabilities = Probabilities::new(array![[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6], [0.3, 0.7]])?;
/// let (skin, lesions) = (["dark", "light", "light", "dark", ""], ["a", "b", "c", "d", "e"]);
/// let config = SubgroupConfig { metrics: vec![Metric::Accuracy], min_groups: 2, ..SubgroupConfig::default() };
/// let table = SubgroupTable::new(&skin, &lesions, &probabilities, &[0, 0, 0, 0, 1], &config)?;
/// assert_eq!(table.rows.iter().map(|row| row.value.as_str()).collect::<Vec<_>>(), ["", "dark", "light"]);
/// assert_eq!(table.rows[0].metrics, None);
/// assert_eq!((table.rows[1].metric("accuracy"), table.rows[2].metric("accuracy")), (Some(0.5), Some(1.0)));
/// assert_eq!((table.gaps[0].gap, table.gaps[0].worst.as_deref()), (Some(0.5), Some("dark")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubgroupTable {
    /// The subgroups in the order of their values, the unknown one first. Numbers in them go by size, so that
    /// "[5, 10)" stands before "[10, 20)".
    pub rows: Vec<SubgroupRow>,
    /// One entry a metric, in the order of the configuration.
    pub gaps: Vec<SubgroupGap>,
    /// Fewest groups of a subgroup with numbers.
    pub min_groups: usize,
}

/// A subgroup that is large enough, made ready for resampling.
struct Member {
    /// Its position among the rows of the table.
    at: usize,
    rows: Vec<usize>,
    groups: usize,
    prepared: PreparedMetrics,
}

impl SubgroupTable {
    /// The table of `values` `[N]` for `probabilities` [N, C] and `targets` `[N]`, with `groups` `[N]` the
    /// lesion or patient of each row. Every replicate draws groups from the whole data, so that the gaps are
    /// between subgroups of one replicate.
    ///
    /// # Errors
    /// [`Error::Value`] for other lengths, [`Error::Range`] or [`Error::Count`] for an impossible configuration,
    /// and what the metrics refuse.
    pub fn new<S: AsRef<str>, G: AsRef<str>>(
        values: &[S],
        groups: &[G],
        probabilities: &Probabilities,
        targets: &[usize],
        config: &SubgroupConfig,
    ) -> Result<Self, Error> {
        check_alpha(config.alpha)?;
        check_at_least_one("min_groups", config.min_groups)?;
        check_length("values", values.len(), targets.len())?;
        check_length("groups", groups.len(), targets.len())?;
        let overall = PreparedMetrics::new(probabilities, targets, &config.metrics)?.values(|_| 1);
        let resamples = Resamples::groups(groups, config.replicates, config.seed)?;
        let subgroups = Units::new(values)?;
        let mut by_value: Vec<(&String, &Vec<usize>)> =
            subgroups.names().iter().zip(subgroups.rows()).collect();
        by_value.sort_by(|a, b| value_order(a.0, b.0));
        let (mut rows, mut members) = (Vec::new(), Vec::new());
        for (at, (value, of)) in by_value.into_iter().enumerate() {
            let of_rows: Vec<&str> = of.iter().map(|&row| groups[row].as_ref()).collect();
            let count = Units::new(&of_rows)?.names().len();
            rows.push(SubgroupRow { value: value.clone(), samples: of.len(), groups: count, metrics: None });
            if count >= config.min_groups {
                let targets: Vec<usize> = of.iter().map(|&row| targets[row]).collect();
                let prepared = PreparedMetrics::new(&probabilities.select(of)?, &targets, &config.metrics)?;
                members.push(Member { at, rows: of.clone(), groups: count, prepared });
            }
        }
        let replicate = |replicate: usize| -> Vec<Vec<Option<f64>>> {
            let counts = resamples.multiplicities(replicate);
            let of_member =
                |member: &Member| member.prepared.values(|row| u64::from(counts[member.rows[row]]));
            members.iter().map(of_member).collect()
        };
        let by_replicate: Vec<Vec<Vec<Option<f64>>>> =
            (0..config.replicates).into_par_iter().map(replicate).collect();
        for (index, member) in members.iter().enumerate() {
            let estimates = member.prepared.values(|_| 1);
            let of_metric = |(position, &metric): (usize, &Metric)| {
                let replicates = by_replicate.iter().map(|values| values[index][position]).collect();
                let varies = member.groups > 1;
                BootstrapEstimate::new(metric, estimates[position], replicates, config.alpha, varies).into()
            };
            rows[member.at].metrics = Some(config.metrics.iter().enumerate().map(of_metric).collect());
        }
        let of_metric = |(position, &metric): (usize, &Metric)| {
            let estimate = |member: &Member| {
                let row = &rows[member.at];
                let value = row.metrics.as_ref().and_then(|metrics| metrics[position].value)?;
                (!row.is_unknown()).then(|| (row.value.clone(), value))
            };
            let compared: Vec<Option<(String, f64)>> = members.iter().map(estimate).collect();
            // A replicate in which one of the compared subgroups has no value has no gap.
            let of_replicate = |values: &Vec<Vec<Option<f64>>>| {
                let measured = values.iter().zip(&compared).filter(|(_, compared)| compared.is_some());
                gap(measured.map(|(values, _)| values[position]))
            };
            let replicates: Vec<Option<f64>> = by_replicate.iter().map(of_replicate).collect();
            let gap = gap(compared.iter().flatten().map(|&(_, value)| Some(value)));
            let mut measured = members.iter().zip(&compared).filter(|(_, compared)| compared.is_some());
            let varies = measured.all(|(member, _)| member.groups > 1);
            let worst = worst(compared.iter().flatten(), metric.direction());
            SubgroupGap {
                name: metric.to_string(),
                metric,
                overall: overall[position],
                gap,
                interval: Spread::new(&replicates, config.alpha).shifted(gap).filter(|_| varies),
                worst: worst.map(|(value, _)| value.clone()),
                worst_value: worst.map(|&(_, value)| value),
            }
        };
        let gaps = config.metrics.iter().enumerate().map(of_metric).collect();
        Ok(Self { rows, gaps, min_groups: config.min_groups })
    }

    /// The table of a subgroup column of `predictions`, by its `probabilities` [N, C], calibrated or not.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for a column that is not there, otherwise as [`SubgroupTable::new`].
    pub fn of_column<R: Role>(
        predictions: &Predictions<R>,
        probabilities: &Probabilities,
        column: &str,
        config: &SubgroupConfig,
    ) -> Result<Self, Error> {
        let columns = predictions.subgroups();
        let Some(values) = columns.get(column) else {
            let known = columns.keys().cloned().collect();
            return Err(Error::UnknownName { argument: "column", name: column.to_owned(), known });
        };
        Self::new(values, predictions.groups(), probabilities, predictions.targets(), config)
    }
}

/// Largest minus smallest; `None` for fewer than two values, where one is undefined, or where all are infinite.
fn gap(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    let low = values.iter().copied().reduce(f64::min);
    let high = values.iter().copied().reduce(f64::max);
    minus(high, low).filter(|_| values.len() >= 2)
}

/// The first of the worst values.
fn worst<'a>(
    values: impl Iterator<Item = &'a (String, f64)>,
    direction: Direction,
) -> Option<&'a (String, f64)> {
    let worse = |a: f64, b: f64| match direction {
        Direction::HigherIsBetter => a < b,
        Direction::LowerIsBetter => a > b,
        Direction::Neither => false,
    };
    let reduced = values.reduce(|worst, next| if worse(next.1, worst.1) { next } else { worst });
    reduced.filter(|_| direction != Direction::Neither)
}
