//! What a dataset holds, in numbers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::{Dataset, Record};

/// What a dataset holds and what was left out of it. `Display` is a table for people.
///
/// ```
/// use derm_data::SyntheticConfig;
/// let dataset = SyntheticConfig { num_lesions: 80, image_size: 16, ..SyntheticConfig::default() }.generate()?;
/// let summary = dataset.summary();
/// assert_eq!(summary.records, dataset.records().len());
/// assert_eq!(summary.classes.iter().map(|class| class.records).sum::<usize>(), summary.records);
/// assert!(summary.to_string().contains("answer"));
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetSummary {
    /// The dataset's name.
    pub dataset: String,
    /// Number of records.
    pub records: usize,
    /// Number of records with an image.
    pub images: usize,
    /// Number of records with a soft label.
    pub soft_labels: usize,
    /// Number of records with a text.
    pub texts: usize,
    /// Number of groups: patients, and lesions of unknown patients.
    pub groups: usize,
    /// Number of patients that are known.
    pub patients: usize,
    /// Number of cases.
    pub cases: usize,
    /// Number of lesions.
    pub lesions: usize,
    /// The classes in the label map's order.
    pub classes: Vec<ClassSummary>,
    /// The questions in the schema's order.
    pub answers: Vec<AnswerSummary>,
    /// Why records were left out, the commonest reason first.
    pub skipped: Vec<SkippedReason>,
}

/// What a dataset holds of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassSummary {
    /// Its name.
    pub label: String,
    /// Number of records.
    pub records: usize,
    /// Number of groups with such a record.
    pub groups: usize,
}

/// How often a question was not answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswerSummary {
    /// The feature.
    pub feature: String,
    /// Number of records without an answer.
    pub missing: usize,
    /// Their share of all records, 0 to 1.
    pub missing_share: f64,
}

/// A reason for which records were left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedReason {
    /// The reason, without file, line and id.
    pub reason: String,
    /// Number of records, or of rows that became none.
    pub count: usize,
    /// The first of them.
    pub example: String,
}

impl Dataset {
    /// Counts by class, groups, missing answers and what was left out.
    pub fn summary(&self) -> DatasetSummary {
        let records = self.records();
        let distinct = |name: fn(&Record) -> Option<&str>| {
            records.iter().filter_map(name).collect::<BTreeSet<_>>().len()
        };
        let mut groups = vec![BTreeSet::new(); self.labels().num_classes()];
        for record in records {
            groups[record.class.get()].insert(record.group());
        }
        let counted = self.labels().names().iter().zip(self.class_counts()).zip(&groups);
        let classes = counted.map(|((label, records), groups)| ClassSummary {
            label: label.clone(),
            records,
            groups: groups.len(),
        });
        DatasetSummary {
            dataset: self.name().to_owned(),
            records: records.len(),
            images: records
                .iter()
                .filter(|record| !matches!(record.image, crate::ImageSource::Absent))
                .count(),
            soft_labels: records.iter().filter(|record| record.soft_label.is_some()).count(),
            texts: records.iter().filter(|record| record.text.is_some()).count(),
            groups: distinct(|record| Some(record.group())),
            patients: distinct(|record| record.patient.as_deref()),
            cases: distinct(|record| Some(&record.case)),
            lesions: distinct(|record| Some(&record.lesion)),
            classes: classes.collect(),
            answers: self.missing_answers(),
            skipped: self.skipped_reasons(),
        }
    }

    fn missing_answers(&self) -> Vec<AnswerSummary> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for record in self.records() {
            for feature in self.schema().missing(&record.answers) {
                *counts.entry(feature).or_default() += 1;
            }
        }
        let summary = |name: &String| {
            let missing = counts.get(name.as_str()).copied().unwrap_or_default();
            let missing_share = missing as f64 / self.records().len().max(1) as f64;
            AnswerSummary { feature: name.clone(), missing, missing_share }
        };
        self.schema().features().iter().map(|feature| summary(&feature.name)).collect()
    }

    fn skipped_reasons(&self) -> Vec<SkippedReason> {
        let mut reasons: BTreeMap<String, (usize, &str)> = BTreeMap::new();
        for skipped in self.skipped() {
            let reason = without_place(&skipped.reason, &skipped.key);
            reasons.entry(reason).or_insert((0, &skipped.key)).0 += 1;
        }
        let summary = |(reason, (count, example)): (String, (usize, &str))| SkippedReason {
            reason,
            count,
            example: example.to_owned(),
        };
        let mut reasons: Vec<SkippedReason> = reasons.into_iter().map(summary).collect();
        reasons.sort_by_key(|reason| Reverse(reason.count));
        reasons
    }
}

/// A reason without the file, the lines and the id, by which one and the same differs from row to row.
fn without_place(reason: &str, key: &str) -> String {
    let mut text = reason;
    if let Some((before, after)) = text.split_once(", line ") {
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        // The separator behind the number is ": " or ", ".
        if digits > 0 && before.contains(['/', '\\', '.']) {
            text = after[digits..].trim_start_matches([':', ',']).trim_start();
        }
    } else if let Some((before, after)) = text.split_once(": ")
        && before.contains(['/', '\\'])
    {
        text = after;
    }
    let mut text = text.replace(&format!("{key:?}"), "…");
    // The line of another row, as of the first one with an id.
    if let Some(start) = text.find("line ").map(|start| start + "line ".len()) {
        let digits = text[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - start);
        text.replace_range(start..start + digits, "…");
    }
    text
}

impl fmt::Display for DatasetSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, records, images, groups, patients, cases, lesions, soft_labels, texts, .. } =
            self;
        writeln!(
            f,
            "{dataset}: {records} records ({images} with an image, {soft_labels} with a soft label)"
        )?;
        if *texts > 0 {
            writeln!(f, "{texts} records with a text")?;
        }
        writeln!(f, "{groups} groups, {patients} known patients, {cases} cases, {lesions} lesions")?;
        let classes = self.classes.iter().map(|class| {
            let share = class.records as f64 / self.records.max(1) as f64;
            [class.label.clone(), class.records.to_string(), format!("{share:.3}"), class.groups.to_string()]
        });
        table(f, ["class", "records", "share", "groups"], classes.collect())?;
        let answers = self.answers.iter().map(|answer| {
            [answer.feature.clone(), answer.missing.to_string(), format!("{:.3}", answer.missing_share)]
        });
        table(f, ["answer", "missing", "share"], answers.collect())?;
        if !self.skipped.is_empty() {
            writeln!(f, "\nleft out")?;
        }
        let count = |skipped: &SkippedReason| skipped.count.to_string();
        let width = self.skipped.iter().map(|skipped| count(skipped).len()).max().unwrap_or_default();
        for skipped in &self.skipped {
            writeln!(f, "{:>width$}  {} (such as {})", count(skipped), skipped.reason, skipped.example)?;
        }
        Ok(())
    }
}

/// Lines with columns of equal width: the first to the left, the others to the right. Nothing where there is no row.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    header: [&str; N],
    rows: Vec<[String; N]>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(rows);
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    writeln!(f)?;
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            if column == 0 {
                write!(f, "{cell:<width$}")?;
            } else {
                write!(f, "  {cell:>width$}")?;
            }
        }
        writeln!(f)?;
    }
    Ok(())
}
