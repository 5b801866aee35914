use std::collections::BTreeMap;
use std::fmt::Write as _;

use derm_backbones::ParameterCount;
use derm_calibration::{AbstainPolicy, ConformalTable, SuggestScore};
use derm_report::policy_notes;

use crate::{Assessment, Prepared, Recipe, TaskAssessment};

/// `MODEL_CARD.md`: what the model is, what it was trained on, how good it is and what it is not for.
pub(crate) fn model_card(
    recipe: &Recipe,
    prepared: &Prepared,
    parameters: ParameterCount,
    assessment: &Assessment,
    tasks: &BTreeMap<String, TaskAssessment>,
) -> String {
    let mut card = String::new();
    let mut line = |text: &str| {
        card.push_str(text);
        card.push('\n');
    };
    line(&format!("# {}\n", recipe.name));
    line("A research model. It is not a medical device and must not guide the care of anyone.\n");
    line("## Data\n");
    let counts = prepared.dataset.labels().names().iter().zip(prepared.dataset.class_counts());
    let counts: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    let (name, images) = (prepared.dataset.name(), prepared.dataset.records().len());
    line(&format!("{name}: {images} images ({}).", counts.join(", ")));
    line(&format!("Split by lesion or patient, hash `{}`.", prepared.split.hash()));
    if !prepared.dataset.skipped().is_empty() {
        line(&format!("{} images could not be used and were left out.", prepared.dataset.skipped().len()));
    }
    if recipe.model.use_answers {
        let report = &prepared.leak_report;
        let warning = if report.leaks() { "Warning: " } else { "" };
        line(&format!("{warning}{}.", report.summary()));
    }
    line("The weights inherit the licence of the data; see its publisher.\n");
    line("## Network\n");
    let answers = if recipe.model.use_answers { " and the questionnaire" } else { "" };
    let text = if recipe.model.text.is_some() { " and a text" } else { "" };
    let size = recipe.model.image_size;
    line(&format!(
        "Reads an image of {size} × {size} pixels{answers}{text}, view `{}`; {} parameters.\n",
        recipe.evaluation.view, parameters.trainable
    ));
    line("## Test metrics\n");
    line("| metric | calibrated | interval |");
    line("|---|---:|---|");
    for estimate in &assessment.calibrated.metrics {
        let value = estimate.value.map_or("undefined".to_owned(), |value| format!("{value:.3}"));
        let interval = estimate.interval.as_ref();
        let interval = interval.map_or(String::new(), |i| format!("{:.3} to {:.3}", i.low, i.high));
        line(&format!("| {} | {value} | {interval} |", estimate.name));
    }
    let evaluation = &recipe.evaluation;
    line(&format!(
        "\n{} test images of {} lesions or patients; bootstrap over those, {} resamples, confidence {}.\n",
        assessment.calibrated.samples,
        assessment.calibrated.groups,
        evaluation.bootstrap_replicates,
        evaluation.confidence,
    ));
    if !tasks.is_empty() {
        line("Further tasks, each on the test images that are labelled for it:\n");
        line("| task | metric | calibrated | interval |");
        line("|---|---|---:|---|");
    }
    for (name, task) in tasks {
        for estimate in &task.calibrated.metrics {
            let value = estimate.value.map_or("undefined".to_owned(), |value| format!("{value:.3}"));
            let interval = estimate.interval.as_ref();
            let interval = interval.map_or(String::new(), |i| format!("{:.3} to {:.3}", i.low, i.high));
            line(&format!("| {name} | {} | {value} | {interval} |", estimate.name));
        }
    }
    line("\n## When it answers\n");
    for text in when_it_answers(&assessment.calibration.abstain) {
        line(&text);
    }
    if let Some(sets) = &assessment.sets {
        line("\n## Sets of classes\n");
        line(&prediction_sets(sets));
    }
    line("\n## Limits\n");
    line(
        "Probabilities and risks hold for data like the test split. Another camera, clinic, skin type or mix",
    );
    line("of diseases changes them, and classes outside the list above are never recognised as such.");
    // Writing to a String cannot fail.
    let _ = writeln!(card, "\nSeed {}.", recipe.seed);
    card
}

/// What the policy promises and what it was seen to do, a table with a line a tier.
fn when_it_answers(policy: &AbstainPolicy) -> Vec<String> {
    let AbstainPolicy { thresholds, config, fitted_on, expected, .. } = policy;
    let mut lines = vec![
        format!(
            "Thresholds were chosen on {} lesions or patients of the {} split, one image each. Each promise fails with \
             probability at most {} over the choice of those.\n",
            fitted_on.groups, fitted_on.role, config.delta,
        ),
        "| tier | where | promised risk | expected share of cases |".to_owned(),
        "|---|---|---:|---:|".to_owned(),
    ];
    let of_answer = ("answer", "the confidence", thresholds.answer(), config.answer_risk);
    let suggest_score = match thresholds.suggest_score() {
        SuggestScore::Confidence => "the confidence",
        SuggestScore::Top3Mass => "the sum of the three largest probabilities",
    };
    let of_suggest = ("suggest three", suggest_score, thresholds.suggest(), config.suggest_risk);
    for ((tier, score, threshold, risk), outcome) in [of_answer, of_suggest].into_iter().zip(&expected.tiers)
    {
        lines.push(match threshold {
            Some(threshold) => {
                format!(
                    "| {tier} | {score} is at least {threshold:.4} | at most {risk} | {:.3} |",
                    outcome.coverage
                )
            }
            None => format!("| {tier} | never | | {:.3} |", outcome.coverage),
        });
    }
    lines.push(format!("| refer | else | | {:.3} |", expected.tiers[2].coverage));
    let notes = policy_notes(policy);
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes.into_iter().map(|note| format!("- {note}")));
    }
    lines
}

/// What the conformal sets promise and what they were seen to do.
fn prediction_sets(sets: &ConformalTable) -> String {
    let ConformalTable { nominal_alpha, overall, by_class, .. } = sets;
    let coverage = overall.coverage.map_or("undefined".to_owned(), |coverage| format!("{coverage:.3}"));
    let worst = by_class.iter().filter_map(|class| class.coverage).reduce(f64::min);
    let worst = worst.map_or(String::new(), |worst| format!(", {worst:.3} of the class covered least"));
    format!(
        "Beside the decision stands a set of classes, made to hold the true one in at least {:.3} of cases. On the \
         test split it held it in {coverage}{worst}; {} of {} sets are of one class.",
        1.0 - nominal_alpha,
        sets.singletons,
        overall.count,
    )
}
