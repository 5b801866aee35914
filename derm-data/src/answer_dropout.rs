use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::setting;
use crate::portable_rng::{PortableRng, Purpose};
use crate::schema::MissingPolicy;
use crate::{Answers, Error, FeatureSchema};

/// How well a model does without answers: a sweep over shares of answers that are taken away.
///
/// At level p, of each feature's n given answers round(p · n) are taken away, by one seeded order of the records a
/// feature. So the levels are nested: an answer that is missing at 0.2 is missing at 0.3. Answers that were missing
/// anyway stay missing. The order depends on seed, repeat and the feature's name alone, so that a trimmed questionnaire
/// loses the same answers of what it keeps. Required features are never taken away, and are named in the result.
///
/// Records are drawn one by one: where several records show one case and share its answers, pass one a case.
///
/// | field | default | purpose | range |
/// |---|---|---|---|
/// | `levels` | 0, 0.1, …, 0.7 | shares of the given answers that are taken away | one or more, each in [0, 1] |
/// | `repeats` | 5 | draws a level; level 0 needs one | ≥ 1 |
/// | `seed` | 0 | seed of the draws | any |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerDropoutConfig {
    /// Shares of the given answers that are taken away, each in [0, 1].
    pub levels: Vec<f64>,
    /// Draws a level.
    pub repeats: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for AnswerDropoutConfig {
    fn default() -> Self {
        Self { levels: (0..=7).map(|tenths| f64::from(tenths) / 10.0).collect(), repeats: 5, seed: 0 }
    }
}

/// The score at one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerDropoutLevel {
    /// Share of each feature's given answers that were taken away.
    pub level: f64,
    /// Share of the answers that are then missing, those that were missing anyway included; of the features that may be
    /// missing.
    pub missing_share: f64,
    /// Mean score over the repeats.
    pub mean: f64,
    /// Lowest score of the repeats.
    pub min: f64,
    /// Highest score of the repeats.
    pub max: f64,
}

/// The scores of an [`AnswerDropoutConfig::sweep`]. As text it is a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerDropoutSweep {
    /// The levels, in the order of the config.
    pub levels: Vec<AnswerDropoutLevel>,
    /// Features that are required and were never taken away.
    pub never_dropped: Vec<String>,
    /// Draws a level.
    pub repeats: usize,
}

impl AnswerDropoutConfig {
    /// Scores the answers at every level. `score` gets the answers in the order in which they came, and encodes them.
    ///
    /// ```
    /// use derm_data::{AnswerDropoutConfig, Answers, Error, schema};
    /// let schema = schema::ham10000()?;
    /// let ages: Vec<Answers> = (20..60).map(|age| Answers::from([("age".into(), age.to_string())])).collect();
    /// let sweep = AnswerDropoutConfig::default().sweep(&schema, &ages.iter().collect::<Vec<_>>(), |answers| {
    ///     // A model that is right where it knows the age.
    ///     let right = answers.iter().filter(|one| one.contains_key("age")).count();
    ///     Ok::<f64, Error>(right as f64 / answers.len() as f64)
    /// })?;
    /// assert_eq!(sweep.levels[7].mean, 0.3);
    /// // Two of three answers were missing anyway.
    /// assert_eq!(sweep.levels[7].missing_share, 0.9);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`] for a config out of range or no records, [`Error::Score`] for a score that is not finite, and
    /// what `score` gives.
    pub fn sweep<E: From<Error>>(
        &self,
        schema: &FeatureSchema,
        answers: &[&Answers],
        mut score: impl FnMut(&[Answers]) -> Result<f64, E>,
    ) -> Result<AnswerDropoutSweep, E> {
        self.validate(answers.len())?;
        let mut levels = Vec::with_capacity(self.levels.len());
        for &level in &self.levels {
            // Nothing is drawn at level 0: every repeat would be the same.
            let repeats = if level == 0.0 { 1 } else { self.repeats };
            let (mut scores, mut missing_share) = (Vec::with_capacity(repeats), 0.0);
            for repeat in 0..repeats {
                let (kept, share) = self.draw(schema, answers, level, repeat);
                let value = score(&kept)?;
                if !value.is_finite() {
                    return Err(Error::Score { value }.into());
                }
                scores.push(value);
                // The same at each repeat: so many are taken away, whichever they are.
                missing_share = share;
            }
            levels.push(AnswerDropoutLevel {
                level,
                missing_share,
                mean: scores.iter().sum::<f64>() / repeats as f64,
                min: scores.iter().copied().fold(f64::INFINITY, f64::min),
                max: scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            });
        }
        let never_dropped =
            schema.features().iter().filter(|feature| feature.missing == MissingPolicy::Required);
        let never_dropped = never_dropped.map(|feature| feature.name.clone()).collect();
        Ok(AnswerDropoutSweep { levels, never_dropped, repeats: self.repeats })
    }

    fn validate(&self, records: usize) -> Result<(), Error> {
        if self.levels.is_empty() || !self.levels.iter().all(|level| (0.0..=1.0).contains(level)) {
            let levels = format!("{:?}", self.levels);
            return Err(setting("answer_dropout.levels", levels, "one or more shares in [0, 1]"));
        }
        if self.repeats == 0 {
            return Err(setting("answer_dropout.repeats", self.repeats, "at least 1"));
        }
        if records == 0 {
            return Err(setting("number of records", records, "at least 1"));
        }
        Ok(())
    }

    /// The answers that stay at a level, and the share that is missing.
    fn draw(
        &self,
        schema: &FeatureSchema,
        answers: &[&Answers],
        level: f64,
        repeat: usize,
    ) -> (Vec<Answers>, f64) {
        let mut kept: Vec<Answers> = answers.iter().map(|&one| one.clone()).collect();
        let (mut asked, mut there) = (0, 0);
        for (index, feature) in schema.features().iter().enumerate() {
            if feature.missing == MissingPolicy::Required {
                continue;
            }
            let given = |row: &usize| schema.text_of(index, answers[*row]).is_some();
            let mut rows: Vec<usize> = (0..answers.len()).filter(given).collect();
            let stream = name_hash(&feature.name);
            PortableRng::new(self.seed, Purpose::AnswerDropout, repeat as u64, stream).shuffle(&mut rows);
            let dropped = (level * rows.len() as f64).round() as usize;
            for &row in &rows[..dropped] {
                kept[row].remove(&feature.name);
            }
            asked += answers.len();
            there += rows.len() - dropped;
        }
        let share = if asked == 0 { 0.0 } else { (asked - there) as f64 / asked as f64 };
        (kept, share)
    }
}

/// FNV-1a: a number for a name, the same on every machine.
fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for AnswerDropoutSweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>8}{:>9}{:>8}{:>8}{:>8}", "dropped", "missing", "mean", "lowest", "highest")?;
        for AnswerDropoutLevel { level, missing_share, mean, min, max } in &self.levels {
            writeln!(f, "{level:>8.2}{missing_share:>9.3}{mean:>8.3}{min:>8.3}{max:>8.3}")?;
        }
        write!(f, "{} draws a level", self.repeats)?;
        if !self.never_dropped.is_empty() {
            write!(f, "; required, never dropped: {}", self.never_dropped.join(", "))?;
        }
        Ok(())
    }
}
