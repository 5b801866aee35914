use derm_core::SplitRole;
use derm_data::{Answers, LeakReport, LeakVerdict, Record};
use derm_predict::Request;
use derm_report::{Align, GalleryItem, LearningCurve, Report, Section, Table, learning_curves, metric_table};

use crate::architecture::Architecture;
use crate::evaluation::sections;
use crate::peak_memory::megabytes;
use crate::record_image::{pixels, png};
use crate::{EpochLog, Error, Finished};

impl<A: Architecture> Finished<A> {
    /// The report of this run, beside the runs that it is compared with (its teacher, say).
    ///
    /// # Errors
    /// Where an image cannot be read again.
    pub fn report(&self, others: &[&Finished]) -> Result<Report, Error> {
        let assessment = &self.assessment;
        let labels = self.prepared.dataset.labels().names();
        let names = || others.iter().map(|other| other.recipe.name.as_str());
        let evaluations = others.iter().map(|other| &other.assessment.calibrated);
        let mut models: Vec<_> = names().zip(evaluations).collect();
        models.push((self.recipe.name.as_str(), &assessment.calibrated));
        let mut curves: Vec<_> =
            others.iter().map(|other| curve(&other.recipe.name, &other.history)).collect();
        curves.push(curve(&self.recipe.name, &self.history));
        let mut risks: Vec<_> =
            names().zip(others.iter().map(|other| &other.assessment.risk_coverage)).collect();
        risks.push((self.recipe.name.as_str(), &assessment.risk_coverage));
        let skipped: Vec<(String, String)> = self
            .prepared
            .dataset
            .skipped()
            .iter()
            .map(|skipped| (skipped.key.clone(), skipped.reason.clone()))
            .collect();

        let mut report =
            Report::new(self.recipe.name.clone()).lead(self.lead()).section(sections::metrics(assessment)?);
        if !others.is_empty() {
            report = report.section(
                Section::new("Beside others")
                    .text("Calibrated probabilities of each model.")
                    .table(metric_table(&models)?),
            );
        }
        report = report
            .section(sections::classes(&models, labels)?)
            .section(sections::calibration(assessment)?)
            .section(sections::prediction_sets(&self.breakdown.sets, labels)?)
            .section(sections::decisions(assessment, &risks)?)
            .section(sections::operating_points(&self.breakdown.operating_points)?);
        if let Some(section) = sections::subgroups(&self.breakdown.subgroups)? {
            report = report.section(section);
        }
        if let Some(section) = sections::tasks(&self.tasks)? {
            report = report.section(section);
        }
        let report = report.section(Section::new("Learning").figures(learning_curves(&curves)?));
        let report = if self.recipe.model.use_answers {
            report.section(missing_answers(&self.prepared.leak_report)?)
        } else {
            report
        };
        Ok(report
            .section(
                Section::new("Test images with their decisions")
                    .text("The first groups (lesions or patients) of each tier in the order of their names; no image was chosen by hand.")
                    .gallery(self.gallery()?),
            )
            .section(Section::new("Images left out").skipped(&skipped))
            .section(Section::new("Run").facts(self.facts()?)))
    }

    fn lead(&self) -> String {
        let dataset = &self.prepared.dataset;
        let answers = if self.recipe.model.use_answers { " and the questionnaire" } else { "" };
        let texts = if self.recipe.model.text.is_some() { " and texts" } else { "" };
        format!(
            "{} on {}: {} parameters, reads {} px images{answers}{texts}.",
            self.recipe.name,
            dataset.name(),
            self.parameters.trainable,
            self.recipe.model.image_size,
        )
    }

    fn facts(&self) -> Result<Vec<(String, String)>, Error> {
        let Self { prepared, recipe, history, .. } = self;
        let mut facts = vec![("dataset".to_owned(), prepared.dataset.name().to_owned())];
        for role in SplitRole::ALL {
            let count = prepared.split.indices(&prepared.dataset, role)?.len();
            facts.push((format!("{role} images"), count.to_string()));
        }
        let training: f64 = history.iter().map(|log| log.train_seconds).sum();
        let epochs = history.len().max(1) as f64;
        let largest = |bytes: fn(&EpochLog) -> Option<u64>| history.iter().filter_map(bytes).max();
        let memory = [
            ("peak memory of the training process", largest(|log| log.peak_memory_bytes)),
            ("memory taken on the device", largest(|log| log.device_memory_bytes)),
        ];
        let memory = memory.into_iter().filter_map(|(name, bytes)| Some((name, megabytes(bytes?))));
        facts.extend(memory.map(|(name, value)| (name.to_owned(), value)));
        facts.extend(
            [
                ("split hash", prepared.split.hash()),
                ("seed", recipe.seed.to_string()),
                ("epochs", history.len().to_string()),
                ("view", recipe.evaluation.view.to_string()),
                ("training time", format!("{training:.0} s, {:.1} s an epoch", training / epochs)),
                ("buffers beside the parameters", self.parameters.buffers.to_string()),
                ("this crate", env!("CARGO_PKG_VERSION").to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Ok(facts)
    }

    /// Test images with what the loaded bundle says of them, the tiers in turn.
    fn gallery(&self) -> Result<Vec<GalleryItem>, Error> {
        let rows = self.test.one_row_per_group();
        let (_, tiers) = match rows.logits() {
            Some(logits) => self.assessment.calibration.decide(&logits)?,
            None => return Ok(Vec::new()),
        };
        let wanted = self.recipe.evaluation.report_images;
        let mut chosen: Vec<usize> = Vec::new();
        let mut turn = 0;
        while chosen.len() < wanted.min(rows.len()) {
            let tier = derm_calibration::Tier::ALL[turn % 3];
            let next = (0..rows.len()).find(|row| tiers[*row] == tier && !chosen.contains(row));
            // An exhausted tier leaves its place to the others.
            chosen.extend(next);
            turn += 1;
        }
        let by_id: std::collections::BTreeMap<&str, &Record> =
            self.prepared.dataset.records().iter().map(|record| (record.id.as_str(), record)).collect();
        let mut items = Vec::new();
        for row in chosen {
            let Some(record) = by_id.get(rows.ids()[row].as_str()) else { continue };
            let pixels = pixels(record)?;
            let answers = if self.recipe.model.use_answers { record.answers.clone() } else { Answers::new() };
            let text = record.text.as_deref().filter(|_| self.predictor.tokenizer().is_some());
            let request = Request { text, ..Request::pixels(&pixels, &answers) };
            let decision = self.predictor.decide(&request)?;
            items.push(GalleryItem {
                image: png(&pixels, &record.id)?,
                caption: record.id.clone(),
                truth: self.prepared.dataset.labels().name(record.class).unwrap_or_default().to_owned(),
                ranking: decision.ranking.iter().take(3).map(|c| (c.label.clone(), c.probability)).collect(),
                tier: decision.tier,
            });
        }
        Ok(items)
    }
}

/// What the missing answers of the training records tell of their class.
fn missing_answers(report: &LeakReport) -> Result<Section, Error> {
    let LeakReport { classes, records, groups, features, blocks, verdict, .. } = report;
    let found = format!("{records} training records of {groups} lesions or patients; {}.", report.summary());
    let section = Section::new("What missing answers tell");
    let mut section =
        if report.leaks() { section.note(format!("Warning: {found}")) } else { section.text(found) };
    for block in blocks {
        if let Some(reason) = &block.leak {
            section = section.text(format!("{}: {reason}", block.block));
        }
    }
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{share:.3}"));
    let columns = ["Share missing", "all"].into_iter().chain(classes.iter().map(String::as_str));
    let align = [Align::Left].into_iter().chain(std::iter::repeat(Align::Right));
    let mut table = Table::new(columns.zip(align));
    let mut rows: Vec<Vec<String>> = Vec::new();
    let blocks = blocks.iter().map(|one| (format!("all of {}", one.block), one.overall, &one.by_class));
    let features = features.iter().map(|one| (one.feature.clone(), one.overall, &one.by_class));
    for (name, overall, by_class) in blocks.chain(features).filter(|(_, overall, _)| *overall > 0.0) {
        let shares = [Some(overall)].into_iter().chain(by_class.iter().copied()).map(share);
        rows.push([name].into_iter().chain(shares).collect());
    }
    if let LeakVerdict::Measured(measured) = verdict {
        let auroc = |class: usize| {
            let place = measured.classes.iter().position(|&judged| judged == class);
            share(place.and_then(|place| measured.auroc[place]))
        };
        let cells = ["AUROC from what is missing (0.5 is chance)".to_owned(), share(None)];
        rows.push(cells.into_iter().chain((0..classes.len()).map(auroc)).collect());
    }
    if rows.is_empty() {
        return Ok(section);
    }
    for row in rows {
        table.push(row)?;
    }
    Ok(section.table(table))
}

fn curve(name: &str, history: &[EpochLog]) -> LearningCurve {
    let of_epochs = |value: fn(&EpochLog) -> f64| history.iter().map(value).collect();
    let metric = |log: &EpochLog, name| log.validation.get(name).copied().unwrap_or(f64::NAN);
    let validation = |name| history.iter().map(|log| metric(log, name)).collect();
    LearningCurve {
        name: name.to_owned(),
        training_loss: of_epochs(|log| log.train_loss),
        validation_loss: validation("nll"),
        balanced_accuracy: validation("balanced_accuracy"),
    }
}
