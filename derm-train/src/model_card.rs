use std::fmt::Write as _;

use derm_backbones::ParameterCount;

use crate::{Assessment, Prepared, Recipe};

/// `MODEL_CARD.md`: what the model is, what it was trained on, how good it is and what it is not for.
pub(crate) fn model_card(
    recipe: &Recipe,
    prepared: &Prepared,
    parameters: ParameterCount,
    assessment: &Assessment,
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
    line("The weights inherit the licence of the data; see its publisher.\n");
    line("## Network\n");
    let answers = if recipe.model.use_answers { " and the questionnaire" } else { "" };
    let size = recipe.model.image_size;
    line(&format!(
        "Reads an image of {size} × {size} pixels{answers}; {} parameters.\n",
        parameters.trainable
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
    line("## When it answers\n");
    for note in derm_report::policy_notes(&assessment.calibration.abstain) {
        line(&format!("- {note}"));
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
