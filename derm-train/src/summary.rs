//! The short table that programs print.

use std::fmt;

use derm_calibration::{Calibrator, Tier};
use derm_metrics::Interval;

use crate::{Assessment, TaskAssessment};

impl fmt::Display for Assessment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uncalibrated, calibrated, tiers, sets, calibration, .. } = self;
        for warning in self.warnings() {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "test: {} images of {} lesions or patients", calibrated.samples, calibrated.groups)?;
        for (estimate, before) in calibrated.metrics.iter().zip(&uncalibrated.metrics) {
            write!(f, "  {:<20} {}", estimate.name, number(estimate.value))?;
            write!(f, "  {}", interval(estimate.interval.as_ref()))?;
            if before.value != estimate.value {
                write!(f, "  uncalibrated {}", number(before.value))?;
            }
            writeln!(f)?;
        }
        match &calibration.calibrator {
            Calibrator::Temperature(scaling) => {
                writeln!(f, "  temperature          {:.3}", scaling.temperature)?;
            }
            other => writeln!(f, "  calibrator           {}", other.name())?,
        }
        writeln!(f, "recall by class")?;
        for class in &calibrated.classes {
            let recall = format!("{}  {}", number(class.recall), interval(class.recall_interval.as_ref()));
            writeln!(f, "  {:<20} {recall}  of {} images", class.label, class.support)?;
        }
        write!(f, "decisions, one image a lesion: {} lesions", tiers.count)?;
        for outcome in &tiers.tiers {
            let coverage = format!("{:5.1} %", 100.0 * outcome.coverage);
            write!(f, "\n  {:<20} {coverage}", outcome.tier.to_string())?;
            if outcome.tier != Tier::Refer {
                let risk =
                    format!("risk {}  {}", number(outcome.risk), interval(outcome.risk_interval.as_ref()));
                write!(f, "  {risk}")?;
            }
        }
        if let (Some(table), Some(sets)) = (sets, calibration.conformal()) {
            let config = sets.config();
            let coverage = number(table.overall.coverage);
            let (promised, score) = (1.0 - config.alpha, config.score.name());
            write!(f, "\nconformal sets ({score}), promised coverage {promised:.3}: {coverage}")?;
            write!(f, ", {} classes on average", number(table.overall.mean_size))?;
        }
        Ok(())
    }
}

impl fmt::Display for TaskAssessment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calibrator, uncalibrated, calibrated } = self;
        let (images, groups) = (calibrated.samples, calibrated.groups);
        write!(f, "{images} images of {groups} lesions or patients, calibrator {}", calibrator.name())?;
        for (estimate, before) in calibrated.metrics.iter().zip(&uncalibrated.metrics) {
            let interval = interval(estimate.interval.as_ref());
            write!(f, "\n  {:<20} {}  {interval}", estimate.name, number(estimate.value))?;
            if before.value != estimate.value {
                write!(f, "  uncalibrated {}", number(before.value))?;
            }
        }
        Ok(())
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "    –".to_owned(), |value| format!("{value:.3}"))
}

fn interval(interval: Option<&Interval>) -> String {
    interval.map_or_else(|| " ".repeat(14), |interval| format!("[{:.3}, {:.3}]", interval.low, interval.high))
}
