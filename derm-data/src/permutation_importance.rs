use std::collections::BTreeMap;
use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};
use crate::{Error, FeatureSchema};

/// What is permuted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermutationUnit {
    /// All columns of a feature, the one for a missing answer included.
    #[default]
    Features,
    /// All columns of a block; features in no block are left alone.
    Blocks,
}

/// How much a score loses when the answers to a question change places between patients: what to trim a questionnaire by.
///
/// The importance is `score of the rows − score of the permuted rows`. It says what a given model makes of a question,
/// not what the question could tell: of two questions that say the same, each alone may look needless, so permute
/// [`Blocks`](PermutationUnit::Blocks) as well. A repeat permutes every feature alike, as scikit-learn does.
///
/// Groups (lesions or patients) change places whole: each record of a group gets the answers of records of one other
/// group, in their order and from the start where they run out. So images of one lesion keep answers that belong
/// together. With a group a record this is a permutation of the records.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `unit` | features | what is permuted together | |
/// | `repeats` | 5 | permutations (scikit-learn's default) | ≥ 1 |
/// | `seed` | 0 | seed of the permutations | any |
///
/// # Source
/// Breiman, Random forests, Machine Learning 45 (2001), section 10; conventions as in scikit-learn's
/// `permutation_importance` (baseline minus permuted score, population standard deviation over the repeats).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PermutationImportanceConfig {
    /// What is permuted together.
    pub unit: PermutationUnit,
    /// Number of permutations.
    pub repeats: usize,
    /// Seed of the permutations.
    pub seed: u64,
}

impl Default for PermutationImportanceConfig {
    fn default() -> Self {
        Self { unit: PermutationUnit::Features, repeats: 5, seed: 0 }
    }
}

/// The importance of one feature or block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// The feature or block.
    pub name: String,
    /// Mean over the repeats.
    pub mean: f64,
    /// Standard deviation over the repeats, with their number in the denominator.
    pub std: f64,
    /// Baseline minus the permuted score, of each repeat.
    pub repeats: Vec<f64>,
}

/// The importances of a questionnaire's parts. As text it is a table, the most important first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PermutationImportance {
    /// The score of the rows as they are.
    pub baseline: f64,
    /// Features or blocks in the schema's order.
    pub importances: Vec<Importance>,
}

impl PermutationImportanceConfig {
    /// Measures encoded answers [N, Q] with one group a row. `score` gets rows [N, Q] in the order in which they came.
    ///
    /// # Errors
    /// [`Error::Setting`] for no repeats or no rows, [`Error::EncodedWidth`] for rows of another width, [`Error::Score`] for a
    /// score that is not finite, and what `score` gives.
    pub fn measure<S: AsRef<str>, E: From<Error>>(
        &self,
        schema: &FeatureSchema,
        rows: &Array2<f32>,
        groups: &[S],
        score: impl FnMut(&Array2<f32>) -> Result<f64, E>,
    ) -> Result<PermutationImportance, E> {
        if self.repeats == 0 {
            return Err(setting("permutation_importance.repeats", self.repeats, "at least 1").into());
        }
        if groups.len() != rows.nrows() {
            return Err(setting("number of groups", groups.len(), "one a row").into());
        }
        let sources: Vec<Vec<usize>> = (0..self.repeats).map(|repeat| self.sources(groups, repeat)).collect();
        PermutationImportance::of_permutations(schema, self.unit, rows, &sources, score)
    }

    /// The row from which each row gets its answers.
    fn sources<S: AsRef<str>>(&self, groups: &[S], repeat: usize) -> Vec<usize> {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, group) in groups.iter().enumerate() {
            members.entry(group.as_ref()).or_default().push(row);
        }
        let members: Vec<Vec<usize>> = members.into_values().collect();
        let mut donors: Vec<usize> = (0..members.len()).collect();
        PortableRng::new(self.seed, Purpose::PermutationImportance, repeat as u64, 0).shuffle(&mut donors);
        let mut sources = vec![0; groups.len()];
        for (rows, donor) in members.iter().zip(donors) {
            for (row, source) in rows.iter().zip(members[donor].iter().cycle()) {
                sources[*row] = *source;
            }
        }
        sources
    }
}

impl PermutationImportance {
    /// Measures with permutations of one's own, one a repeat: row `i` gets the answers of row `permutation[i]`.
    ///
    /// # Errors
    /// As [`PermutationImportanceConfig::measure`]; [`Error::Setting`] for no permutation, or one that does not name a row
    /// for each row.
    pub fn of_permutations<E: From<Error>>(
        schema: &FeatureSchema,
        unit: PermutationUnit,
        rows: &Array2<f32>,
        permutations: &[Vec<usize>],
        mut score: impl FnMut(&Array2<f32>) -> Result<f64, E>,
    ) -> Result<Self, E> {
        let (count, width) = rows.dim();
        if width != schema.width() {
            return Err(Error::EncodedWidth { got: width, expected: schema.width() }.into());
        }
        if count == 0 {
            return Err(setting("number of rows", count, "at least 1").into());
        }
        let fits = |sources: &Vec<usize>| sources.len() == count && sources.iter().all(|&row| row < count);
        if permutations.is_empty() || !permutations.iter().all(fits) {
            return Err(
                setting("permutations", permutations.len(), "one or more, each with a row a row").into()
            );
        }
        let mut scored = |rows: &Array2<f32>| -> Result<f64, E> {
            let value = score(rows)?;
            if value.is_finite() { Ok(value) } else { Err(Error::Score { value }.into()) }
        };
        let baseline = scored(rows)?;
        let mut importances = Vec::new();
        for (name, columns) in units(schema, unit) {
            let mut repeats = Vec::with_capacity(permutations.len());
            for sources in permutations {
                let mut permuted = rows.clone();
                for (row, &source) in sources.iter().enumerate() {
                    for &column in &columns {
                        permuted[[row, column]] = rows[[source, column]];
                    }
                }
                repeats.push(baseline - scored(&permuted)?);
            }
            let mean = repeats.iter().sum::<f64>() / repeats.len() as f64;
            let square = repeats.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
            let std = (square / repeats.len() as f64).sqrt();
            importances.push(Importance { name, mean, std, repeats });
        }
        Ok(Self { baseline, importances })
    }
}

/// Each feature or block with its columns.
fn units(schema: &FeatureSchema, unit: PermutationUnit) -> Vec<(String, Vec<usize>)> {
    let groups = schema.column_groups();
    let mut units: Vec<(String, Vec<usize>)> = Vec::new();
    for (feature, group) in schema.features().iter().zip(groups) {
        let name = match (unit, &feature.block) {
            (PermutationUnit::Features, _) => &feature.name,
            (PermutationUnit::Blocks, Some(block)) => block,
            (PermutationUnit::Blocks, None) => continue,
        };
        let columns = group.start..group.start + group.columns;
        match units.iter_mut().find(|(known, _)| unit == PermutationUnit::Blocks && known == name) {
            Some((_, known)) => known.extend(columns),
            None => units.push((name.clone(), columns.collect())),
        }
    }
    units
}

impl fmt::Display for PermutationImportance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut order: Vec<&Importance> = self.importances.iter().collect();
        // The sort is stable: equal importances stay in the schema's order.
        order.sort_by(|a, b| b.mean.total_cmp(&a.mean));
        write!(f, "baseline {:.4}", self.baseline)?;
        for Importance { name, mean, std, .. } in order {
            write!(f, "\n{mean:>8.4} ± {std:.4}  {name}")?;
        }
        Ok(())
    }
}
