use std::collections::BTreeMap;

use derm_core::{Predictions, Test};
use derm_metrics::{Interval, clopper_pearson};
use serde::{Deserialize, Serialize};

use super::{ConformalPredictor, PredictionSets};
use crate::Error;

/// Set sizes that are looked at together, as in Angelopoulos et al. 2021: 0 to 1, 2 to 3, 4 to 10, 11 to 100, more.
const STRATA: [(usize, usize); 5] = [(0, 1), (2, 3), (4, 10), (11, 100), (101, usize::MAX)];

/// How often the sets of some rows hold the true class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetCoverage {
    /// Number of rows.
    pub count: usize,
    /// Number of them whose set holds the true class.
    pub covered: usize,
    /// Share of them; `None` without rows.
    pub coverage: Option<f64>,
    /// Clopper-Pearson interval of the share; `None` without rows.
    pub interval: Option<Interval>,
    /// Mean number of classes in a set; `None` without rows.
    pub mean_size: Option<f64>,
}

/// The rows whose sets are of a size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeStratum {
    /// Smallest size.
    pub smallest: usize,
    /// Largest size that a set can have.
    pub largest: usize,
    /// Their coverage.
    pub coverage: SetCoverage,
}

/// What prediction sets are worth: how often they hold the true class, over all rows and over parts of them, and
/// how large they are. Rows are taken as independent, so they should be one a lesion or patient:
/// [`ConformalTable::evaluate`] sees to that.
///
/// ```
/// use derm_calibration::{ConformalTable, PredictionSets};
/// let sets = PredictionSets::new(ndarray::array![[true, false], [true, true], [false, false]]);
/// let table = ConformalTable::new(&sets, &[0, 1, 1], &Default::default(), 0.1, 0.05)?;
/// assert_eq!((table.overall.covered, table.empty_sets, table.singletons), (2, 1, 1));
/// assert_eq!(table.by_class[1].coverage, Some(0.5));
/// assert_eq!(table.singleton_accuracy, Some(1.0));
/// # Ok::<(), derm_calibration::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformalTable {
    /// Miscoverage α that the sets were made for; 1 − α is their nominal coverage.
    pub nominal_alpha: f64,
    /// All rows.
    pub overall: SetCoverage,
    /// Number of sets without a class.
    pub empty_sets: usize,
    /// Number of sets of one class: rows that are as good as answered.
    pub singletons: usize,
    /// Share of the singletons that are right; `None` without singletons. Nothing promises it: coverage is promised
    /// over all sizes together.
    pub singleton_accuracy: Option<f64>,
    /// Number of sets of each size, shape `[C + 1]`.
    pub sizes: Vec<usize>,
    /// The rows of each true class, in the order of the labels.
    pub by_class: Vec<SetCoverage>,
    /// The rows by the size of their set: 0 to 1, 2 to 3, 4 to 10, 11 to 100, more; strata that C classes can have.
    pub by_size: Vec<SizeStratum>,
    /// The rows by the values of each subgroup column; the empty value is unknown.
    pub by_subgroup: BTreeMap<String, BTreeMap<String, SetCoverage>>,
    /// Mean over the classes with rows of `|coverage − (1 − α)|` (Ding et al. 2023).
    pub class_coverage_gap: f64,
    /// Largest `|coverage − (1 − α)|` of a size stratum with rows (Angelopoulos et al. 2021).
    pub size_stratified_violation: f64,
}

impl ConformalTable {
    /// The table of `sets` and `targets` `[N]`; `subgroups` holds columns `[N]` by name. `nominal_alpha` is the
    /// miscoverage of the sets, `alpha` that of the intervals.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows, other lengths or a target that is no class, [`Error::Range`] unless
    /// `nominal_alpha` is in (0, 1), [`Error::Metric`] unless `alpha` is.
    pub fn new(
        sets: &PredictionSets,
        targets: &[usize],
        subgroups: &BTreeMap<String, Vec<String>>,
        nominal_alpha: f64,
        alpha: f64,
    ) -> Result<Self, Error> {
        crate::error::check_open_unit("nominal_alpha", nominal_alpha)?;
        let (count, num_classes) = (sets.num_samples(), sets.num_classes());
        check_rows(count, num_classes, targets, subgroups)?;
        let sizes = sets.sizes();
        let covered: Vec<bool> =
            targets.iter().enumerate().map(|(row, &class)| sets.view()[[row, class]]).collect();
        let of = |rows: &[usize]| SetCoverage::new(rows, &covered, &sizes, alpha);
        let rows_where =
            |keep: &dyn Fn(usize) -> bool| (0..count).filter(|&row| keep(row)).collect::<Vec<_>>();

        let singletons = rows_where(&|row| sizes[row] == 1);
        let by_class: Result<Vec<_>, Error> =
            (0..num_classes).map(|class| of(&rows_where(&|row| targets[row] == class))).collect();
        let by_class = by_class?;
        let mut by_size = Vec::new();
        for (smallest, largest) in STRATA.into_iter().filter(|&(smallest, _)| smallest <= num_classes) {
            let coverage = of(&rows_where(&|row| (smallest..=largest).contains(&sizes[row])))?;
            by_size.push(SizeStratum { smallest, largest: largest.min(num_classes), coverage });
        }
        let mut by_subgroup = BTreeMap::new();
        for (column, values) in subgroups {
            let mut parts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (row, value) in values.iter().enumerate() {
                parts.entry(value.clone()).or_default().push(row);
            }
            let parts: Result<BTreeMap<_, _>, Error> =
                parts.into_iter().map(|(value, rows)| Ok((value, of(&rows)?))).collect();
            by_subgroup.insert(column.clone(), parts?);
        }
        let gap = |part: &SetCoverage| part.coverage.map(|coverage| (coverage - (1.0 - nominal_alpha)).abs());
        let class_gaps: Vec<f64> = by_class.iter().filter_map(gap).collect();
        let mut of_size = vec![0; num_classes + 1];
        for &size in &sizes {
            of_size[size] += 1;
        }
        Ok(Self {
            nominal_alpha,
            overall: of(&rows_where(&|_| true))?,
            empty_sets: of_size[0],
            singletons: of_size[1],
            singleton_accuracy: of(&singletons)?.coverage,
            sizes: of_size,
            class_coverage_gap: class_gaps.iter().sum::<f64>() / class_gaps.len() as f64,
            size_stratified_violation: by_size.iter().filter_map(|s| gap(&s.coverage)).fold(0.0, f64::max),
            by_class,
            by_size,
            by_subgroup,
        })
    }

    /// The sets of `predictor` on test predictions, one row a lesion or patient
    /// ([`Predictions::one_row_per_group`]), the unit in which the coverage is promised. `alpha` is the
    /// miscoverage of the intervals.
    ///
    /// # Errors
    /// As [`ConformalPredictor::predict_sets`] and [`ConformalTable::new`].
    pub fn evaluate(
        predictor: &ConformalPredictor,
        test: &Predictions<Test>,
        alpha: f64,
    ) -> Result<Self, Error> {
        let rows = test.one_row_per_group();
        let sets = predictor.predict_sets(&rows)?;
        Self::new(&sets, rows.targets(), rows.subgroups(), predictor.config().alpha, alpha)
    }
}

impl SetCoverage {
    fn new(rows: &[usize], covered: &[bool], sizes: &[usize], alpha: f64) -> Result<Self, Error> {
        let count = rows.len();
        let hits = rows.iter().filter(|&&row| covered[row]).count();
        let share = |part: usize| (count > 0).then(|| part as f64 / count as f64);
        Ok(Self {
            count,
            covered: hits,
            coverage: share(hits),
            interval: (count > 0).then(|| clopper_pearson(hits, count, alpha)).transpose()?,
            mean_size: share(rows.iter().map(|&row| sizes[row]).sum()),
        })
    }
}

fn check_rows(
    count: usize,
    num_classes: usize,
    targets: &[usize],
    subgroups: &BTreeMap<String, Vec<String>>,
) -> Result<(), Error> {
    use derm_core::ValueError::{ClassOutOfRange, Empty, Length};
    if count == 0 || num_classes == 0 {
        return Err(Empty { argument: "sets" }.into());
    }
    if targets.len() != count {
        return Err(Length { argument: "targets", got: targets.len(), expected: count }.into());
    }
    if let Some(values) = subgroups.values().find(|values| values.len() != count) {
        return Err(Length { argument: "subgroups", got: values.len(), expected: count }.into());
    }
    match targets.iter().position(|&class| class >= num_classes) {
        Some(row) => Err(ClassOutOfRange { row, target: targets[row], num_classes }.into()),
        None => Ok(()),
    }
}
