use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use derm_core::{Predictions, Test, atomic};
use derm_data::{Dataset, ImageSource, Record};
use derm_metrics::{ConfidentJoint, LabelIssueFilter, LabelQualityScore, accuracy, label_issues};
use derm_report::{Report, Section, SuspectItem};
use serde::Serialize;

use crate::Error;
use crate::record_image::{pixels, small_png};

/// Longer side of the pictures in the gallery, in pixels.
const SMALL: u32 = 112;

/// How labels are judged.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `filter` | `prune_by_noise_rate` | which labels are flagged |
/// | `score` | `normalized_margin` | by what they are ranked |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VettingConfig {
    /// Which labels are flagged.
    pub filter: LabelIssueFilter,
    /// By what they are ranked.
    pub score: LabelQualityScore,
}

impl Default for VettingConfig {
    fn default() -> Self {
        Self { filter: LabelIssueFilter::PruneByNoiseRate, score: LabelQualityScore::NormalizedMargin }
    }
}

/// One record with what its label is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VettedLabel {
    /// Its place, from 1; the most suspect first.
    pub rank: usize,
    /// The record.
    pub id: String,
    /// Its lesion or patient.
    pub group: String,
    /// The class that it is given.
    pub given: String,
    /// The most probable class.
    pub suggested: String,
    /// How well the given label fits, in [0, 1]; low is suspect.
    pub quality: f64,
    /// Probability of the given class.
    pub given_probability: f64,
    /// Probability of the most probable class.
    pub suggested_probability: f64,
    /// Whether the filter says that it should be looked at again.
    pub flagged: bool,
}

/// All records by how suspect their labels are, by confident learning.
///
/// A suspicion is no proof: a network errs most on rare and on hard classes, and a flagged label of those is often right.
/// A person decides ([`LabelDecisions`](crate::LabelDecisions)).
#[derive(Debug, Clone, Serialize)]
pub struct LabelVetting {
    /// How labels were judged.
    pub config: VettingConfig,
    /// Share of labels that are wrong by the estimate of confident learning. A network that errs much makes it too high.
    pub estimated_noise: f64,
    /// Share of labels that are the network's most probable class.
    pub agreement: f64,
    /// The records, most suspect first; equal ones in the order of the table.
    pub labels: Vec<VettedLabel>,
}

impl LabelVetting {
    /// Judges the labels of out-of-fold predictions: each row must come from a network that did not learn from it.
    ///
    /// # Errors
    /// [`Error::Metrics`] for a task of one class.
    pub fn new(predictions: &Predictions<Test>, config: VettingConfig) -> Result<Self, Error> {
        let (probabilities, given) = (predictions.probabilities(), predictions.targets());
        let quality = config.score.scores(&probabilities, given)?;
        let issues = label_issues(&probabilities, given, config.filter, config.score)?;
        let flagged: BTreeSet<usize> = issues.iter().map(|issue| issue.row).collect();
        let joint = ConfidentJoint::new(&probabilities, given)?.estimated_joint();
        let predicted = probabilities.predicted();
        let mut order: Vec<usize> = (0..predictions.len()).collect();
        order.sort_by(|&a, &b| quality[a].total_cmp(&quality[b]));
        let names = predictions.labels().names();
        let label = |(place, row): (usize, usize)| VettedLabel {
            rank: place + 1,
            id: predictions.ids()[row].clone(),
            group: predictions.groups()[row].clone(),
            given: names[given[row]].clone(),
            suggested: names[predicted[row]].clone(),
            quality: quality[row],
            given_probability: probabilities.view()[[row, given[row]]],
            suggested_probability: probabilities.view()[[row, predicted[row]]],
            flagged: flagged.contains(&row),
        };
        Ok(Self {
            config,
            estimated_noise: (1.0 - joint.diag().sum()).max(0.0),
            agreement: accuracy(&probabilities, given)?,
            labels: order.into_iter().enumerate().map(label).collect(),
        })
    }

    /// The flagged labels, most suspect first.
    pub fn suspects(&self) -> impl Iterator<Item = &VettedLabel> {
        self.labels.iter().filter(|label| label.flagged)
    }

    /// Writes every record with its rank as CSV.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write_ranking(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Ok(atomic::write_file(path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            for label in &self.labels {
                writer.serialize(label).map_err(io::Error::other)?;
            }
            writer.flush()
        })?)
    }

    /// Writes the flagged labels as CSV for a person to decide on: `decision` says `keep` and is changed to `relabel` or
    /// `drop`; for `relabel`, `label` is the right class, at first the suggested one.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write_decisions(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Ok(atomic::write_file(path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(["id", "decision", "label", "given", "quality"]).map_err(io::Error::other)?;
            for label in self.suspects() {
                let quality = label.quality.to_string();
                let cells = [&label.id, "keep", &label.suggested, &label.given, &quality];
                writer.write_record(cells).map_err(io::Error::other)?;
            }
            writer.flush()
        })?)
    }

    /// A page of the `most` most suspect flagged records: small pictures of `dataset`, given and suggested label, quality.
    ///
    /// # Errors
    /// [`Error::Data`] where a picture cannot be read; [`Error::UnknownRecord`] for a record that the dataset lacks.
    pub fn gallery(
        &self,
        predictions: &Predictions<Test>,
        dataset: &Dataset,
        most: usize,
    ) -> Result<Report, Error> {
        let records: BTreeMap<&str, &Record> =
            dataset.records().iter().map(|record| (record.id.as_str(), record)).collect();
        let rows: BTreeMap<&str, usize> =
            predictions.ids().iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
        let (probabilities, names) = (predictions.probabilities(), predictions.labels().names());
        let mut items = Vec::new();
        for label in self.suspects().take(most) {
            let unknown = || Error::UnknownRecord { id: label.id.clone() };
            let record = records.get(label.id.as_str()).ok_or_else(unknown)?;
            let &row = rows.get(label.id.as_str()).ok_or_else(unknown)?;
            let image = match &record.image {
                ImageSource::Absent => None,
                _ => Some(small_png(&pixels(record)?, SMALL, &record.id)?),
            };
            let ranking = probabilities.ranking(row).into_iter().take(3);
            items.push(SuspectItem {
                image,
                caption: label.id.clone(),
                rank: label.rank,
                given: label.given.clone(),
                suggested: label.suggested.clone(),
                quality: label.quality,
                ranking: ranking
                    .map(|class| (names[class].clone(), probabilities.view()[[row, class]]))
                    .collect(),
            });
        }
        let (flagged, all) = (self.suspects().count(), self.labels.len());
        let section = Section::new("Suspects")
            .text(format!(
                "{flagged} of {all} labels are flagged; the {} most suspect are shown. The rate of wrong labels is estimated \
                 as {:.3}; the network gives {:.3} of all labels itself, and where it errs much, so does this list. \
                 Probabilities are those of a network that did not see the lesion or patient.",
                items.len(),
                self.estimated_noise,
                self.agreement,
            ))
            .note("A suspicion is no proof: a network errs most on rare and hard classes. A person decides.");
        Ok(Report::new("Labels to look at again")
            .lead(format!("{}: labels ranked by confident learning.", dataset.name()))
            .section(section.suspects(items)))
    }
}
