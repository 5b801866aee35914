use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use derm_core::{Predictions, Probabilities, Test};
use derm_metrics::{
    Interval, Metric, NLL_CLIP, RecipeEstimate, Resamples, RunPairing, TwoLevelBootstrap, paired_bootstrap,
    recipe_estimate, recipe_retention,
};
use serde::Serialize;

use super::cost::cost_of_run;
use super::run_table::RunTable;
use super::verdict::verdicts;
use super::{ComparisonConfig, FailedRun, Verdict};
use crate::seed::{Purpose, derive};
use crate::{Efficiency, Error};

/// The run folders of a variant, one a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantFolders {
    /// The variant.
    pub name: String,
    /// Its run folders, or folders with predictions files alone.
    pub folders: Vec<PathBuf>,
}

/// Everything that a study found: what its tables and its report are written from.
#[derive(Debug, Clone, Serialize)]
pub struct StudyResults {
    /// The study.
    pub name: String,
    /// How the variants were compared.
    pub comparison: ComparisonConfig,
    /// The variant that the others are compared with.
    pub baseline: String,
    /// The classes.
    pub classes: Vec<String>,
    /// Test rows of each class.
    pub support: Vec<usize>,
    /// Test images.
    pub images: usize,
    /// Lesions or patients: what the bootstrap draws.
    pub lesions: usize,
    /// Hash of the split that all runs share.
    pub split_hash: String,
    /// The teacher, where there is one.
    pub teacher: Option<TeacherResult>,
    /// The baseline first, then the others in the order in which they were given.
    pub variants: Vec<VariantResult>,
    /// Runs that failed and are in no number.
    pub failed: Vec<FailedRun>,
}

/// The teacher of a study.
#[derive(Debug, Clone, Serialize)]
pub struct TeacherResult {
    /// Its run folder.
    pub folder: PathBuf,
    /// Its metrics; the intervals count lesions.
    pub metrics: Vec<NamedEstimate>,
    /// What it costs, where its bundle tells.
    pub cost: Option<Efficiency>,
}

/// A variant of a study.
#[derive(Debug, Clone, Serialize)]
pub struct VariantResult {
    /// Its name.
    pub name: String,
    /// Its runs.
    pub runs: Vec<RunResult>,
    /// Means over the runs: the standard metrics after temperature scaling, then `nll` and `ece` without it.
    pub metrics: Vec<NamedEstimate>,
    /// The recall of each class.
    pub recall: Vec<NamedEstimate>,
    /// The metrics as shares of the teacher's.
    pub retention: Vec<NamedEstimate>,
    /// The metrics less those of the baseline; empty for the baseline itself.
    pub differences: Vec<Difference>,
    /// The recall of each class less that of the baseline.
    pub recall_differences: Vec<Difference>,
    /// Whether the runs were compared in pairs of one seed, where they were compared.
    pub pairing: Option<RunPairing>,
    /// What that says; `None` for the baseline, and where it has no run.
    pub verdict: Option<Verdict>,
    /// The p-value of the metric that decides, corrected by Holm over the variants.
    pub adjusted_p_value: Option<f64>,
    /// What its first run costs, where its bundle tells.
    pub cost: Option<Efficiency>,
}

/// A run of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunResult {
    /// Its folder.
    pub folder: PathBuf,
    /// Its seed, where its recipe tells.
    pub seed: Option<u64>,
    /// The temperature of its calibration; `None` where it was measured as it is.
    pub temperature: Option<f64>,
}

/// An estimate with its name in files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedEstimate {
    /// `macro_f1`, `uncalibrated_nll`, or the class of a recall.
    pub name: String,
    /// The estimate.
    #[serde(flatten)]
    pub estimate: RecipeEstimate,
}

/// What the interval and the p-value of a difference count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedNoise {
    /// Another seed and other lesions.
    RunsAndLesions,
    /// Other lesions alone, because one of the sides has a single run.
    Lesions,
}

/// A metric of a variant less that of the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// `macro_f1`, `uncalibrated_nll`, or the class of a recall.
    pub name: String,
    /// The difference of the means over runs.
    pub estimate: Option<f64>,
    /// Its interval, without a correction for the number of variants.
    pub interval: Option<Interval>,
    /// Its two-sided p-value, without that correction.
    pub p_value: Option<f64>,
    /// What interval and p-value count.
    pub counts: CountedNoise,
    /// Standard error that comes from the runs.
    pub run_error: Option<f64>,
    /// Standard error that comes from the lesions.
    pub lesion_error: Option<f64>,
}

/// Compares finished runs by their predictions files.
///
/// Each variant is compared with the baseline by [`TwoLevelBootstrap`]: Student's test on the variance between runs
/// plus that between lesions, in pairs where both sides have the same seeds, with Holm's correction over the variants
/// for the metric that decides. Where a side has a single run there is no variance between runs to be had: the
/// difference is that of two runs, its interval counts lesions alone, and the verdict is [`Verdict::Unproven`].
///
/// Probabilities are calibrated by one temperature a run, fitted on its validation predictions.
///
/// # Errors
/// [`Error::StudyTables`] for runs of other test rows, [`Error::Value`] for a setting out of range, and what reading
/// predictions gives.
pub fn compare_runs(
    name: &str,
    baseline: &str,
    variants: &[VariantFolders],
    teacher: Option<&Path>,
    config: &ComparisonConfig,
    device: &Device,
) -> Result<StudyResults, Error> {
    config.validate()?;
    let mut tables: Vec<(String, Vec<RunTable>)> = Vec::new();
    // The baseline first; the sort keeps the order of the others.
    let mut ordered: Vec<&VariantFolders> =
        variants.iter().filter(|variant| !variant.folders.is_empty()).collect();
    ordered.sort_by_key(|variant| variant.name != baseline);
    let mut first: Option<Predictions<Test>> = None;
    let mut read = |folder: &Path| -> Result<RunTable, Error> {
        let table = RunTable::read(folder)?;
        let first = first.get_or_insert_with(|| table.predictions.clone());
        table.in_order_of(first)
    };
    for variant in ordered {
        let mut runs: Vec<RunTable> =
            variant.folders.iter().map(|folder| read(folder)).collect::<Result<_, _>>()?;
        runs.sort_by_key(|run| run.seed);
        tables.push((variant.name.clone(), runs));
    }
    let teacher = teacher.map(&mut read).transpose()?;
    let Some(rows) = first else {
        return Err(Error::NoRuns { study: name.to_owned() });
    };

    let replicates = config.bootstrap_replicates;
    let resamples = Resamples::groups(rows.groups(), replicates, derive(config.seed, Purpose::Bootstrap, 0))?;
    let comparing = Comparing { rows: &rows, resamples: &resamples, config, alpha: config.alpha() };
    let base = tables.first().filter(|(name, _)| name == baseline).map(|(_, runs)| runs.as_slice());
    let mut results = Vec::new();
    for (name, runs) in &tables {
        let base = base.filter(|_| name != baseline);
        results.push(comparing.variant(name, runs, base, teacher.as_ref(), device)?);
    }
    comparing.decide(&mut results)?;
    let teacher = teacher.map(|table| comparing.teacher(&table, device)).transpose()?;
    Ok(StudyResults {
        name: name.to_owned(),
        comparison: config.clone(),
        baseline: baseline.to_owned(),
        classes: rows.labels().names().to_vec(),
        support: (0..rows.num_classes()).map(|class| count(rows.targets(), class)).collect(),
        images: rows.len(),
        lesions: rows.num_groups(),
        split_hash: rows.split_hash().to_owned(),
        teacher,
        variants: results,
        failed: Vec::new(),
    })
}

fn count(targets: &[usize], class: usize) -> usize {
    targets.iter().filter(|&&target| target == class).count()
}

/// The metrics that are also computed without calibration, which changes no other one.
const UNCALIBRATED: [Metric; 2] = [Metric::Nll { clip: NLL_CLIP }, Metric::Ece { n_bins: 15 }];

/// What all comparisons of a study share.
struct Comparing<'a> {
    rows: &'a Predictions<Test>,
    resamples: &'a Resamples,
    config: &'a ComparisonConfig,
    alpha: f64,
}

impl Comparing<'_> {
    fn variant(
        &self,
        name: &str,
        runs: &[RunTable],
        base: Option<&[RunTable]>,
        teacher: Option<&RunTable>,
        device: &Device,
    ) -> Result<VariantResult, Error> {
        let (mut metrics, mut recall) = (Vec::new(), Vec::new());
        for set in self.sets() {
            let estimates = recipe_estimate(
                &set.of(runs),
                self.rows.targets(),
                &set.metrics,
                self.resamples,
                self.alpha,
            )?;
            let named = set.names.into_iter().zip(estimates);
            let named = named.map(|(name, estimate)| NamedEstimate { name, estimate });
            if set.recall { recall.extend(named) } else { metrics.extend(named) }
        }
        let mut retention = Vec::new();
        if let Some(teacher) = teacher {
            for set in self.sets().into_iter().filter(|set| !set.recall) {
                let (targets, teacher) = (self.rows.targets(), set.one(teacher));
                let shares = recipe_retention(
                    &set.of(runs),
                    teacher,
                    targets,
                    &set.metrics,
                    self.resamples,
                    self.alpha,
                )?;
                let named = set.names.into_iter().zip(shares);
                retention.extend(named.map(|(name, estimate)| NamedEstimate { name, estimate }));
            }
        }
        let (mut differences, mut recall_differences, mut pairing) = (Vec::new(), Vec::new(), None);
        if let Some(base) = base {
            pairing = (runs.len() > 1 && base.len() > 1).then(|| pairing_of(runs, base));
            for set in self.sets() {
                let of_set = self.differences(&set, runs, base, pairing)?;
                if set.recall { recall_differences.extend(of_set) } else { differences.extend(of_set) }
            }
        }
        let cost = match runs.first() {
            Some(run) => cost_of_run(&run.folder, self.config.latency_passes, device)?,
            None => None,
        };
        let run = |run: &RunTable| RunResult {
            folder: run.folder.clone(),
            seed: run.seed,
            temperature: run.temperature,
        };
        Ok(VariantResult {
            name: name.to_owned(),
            runs: runs.iter().map(run).collect(),
            metrics,
            recall,
            retention,
            differences,
            recall_differences,
            pairing,
            verdict: None,
            adjusted_p_value: None,
            cost,
        })
    }

    fn teacher(&self, table: &RunTable, device: &Device) -> Result<TeacherResult, Error> {
        let runs = std::slice::from_ref(table);
        let VariantResult { metrics, cost, .. } = self.variant("teacher", runs, None, None, device)?;
        Ok(TeacherResult { folder: table.folder.clone(), metrics, cost })
    }

    /// The differences of two sides, by runs and lesions where both have several runs.
    fn differences(
        &self,
        set: &MetricSet,
        runs: &[RunTable],
        base: &[RunTable],
        pairing: Option<RunPairing>,
    ) -> Result<Vec<Difference>, Error> {
        let targets = self.rows.targets();
        let Some(pairing) = pairing else {
            let (run, base) = pair_of_runs(runs, base);
            let (first, second) = (set.one(run), set.one(base));
            let paired = paired_bootstrap(first, second, targets, &set.metrics, self.resamples, self.alpha)?;
            let named = set.names.iter().zip(paired);
            return Ok(named
                .map(|(name, difference)| Difference {
                    name: name.clone(),
                    estimate: difference.estimate,
                    interval: difference.interval,
                    p_value: difference.p_value,
                    counts: CountedNoise::Lesions,
                    run_error: None,
                    lesion_error: None,
                })
                .collect());
        };
        let seed = derive(self.config.seed, Purpose::Bootstrap, 1);
        let bootstrap = TwoLevelBootstrap { resamples: self.resamples, pairing, seed, alpha: self.alpha };
        let compared = bootstrap.compare(&set.of(runs), &set.of(base), targets, &set.metrics)?;
        let named = set.names.iter().zip(compared);
        Ok(named
            .map(|(name, difference)| Difference {
                name: name.clone(),
                estimate: difference.estimate,
                interval: difference.interval,
                p_value: difference.p_value,
                counts: CountedNoise::RunsAndLesions,
                run_error: difference.run_error,
                lesion_error: difference.lesion_error,
            })
            .collect())
    }

    /// Gives every variant its word, by the metric that decides.
    fn decide(&self, results: &mut [VariantResult]) -> Result<(), Error> {
        let deciding = |result: &VariantResult| -> Option<Difference> {
            result.differences.iter().find(|difference| difference.name == self.config.metric).cloned()
        };
        let found: Vec<(usize, Difference)> = results
            .iter()
            .enumerate()
            .filter_map(|(place, result)| Some((place, deciding(result)?)))
            .collect();
        let differences: Vec<&Difference> = found.iter().map(|(_, difference)| difference).collect();
        let words = verdicts(&differences, self.config.more_is_better(), self.alpha)?;
        for ((place, _), (verdict, adjusted)) in found.iter().zip(words) {
            results[*place].verdict = Some(verdict);
            results[*place].adjusted_p_value = adjusted;
        }
        Ok(())
    }

    /// Everything that is computed of a run.
    fn sets(&self) -> [MetricSet; 3] {
        let names = |metrics: &[Metric]| metrics.iter().map(ToString::to_string).collect::<Vec<_>>();
        let recall = (0..self.rows.num_classes()).map(|class| Metric::Sensitivity { class });
        [
            MetricSet {
                names: names(&Metric::STANDARD),
                metrics: Metric::STANDARD.to_vec(),
                calibrated: true,
                recall: false,
            },
            MetricSet {
                names: UNCALIBRATED.iter().map(|metric| format!("uncalibrated_{metric}")).collect(),
                metrics: UNCALIBRATED.to_vec(),
                calibrated: false,
                recall: false,
            },
            MetricSet {
                names: self.rows.labels().names().to_vec(),
                metrics: recall.collect(),
                calibrated: true,
                recall: true,
            },
        ]
    }
}

/// Metrics that are computed together.
struct MetricSet {
    names: Vec<String>,
    metrics: Vec<Metric>,
    /// Of the calibrated probabilities, or of those as they are.
    calibrated: bool,
    /// Whether it is the recall of each class.
    recall: bool,
}

impl MetricSet {
    fn one<'a>(&self, run: &'a RunTable) -> &'a Probabilities {
        if self.calibrated { &run.calibrated } else { &run.uncalibrated }
    }

    fn of(&self, runs: &[RunTable]) -> Vec<Probabilities> {
        runs.iter().map(|run| self.one(run).clone()).collect()
    }
}

/// In pairs, where both sides have the same seeds; runs are sorted by them.
fn pairing_of(runs: &[RunTable], base: &[RunTable]) -> RunPairing {
    let seeds = |runs: &[RunTable]| runs.iter().map(|run| run.seed).collect::<Option<Vec<u64>>>();
    let distinct = |seeds: &Vec<u64>| seeds.iter().collect::<BTreeSet<_>>().len() == seeds.len();
    match (seeds(runs), seeds(base)) {
        (Some(own), Some(other)) if own == other && distinct(&own) => RunPairing::BySeed,
        _ => RunPairing::Independent,
    }
}

/// One run of each side, of one seed where there is such a pair.
fn pair_of_runs<'a>(runs: &'a [RunTable], base: &'a [RunTable]) -> (&'a RunTable, &'a RunTable) {
    let same = runs.iter().find_map(|run| {
        let seed = run.seed?;
        Some((run, base.iter().find(|other| other.seed == Some(seed))?))
    });
    same.unwrap_or((&runs[0], &base[0]))
}
