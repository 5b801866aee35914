use derm_metrics::{Direction, Evaluation};

use crate::number::{interval, optional, percent, with_interval};
use crate::{Align, Error, Table};

/// The standard metrics of one or several models side by side, each with its interval.
///
/// # Errors
/// [`Error::Empty`] for no model.
pub fn metric_table(models: &[(&str, &Evaluation)]) -> Result<Table, Error> {
    let Some((_, first)) = models.first() else {
        return Err(Error::Empty { what: "models of a metric table" });
    };
    let columns = std::iter::once(("Metric", Align::Left));
    let names = models.iter().map(|(name, _)| (*name, Align::Right));
    let mut table = Table::new(columns.chain(names));
    for metric in &first.metrics {
        let better = match metric.metric.direction() {
            Direction::HigherIsBetter => " ↑",
            Direction::LowerIsBetter => " ↓",
            Direction::Neither => "",
        };
        let mut cells = vec![format!("{}{better}", words(&metric.name))];
        for (_, evaluation) in models {
            cells.push(match evaluation.metric(&metric.name) {
                Some(metric) => with_interval(metric.value, metric.interval),
                None => String::new(),
            });
        }
        table.row_of(cells);
    }
    let of_interval = first.metrics.iter().find_map(|metric| metric.interval);
    Ok(table.caption(format!(
        "In brackets {}intervals from {} bootstrap replicates that draw groups (lesions or patients); that of the \
         calibration error is moved by the replicates' bias. {} images of {} groups, {} split. ↑ larger is better, ↓ smaller is better.",
        percent(of_interval),
        first.replicates,
        first.samples,
        first.groups,
        first.role
    )))
}

/// Precision, recall, F1 and AUROC of each class of one model.
pub fn class_table(evaluation: &Evaluation) -> Table {
    let mut table = Table::new([
        ("Class", Align::Left),
        ("Images", Align::Right),
        ("Groups", Align::Right),
        ("Recall", Align::Right),
        ("Interval", Align::Right),
        ("Precision", Align::Right),
        ("F1", Align::Right),
        ("AUROC", Align::Right),
        ("Predicted / true", Align::Right),
    ]);
    for class in &evaluation.classes {
        table.row([
            class.label.clone(),
            class.support.to_string(),
            class.groups.to_string(),
            optional(class.recall),
            interval(class.recall_interval),
            optional(class.precision),
            optional(class.f1),
            optional(class.auroc),
            optional(class.over_prediction),
        ]);
    }
    let of_interval = evaluation.classes.iter().find_map(|class| class.recall_interval);
    table.caption(format!(
        "{}Wilson intervals on the number of groups (lesions or patients). Undefined: nothing was there, or nothing was \
         predicted, to divide by.",
        percent(of_interval)
    ))
}

/// `balanced_accuracy` as people write it.
pub(crate) fn words(name: &str) -> String {
    let spaced = name.replace('_', " ");
    match spaced.as_str() {
        "macro auroc" => "macro AUROC".to_owned(),
        "weighted auroc" => "weighted AUROC".to_owned(),
        "macro f1" => "macro F1".to_owned(),
        "nll" => "negative log-likelihood".to_owned(),
        "brier" => "Brier score".to_owned(),
        "ece" => "calibration error".to_owned(),
        _ => spaced,
    }
}
