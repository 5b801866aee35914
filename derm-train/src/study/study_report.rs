use derm_metrics::RunPairing;
use derm_report::{Align, IntervalMark, ParetoPoint, Report, Section, Table, interval_plot, pareto_plot};

use super::results_files::{runs, total_macs};
use super::{CountedNoise, Difference, NamedEstimate, StudyResults, VariantResult, Verdict};
use crate::Error;

impl StudyResults {
    /// The report: verdicts, metrics, classes, what is kept of the teacher, costs, runs, and how it was compared.
    ///
    /// # Errors
    /// Where a figure cannot be drawn.
    pub fn report(&self) -> Result<Report, Error> {
        let metric = words(&self.comparison.metric);
        let lead = format!(
            "{} compared with {} by {metric}, on {} test images of {} lesions or patients.",
            plural(self.variants.len().saturating_sub(1), "variant"),
            self.baseline,
            self.images,
            self.lesions,
        );
        let mut report =
            Report::new(self.name.clone()).lead(lead).section(self.verdicts()?).section(self.metrics()?);
        if !self.compared().is_empty() {
            report = report.section(self.differences()?);
        }
        report = report.section(self.classes()?);
        if self.teacher.is_some() {
            report = report.section(self.retention()?);
        }
        Ok(report.section(self.costs()?).section(self.runs()?).section(self.method()))
    }

    fn compared(&self) -> Vec<&VariantResult> {
        self.variants.iter().filter(|variant| variant.verdict.is_some()).collect()
    }

    /// What the verdict on a variant rests on, in one sentence.
    pub(super) fn sentence(&self, variant: &VariantResult) -> Option<String> {
        let verdict = variant.verdict?;
        let metric = &self.comparison.metric;
        let difference = variant.differences.iter().find(|difference| difference.name == *metric)?;
        let found =
            with_ends(difference.estimate, difference.interval.map(|ends| (ends.low, ends.high)), signed);
        if difference.counts == CountedNoise::Lesions {
            let spread = self.baseline_spread();
            let spread = spread
                .map_or(String::new(), |std| format!("; runs of {} alone vary by {std:.3}", self.baseline));
            return Some(format!("{verdict}: a single run, {found} counts lesions only{spread}"));
        }
        let p = variant.adjusted_p_value.map_or("undefined".to_owned(), probability);
        Some(format!("{verdict}: {found}, corrected p {p}"))
    }

    /// The standard deviation of the baseline's runs in the metric that decides.
    fn baseline_spread(&self) -> Option<f64> {
        let baseline = self.variants.iter().find(|variant| variant.name == self.baseline)?;
        find(&baseline.metrics, &self.comparison.metric)?.estimate.std
    }

    fn verdicts(&self) -> Result<Section, Error> {
        let metric = words(&self.comparison.metric);
        let mut section = Section::new("Verdicts");
        for failed in &self.failed {
            section = section.note(format!("Failed, and in no number: {failed}"));
        }
        let compared = self.compared();
        if compared.is_empty() {
            let reason = format!(
                "Nothing was compared: {} and another variant need a finished run each.",
                self.baseline
            );
            return Ok(section.note(reason));
        }
        let columns = [
            ("Variant", Align::Left),
            ("Runs", Align::Right),
            ("Difference", Align::Right),
            ("Interval", Align::Right),
            ("Corrected p", Align::Right),
            ("Error of runs", Align::Right),
            ("Error of lesions", Align::Right),
            ("Verdict", Align::Left),
        ];
        let (mut table, mut marks) = (Table::new(columns), Vec::new());
        for variant in &compared {
            let Some(difference) = variant.differences.iter().find(|d| d.name == self.comparison.metric)
            else {
                continue;
            };
            table.push([
                variant.name.clone(),
                variant.runs.len().to_string(),
                difference.estimate.map_or_else(undefined, signed),
                interval(difference.interval.map(|ends| (ends.low, ends.high)), signed),
                variant.adjusted_p_value.map_or("–".to_owned(), probability),
                difference.run_error.map_or("–".to_owned(), number),
                difference.lesion_error.map_or("–".to_owned(), number),
                variant.verdict.map_or(String::new(), |verdict| verdict.to_string()),
            ])?;
            marks.push(mark(&variant.name, &metric, difference));
        }
        let percent = 100.0 * self.comparison.confidence;
        let caption = format!(
            "{metric} of the variant less that of {}, with {percent} % intervals. Those of single runs count lesions \
             only and say nothing about another seed.",
            self.baseline,
        );
        let figure = interval_plot(
            &format!("Difference in {metric}"),
            &format!("difference in {metric}"),
            &caption,
            &marks,
            Some(0.0),
        )?;
        let unproven = compared.iter().any(|variant| variant.verdict == Some(Verdict::Unproven));
        section = section.text(format!(
            "Better or worse: the difference in {metric} is beyond what other seeds and other lesions make of it, \
             with a chance of at most {:.3} over all variants together that any such word is wrong. No finding: it is \
             not; a difference as large as the interval's ends may still be there.",
            1.0 - self.comparison.confidence,
        ));
        if unproven {
            section = section.note(
                "Unproven: one of the sides has a single run. How much runs differ is then not known, and no \
                 difference, however large, is a finding.",
            );
        }
        Ok(section.table(table).figure(figure))
    }

    fn metrics(&self) -> Result<Section, Error> {
        let models = self.variants.iter().map(|variant| (variant.name.as_str(), &variant.metrics));
        let teacher = self.teacher.iter().map(|teacher| ("teacher", &teacher.metrics));
        let models: Vec<(&str, &Vec<NamedEstimate>)> = models.chain(teacher).collect();
        let columns = models.iter().map(|(name, _)| ((*name).to_owned(), Align::Right));
        let mut table = Table::new(std::iter::once(("Metric".to_owned(), Align::Left)).chain(columns));
        for named in self.variants.iter().take(1).flat_map(|variant| &variant.metrics) {
            let arrow = if named.estimate.metric.higher_is_better() { "↑" } else { "↓" };
            let values = models.iter().map(|(_, metrics)| match find(metrics, &named.name) {
                Some(named) => mean_and_spread(named),
                None => undefined(),
            });
            let name = format!("{} {arrow}", words(&named.name));
            table.push(std::iter::once(name).chain(values))?;
        }
        let table = table.caption(
            "Mean ± standard deviation over runs. After temperature scaling fitted on each run's validation rows, but \
             for those called uncalibrated. ↑ larger is better, ↓ smaller is better.",
        );
        let mut section = Section::new("Metrics").table(table);
        for run in self.variants.iter().flat_map(|variant| &variant.runs) {
            if run.temperature.is_none() {
                let folder = run.folder.display();
                section = section.note(format!(
                    "{folder} has no validation logits: its likelihood and calibration error are measured as they are."
                ));
            }
        }
        Ok(section)
    }

    fn differences(&self) -> Result<Section, Error> {
        let compared = self.compared();
        let columns = compared.iter().map(|variant| (variant.name.clone(), Align::Right));
        let mut table = Table::new(std::iter::once(("Metric".to_owned(), Align::Left)).chain(columns));
        for (place, first) in
            compared.iter().take(1).flat_map(|variant| variant.differences.iter().enumerate())
        {
            let cells = compared.iter().map(|variant| {
                let difference = &variant.differences[place];
                with_ends(difference.estimate, difference.interval.map(|ends| (ends.low, ends.high)), signed)
            });
            table.push(std::iter::once(words(&first.name)).chain(cells))?;
        }
        Ok(Section::new("All differences")
            .text(format!(
                "Only {} decides. The others are described: with so many numbers, some interval leaves 0 out by chance.",
                words(&self.comparison.metric),
            ))
            .table(table))
    }

    fn classes(&self) -> Result<Section, Error> {
        let mut columns = vec![("Class".to_owned(), Align::Left), ("Images".to_owned(), Align::Right)];
        columns.extend(self.variants.iter().map(|variant| (variant.name.clone(), Align::Right)));
        let mut table = Table::new(columns);
        for (class, label) in self.classes.iter().enumerate() {
            let recalls = self.variants.iter().map(|variant| mean_and_spread(&variant.recall[class]));
            table.push([label.clone(), self.support[class].to_string()].into_iter().chain(recalls))?;
        }
        let section =
            Section::new("Classes").table(table.caption("Recall, mean ± standard deviation over runs."));
        let marks: Vec<IntervalMark> = self
            .compared()
            .into_iter()
            .flat_map(|variant| {
                variant
                    .recall_differences
                    .iter()
                    .map(|difference| mark(&difference.name, &variant.name, difference))
            })
            .collect();
        if marks.is_empty() {
            return Ok(section);
        }
        let caption = format!(
            "Recall of each class less that of {}. The intervals are those of single classes, not corrected for their \
             number.",
            self.baseline,
        );
        let figure =
            interval_plot("Difference in recall", "difference in recall", &caption, &marks, Some(0.0))?;
        Ok(section.figure(figure))
    }

    fn retention(&self) -> Result<Section, Error> {
        let columns = self.variants.iter().map(|variant| (variant.name.clone(), Align::Right));
        let mut table = Table::new(std::iter::once(("Metric".to_owned(), Align::Left)).chain(columns));
        let (mut marks, metric) = (Vec::new(), &self.comparison.metric);
        for named in self.variants.iter().take(1).flat_map(|variant| &variant.retention) {
            let shares = self.variants.iter().map(|variant| match find(&variant.retention, &named.name) {
                Some(share) => with_ends(
                    share.estimate.estimate,
                    share.estimate.interval.map(|ends| (ends.low, ends.high)),
                    number,
                ),
                None => undefined(),
            });
            table.push(std::iter::once(words(&named.name)).chain(shares))?;
        }
        for variant in &self.variants {
            if let Some(share) = find(&variant.retention, metric) {
                let (value, interval) = (share.estimate.estimate, share.estimate.interval);
                marks.push(IntervalMark {
                    row: variant.name.clone(),
                    series: words(metric),
                    value,
                    interval,
                });
            }
        }
        let axis = format!("{} / the teacher's", words(metric));
        let caption = "1 is as good as the teacher. The teacher is taken as it is: what another seed would make of it \
                       is not in the intervals. Those of single runs count lesions only.";
        let section = Section::new("What is kept of the teacher").table(table.caption(
            "Mean over runs divided by the teacher's value. Of likelihoods, Brier scores and calibration errors less \
             is better, so a share below 1 is better than the teacher.",
        ));
        Ok(section.figure(interval_plot("Retention", &axis, caption, &marks, Some(1.0))?))
    }

    fn costs(&self) -> Result<Section, Error> {
        let columns = [
            ("Model", Align::Left),
            ("Parameters", Align::Right),
            ("Multiply-accumulates", Align::Right),
            ("Latency, ms", Align::Right),
        ];
        let variants =
            self.variants.iter().map(|variant| (variant.name.as_str(), &variant.cost, &variant.metrics));
        let teacher = self.teacher.iter().map(|teacher| ("teacher", &teacher.cost, &teacher.metrics));
        let models: Vec<_> = variants.chain(teacher).collect();
        let mut table = Table::new(columns);
        let (mut by_parameters, mut by_macs) = (Vec::new(), Vec::new());
        let mut measured = None;
        for (name, cost, metrics) in models {
            let Some(cost) = cost else { continue };
            let latency = cost.latency.first();
            measured = measured.or(latency.map(|latency| (latency.repeats, &cost.machine)));
            let time = latency.map_or("–".to_owned(), |latency| format!("{:.2}", latency.p50_ms));
            table.push([name.to_owned(), cost.parameters.to_string(), total_macs(cost).to_string(), time])?;
            let quality = find(metrics, &self.comparison.metric).map(|named| &named.estimate);
            if let Some((value, estimate)) = quality.and_then(|estimate| Some((estimate.estimate?, estimate)))
            {
                let sign = if self.comparison.more_is_better() { 1.0 } else { -1.0 };
                let point = |cost: f64| ParetoPoint {
                    name: name.to_owned(),
                    cost,
                    value: sign * value,
                    interval: estimate.interval.filter(|_| sign > 0.0),
                };
                by_parameters.push(point(1e-6 * cost.parameters as f64));
                by_macs.push(point(1e-6 * total_macs(cost) as f64));
            }
        }
        let mut section = Section::new("Costs");
        if by_macs.is_empty() {
            return Ok(section.text("No run has a bundle of a network that the workspace builds by name."));
        }
        if let Some((passes, machine)) = measured {
            let cpu = machine.cpu.as_deref().unwrap_or("an unknown processor");
            let device = &machine.device;
            section = section.text(format!(
                "Latency is the median of {passes} forward passes of one image on {device}, {cpu}: the network alone in f32 \
                 with folded batch norms, without decoding. It tells the order of the models here, not the time on \
                 another machine."
            ));
        }
        section = section.table(table);
        let differ = by_macs.iter().any(|point| point.cost != by_macs[0].cost);
        if !differ {
            return Ok(section.text("All cost the same, so there is no front to draw."));
        }
        let minus = if self.comparison.more_is_better() { "" } else { "− " };
        let value = format!("{minus}{}", words(&self.comparison.metric));
        Ok(section.figures([
            pareto_plot(&by_macs, "multiply-accumulates (millions)", &value)?,
            pareto_plot(&by_parameters, "parameters (millions)", &value)?,
        ]))
    }

    fn runs(&self) -> Result<Section, Error> {
        let columns = [
            ("Variant", Align::Left),
            ("Seed", Align::Right),
            ("Accuracy", Align::Right),
            ("Balanced accuracy", Align::Right),
            ("Macro F1", Align::Right),
            ("Temperature", Align::Right),
            ("Folder", Align::Left),
        ];
        let mut table = Table::new(columns);
        for variant in &self.variants {
            for (place, run) in variant.runs.iter().enumerate() {
                let value = |name: &str| {
                    let named = find(&variant.metrics, name);
                    named.and_then(|named| named.estimate.runs[place]).map_or_else(undefined, number)
                };
                table.push([
                    variant.name.clone(),
                    run.seed.map_or("unknown".to_owned(), |seed| seed.to_string()),
                    value("accuracy"),
                    value("balanced_accuracy"),
                    value("macro_f1"),
                    run.temperature.map_or("–".to_owned(), number),
                    run.folder.display().to_string(),
                ])?;
            }
        }
        Ok(Section::new("Runs").table(table))
    }

    fn method(&self) -> Section {
        let comparison = &self.comparison;
        let pairings: Vec<String> = self
            .variants
            .iter()
            .filter_map(|variant| {
                let how = match variant.pairing? {
                    RunPairing::BySeed => "in pairs of one seed",
                    RunPairing::Independent => "each side by itself",
                };
                Some(format!("{} ({}, {how})", variant.name, runs(variant.runs.len())))
            })
            .collect();
        let mut section = Section::new("How it was compared")
            .text(
                "Runs of one recipe differ from seed to seed about as much as recipes do, and another set of test \
                 lesions would give other numbers. Both count: the variance of the difference between runs, divided by \
                 their number, plus its variance over bootstrap resamples that draw whole lesions. The decision is \
                 Student's t with the degrees of freedom of Welch and Satterthwaite, at the few runs there are a \
                 careful one.",
            )
            .text(format!(
                "The p-values of the metric that decides are corrected by Holm over the variants with two runs or more \
                 on both sides. Intervals are not corrected. Resamples: {}; split: {}.",
                comparison.bootstrap_replicates, self.split_hash,
            ))
            .text(
                "All runs share their test lesions, and their training lesions as well: how much another draw of the \
                 training set would change is not in any interval.",
            );
        if !pairings.is_empty() {
            section = section.text(format!("Runs were compared so: {}.", pairings.join("; ")));
        }
        section
    }
}

fn find<'a>(estimates: &'a [NamedEstimate], name: &str) -> Option<&'a NamedEstimate> {
    estimates.iter().find(|named| named.name == name)
}

fn mark(row: &str, series: &str, difference: &Difference) -> IntervalMark {
    let (row, series) = (row.to_owned(), series.to_owned());
    IntervalMark { row, series, value: difference.estimate, interval: difference.interval }
}

/// `0.512 ± 0.011`.
fn mean_and_spread(named: &NamedEstimate) -> String {
    let spread = named.estimate.std.map_or(String::new(), |std| format!(" ± {std:.3}"));
    named.estimate.estimate.map_or_else(undefined, |mean| format!("{mean:.3}{spread}"))
}

/// `0.012 (−0.003 to 0.027)`.
fn with_ends(value: Option<f64>, ends: Option<(f64, f64)>, digits: fn(f64) -> String) -> String {
    match (value, ends) {
        (None, _) => undefined(),
        (Some(value), None) => digits(value),
        (Some(value), ends) => format!("{} ({})", digits(value), interval(ends, digits)),
    }
}

fn interval(ends: Option<(f64, f64)>, digits: fn(f64) -> String) -> String {
    ends.map_or("–".to_owned(), |(low, high)| format!("{} to {}", digits(low), digits(high)))
}

fn number(value: f64) -> String {
    format!("{value:.3}")
}

/// `0.012`, or that it is smaller than its digits show: no probability is 0.
fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// With its sign, which is half of what a difference says; what rounds to nothing has none.
fn signed(value: f64) -> String {
    let text = format!("{value:+.3}").replace('-', "−");
    if matches!(text.as_str(), "+0.000" | "−0.000") { "0.000".to_owned() } else { text }
}

fn undefined() -> String {
    "undefined".to_owned()
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `macro_f1` as people write it.
fn words(name: &str) -> String {
    let word = |word: &str| match word {
        "f1" => "F1".to_owned(),
        "auroc" => "AUROC".to_owned(),
        "nll" => "NLL".to_owned(),
        "ece" => "ECE".to_owned(),
        "brier" => "Brier score".to_owned(),
        word => word.to_owned(),
    };
    name.split('_').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{probability, signed};

    #[test]
    fn no_probability_is_nothing() {
        assert_eq!([0.0123, 8.9e-6].map(probability), ["0.012", "< 0.001"]);
    }

    #[test]
    fn a_difference_has_a_sign_where_it_has_digits() {
        assert_eq!([0.0124, -0.0124, 0.0004, -0.0004].map(signed), ["+0.012", "−0.012", "0.000", "0.000"]);
    }
}
