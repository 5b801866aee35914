use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use derm_core::Probabilities;
use derm_metrics::{ClassSet, auroc_ovr, balanced_accuracy};
use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::portable_rng::{PortableRng, Purpose};
use crate::schema::MissingPolicy;
use crate::{Dataset, Error, Record};

/// Parts into which the groups are divided, to predict each part from the others.
const FOLDS: usize = 5;

/// Groups that a class must have to be judged: fewer give a recall that says nothing.
const MIN_GROUPS: usize = 10;

/// Nominal miscoverage of the interval.
const ALPHA: f64 = 0.05;

/// The standard normal's quantile at 1 − α/2.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// How often an answer is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissingShare {
    /// The feature.
    pub feature: String,
    /// Share of the records without an answer.
    pub overall: f64,
    /// The same of each class, in the label map's order; `None` for a class without records.
    pub by_class: Vec<Option<f64>>,
}

/// How often a whole block is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmptyBlock {
    /// The block.
    pub block: String,
    /// Why the schema marks it as leaking, where it does.
    pub leak: Option<String>,
    /// Share of the records in which no question of the block is answered.
    pub overall: f64,
    /// The same of each class, in the label map's order; `None` for a class without records.
    pub by_class: Vec<Option<f64>>,
}

/// How well the class follows from which answers are missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissingnessPrediction {
    /// Mean recall of the judged classes, each record predicted by a model that did not see its group.
    pub balanced_accuracy: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// Nominal miscoverage of the interval.
    pub alpha: f64,
    /// Balanced accuracy without knowledge: 1 / number of judged classes.
    pub chance: f64,
    /// The judged classes, by index.
    pub classes: Vec<usize>,
    /// One-vs-rest AUROC of each judged class; 0.5 is chance.
    pub auroc: Vec<Option<f64>>,
    /// Whether the interval lies above chance: what is missing tells the class.
    pub leaks: bool,
}

/// What the report concludes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum LeakVerdict {
    /// No answer is missing in some records and given in others: missingness can tell nothing.
    NothingVaries,
    /// Fewer than two classes have enough groups to be judged: no number would mean anything.
    TooFewGroups {
        /// Groups that a class must have.
        needed: usize,
        /// How many classes have them.
        classes: usize,
    },
    /// It was measured.
    Measured(MissingnessPrediction),
}

/// How well missing answers alone predict the class: made with every [`Dataset::fit_schema`].
///
/// Where a questionnaire was filled in for some diagnoses only, a model reads the diagnosis from what is missing, and
/// fails where the questionnaire is used as it was meant to be. The report predicts the class from the missing answers
/// alone: naive Bayes on one indicator a feature (required features have none), with add-one smoothing and equal class
/// priors, on 5 folds that divide no group. Indicators that agree in all records count once. Classes with fewer than 10
/// groups are left out.
///
/// **Rule.** It leaks where the lower end of the 95 % interval of the out-of-fold balanced accuracy is above chance. The
/// interval is `BA ± 1.96 √((1 + k / (k − 1)) Σ_c p_c (1 − p_c) / (n_c + 2)) / C` with `k = 5` folds, C classes and
/// `p_c = (n_c · recall_c + 1) / (n_c + 2)`, where `n_c` counts groups, not records: a lesion with five images adds one
/// to it, and each of its images counts in the recall. With many records a leak too small to matter is found too;
/// `balanced_accuracy` and `auroc` tell its size. A leak that only shows in which answers are missing together, and in no
/// single one of them, is not found: naive Bayes cannot see it.
///
/// # Source
/// Manning, Raghavan, Schütze, Introduction to Information Retrieval (2008), section 13.3 (Bernoulli naive Bayes); the
/// variance with one success and one failure added to each class is that of Agresti and Caffo, The American Statistician
/// 54 (2000), the centre is not moved; the factor 1 + k / (k − 1) for folds that share their training records is that of
/// Nadeau and Bengio, Machine Learning 52 (2003).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakReport {
    /// Name of the schema.
    pub schema: String,
    /// The classes.
    pub classes: Vec<String>,
    /// Number of records.
    pub records: usize,
    /// Number of groups (lesions or patients).
    pub groups: usize,
    /// Each feature that may be missing.
    pub features: Vec<MissingShare>,
    /// Each block.
    pub blocks: Vec<EmptyBlock>,
    /// What follows.
    pub verdict: LeakVerdict,
}

impl LeakReport {
    /// The report on the records at `indices`.
    ///
    /// # Errors
    /// [`Error::RecordOutOfRange`], [`Error::EmptyDataset`] for no indices.
    pub fn of(dataset: &Dataset, indices: &[usize]) -> Result<Self, Error> {
        let records: Vec<&Record> =
            indices.iter().map(|&index| dataset.record(index)).collect::<Result<_, _>>()?;
        if records.is_empty() {
            return Err(Error::EmptyDataset { dataset: dataset.name().to_owned() });
        }
        let schema = dataset.schema();
        let num_classes = dataset.labels().num_classes();
        // [N][F], of all features.
        let missing: Vec<Vec<bool>> = records
            .par_iter()
            .map(|record| {
                let features = 0..schema.features().len();
                features.map(|feature| schema.text_of(feature, &record.answers).is_none()).collect()
            })
            .collect();
        let classes: Vec<usize> = records.iter().map(|record| record.class.get()).collect();
        let shares = |is_missing: &dyn Fn(&Vec<bool>) -> bool| {
            let (mut hits, mut counts) = (vec![0_usize; num_classes], vec![0_usize; num_classes]);
            for (row, &class) in missing.iter().zip(&classes) {
                counts[class] += 1;
                hits[class] += usize::from(is_missing(row));
            }
            let share = |(&hits, &count): (&usize, &usize)| (count > 0).then(|| hits as f64 / count as f64);
            let by_class = hits.iter().zip(&counts).map(share).collect();
            (hits.iter().sum::<usize>() as f64 / classes.len() as f64, by_class)
        };
        let may_be_missing: Vec<usize> = (0..schema.features().len())
            .filter(|&feature| schema.features()[feature].missing != MissingPolicy::Required)
            .collect();
        let features = may_be_missing.iter().map(|&feature| {
            let (overall, by_class) = shares(&|row| row[feature]);
            MissingShare { feature: schema.features()[feature].name.clone(), overall, by_class }
        });
        let features = features.collect();
        let blocks = schema.blocks().iter().map(|block| {
            let inside = |feature: &usize| schema.features()[*feature].block.as_deref() == Some(&block.name);
            let members: Vec<usize> = (0..schema.features().len()).filter(inside).collect();
            let (overall, by_class) =
                shares(&|row| !members.is_empty() && members.iter().all(|&feature| row[feature]));
            EmptyBlock { block: block.name.clone(), leak: block.leak.clone(), overall, by_class }
        });
        let blocks = blocks.collect();

        let groups: Vec<&str> = records.iter().map(|record| record.group()).collect();
        let rows = missing.iter().map(|row| may_be_missing.iter().map(|&feature| row[feature]).collect());
        let verdict = judge(&indicators(&rows.collect::<Vec<_>>()), &classes, &groups, num_classes)?;
        Ok(Self {
            schema: schema.name().to_owned(),
            classes: dataset.labels().names().to_vec(),
            records: records.len(),
            groups: groups.iter().collect::<BTreeSet<_>>().len(),
            features,
            blocks,
            verdict,
        })
    }

    /// Whether missing answers were found to tell the class.
    pub fn leaks(&self) -> bool {
        matches!(&self.verdict, LeakVerdict::Measured(MissingnessPrediction { leaks: true, .. }))
    }

    /// The conclusion in one line.
    pub fn summary(&self) -> String {
        let mut line = match &self.verdict {
            LeakVerdict::NothingVaries => "missing answers: none that could tell the class".to_owned(),
            LeakVerdict::TooFewGroups { needed, classes } => format!(
                "missing answers: not judged, {classes} of {} classes have {needed} lesions or patients or more",
                self.classes.len()
            ),
            LeakVerdict::Measured(measured) => {
                let MissingnessPrediction { balanced_accuracy, low, high, chance, leaks, classes, .. } =
                    measured;
                let verdict = if *leaks { "they tell the class" } else { "no sign that they tell the class" };
                format!(
                    "missing answers alone: balanced accuracy {balanced_accuracy:.3} [{low:.3}, {high:.3}] over {} \
                     classes, chance {chance:.3}: {verdict}",
                    classes.len()
                )
            }
        };
        let marked: Vec<&str> = self
            .blocks
            .iter()
            .filter(|block| block.leak.is_some())
            .map(|block| block.block.as_str())
            .collect();
        if !marked.is_empty() {
            line.push_str("; blocks that the schema marks as leaking: ");
            line.push_str(&marked.join(", "));
        }
        line
    }
}

/// The rows without indicators that never change and without those that repeat another.
fn indicators(rows: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let width = rows.first().map_or(0, Vec::len);
    let mut columns: BTreeSet<Vec<bool>> = BTreeSet::new();
    for feature in 0..width {
        let column: Vec<bool> = rows.iter().map(|row| row[feature]).collect();
        if column.iter().any(|&missing| missing != column[0]) {
            columns.insert(column);
        }
    }
    let columns: Vec<Vec<bool>> = columns.into_iter().collect();
    (0..rows.len()).map(|row| columns.iter().map(|column| column[row]).collect()).collect()
}

fn judge(
    rows: &[Vec<bool>],
    classes: &[usize],
    groups: &[&str],
    num_classes: usize,
) -> Result<LeakVerdict, Error> {
    if rows.first().is_none_or(Vec::is_empty) {
        return Ok(LeakVerdict::NothingVaries);
    }
    let mut groups_of: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); num_classes];
    for (&class, &group) in classes.iter().zip(groups) {
        groups_of[class].insert(group);
    }
    let judged: Vec<usize> = (0..num_classes).filter(|&class| groups_of[class].len() >= MIN_GROUPS).collect();
    if judged.len() < 2 {
        return Ok(LeakVerdict::TooFewGroups { needed: MIN_GROUPS, classes: judged.len() });
    }
    // From here on classes are positions in `judged`.
    let position = |class: usize| judged.iter().position(|&known| known == class);
    let members: Vec<(usize, usize)> =
        (0..rows.len()).filter_map(|row| position(classes[row]).map(|class| (row, class))).collect();
    let targets: Vec<usize> = members.iter().map(|&(_, class)| class).collect();
    let sizes: Vec<usize> = judged.iter().map(|&class| groups_of[class].len()).collect();
    let fold_of = folds(&members, groups, &sizes);

    let mut values = Array2::zeros((members.len(), judged.len()));
    for fold in 0..FOLDS {
        let training = members.iter().zip(&fold_of).filter(|&(_, &of)| of != fold);
        let model = NaiveBayes::fit(training.map(|(&(row, class), _)| (&rows[row], class)), judged.len());
        // Records miss the same answers by the thousand.
        let mut known: BTreeMap<&[bool], Vec<f64>> = BTreeMap::new();
        for (position, &(row, _)) in members.iter().enumerate().filter(|&(at, _)| fold_of[at] == fold) {
            let of_pattern = known.entry(&rows[row]).or_insert_with(|| model.probabilities(&rows[row]));
            values.row_mut(position).assign(&ArrayView1::from(&*of_pattern));
        }
    }
    let probabilities = Probabilities::new(values)?;
    let balanced_accuracy = balanced_accuracy(&probabilities, &targets, ClassSet::Present)?;
    let auroc = auroc_ovr(&probabilities, &targets)?;
    let (mut hits, mut counts) = (vec![0_usize; judged.len()], vec![0_usize; judged.len()]);
    for (predicted, &target) in probabilities.predicted().into_iter().zip(&targets) {
        counts[target] += 1;
        hits[target] += usize::from(predicted == target);
    }
    let variance = |class: usize| {
        let (recall, n) = (hits[class] as f64 / counts[class] as f64, sizes[class] as f64);
        let p = (n * recall + 1.0) / (n + 2.0);
        p * (1.0 - p) / (n + 2.0)
    };
    let num_judged = judged.len() as f64;
    let variance = (0..judged.len()).map(variance).sum::<f64>() / (num_judged * num_judged);
    // The folds' models share most of their training records, so that their errors go together.
    let shared_training = 1.0 + FOLDS as f64 / (FOLDS as f64 - 1.0);
    let spread = NORMAL_QUANTILE * (variance * shared_training).sqrt();
    let (low, high) = ((balanced_accuracy - spread).max(0.0), (balanced_accuracy + spread).min(1.0));
    let chance = 1.0 / num_judged;
    let leaks = low > chance;
    Ok(LeakVerdict::Measured(MissingnessPrediction {
        balanced_accuracy,
        low,
        high,
        alpha: ALPHA,
        chance,
        classes: judged,
        auroc,
        leaks,
    }))
}

/// The fold of each member, one for all of a group: the groups of each class, a group of several counting for its rarest,
/// are dealt out one by one in a seeded order.
fn folds(members: &[(usize, usize)], groups: &[&str], sizes: &[usize]) -> Vec<usize> {
    let mut class_of: BTreeMap<&str, usize> = BTreeMap::new();
    for &(row, class) in members {
        let known = class_of.entry(groups[row]).or_insert(class);
        if (sizes[class], class) < (sizes[*known], *known) {
            *known = class;
        }
    }
    let mut order: Vec<(&str, usize)> = class_of.into_iter().collect();
    PortableRng::new(0, Purpose::LeakFolds, 0, 0).shuffle(&mut order);
    order.sort_by_key(|&(_, class)| class);
    let fold_of: BTreeMap<&str, usize> =
        order.into_iter().enumerate().map(|(place, (group, _))| (group, place % FOLDS)).collect();
    members.iter().map(|&(row, _)| fold_of[groups[row]]).collect()
}

/// Naive Bayes on missing indicators, with equal class priors.
struct NaiveBayes {
    /// log P(missing | class) and log P(given | class), [C][F].
    log_likelihoods: Vec<Vec<[f64; 2]>>,
}

impl NaiveBayes {
    fn fit<'a>(rows: impl Iterator<Item = (&'a Vec<bool>, usize)>, num_classes: usize) -> Self {
        let mut counts = vec![0_usize; num_classes];
        let mut missing: Vec<Vec<usize>> = vec![Vec::new(); num_classes];
        for (row, class) in rows {
            counts[class] += 1;
            // Every class gets as many indicators as the rows have, one without rows too.
            for of_class in &mut missing {
                of_class.resize(row.len(), 0);
            }
            for (count, &is_missing) in missing[class].iter_mut().zip(row) {
                *count += usize::from(is_missing);
            }
        }
        let smoothed = |count: usize, total: usize| {
            let share = (count + 1) as f64 / (total + 2) as f64;
            [share.ln(), (1.0 - share).ln()]
        };
        let of_class = |(missing, &total): (&Vec<usize>, &usize)| {
            missing.iter().map(|&count| smoothed(count, total)).collect()
        };
        Self { log_likelihoods: missing.iter().zip(&counts).map(of_class).collect() }
    }

    fn probabilities(&self, row: &[bool]) -> Vec<f64> {
        let scores: Vec<f64> = self
            .log_likelihoods
            .iter()
            .map(|of_class| {
                of_class.iter().zip(row).map(|(logs, &missing)| logs[usize::from(!missing)]).sum()
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / total).collect()
    }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schema, classes, records, groups, features, blocks, verdict } = self;
        writeln!(f, "questionnaire `{schema}`: {records} records of {groups} lesions or patients")?;
        write!(f, "{}", self.summary())?;
        if let LeakVerdict::Measured(measured) = verdict {
            write!(f, "\nAUROC from missing answers:")?;
            for (&class, auroc) in measured.classes.iter().zip(&measured.auroc) {
                let auroc = auroc.map_or("undefined".to_owned(), |auroc| format!("{auroc:.3}"));
                write!(f, " {} {auroc}", classes[class])?;
            }
        }
        let row = |f: &mut fmt::Formatter<'_>, name: &str, overall: f64, by_class: &[Option<f64>]| {
            write!(f, "\n{name:<32}{overall:>8.3}")?;
            for (share, class) in by_class.iter().zip(classes) {
                let share = share.map_or("-".to_owned(), |share| format!("{share:.3}"));
                write!(f, " {share:>width$}", width = class.chars().count().max(7))?;
            }
            Ok::<(), fmt::Error>(())
        };
        write!(f, "\n{:<32}{:>8}", "share missing", "all")?;
        for class in classes {
            write!(f, " {class:>7}")?;
        }
        for EmptyBlock { block, overall, by_class, leak } in blocks {
            let mark = if leak.is_some() { " (marked)" } else { "" };
            row(f, &format!("all of `{block}`{mark}"), *overall, by_class)?;
        }
        for MissingShare { feature, overall, by_class } in features.iter().filter(|one| one.overall > 0.0) {
            row(f, feature, *overall, by_class)?;
        }
        for EmptyBlock { block, leak, .. } in blocks {
            if let Some(reason) = leak {
                write!(f, "\n`{block}`: {reason}")?;
            }
        }
        Ok(())
    }
}
