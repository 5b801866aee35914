use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use derm_core::{FileError, atomic};
use derm_report::{Report, Section};
use serde::Serialize;

use crate::evaluation::{csv_tables, sections};
use crate::{
    Assessment, Breakdown, Efficiency, Error, Robustness, TaskAssessment, TeacherComparison, ViewComparison,
};

/// Everything that is known about one model, ready to be written: as `metrics.json`, as CSV tables and as a report.
///
/// The first two parts come from predictions alone; the others are there where they were measured.
#[derive(Debug, Clone, Serialize)]
pub struct ModelEvaluation {
    /// The model's name.
    pub name: String,
    /// Calibrator, policy, metrics and tiers.
    #[serde(flatten)]
    pub assessment: Assessment,
    /// Sets, operating points, subgroups and confusions.
    #[serde(flatten)]
    pub breakdown: Breakdown,
    /// The tasks beside the diagnosis, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, TaskAssessment>,
    /// What averaging over views is worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<ViewComparison>,
    /// How it holds on worse images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robustness: Option<Robustness>,
    /// What it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efficiency: Option<Efficiency>,
    /// How it stands beside its teacher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherComparison>,
}

impl ModelEvaluation {
    /// What the predictions say; the rest is not measured yet.
    pub fn new(name: impl Into<String>, assessment: Assessment, breakdown: Breakdown) -> Self {
        let name = name.into();
        let tasks = BTreeMap::new();
        Self {
            name,
            assessment,
            breakdown,
            tasks,
            views: None,
            robustness: None,
            efficiency: None,
            teacher: None,
        }
    }

    /// Writes the folder: `metrics.json`, `report.html` and `tables/*.csv`, one file a table. Files that are there are
    /// replaced, each whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] where something cannot be written, [`Error::Report`] where something cannot be drawn.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        let tables = folder.join("tables");
        fs::create_dir_all(&tables).map_err(FileError::at(&tables, "create"))?;
        atomic::write_file(folder.join("metrics.json"), |file| {
            serde_json::to_writer_pretty(&mut *file, self).map_err(io::Error::from)?;
            file.write_all(b"\n")
        })?;
        for table in csv_tables::all(self) {
            table.write(&tables)?;
        }
        Ok(self.report()?.write(folder.join("report.html"))?)
    }

    /// The report.
    ///
    /// # Errors
    /// [`Error::Report`] where something cannot be drawn.
    pub fn report(&self) -> Result<Report, Error> {
        let Self { name, assessment, breakdown, .. } = self;
        let labels: Vec<String> =
            assessment.calibrated.classes.iter().map(|class| class.label.clone()).collect();
        let calibrated = &assessment.calibrated;
        let mut report = Report::new(name.clone())
            .lead(format!(
                "Measured on {} test images of {} groups (lesions or patients).",
                calibrated.samples, calibrated.groups
            ))
            .section(sections::metrics(assessment)?)
            .section(sections::classes(&[(name, calibrated)], &labels)?)
            .section(sections::calibration(assessment)?)
            .section(sections::prediction_sets(&breakdown.sets, &labels)?)
            .section(sections::decisions(assessment, &[(name, &assessment.risk_coverage)])?)
            .section(sections::operating_points(&breakdown.operating_points)?);
        if let Some(section) = sections::subgroups(&breakdown.subgroups)? {
            report = report.section(section);
        }
        let optional = [
            sections::tasks(&self.tasks)?,
            self.views.as_ref().map(sections::views).transpose()?,
            self.robustness.as_ref().map(sections::robustness).transpose()?,
            self.efficiency.as_ref().map(sections::efficiency).transpose()?,
            self.teacher.as_ref().map(|teacher| sections::teacher(teacher, name, &labels)).transpose()?,
        ];
        for section in optional.into_iter().flatten() {
            report = report.section(section);
        }
        Ok(report.section(self.about()))
    }

    fn about(&self) -> Section {
        let Assessment { calibrated, calibration, .. } = &self.assessment;
        let fitted = &calibration.abstain.fitted_on;
        Section::new("What was measured").facts([
            ("split hash", calibrated.split_hash.clone()),
            ("view", fitted.view.to_string()),
            ("calibrator", calibration.calibrator.name().to_owned()),
            ("calibration groups", fitted.groups.to_string()),
            ("bootstrap replicates", calibrated.replicates.to_string()),
            ("bootstrap seed", calibrated.seed.to_string()),
            ("this crate", env!("CARGO_PKG_VERSION").to_owned()),
        ])
    }
}
